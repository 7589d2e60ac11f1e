"""``rag mcp``: the engine as tools of an assistant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.shared import Index, Indexes, Profile, engine_of, settings_of
from rag.errors import InputError

app = typer.Typer()


@app.command(
    epilog='Example, as assistants are told of servers: {"command": "rag", "args": ["mcp", "--index", "demo", '
    '"--indexes", "/data/indexes"]}'
)
def mcp(
    index: Index = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder whose images may be asked about; none unless given.")
    ] = None,
    indexes: Indexes = None,
    profile: Profile = None,
) -> None:
    """Serve an index to assistants over the Model Context Protocol (standard input and output).

    The tools are ask, search, show_evidence and audit. Questions are recorded in the ledger with the caller 'mcp'.
    """
    from rag.integrations.mcp import serve

    if images is not None and not images.is_dir():
        raise InputError(f"--images {images} is not a folder; name one that holds images")
    settings = settings_of(indexes, profile)
    serve(lambda: engine_of(settings, index), images)
