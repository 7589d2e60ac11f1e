"""``rag corpus``: look at a corpus before anything is built of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import rag
from rag.cli.shared import Indexes, Json, Profile, bars, options_of, print_json, settings_of

copies = typer.Typer()
app = typer.Typer(no_args_is_help=True, help="Look at a corpus before anything is built of it.")


@app.callback()
def corpus() -> None:
    """Look at a corpus before anything is built of it."""


@app.command(epilog="Examples: rag corpus describe ./reports · rag corpus describe rows.csv --map text=Report")
def describe(
    source: Annotated[str, typer.Argument(help="A file or folder, or a packaged corpus (openi, hpo, pubmed, notes).")],
    format_: Annotated[str | None, typer.Option("--format", help="A reader.", show_default="auto, by content")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="Reader option; repeatable.")] = None,
    map_: Annotated[list[str] | None, typer.Option("--map", help="Column of a table; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Count a corpus: documents, domains, licences, groups, sizes, duplicates, and what could not be read."""
    from rag.building.describe import describe as run

    made = run(rag.Source(source, format_, options_of(option, map_)))
    if as_json:
        from pydantic import TypeAdapter

        print_json(TypeAdapter(type(made)).dump_python(made, mode="json"))  # asdict makes nonsense of a Counter
    else:
        from rag.cli import console

        console.show_description(made)


@app.command(epilog="Examples: rag corpus duplicates ./export --json · rag corpus duplicates ./export --index mine")
def duplicates(
    source: Annotated[str, typer.Argument(help="A file or folder, or a packaged corpus (openi, hpo, pubmed, notes).")],
    format_: Annotated[str | None, typer.Option("--format", help="A reader.", show_default="auto, by content")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", "-o", help="Reader option; repeatable.")] = None,
    index: Annotated[str | None, typer.Option("--index", "-i", help="Compare with what this index holds, too.")] = None,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Find texts and pictures that are there twice, or nearly, and whether they are another patient's."""
    from rag.building.describe import duplicates_of

    store = rag.Index.open(index, settings_of(indexes, None)).store if index else None
    found = duplicates_of(rag.Source(source, format_, options_of(option)), store)
    if as_json:
        print_json({"alike": [asdict(one) for one in found.alike], "folded": found.folded, "sources": found.sources})
    else:
        from rag.cli import console

        console.show_duplicates(found.alike, found.folded)


@copies.command(epilog="Example: rag deidentify ./export ./clean --key hospital.key")
def deidentify(
    source: Annotated[Path, typer.Argument(help="A file or folder of DICOM images and plain texts.")],
    target: Annotated[Path, typer.Argument(help="A new or empty folder for the copies.")],
    key: Annotated[
        Path | None,
        typer.Option(
            help="A file with the key of pseudonyms, made if it is not there; keep it to copy more later and "
            "have the same patients fit.",
            show_default="a key that is forgotten",
        ),
    ] = None,
    pixels: Annotated[
        bool,
        typer.Option("--pixels", help="Find text burnt into images and blacken it (extra ocr); PNG and JPEG, too."),
    ] = False,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Copy DICOM images and texts without identities: headers by the standard's basic profile, texts by our rules."""
    from rag.building.copying import copy_without_identities
    from rag.building.index import scrubber_of
    from rag.corpus.pseudonyms import key_of

    settings = settings_of(None, profile)
    with bars(as_json) as progress:
        scrubber = scrubber_of(settings, "mask")
        made = copy_without_identities(source, target, key_of(key), scrubber, progress, pixels=pixels)
    if as_json:
        print_json(asdict(made))
    else:
        from rag.cli import console

        console.show_copies(made)
