"""Journey A: a corpus becomes an index.

source → reader → Document → (de-identify) → chunk → Passage → encode in batches → segment → publish version
→ read reports for statements
"""

from __future__ import annotations

import time
from collections import ChainMap, Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from rag.building.identity import Identities, Incoming, place_of, salt_of
from rag.building.reread import reread
from rag.corpus.chunking import passages_of
from rag.corpus.duplicates import Alike, Duplicates, find_duplicates
from rag.corpus.files import File
from rag.corpus.marks import Marked, Reputation, aliases_of, with_copies, with_marks
from rag.corpus.quarantine import Foreign, Quarantined, Withdrawn
from rag.corpus.scrub import Identified, Scrubber
from rag.corpus.source import Survey, survey
from rag.encoders.encoders import Encoders
from rag.encoders.pool import Encoded, Work
from rag.encoders.protocols import ImageTextEncoder, TextEncoder, Vectors
from rag.errors import InputError
from rag.indexing import FilingPlace, IndexStore, SpaceInfo, Writer
from rag.language.languages import with_language
from rag.progress import Progress, Silent
from rag.types import Document, Passage

Places = Callable[[set[str]], Mapping[str, FilingPlace]]  # what the index has under these ids
Heard = Callable[[Iterable[str]], Mapping[str, Reputation]]  # what was said of these names before

BATCH = 1024  # documents between two checkpoints: bounds memory and lost work, and is wide enough to sort by length


@dataclass(frozen=True)
class Source:
    """A corpus to read.

    >>> Source("hpo", options={"branches": ("eye", "respiratory")}).format is None
    True

    Attributes:
        name: a path or a packaged name.
        format: of a reader; None or "auto" lets each file's content decide.
        options: for the readers that know them.
        label: what the source is called; documents of one name are one source's, wherever they are read. Unless given,
            a source is the folder it lies in.
        fold: of documents that say the same, also as one of the index does, one is kept, which names the others; see
            rag.corpus.duplicates.
        publish_every: a version is published whenever so many new documents are there, so that they can be searched
            while the rest is read; None: one version, when all is read.
    """

    named_only: ClassVar[bool] = False

    name: str | Path
    format: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    fold: bool = False
    publish_every: int | None = None

    def survey(self) -> Survey:
        """Its files and what reads them. Raises InputError if there is nothing to read."""
        return survey(self.name, self.format, named_only=self.named_only, **self.options)


