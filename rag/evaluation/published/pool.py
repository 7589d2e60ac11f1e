"""A small index of what a collection itself brings, so that search, its number of contexts and its baselines are
measured where nobody gave an index."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rag.answering.engine import Engine
from rag.building.index import Index
from rag.building.source import Source
from rag.errors import InputError
from rag.progress import Progress
from rag.settings import Settings


@contextmanager
def pooled(
    rows: Iterable[dict[str, Any]], settings: Settings, progress: Progress, images: Path | None = None
) -> Iterator[Engine]:
    """An engine over these rows, in the form of the reader ``cases``; gone at the end.

    >>> with pooled([{"id": "1", "text": "Aspirin lowers fever."}], Settings(), Silent()) as engine:   # doctest: +SKIP
    ...     engine.search("aspirin")

    Args:
        images: the folder in which the images of the rows lie.

    Raises:
        InputError: one of them cannot be indexed.
    """
    with TemporaryDirectory(prefix="clincite-suite-") as folder:
        file = (images or Path(folder)) / "cases.jsonl"
        with file.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        with Index.create(Path(folder) / "pool", settings) as index:
            report = index.ingest(Source(file, "cases"), deidentify="off", progress=progress)
            if report.quarantined:
                first = report.quarantined[0]
                raise InputError(f"{len(report.quarantined)} texts of the collection cannot be indexed; {first.reason}")
        yield Engine.open(Path(folder) / "pool", settings)
