"""Journey A: a corpus becomes an index.

source → reader → Document → (de-identify) → chunk → Passage → encode in batches → segment → publish version
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from rag.corpus.chunking import passages_of
from rag.corpus.quarantine import Foreign, Quarantined
from rag.corpus.scrub import deidentify
from rag.corpus.source import Survey, survey
from rag.encoders.encoders import Encoders
from rag.encoders.pool import Encoded, Work
from rag.encoders.protocols import ImageTextEncoder, Vectors
from rag.errors import InputError
from rag.indexing import IndexStore, SpaceInfo, Writer
from rag.progress import Progress, Silent
from rag.types import Document, Passage

BATCH = 1024  # documents between two checkpoints: bounds memory and lost work, and is wide enough to sort by length


@dataclass(frozen=True)
class Source:
    """A corpus to read.

    Attributes:
        name: a path or a packaged name.
        format: of a reader; None or "auto" lets each file's content decide.
        options: for the readers that know them.
        named_only: ``format`` came over a network, so it may name a reader but no code; see ``rag.plugins.find``.
    """

    name: str | Path
    format: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    named_only: bool = False

    def survey(self) -> Survey:
        """Its files and what reads them. Raises InputError if there is nothing to read."""
        return survey(self.name, self.format, named_only=self.named_only, **self.options)


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
    files: dict[str, int] = field(default_factory=dict)  # how many went to each reader
    foreign: list[Foreign] = field(default_factory=list)  # files that no wanted reader takes
    plans: dict[str, str] = field(default_factory=dict)  # per vector space: its backend, memory and disk
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
    encoders: Encoders,
    *,
    remove_identifiers: bool = False,
    sync: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Add or update the documents of ``sources`` and publish one version.

    Unchanged documents (same id and content hash) are not encoded again, nor are those that an interrupted run of the
    same work had already staged. Records that cannot be read are listed in the report and do not stop the rest.

    Args:
        encoders: an index that holds reports keeps to what its first ones were given, whatever ``joint`` says.
        remove_identifiers: take obvious identifiers out of the texts first; not complete.
        sync: also remove the documents that have left these sources.

    Raises:
        InputError: a source does not exist or holds nothing readable.
        StorageError: the disk refused; the index is as it was.
    """
    report, listen = IngestReport(store.name), progress or Silent()
    text, image = encoders.text, encoders.image
    spaces = {"text": SpaceInfo(text.dim, text.fingerprint)}
    if image is not None:
        spaces["image"] = SpaceInfo(image.dim, image.fingerprint)
        there = _joint_there(store)
        if there or (there is None and encoders.joint and isinstance(image, ImageTextEncoder)):
            spaces["joint"] = spaces["image"]
    work = "|".join([*map(repr, sources), str(remove_identifiers), *(s.fingerprint for s in spaces.values())])
    corpora: set[str] = set()
    with store.writer(checkpoint=work) as writer:
        writer.check_spaces(spaces)
        seen: set[str] = set()
        for source in sources:
            count = listen.stage(f"reading {source.name}")
            records = _documents(source, report, seen, image is not None)
            batches = _batches(records, report, remove_identifiers, count, corpora)
            _encode(batches, writer, encoders, "joint" in spaces, report, listen)
        if not seen:
            raise InputError(_nothing(sources, report))
        if sync:
            for corpus in sorted(corpora):
                writer.remove_unseen(corpus)
        for space, made in writer.plans(spaces).items():
            report.plans[space] = str(made)
            listen.stage(f"building {space}: {made}")
        before = store.version()
        with report.timed("store"):
            report.version = writer.publish("ingest " + ", ".join(_label(s) for s in sources), spaces)
    if report.version != before:
        published = store.versions()[-1]
        report.added, report.updated, report.removed = published.added, published.updated, published.removed
    return report


