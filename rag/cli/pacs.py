"""``rag pacs``: an index that follows a PACS."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.shared import Indexes, IntoIndex, Json, Profile, Workers, bars, index_of, print_json, settings_of
from rag.errors import InputError, StorageError

if TYPE_CHECKING:
    from rag.building.follow import Followed

app = typer.Typer(no_args_is_help=True, help="Follow a PACS over DICOMweb (extra: pacs).")


@app.command(
    epilog="Examples: rag pacs follow http://localhost:8042/dicom-web --index mine · "
    "rag pacs follow https://pacs/dicom-web --index mine --token-file token --filter ModalitiesInStudy=CR --every 300"
)
def follow(
    url: Annotated[str, typer.Argument(help="Address of its DICOMweb service (QIDO-RS and WADO-RS).")],
    index: IntoIndex,
    filter_: Annotated[
        list[str] | None, typer.Option("--filter", help="Only studies with this attribute, as NAME=VALUE; repeatable.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with a bearer token.")] = None,
    authority: Annotated[Path | None, typer.Option(help="PEM file of the authority behind its certificate.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where its files are kept.", show_default="in the index, under pacs")
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, help="Look again after so many seconds.", show_default="once")
    ] = None,
    allow_bulk: Annotated[
        bool, typer.Option("--allow-bulk", help="Believe that half of the studies or more were deleted.")
    ] = False,
    workers: Workers = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Fetch what is new or corrected, mask what was deleted there, and publish a version where anything changed.

    An interrupted run goes on where it stopped. Patients and studies become salted hashes, as in any ingest.
    """
    from rag.building.follow import follow as look
    from rag.corpus.pacs import Pacs

    pacs = Pacs(url, _token(token_file), authority, dict(_pair(given) for given in filter_ or ()))
    mine = index_of(settings_of(indexes, profile), index, create=True)
    while True:
        try:
            with bars(as_json) as progress:
                found = look(mine, pacs, folder, allow_bulk=allow_bulk, workers=workers, progress=progress)
        except StorageError as error:
            if every is None:
                raise
            typer.echo(f"{error}; looking again in {every:g} s", err=True)
        else:
            _tell(found, as_json)
        if every is None:
            return
        time.sleep(every)


def _tell(found: Followed, as_json: bool) -> None:
    from rag.cli import console

    if as_json:
        print_json(asdict(found))
        return
    for what in ("added", "corrected", "withdrawn"):
        for uid in getattr(found.pulled, what):
            typer.echo(f"{what}: {uid}")
    if found.ingest is None:
        typer.echo(f"{found.pulled.studies:,} studies, nothing has changed")
    else:
        console.show_ingest(found.ingest)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    token = file.read_text(encoding="utf-8").strip()
    if not token or "\n" in token:
        raise InputError(f"{file} does not hold one token on one line")
    return token


def _pair(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not (name and sign and value):
        raise InputError(f"--filter {given!r} is not NAME=VALUE")
    return name, value