class SentSource(Source):
    """A source that a stranger sent: its ``format`` may name a reader but no code; see ``rag.plugins.find``."""

    named_only = True


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
    changed: list[str] = field(default_factory=list)  # ids of updated documents
    left: list[str] = field(default_factory=list)  # ids of documents that sync removed
    withdrawn: list[str] = field(default_factory=list)  # ids of documents that the source took back
    marked: list[str] = field(default_factory=list)  # ids of documents that another record's notice is about
    kept: list[str] = field(default_factory=list)  # ids that sync would have removed, had their files been readable
    apart: dict[str, str] = field(default_factory=dict)  # ids that another source has: what they are here
    identifiers: list[Identified] = field(default_factory=list)  # what was found where, whatever became of it
    deidentification: str = "off"  # what became of them: off, warn, mask or require
    alike: list[Alike] = field(default_factory=list)  # documents that are like another, where that was looked for
    folded: dict[str, str] = field(default_factory=dict)  # ids left out: which document stands for them
    plans: dict[str, str] = field(default_factory=dict)  # per vector space: its backend, memory and disk
    by_kind: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "encode": 0.0, "store": 0.0})

    images_a_second: dict[str, float] = field(default_factory=dict)  # "decode" and "encode", each alone; see Pace

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
    text, image = encoders.text, encoders.image
    spaces = {"text": SpaceInfo(text.dim, text.fingerprint)}
    if image is not None:
        spaces["image"] = SpaceInfo(image.dim, image.fingerprint)
        there = _joint_there(store)
        if there or (there is None and encoders.joint and isinstance(image, ImageTextEncoder)):
            spaces["joint"] = spaces["image"]
    bridged = _bridge_there(store)
    if bridged and encoders.bridge is None:
        raise InputError(f"index {store.name!r} has a bridge of languages; name its encoder in encoders.bridge")
    if encoders.bridge is not None and bridged is not False:
        spaces["bridge"] = SpaceInfo(encoders.bridge.dim, encoders.bridge.fingerprint)
    work = "|".join([*map(repr, sources), str(scrubber), *(s.fingerprint for s in spaces.values())])
    note = "ingest " + ", ".join(_label(s) for s in sources)
    with store.writer(checkpoint=work) as writer:
        before = store.version()  # nobody else publishes from here on
        writer.check_spaces(spaces)
        taken: dict[str, str] = {}
        read = []
        for source in sources:
            held = (document for batch in writer.documents(BATCH) for document in batch)
            reading = SourceReading(source, salt_of(store), taken, report, held, writer.said)
            count = listen.stage(f"reading {source.name}")
            batches = reading.batches(writer.places, count, images=image is not None, scrubber=scrubber)
            fresh = 0
            for staged in _encode(batches, writer, encoders, spaces, report, listen):
                fresh += staged
                if source.publish_every is not None and fresh >= source.publish_every:
                    with report.timed("store"):
                        writer.publish(note, spaces)
                    fresh = 0
            read.append(reading)
        for reading in read:
            reading.withdraw(writer)
            noted = reading.mark(writer.named)
            writer.keep_said(reading.said())
            for _ in _encode([noted] if noted else [], writer, encoders, spaces, report, listen):
                pass
        if not taken and not report.withdrawn and not report.marked:
            raise InputError(_nothing(sources, report))
        if sync:
            for reading in read:
                reading.remove_what_left(writer)
        for space, made in writer.plans(spaces).items():
            report.plans[space] = str(made)
            listen.stage(f"building {space}: {made}")
        with report.timed("store"):
            report.version = writer.publish(note, spaces)
    with report.timed("store"):
        reread(store, listen, again=False)
    pace = getattr(image, "pace", None)  # of this process: what workers do is not told
    if pace is not None and encoders.workers is None:
        report.images_a_second = pace.rates()
    for published in (version for version in store.versions() if before < version.number <= report.version):
        report.added += published.added
        report.updated += published.updated
        report.removed += published.removed
    return report


