"""Before anything is built: what a corpus holds, and what an ingest of it would change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from rag.building.identity import place_of
from rag.building.reading import SourceReading
from rag.building.report import IngestReport
from rag.building.source import Source
from rag.corpus.chunking import passages_of
from rag.corpus.duplicates import Duplicates, find_duplicates
from rag.corpus.marks import Reputation
from rag.corpus.quarantine import Foreign, Quarantined
from rag.corpus.scrub import Scrubber
from rag.indexing import FilingPlace, IndexStore, Snapshot
from rag.indexing.plan import plan
from rag.settings import VectorSettings
from rag.types import Document, Kind

TEXT_DIM = 384  # of the default text encoder's vectors
SHOWN = 20  # groups of duplicates that are listed; all are counted


@dataclass
class Description:
    """A corpus in numbers: documents unless the name says otherwise.

    ``estimate`` is for the texts' vectors with the default encoder; images add one vector each per space.
    """

    source: str
    files: dict[str, int] = field(default_factory=dict)
    foreign: list[Foreign] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    empty: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)  # as far as the files say
    encodings: Counter[str] = field(default_factory=Counter)  # of texts that are not UTF-8
    columns: list[dict[str, str]] = field(default_factory=list)  # of tables: which column is what
    cases: int = 0
    groups: int = 0
    passages: int = 0
    characters: int = 0
    image_bytes: int = 0
    duplicates: int = 0  # documents whose text or image another one has, too
    duplicate_ids: list[list[str]] = field(default_factory=list)
    across_groups: int = 0  # of these, how many are another group's
    estimate: str = ""


def describe(source: Source) -> Description:
    """Read the whole corpus and count; nothing is encoded, nothing is written. Raises InputError as ``ingest`` does."""
    report = IngestReport("")
    reading = SourceReading(source, "", {}, report)
    made = Description(str(source.name))
    cases, groups, same = set[str](), set[str](), dict[str, list[tuple[str, str]]]()
    for batch in reading.batches(lambda ids: {}, lambda n: None, images=True, scrubber=None):
        for document in batch:
            _count(made, document)
            cases.add(document.case_id)
            groups.add(document.group_id)
            content = document.image_sha256 or f"text {hash(document.text)} {len(document.text)}"
            same.setdefault(content, []).append((document.id, document.group_id))
    repeated = [some for some in same.values() if len(some) > 1]
    made.duplicates = sum(len(some) - 1 for some in repeated)
    made.across_groups = sum(len({group for _, group in some}) - 1 for some in repeated)
    made.duplicate_ids = [[identity for identity, _ in some] for some in repeated[:SHOWN]]
    made.cases, made.groups = len(cases), len(groups)
    made.files, made.foreign = report.files, report.foreign
    made.quarantined, made.empty, made.by_kind = report.quarantined, report.empty, Counter(report.by_kind)
    made.estimate = str(plan(max(made.passages, 1), TEXT_DIM, VectorSettings.model_validate({})))
    return made


def duplicates_of(source: Source, store: IndexStore | None) -> Duplicates:
    """What is twice in a source, or in it and an index. Raises InputError as ``ingest`` does."""
    if store is None:
        return find_duplicates(source.survey())
    report = IngestReport(store.name)
    with store.snapshot() as snapshot:
        salt = store.path / "salt"
        key = salt.read_text() if salt.exists() else ""
        return SourceReading(replace(source, fold=True), key, {}, report, _Places(snapshot).everything()).twice


def preview(
    source: Source, store: IndexStore | None, *, scrubber: Scrubber | None = None, sync: bool = False
) -> IngestReport:
    """What an ingest would do to the index (None: there is none yet), as its report; nothing is encoded or written."""
    report = IngestReport(store.name if store else "")
    snapshot = store.snapshot() if store is not None and store.version() else None
    try:
        salt = store.path / "salt" if store is not None else None
        places = _Places(snapshot)
        key = salt.read_text() if salt is not None and salt.exists() else ""
        reading = SourceReading(source, key, {}, report, places.everything(), places.said)
        report.version = snapshot.version if snapshot else 0
        seen: set[str] = set()
        for batch in reading.batches(places.of, lambda n: None, images=True, scrubber=scrubber):
            there = places.of({document.id for document in batch})
            for document in batch:
                seen.add(document.id)
                report.passages += len(passages_of(document))
                if document.id not in there:
                    report.added += 1
                elif there[document.id].sha256 == document.sha256:
                    report.unchanged += 1
                else:
                    report.updated += 1
                    report.changed.append(document.id)
        if sync:
            reading.note_what_left(places.unseen(seen, reading))
        report.withdrawn = sorted(places.of(reading.withdrawn))
        reading.mark(places.named)
        report.removed = len(report.left) + len(report.withdrawn)
    finally:
        if snapshot is not None:
            snapshot.close()
    return report


def _count(made: Description, document: Document) -> None:
    made.domains[document.domain] += 1
    made.licences[document.licence] += 1
    language = document.metadata.get("language")
    made.languages.update(language if isinstance(language, list) else [language] if language else [])
    made.encodings.update([document.metadata["encoding"]] if "encoding" in document.metadata else [])
    columns = document.metadata.get("columns")
    if columns and columns not in made.columns:
        made.columns.append(columns)
    made.characters += len(document.text)
    made.passages += len(passages_of(document))
    made.image_bytes += Path(document.image).stat().st_size if document.image else 0


class _Places:
    """What an index's version holds, as far as identity goes."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def documents(self, ids: Iterable[str]) -> Iterator[Document]:
        found = (self._snapshot.document(identity) for identity in ids if self._snapshot is not None)
        return (document for document in found if document is not None)

    def named(self, names: Iterable[str]) -> list[Document]:
        return self._snapshot.named(names) if self._snapshot is not None else []

    def said(self, names: Iterable[str]) -> dict[str, Reputation]:
        return self._snapshot.said(names) if self._snapshot is not None else {}

    def of(self, ids: Collection[str]) -> dict[str, FilingPlace]:
        return {document.id: place_of(document) for document in self.documents(ids)}

    def everything(self) -> Iterator[Document]:
        for kind in get_args(Kind) if self._snapshot is not None else ():
            yield from self._snapshot.documents(kind) if self._snapshot is not None else ()

    def unseen(self, seen: Collection[str], reading: SourceReading) -> dict[str, str]:
        """Documents of the source that were not read again, with their origins."""
        places = {d.id: place_of(d) for d in self.everything() if d.id not in seen}
        return {identity: place.origin for identity, place in places.items() if reading.owns(place)}
