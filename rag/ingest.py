"""Journey A: a corpus becomes an index.

source → reader → Document → (de-identify) → chunk → Passage → encode in batches → segment → publish version
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rag.corpus.chunking import passages_of
from rag.corpus.deidentify import deidentify
from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read
from rag.encoders.protocols import ImageEncoder, TextEncoder, Vectors
from rag.errors import InputError
from rag.indexing import IndexStore, SpaceInfo, Writer
from rag.progress import Progress, Silent
from rag.types import Document

BATCH = 1024  # documents between two checkpoints: bounds memory and lost work, and is wide enough to sort by length


@dataclass(frozen=True)
class Source:
    """A corpus to read: a path or a packaged name, its format (guessed if None), and options of its reader."""

    name: str | Path
    format: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class IngestReport:
    """What an ingest did. Counts are documents unless their name says otherwise; seconds are wall time by stage."""

    index: str
    version: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    passages: int = 0
    empty: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    by_kind: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "encode": 0.0, "store": 0.0})

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begin


def ingest(
    sources: Sequence[Source],
    store: IndexStore,
    text: TextEncoder,
    image: ImageEncoder | None,
    *,
    remove_identifiers: bool = False,
    sync: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Add or update the documents of ``sources`` and publish one version.

    Unchanged documents (same id and content hash) are not encoded again, nor are those that an interrupted run of the
    same work had already staged. Records that cannot be read are listed in the report and do not stop the rest.

    Args:
        sync: also remove the documents that have left these sources.

    Raises:
        InputError: a source does not exist or holds nothing readable.
        StorageError: the disk refused; the index is as it was.
    """
    report, listen = IngestReport(store.name), progress or Silent()
    spaces = {"text": SpaceInfo(text.dim, text.fingerprint, 0)}
    if image is not None:
        spaces["image"] = SpaceInfo(image.dim, image.fingerprint, 0)
    work = "|".join([*map(repr, sources), str(remove_identifiers), *(s.fingerprint for s in spaces.values())])
    corpora: set[str] = set()
    with store.writer(checkpoint=work) as writer:
        writer.check_spaces(spaces)
        seen: set[str] = set()
        for source in sources:
            count = listen.stage(f"reading {source.name}")
            records = _documents(source, report, seen, image is not None)
            while batch := _batch(records, report, remove_identifiers):
                count(len(batch))
                corpora.update(d.source for d in batch)
                _take(batch, writer, text, image, report, listen)
        if not seen:
            raise InputError(_nothing(sources, report))
        if sync:
            for corpus in sorted(corpora):
                writer.remove_unseen(corpus)
        before = store.version()
        with report.timed("store"):
            report.version = writer.publish("ingest " + ", ".join(_label(s) for s in sources), spaces)
    if report.version != before:
        published = store.versions()[-1]
        report.added, report.updated, report.removed = published.added, published.updated, published.removed
    return report


def _batch(records: Iterator[Document], report: IngestReport, remove_identifiers: bool) -> list[Document]:
    with report.timed("read"):
        batch = list(islice(records, BATCH))
        return [deidentify(d) for d in batch] if remove_identifiers else batch


def _documents(source: Source, report: IngestReport, seen: set[str], images: bool) -> Iterator[Document]:
    """The source's usable documents; what is not usable goes into the report."""
    records: Iterable[Document | Quarantined] = read(source.name, source.format, **source.options)
    for record in records:
        if isinstance(record, Quarantined):
            report.empty += record.empty
            if not record.empty:
                report.quarantined.append(record)
        elif record.id in seen:
            report.quarantined.append(Quarantined(record.source, record.id, "Another record has the same id."))
        elif record.kind == "image" and not images:
            report.quarantined.append(Quarantined(record.source, record.id, "No image encoder is configured."))
        else:
            seen.add(record.id)
            yield record


def _take(
    batch: list[Document],
    writer: Writer,
    text: TextEncoder,
    image: ImageEncoder | None,
    report: IngestReport,
    listen: Progress,
) -> None:
    """Encode and stage what the index does not have yet."""
    changes = writer.compare(batch)
    report.unchanged += len(changes.unchanged)
    report.by_kind = dict(Counter(report.by_kind) + Counter(d.kind for d in batch))
    documents = [d for d in batch if d.id in changes.to_encode]
    if not documents:
        return
    passages = [p for d in documents for p in passages_of(d)]
    texts = [p for p in passages if p.text]
    files = {d.id: d.image for d in documents if d.kind == "image" and d.image}
    pictures = [p for p in passages if p.document_id in files]
    vectors: dict[str, tuple[Sequence[str], Vectors]] = {}
    with report.timed("encode"):
        if texts:
            count = listen.stage("encoding text", len(texts))
            encoded = text.encode([p.text for p in texts], kind="passage", progress=count)
            vectors["text"] = ([p.id for p in texts], encoded)
        if pictures and image is not None:
            count = listen.stage("encoding images", len(pictures))
            encoded = image.encode_images([files[p.document_id] for p in pictures], progress=count)
            vectors["image"] = ([p.id for p in pictures], encoded)
    report.passages += len(passages)
    with report.timed("store"):
        writer.stage(documents, passages, vectors)


def _label(source: Source) -> str:
    return source.name if isinstance(source.name, str) else source.name.name


def _nothing(sources: Sequence[Source], report: IngestReport) -> str:
    names, bad = ", ".join(_label(s) for s in sources), report.quarantined
    first = f"; the first reason: {bad[0].record}: {bad[0].reason}" if bad else ""
    return f"no record of {names} could be used ({len(bad)} quarantined, {report.empty} empty){first}"