class SourceReading:
    """One source being read: its documents in batches, under the ids that they have in the index."""

    def __init__(
        self,
        source: Source,
        salt: str,
        taken: dict[str, str],
        report: IngestReport,
        held: Iterable[Document] = (),
        heard: Heard = lambda names: {},
    ) -> None:
        """``held``: what the index has, with which this source's documents are compared where it is to be folded;
        ``heard``: what other files have said of documents."""
        if source.publish_every is not None and source.publish_every < 1:
            raise InputError(f"a version cannot be published every {source.publish_every} documents; use 1 or more")
        if source.label is not None and (not source.label.strip() or ":" in source.label):
            raise InputError(f"a source cannot be called {source.label!r}; use a name without a colon")
        self._found = source.survey()
        self._found.salt = salt
        self._ids = Identities(self._found, source.label, taken)
        self.twice = Duplicates()
        if source.fold:
            again = source.survey()
            again.salt = salt
            others = (document for document in held if not self._ids.is_of(place_of(document)))
            self.twice = find_duplicates(again, others)
        report.alike += self.twice.alike
        self._report = report
        self._corpora: set[str] = set()
        self._damaged = {f.name for f in self._found.foreign}  # and files of which something could not be read
        self._heard = heard
        self.withdrawn: dict[str, str] = {}  # ids, with the edition of the file that withdraws them
        self._back: set[str] = set()  # ids that were withdrawn, and came again after that
        self._marks: dict[str, dict[str, str]] = {}  # of an id: what is said of it, and by which record
        report.foreign += self._found.foreign

    def batches(
        self, places: Places, count: Callable[[int], None], *, images: bool, scrubber: Scrubber | None
    ) -> Iterator[list[Document]]:
        report, incoming = self._report, self._incoming(images)
        report.deidentification = scrubber.mode if scrubber is not None else "off"
        while True:
            with report.timed("read"):
                some = list(islice(incoming, BATCH))
                passed = list(self._screened(some, scrubber)) if scrubber is not None else some
                batch = [with_language(d) for d in self._settled(passed, places)]
            if not some:
                report.files = dict(Counter(report.files) + self._found.readers)
                return
            count(len(batch))
            self._corpora.update(d.source for d in batch)
            report.by_kind = dict(Counter(report.by_kind) + Counter(d.kind for d in batch))
            yield batch

    def withdraw(self, writer: Writer) -> None:
        """Take out what the source itself takes back, wherever it was read."""
        there = sorted(writer.places(self.withdrawn))
        writer.remove(document_ids=sorted(self.withdrawn))
        self._report.withdrawn += there

    def said(self) -> dict[str, Reputation]:
        """What this source says of documents, whether they are there or not: what is withdrawn, and notices."""
        names = sorted(self.withdrawn.keys() | self._marks.keys())
        return {name: Reputation(self.withdrawn.get(name), self._marks.get(name, {})) for name in names}

    def mark(self, named: Callable[[list[str]], Iterable[Document]]) -> list[Document]:
        """Documents of the index with what this source says of them: its notices, and that it has the same, too."""
        changed = list[Document]()
        for old in named(sorted(self._marks.keys() | self.twice.held)):
            marked = with_marks(old, ChainMap(*(self._marks.get(name, {}) for name in aliases_of(old))))
            new = with_copies(marked, self.twice.sources[old.id]) if old.id in self.twice.held else marked
            self._report.marked += [old.id] * (marked is not old)
            changed += [new] * (new is not old)
        return changed

    def remove_what_left(self, writer: Writer) -> None:
        """Take out what this source no longer has. What came from a file that is unreadable now is kept, and listed."""
        before = len(self._report.left)
        self.note_what_left(writer.unseen(self._ids.scope, self._corpora))
        writer.remove(document_ids=self._report.left[before:])

    def note_what_left(self, gone: Mapping[str, str]) -> None:
        """Put unseen documents, given with their origins, on the report's list of what leaves or of what is kept."""
        kept = {identity for identity, origin in gone.items() if self._is_unreadable(origin)}
        self._report.kept += sorted(kept)
        self._report.left += sorted(gone.keys() - kept)

    def owns(self, place: FilingPlace) -> bool:
        """Whether a document of the index is this source's."""
        return self._ids.is_of(place) if place.origin else place.source in self._corpora

    def _is_unreadable(self, origin: str) -> bool:
        return bool(self._damaged) if not origin else origin.partition(":")[2] in self._damaged

    def _incoming(self, images: bool) -> Iterator[Incoming]:
        """The source's usable documents; what is not usable goes into the report."""
        for file, reader, record in self._found.records():
            if isinstance(record, Quarantined):
                self._set_aside(record, file.name if file else record.record)
            elif isinstance(record, Withdrawn):
                self.withdrawn[record.id] = record.edition
            elif isinstance(record, Marked):
                self._marks.setdefault(record.id, {})[record.status] = record.by
            elif file is None or reader is None:
                continue
            elif record.kind == "image" and not images:
                self._set_aside(Quarantined(record.source, record.id, "No image encoder is configured."), file.name)
            elif (kept := self.twice.fold(record)) is None:
                self._report.folded[record.id] = self.twice.folded[record.id]
            elif reader.edition(file) < self.withdrawn.get(record.id, ""):
                self._set_withdrawn_aside(record, file, self.withdrawn[record.id])
            else:
                if self.withdrawn.pop(record.id, None) is not None:
                    self._back.add(record.id)
                yield Incoming(kept, reader, file)

    def _screened(self, some: list[Incoming], scrubber: Scrubber) -> Iterator[Incoming]:
        for one in some:
            document, found = scrubber.screen(one.document)
            self._report.identifiers += found
            if document is not None:
                yield replace(one, document=document)
                continue
            what = ", ".join(f"{f.count} {f.kind} in {f.field}" for f in found)
            reason = f"It has what looks like identifiers ({what}); take them out, or let them be masked."
            self._set_aside(Quarantined(one.document.source, one.document.id, reason), one.file.name)

    def _settled(self, some: list[Incoming], places: Places) -> Iterator[Document]:
        chosen: dict[str, Document] = {}  # of editions of one document the last one counts
        heard = self._heard(name for one in some for name in aliases_of(one.document))
        some = [one for one in some if not self._was_withdrawn(one, heard)]
        there = places(self._ids.ids(some))
        for document, one, refused in self._ids.settle(some, there):
            if refused:
                self._set_aside(Quarantined(document.source, one.document.id, refused), one.file.name)
                continue
            if document.id != one.document.id:
                self._report.apart[one.document.id] = document.id
            marks = ChainMap(*(dict(heard[name].marks) for name in aliases_of(one.document) if name in heard))
            if document.id in there:  # what was said of it is said of every edition
                told = there[document.id].told
                document = with_copies(document, told.elsewhere)
                marks = marks.new_child(dict(told.notices)) if one.reader.ids == "editions" else marks
            document = with_marks(document, marks)
            chosen[document.id] = document
        yield from chosen.values()

    def _was_withdrawn(self, one: Incoming, heard: Mapping[str, Reputation]) -> bool:
        """Whether an earlier ingest was told to withdraw it, by a file that this one's does not come after."""
        identity = one.document.id
        by = heard[identity].withdrawn if identity in heard and identity not in self._back else None
        if one.reader.ids != "editions" or by is None or one.reader.edition(one.file) > by:
            return False
        self._set_withdrawn_aside(one.document, one.file, by)
        return True

    def _set_withdrawn_aside(self, document: Document, file: File, by: str) -> None:
        reason = (
            f"It was withdrawn{f' by file {by}' if by else ''}; only a file that is known to be newer brings it back."
        )
        self._report.quarantined.append(Quarantined(document.source, f"{document.id} in {file.name}", reason))

    def _set_aside(self, record: Quarantined, file: str) -> None:
        self._report.empty += record.empty
        if not record.empty:
            self._report.quarantined.append(record)
            self._damaged.add(file)


