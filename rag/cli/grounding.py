"""``rag ground``: where in an image a finding is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.shared import Json, Profile, print_json, settings_of
from rag.errors import InputError, StorageError

app = typer.Typer()


@app.command(
    epilog='Examples: rag ground fundus.jpg "drusen" --domain ophthalmology --out map.png · '
    'rag ground chest.dcm "pleural effusion" --anyway --json'
)
def ground(
    image: Annotated[Path, typer.Argument(help="An image file: PNG, JPEG, DICOM, …")],
    phrase: Annotated[str, typer.Argument(help="A finding or a structure, as 'left pleural effusion'.")],
    domain: Annotated[
        str | None,
        typer.Option(help="What kind of image: radiology, ophthalmology, …", show_default="the router's opinion"),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(help="Who looks: similarity, gradient, attention or a plug-in.", show_default="settings.grounder"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the heat map here: a PNG to lay over the image, its opacity the heat.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Look also where it was measured to be no use, or never measured.")
    ] = False,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Where in an image a finding is, by the image model; or "cannot say where", and why.

    Boxes are in shares of the image's width and height, from its top left. Nothing of it is a diagnosis.
    """
    from rag.grounding.asking import ask_where

    if not phrase.strip():
        raise InputError("name a finding or a structure to look for, as: pleural effusion")
    found, size = ask_where(image, phrase.strip(), settings_of(None, profile), domain=domain, by=by, anyway=anyway)
    region = found.region
    if out is not None and region.cannot_say is None:
        try:
            out.write_bytes(found.png(*size))
        except OSError as error:
            raise StorageError(f"cannot write {out}: {error.strerror}; choose another file with --out") from error
    if as_json:
        print_json(region.model_dump(mode="json"))
        return
    if region.cannot_say is not None:
        typer.echo(f"Cannot say where: {region.cannot_say}.")
        if out is not None:
            typer.echo(f"Nothing was written to {out}.")
        return
    for box in region.boxes:
        across, down = f"{box.x0:.0%}–{box.x1:.0%}", f"{box.y0:.0%}–{box.y1:.0%}"
        typer.echo(f"{phrase}: {across} from the left, {down} from the top (heat {box.heat:.2f})")
    typer.echo(f"score {region.score:.2f}, uncertainty {region.uncertainty:.2f}; {region.standing}")
    if out is not None:
        typer.echo(f"map: {out}")
