"""``rag corpus``: look at a corpus before anything is built of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

import rag
from rag.cli.shared import Json, options_of, print_json

app = typer.Typer(no_args_is_help=True, help="Look at a corpus before anything is built of it.")


@app.callback()
def corpus() -> None:
    """Look at a corpus before anything is built of it."""


@app.command(epilog="Examples: rag corpus describe ./reports · rag corpus describe rows.csv --map text=Report")
def describe(
    source: Annotated[str, typer.Argument(help="A file or folder, or a packaged corpus: openi, hpo, notes, samples.")],
    format_: Annotated[str | None, typer.Option("--format", help="A reader [default: auto, by content].")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="Reader option; repeatable.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="Column of a table; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Count a corpus: documents, domains, licences, groups, sizes, duplicates, and what could not be read."""
    from rag.building.describe import describe as run

    made = run(rag.Source(source, format_, options_of(option, map_)))
    if as_json:
        print_json(asdict(made))
    else:
        from rag.cli import console

        console.show_description(made)