def _encode(
    batches: Iterable[list[Document]],
    writer: Writer,
    encoders: Encoders,
    spaces: Collection[str],
    report: IngestReport,
    listen: Progress,
) -> Iterator[int]:
    """Encode what the index does not have yet, and stage each batch, durably, as it comes back: how many it has."""
    under_way: deque[Batch] = deque()

    def works() -> Iterator[Work]:
        for documents in batches:
            changes = writer.compare(documents)
            report.unchanged += len(changes.unchanged)
            report.changed += sorted(changes.changed)
            chosen = [d for d in documents if d.id in changes.to_encode]
            batch = Batch.of(chosen, [p for d in chosen for p in passages_of(d)], "joint" in spaces)
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
            across = batch.bridged(encoders.bridge) if "bridge" in spaces else {}
            writer.stage(batch.documents, batch.passages, batch.vectors(encoded) | across)
        report.passages += len(batch.passages)
        yield len(batch.documents)


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

    def bridged(self, bridge: TextEncoder | None) -> dict[str, tuple[Sequence[str], Vectors]]:
        """The same in the space of many languages, where there is one."""
        return {} if bridge is None else {"bridge": (self.texts, bridge.encode(self.work.texts))}


def _bridge_there(store: IndexStore) -> bool | None:
    """Whether the index's passages are in a space of many languages; None where it holds none yet."""
    if not store.version():
        return None
    with store.snapshot() as snapshot:
        return "bridge" in snapshot.spaces() if snapshot.counts() else None


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
