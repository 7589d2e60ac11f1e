"""One source being read: which of its documents go to the index, under which ids, and with what is said of them.

What cannot be used, was withdrawn, is there already or leaves is written into the report; nothing is encoded here.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from rag.building.batch import BATCH
from rag.building.identity import Identities, Incoming, place_of
from rag.building.report import IngestReport
from rag.building.source import Source
from rag.corpus.duplicates import Duplicates, find_duplicates
from rag.corpus.files import File
from rag.corpus.marks import Marked, Reputation, aliases_of, with_copies, with_marks
from rag.corpus.quarantine import Quarantined, Withdrawn
from rag.corpus.scrub import Scrubber
from rag.errors import InputError
from rag.indexing import FilingPlace, Writer
from rag.language.languages import with_language
from rag.types import Document

Places = Callable[[set[str]], Mapping[str, FilingPlace]]  # what the index has under these ids
Heard = Callable[[Iterable[str]], Mapping[str, Reputation]]  # what was said of these names before


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
