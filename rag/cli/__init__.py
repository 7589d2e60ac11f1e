"""The command line: parses, calls, prints. Exit codes: 0 fine, 2 bad input, 1 our fault or the machine's."""

from __future__ import annotations

import errno
import json
import os
import sys
from typing import Annotated

import typer

import rag
from rag.cli import terminals
from rag.cli.commands import Commands
from rag.errors import RagError

app = typer.Typer(
    name="rag",
    cls=Commands,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="ClinCite: cited, risk-controlled answers from medical images, reports and literature.\n\n"
    "Research software, not a medical device.",
)


def main() -> None:
    """Entry point of the ``rag`` command."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for any is to read all that is installed
    terminals.prepare()
    if terminals.is_narrow():
        app.rich_markup_mode = None
    wants_json = "--json" in sys.argv
    try:
        code = app(standalone_mode=False)  # a command that raised typer.Exit comes back with its code
        sys.stdout.flush()
    except RagError as error:
        _fail(str(error), error.exit_code, wants_json)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing was published", 1, wants_json)
    except BrokenPipeError:
        terminals.discard_output()
        sys.exit(1)
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group alone; its help has been printed
            sys.exit(0)
        usage = getattr(error, "format_message", None)  # a mistake in the command line, as click words it
        if usage is not None:
            _fail(f"{usage()} Try: rag --help", 2, wants_json)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            terminals.discard_output()
            _fail("standard output cannot be written: no space left on its disk", 1, False)
        if os.environ.get("RAG_DEBUG"):
            raise
        _fail(f"internal error ({type(error).__name__}); run again with RAG_DEBUG=1 for the traceback", 1, wants_json)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int, as_json: bool) -> None:
    message = " ".join(message.split())
    try:
        if as_json:
            sys.stdout.write(json.dumps({"error": message, "exit_code": code}) + "\n")
            sys.stdout.flush()
    except OSError:
        terminals.discard_output()
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        typer.echo(rag.__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())