def _batches(
    records: Iterator[Document],
    report: IngestReport,
    remove_identifiers: bool,
    count: Callable[[int], None],
    corpora: set[str],
) -> Iterator[list[Document]]:
    while True:
        with report.timed("read"):
            batch = list(islice(records, BATCH))
            batch = [deidentify(d) for d in batch] if remove_identifiers else batch
        if not batch:
            return
        count(len(batch))
        corpora.update(d.source for d in batch)
        report.by_kind = dict(Counter(report.by_kind) + Counter(d.kind for d in batch))
        yield batch


def _documents(source: Source, report: IngestReport, seen: set[str], images: bool) -> Iterator[Document]:
    """The source's usable documents; what is not usable goes into the report."""
    found = source.survey()
    report.files = dict(Counter(report.files) + found.readers)
    report.foreign += found.foreign
    for _, record in found.records():
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


def _encode(
    batches: Iterable[list[Document]],
    writer: Writer,
    encoders: Encoders,
    joint: bool,
    report: IngestReport,
    listen: Progress,
) -> None:
    """Encode what the index does not have yet, and stage each batch, durably, as it comes back."""
    under_way: deque[Batch] = deque()

    def works() -> Iterator[Work]:
        for documents in batches:
            changes = writer.compare(documents)
            report.unchanged += len(changes.unchanged)
            chosen = [d for d in documents if d.id in changes.to_encode]
            batch = Batch.of(chosen, [p for d in chosen for p in passages_of(d)], joint)
            if batch.documents:
                under_way.append(batch)
                yield batch.work

    results = encoders.encode(works(), listen)
    while True:
        reading = report.seconds["read"]
        with report.timed("encode"):
            encoded = next(results, None)
        # the workers draw what they encode from the reader
        report.seconds["encode"] -= report.seconds["read"] - reading
        if encoded is None:
            return
        batch = under_way.popleft()
        with report.timed("store"):
            writer.stage(batch.documents, batch.passages, batch.vectors(encoded))
        report.passages += len(batch.passages)


@dataclass(frozen=True)
class Batch:
    """Documents on their way to the index, their passages, and which of those have a text or an image to encode."""

    documents: list[Document]
    passages: list[Passage]
    texts: list[str]
    images: list[str]
    joint: list[str]
    work: Work

    @classmethod
    def of(cls, documents: list[Document], passages: list[Passage], joint: bool) -> Batch:
        texts = [p for p in passages if p.text]
        files = {d.id: d.image for d in documents if d.kind == "image" and d.image}
        pictures = [p for p in passages if p.document_id in files]
        reports = {d.id for d in documents if d.kind == "report"} if joint else ()
        shared = [p for p in texts if p.document_id in reports]
        work = Work(
            texts=tuple(p.text for p in texts),
            images=tuple(files[p.document_id] for p in pictures),
            joint=tuple(p.text for p in shared),
        )
        return cls(documents, passages, [p.id for p in texts], [p.id for p in pictures], [p.id for p in shared], work)

    def vectors(self, encoded: Encoded) -> dict[str, tuple[Sequence[str], Vectors]]:
        """Per space, passage ids and their vectors."""
        found = {
            "text": (self.texts, encoded.texts),
            "image": (self.images, encoded.images),
            "joint": (self.joint, encoded.joint),
        }
        return {space: (ids, matrix) for space, (ids, matrix) in found.items() if matrix is not None}


def _joint_there(store: IndexStore) -> bool | None:
    """Whether the index's reports are in the joint space; None where it holds no report yet."""
    if not store.version():
        return None
    with store.snapshot() as snapshot:
        reports = any(count.kind == "report" for count in snapshot.counts())
        return "joint" in snapshot.spaces() if reports else None


def _label(source: Source) -> str:
    return source.name if isinstance(source.name, str) else source.name.name


def _nothing(sources: Sequence[Source], report: IngestReport) -> str:
    names, bad = ", ".join(_label(s) for s in sources), report.quarantined
    first = f"; the first reason: {bad[0].record}: {bad[0].reason}" if bad else ""
    return f"no record of {names} could be used ({len(bad)} quarantined, {report.empty} empty){first}"
