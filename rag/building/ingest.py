"""Journey A: a corpus becomes an index.

source → reader → Document → (de-identify) → chunk → Passage → encode in batches → segment → publish version
→ read reports for statements
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag.building.batch import BATCH, Batch
from rag.building.identity import salt_of
from rag.building.reading import SourceReading
from rag.building.report import IngestReport
from rag.building.reread import reread
from rag.building.source import Source
from rag.building.spaces import spaces_to_fill
from rag.corpus.chunking import passages_of
from rag.corpus.scrub import Scrubber
from rag.encoders.encoders import Encoders
from rag.encoders.pool import Work
from rag.errors import InputError
from rag.indexing import IndexStore, SpaceInfo, Writer
from rag.progress import Progress, Silent
from rag.types import Document


def ingest(
    sources: Sequence[Source],
    store: IndexStore,
    encoders: Encoders,
    *,
    scrubber: Scrubber | None = None,
    sync: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Add or update the documents of ``sources`` and publish one version, or several where a source asks for them.

    Unchanged documents (same id and content hash) are not encoded again, nor are those that an interrupted run of the
    same work had already staged. Records that cannot be read are listed in the report and do not stop the rest.

    Args:
        encoders: an index that holds reports keeps to what its first ones were given, whatever ``joint`` says.
        scrubber: what becomes of people's identifiers in the texts; None: nobody looks for any.
        sync: also remove the documents that have left these sources.

    Raises:
        InputError: a source does not exist or holds nothing readable.
        StorageError: the disk refused; the index is as it was when a version was last published.
    """
    report, listen = IngestReport(store.name), progress or Silent()
    spaces = spaces_to_fill(store, encoders)
    work = "|".join([*map(repr, sources), str(scrubber), *(s.fingerprint for s in spaces.values())])
    with store.writer(checkpoint=work) as writer:
        before = store.version()  # nobody else publishes from here on
        writer.check_spaces(spaces)
        filling = _Filling(writer, encoders, spaces, report, listen, "ingest " + ", ".join(map(_label, sources)))
        taken: dict[str, str] = {}
        read = []
        for source in sources:
            held = (document for batch in writer.documents(BATCH) for document in batch)
            reading = SourceReading(source, salt_of(store), taken, report, held, writer.said)
            count = listen.stage(f"reading {source.name}")
            batches = reading.batches(writer.places, count, images=encoders.image is not None, scrubber=scrubber)
            filling.add(batches, source.publish_every)
            read.append(reading)
        for reading in read:
            reading.withdraw(writer)
            noted = reading.mark(writer.named)
            writer.keep_said(reading.said())
            filling.add([noted] if noted else [])
        if not taken and not report.withdrawn and not report.marked:
            raise InputError(_nothing(sources, report))
        if sync:
            for reading in read:
                reading.remove_what_left(writer)
        for space, made in writer.plans(spaces).items():
            report.plans[space] = str(made)
            listen.stage(f"building {space}: {made}")
        report.version = filling.publish()
    with report.timed("store"):
        reread(store, listen, again=False)
    pace = getattr(encoders.image, "pace", None)  # of this process: what workers do is not told
    if pace is not None and encoders.workers is None:
        report.images_a_second = pace.rates()
    for published in (version for version in store.versions() if before < version.number <= report.version):
        report.added += published.added
        report.updated += published.updated
        report.removed += published.removed
    return report


@dataclass(frozen=True)
class _Filling:
    """The next version of an index, filled batch by batch; ``note`` says in the index what by."""

    writer: Writer
    encoders: Encoders
    spaces: Mapping[str, SpaceInfo]
    report: IngestReport
    listen: Progress
    note: str

    def add(self, batches: Iterable[list[Document]], publish_every: int | None = None) -> None:
        """Encode and stage; a version is published whenever ``publish_every`` documents are new."""
        fresh = 0
        for staged in self._stage(batches):
            fresh += staged
            if publish_every is not None and fresh >= publish_every:
                self.publish()
                fresh = 0

    def publish(self) -> int:
        with self.report.timed("store"):
            return self.writer.publish(self.note, self.spaces)

    def _stage(self, batches: Iterable[list[Document]]) -> Iterator[int]:
        """Encode what the index does not have yet, and stage each batch, durably, as it comes back: how many it has."""
        report, encoders = self.report, self.encoders
        under_way: deque[Batch] = deque()
        results = encoders.encode(self._works(batches, under_way), self.listen)
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
                across = batch.bridged(encoders.bridge) if "bridge" in self.spaces else {}
                self.writer.stage(batch.documents, batch.passages, batch.vectors(encoded) | across)
            report.passages += len(batch.passages)
            yield len(batch.documents)

    def _works(self, batches: Iterable[list[Document]], under_way: deque[Batch]) -> Iterator[Work]:
        """What is to be encoded of each batch; the batch joins those that are ``under_way``."""
        for documents in batches:
            changes = self.writer.compare(documents)
            self.report.unchanged += len(changes.unchanged)
            self.report.changed += sorted(changes.changed)
            chosen = [d for d in documents if d.id in changes.to_encode]
            batch = Batch.of(chosen, [p for d in chosen for p in passages_of(d)], "joint" in self.spaces)
            if batch.documents:
                under_way.append(batch)
                yield batch.work


def _label(source: Source) -> str:
    return source.name if isinstance(source.name, str) else source.name.name


def _nothing(sources: Sequence[Source], report: IngestReport) -> str:
    names, bad = ", ".join(_label(s) for s in sources), report.quarantined
    first = f"; the first reason: {bad[0].record}: {bad[0].reason}" if bad else ""
    return f"no record of {names} could be used ({len(bad)} quarantined, {report.empty} empty){first}"
