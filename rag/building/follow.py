"""Journey A, again and again: an index follows a PACS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag.building.identity import salt_of
from rag.building.index import Index
from rag.building.report import IngestReport
from rag.building.source import Source
from rag.corpus.pacs import Mirror, Pacs, Pulled
from rag.progress import Progress

FOLDER = "pacs"  # in an index's folder


@dataclass(frozen=True)
class Followed:
    """What one look changed: in the mirror, and in the index. ``ingest`` is None where nothing had to be published."""

    pulled: Pulled
    ingest: IngestReport | None


def follow(
    index: Index,
    pacs: Pacs,
    folder: Path | None = None,
    *,
    allow_bulk: bool = False,
    workers: str | None = None,
    progress: Progress | None = None,
) -> Followed:
    """Take what is new or corrected in the PACS into the index, and out what was deleted there.

    An interrupted look goes on where it stopped. Earlier versions and recorded answers keep what has left, as ever.

    >>> follow(rag.Index.create("mine"), Pacs("http://localhost:8042/dicom-web")).pulled.withdrawn   # doctest: +SKIP

    Args:
        folder: where the files of the PACS are kept; in the index's folder unless given.
        allow_bulk: believe the PACS that half of its studies or more are gone.
        workers: as for ``Index.ingest``.

    Raises:
        InputError, StorageError: as :meth:`rag.corpus.pacs.Mirror.pull` and ``Index.ingest`` say.
    """
    mirror = Mirror.open(folder or index.path / FOLDER / pacs.name, pacs, salt_of(index.store))
    pulled, report = mirror.pull(progress, allow_bulk=allow_bulk), None
    source = Source(mirror.folder, label=f"pacs-{pacs.name}")
    if mirror.pending and mirror.studies:
        report = index.ingest(source, sync=True, workers=workers, progress=progress)
    elif mirror.pending:
        with index.store.writer() as writer:
            left = sorted(writer.unseen(f"{source.label}:", ()))
        removed = index.remove(documents=left) if left else 0
        report = IngestReport(index.name, index.version, removed=removed, left=left)
    mirror.settle()
    return Followed(pulled, report)
