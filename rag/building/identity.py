"""Which document of the index a record is. An id belongs to its source: another source's never replaces it.

A document remembers where it came from as ``metadata["origin"]``: its source's name, a colon, and the file within the
source. The name is the user's, or a hash of the folder's absolute path. Where two sources use one id, the later one's
document is kept apart under the id ``<folder>/<id>``; as long as it is there under that id, it keeps it. Records whose
ids mean the same everywhere (a PMID, a term of an ontology) have no origin: from another place they are new editions.

Documents of indexes from before origins were kept have none. They are told apart by the name of their corpus, and stay
as they are while their content does.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag.corpus.files import File
from rag.corpus.marks import Told
from rag.corpus.readers import Reader
from rag.corpus.source import Survey
from rag.indexing import FilingPlace, IndexStore
from rag.types import Document

ORIGIN = "origin"


@dataclass(frozen=True)
class Incoming:
    """A document on its way, the reader whose rules its id follows, and the file it comes from."""

    document: Document
    reader: Reader
    file: File


def place_of(document: Document) -> FilingPlace:
    """Where a document came from, as it says itself."""
    origin = str(document.metadata.get(ORIGIN) or "")
    return FilingPlace(document.source, origin, document.sha256, Told.of(document.metadata))


def salt_of(store: IndexStore) -> str:
    """The secret with which the index's pseudonyms are made; made itself when it is first asked for."""
    path = store.path / "salt"
    with contextlib.suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(32))
    return path.read_text()


class Identities:
    """The ids of one ingest of one source.

    Args:
        found: the source.
        label: the user's name of the source; documents of one name are of one source, whatever files they come from.
        taken: origins by id of what this ingest has read, shared by its sources.
    """

    def __init__(self, found: Survey, label: str | None, taken: dict[str, str]) -> None:
        folder = found.path if found.path.is_dir() else found.path.parent
        self._label = label
        self._head = label or hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
        self._whole = label is not None or found.path.is_dir()
        self._file = found.path.name
        self._packaged = found.packaged
        self._taken = taken

    @property
    def scope(self) -> str:
        """The origins of this source's documents: a prefix if it ends with a colon, else one origin."""
        return f"{self._head}:" if self._whole else f"{self._head}:{self._file}"

    def is_of(self, place: FilingPlace) -> bool:
        """Whether a document of the index has its origin in this source."""
        return place.origin.startswith(self.scope) if self.scope.endswith(":") else place.origin == self.scope

    def origin(self, incoming: Incoming) -> str:
        """Where this document comes from; empty if its id means the same everywhere."""
        is_local = incoming.reader.ids in ("path", "rows") and not self._packaged
        return f"{self._head}:{incoming.file.name}" if is_local else ""

    def settle(
        self, batch: Sequence[Incoming], places: Mapping[str, FilingPlace]
    ) -> Iterator[tuple[Document, Incoming, str]]:
        """Each document as it enters the index, with what it was and why it is refused (empty if it is not).

        ``places`` are the documents of the index under the ``ids`` of this batch.
        """
        for one in batch:
            document, origin = one.document, self.origin(one)
            if origin and self._is_elsewhere(one, origin, places):
                document = _apart(document, self._prefix(one, origin, places))
            there = places.get(document.id)
            unmarked = there is not None and not there.origin and there.sha256 == document.sha256
            if origin and not unmarked:
                metadata = document.metadata | {ORIGIN: origin}
                document = document.model_copy(update={"metadata": metadata})
            refused = ""
            if document.id in self._taken and one.reader.ids != "editions":
                refused = f"Another record has the id {document.id!r}."
            elif not origin and there is not None and there.origin:
                refused = f"The id {document.id!r} belongs to a document of another source."
            else:
                self._taken[document.id] = origin
            yield document, one, refused

    def ids(self, batch: Iterable[Incoming]) -> set[str]:
        """Every id that the documents of this batch may have to do with."""
        return {
            identity
            for one in batch
            for own in _own(one.document)
            for identity in (own, *(prefix + own for prefix in self._prefixes(one)))
        }

    def _is_elsewhere(self, one: Incoming, origin: str, places: Mapping[str, FilingPlace]) -> bool:
        """Whether an id of this document's case is another source's, or this one was kept apart before."""
        prefix = self._prefix(one, origin, places)
        before = places.get(prefix + one.document.id)
        if before is not None and self._same(before.origin, origin, one):
            return True
        return any(
            ((owner := places.get(own)) is not None and not self._is_owner(owner, one, origin))
            or (own in self._taken and not self._same(self._taken[own], origin, one))
            for own in _own(one.document)
        )  # fmt: skip

    def _is_owner(self, owner: FilingPlace, one: Incoming, origin: str) -> bool:
        return self._same(owner.origin, origin, one) if owner.origin else owner.source == one.document.source

    def _same(self, other: str, origin: str, one: Incoming) -> bool:
        """Whether two origins are one source's: rows of two files are two sources, unless the user names them alike."""
        if one.reader.ids == "rows" and self._label is None:
            return other == origin
        return other.partition(":")[0] == self._head

    def _prefix(self, one: Incoming, origin: str, places: Mapping[str, FilingPlace]) -> str:
        """The first of the two prefixes under which no document of another source is."""
        short, long = self._prefixes(one)
        for own in _own(one.document):
            owner = places.get(short + own)
            if (owner and not self._is_owner(owner, one, origin)) or (
                short + own in self._taken and not self._same(self._taken[short + own], origin, one)
            ):
                return long
        return short

    def _prefixes(self, one: Incoming) -> tuple[str, str]:
        name = self._label or one.file.corpus
        if one.reader.ids == "rows":
            name += f"/{one.file.path.stem}" if name != one.file.path.stem else ""
        mark = hashlib.sha256(f"{self._head}:{one.file.name}".encode()).hexdigest()[:6]
        return f"{name}/", f"{name}-{self._head[:6] if one.reader.ids == 'path' else mark}/"


def _own(document: Document) -> tuple[str, ...]:
    """The document's id, and where its case is its own, the ids of the case's image and text."""
    if document.case_id == document.id or document.id == f"{document.case_id}:image":
        return document.case_id, f"{document.case_id}:image"
    return (document.id,)


def _apart(document: Document, prefix: str) -> Document:
    """The document under a prefixed id; its case and group follow where they are its own."""
    own = _own(document)
    update = {"id": prefix + document.id}
    if len(own) > 1:
        update["case_id"] = prefix + document.case_id
    if document.group_id in own:
        update["group_id"] = prefix + document.group_id
    return document.model_copy(update=update)
