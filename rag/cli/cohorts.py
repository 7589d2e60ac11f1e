"""``rag find``: which reports say it, how many, and how two things go together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rag.cli.shared import Index, Indexes, Json, index_of, print_json, settings_of
from rag.errors import InputError, StorageError

app = typer.Typer()


@app.command(
    epilog='Examples: rag find "left but not right pleural effusion" -i demo · '
    'rag find "How many reports mention nodules larger than 1 cm?" -i demo · '
    'rag find "cardiomegaly and no effusion" -i demo --export hits.csv · rag find "crosstab edema by effusion" -i demo'
)
def find(
    question: Annotated[
        str, typer.Argument(help="In plain words: findings, sides, sizes; and, or, without; since 2019.")
    ],
    index: Index = None,
    limit: Annotated[int, typer.Option(min=0, max=1000, help="How many reports to quote.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="From which one on.")] = 0,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Count by domain, source, year, side, degree or standing; twice for a table."),
    ] = None,
    domain: Annotated[list[str] | None, typer.Option(help="Only reports of this domain; repeatable.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only reports of this source; repeatable.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Only reports of this patient; repeatable.")] = None,
    since: Annotated[str | None, typer.Option(help="Earliest date: 2019, 2019-03 or 2019-03-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Latest date, included.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write every hit to this file: .csv or .jsonl.")] = None,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Count the reports that say something, exactly, and quote them. Nothing is generated."""
    from rag.cohorts.criteria import Page
    from rag.cohorts.criteria import refined as narrowed

    told: dict[str, Any] = {
        "by": by, "domains": domain, "sources": source, "groups": group, "since": since, "until": until
    }  # fmt: skip
    mine = index_of(settings_of(indexes), index)
    asked = narrowed(mine.read_cohort(question), {name: value for name, value in told.items() if value})
    found = mine.find(asked, Page(offset=offset, limit=limit))
    written = _export(export, mine.find_all(asked)) if export else 0
    if as_json:
        print_json(found.model_dump(mode="json") | {"share": found.share, "following": found.following})
        return
    from rag.cli import console

    console.show_cohort(found)
    if export:
        typer.echo(f"{written:,} reports written to {export}")


def _export(path: Path, hits: Any) -> int:
    """Write the hits as the file's name asks; returns how many."""
    from rag.cohorts.telling import as_csv, as_jsonl

    forms = {".csv": as_csv, ".jsonl": as_jsonl}
    if path.suffix.lower() not in forms:
        raise InputError(f"--export {path}: the name must end in .csv or .jsonl")
    written = 0

    def counted() -> Any:
        nonlocal written
        for hit in hits:
            written += 1
            yield hit

    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(forms[path.suffix.lower()](counted()))
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}; choose another place") from error
    return written
