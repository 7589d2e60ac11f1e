"""``rag settings``: what can be set, and how."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rag.cli.shared import Indexes, Json, Profile, print_json, settings_of

app = typer.Typer()


@app.command("settings", epilog="Examples: rag settings selection · rag settings --profile biomedclip")
def settings(
    about: Annotated[str, typer.Argument(help="Only names that begin so.", show_default="all")] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="As the page docs/settings.md.")] = False,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Every setting: what it is for, what it takes, its default, and what it is set to now where that differs."""
    from rag.cli.settings_page import page, settings_listed

    if markdown:
        typer.echo(page(), nl=False)
        return
    listed = [s for s in settings_listed(settings_of(indexes, profile)) if s.name.startswith(about)]
    if as_json:
        print_json({"settings": [asdict(s) for s in listed]})
        return
    for s in listed:
        now = f", now {s.value}" if s.value is not None else ""
        typer.echo(f"{s.name} ({s.takes}; default {s.default}{now})\n    {s.description}")
