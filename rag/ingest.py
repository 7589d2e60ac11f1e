"""Journey A: a corpus becomes an index.

source → reader → Document → (de-identify) → chunk → Passage → encode in batches → segment → publish version
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rag.corpus.chunking import passages_of
from rag.corpus.deidentify import deidentify
from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read
from rag.encoders.protocols import ImageEncoder, TextEncoder
from rag.errors import InputError
from rag.indexing.records import SpaceInfo
from rag.indexing.store import IndexStore
from rag.progress import Progress, Silent
from rag.types import Document, Passage

BATCH = 4096  # documents read, encoded and staged at a time: bounds memory, and is wide enough to sort by length


@dataclass
class IngestReport:
    """What an ingest did. Counts are documents unless their name says otherwise."""

    index: str
    version: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    passages: int = 0
    empty: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    by_kind: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "encode": 0.0, "store": 0.0})


def ingest(
    sources: Sequence[tuple[str | Path, str | None, dict[str, Any]]],
    store: IndexStore,
    text: TextEncoder,
    image: ImageEncoder | None,
    *,
    remove_identifiers: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Add or update the documents of ``sources``, (source, format, reader options) each, and publish one version.

    Unchanged documents (same id and content hash) are not encoded again. Records that cannot be read are listed in
    the report and do not stop the rest.

    Raises:
        InputError: a source does not exist or holds nothing readable.
        StorageError: the disk refused; the index is as it was.
    """
    report, listen = IngestReport(store.name), progress or Silent()
    clock = time.perf_counter
    spaces = {"text": SpaceInfo(text.dim, text.fingerprint, 0)}
    if image is not None:
        spaces["image"] = SpaceInfo(image.dim, image.fingerprint, 0)
    seen: set[str] = set()
    with store.writer() as writer:
        for source, format_, options in sources:
            count = listen.stage(f"reading {source}")
            records = _documents(read(source, format_, **options), report, seen, image is not None)
            while True:
                begin = clock()
                batch = list(islice(records, BATCH))
                if remove_identifiers:
                    batch = [deidentify(d) for d in batch]
                count(len(batch))
                changes = writer.compare(batch)
                report.seconds["read"] += clock() - begin
                if not batch:
                    break
                fresh = [d for d in batch if d.id in changes.to_encode]
                report.added += len(changes.new)
                report.updated += len(changes.changed)
                report.unchanged += len(batch) - len(fresh)
                report.by_kind.update(d.kind for d in batch)
                if fresh:
                    _stage(fresh, writer, text, image, report, listen)
        if not report.added and not report.updated:
            if not report.unchanged:
                raise InputError(_nothing(sources, report))
            report.version = store.version()
            return report
        begin = clock()
        note = "ingest " + ", ".join(str(s) if isinstance(s, str) else s.name for s, _, _ in sources)
        report.version = writer.publish(note, spaces=spaces)
        report.seconds["store"] += clock() - begin
    return report


def _documents(
    records: Iterable[Document | Quarantined], report: IngestReport, seen: set[str], images: bool
) -> Iterator[Document]:
    for record in records:
        if isinstance(record, Quarantined):
            report.empty += record.empty
            if not record.empty:
                report.quarantined.append(record)
        elif record.id in seen:
            report.quarantined.append(Quarantined(record.source, record.id, "another record has the same id"))
        elif record.kind == "image" and not images:
            report.quarantined.append(Quarantined(record.source, record.id, "no image encoder is configured"))
        else:
            seen.add(record.id)
            yield record


def _stage(
    documents: list[Document],
    writer: Any,
    text: TextEncoder,
    image: ImageEncoder | None,
    report: IngestReport,
    listen: Progress,
) -> None:
    clock = time.perf_counter
    passages: list[Passage] = [p for d in documents for p in passages_of(d)]
    images = {d.id: d.image for d in documents if d.kind == "image" and d.image}
    texts = [p for p in passages if p.text]
    pictures = [p for p in passages if p.document_id in images]
    vectors: dict[str, tuple[Sequence[str], np.ndarray]] = {}
    begin = clock()
    if texts:
        count = listen.stage("encoding text", len(texts))
        vectors["text"] = ([p.id for p in texts], text.encode([p.text for p in texts], kind="passage", progress=count))
    if pictures and image is not None:
        count = listen.stage("encoding images", len(pictures))
        vectors["image"] = (
            [p.id for p in pictures],
            image.encode_images([images[p.document_id] for p in pictures], progress=count),
        )
    report.seconds["encode"] += clock() - begin
    report.passages += len(passages)
    begin = clock()
    writer.stage(documents, passages, vectors)
    report.seconds["store"] += clock() - begin


def _nothing(sources: Sequence[tuple[str | Path, str | None, dict[str, Any]]], report: IngestReport) -> str:
    names = ", ".join(str(s) for s, _, _ in sources)
    first = (
        f"; the first reason: {report.quarantined[0].record}: {report.quarantined[0].reason}"
        if report.quarantined
        else ""
    )
    return f"no record of {names} could be used ({len(report.quarantined)} quarantined, {report.empty} empty){first}"
