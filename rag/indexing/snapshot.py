"""A read view of one published version. What it shows never changes, whatever is written meanwhile."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from rag.corpus.marks import Reputation
from rag.errors import IndexStateError, InputError
from rag.indexing.backends.protocol import Mask, Vectors
from rag.indexing.catalogue import ALIVE, LISTED, Catalogue, listed, table, table_values
from rag.indexing.locks import Lock
from rag.indexing.masks import Masks, alive_rows
from rag.indexing.notices import NAMED, said_of
from rag.indexing.records import Count, Filter, Scored, SpaceInfo
from rag.indexing.segments import SegmentGoneError, SegmentInfo
from rag.indexing.shelves import read_shelves
from rag.indexing.spaces import AnySegment, read_segments, read_spaces
from rag.indexing.vectors import VectorSegment, search_segments
from rag.indexing.words.bm25 import WordRanker
from rag.indexing.words.postings import WordSegment
from rag.types import Document, Kind, Passage, sha256_of

_EVERYTHING = Filter()
_LOOKED_AT = 20_000  # images, in about 50 milliseconds
# What the models' own methods call. Ten passages are fetched in less time than those take on the way there.
_parse: Callable[[str], Document] = Document.__pydantic_validator__.validate_json
_scored: Callable[[tuple[int, float]], Scored] = partial(tuple.__new__, Scored)
_make_passage: Callable[[dict[str, object]], Passage] = Passage.__pydantic_validator__.validate_python


class Snapshot:
    """A version of an index, pinned. Safe for concurrent use by many threads.

    Made by ``IndexStore.snapshot``. It holds its segments open and a lease on its version, so that compaction removes
    neither; close it (or use it as a context manager) when done.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        version: int,
        last_row: int,
        open_segment: Callable[[SegmentInfo], AnySegment],
        lease: Lock | None,
    ) -> None:
        self.version = version
        self._catalogue = catalogue
        self._last_row = last_row
        self._lease = lease
        self._spaces, opened, alive = self._read(open_segment)
        self._masks = Masks(catalogue, alive)
        self._segments = {
            space: [
                one for one in opened if isinstance(one, VectorSegment) and one.belongs_to(space, about.fingerprint)
            ]
            for space, about in self._spaces.items()
        }
        words = [one for one in opened if isinstance(one, WordSegment)]
        self._words: WordRanker | None = WordRanker(words, self._masks.select(_EVERYTHING))

    def search(
        self, space: str, queries: NDArray[np.float32], k: int, where: Filter = _EVERYTHING, *, exact: bool = False
    ) -> list[list[Scored]]:
        """Nearest passages by inner product, best first, ties by row.

        Scores are exact; whether a near passage can be missed depends on the backends (see ``backends``).

        Args:
            space: name of a vector space of this version.
            queries: (q, dim) or (dim,) float32, L2-normalised.
            k: how many to return for each query; fewer only where fewer passages pass ``where``.
            exact: compare every passage that passes ``where``, whatever the backend: slow in a large index.

        Raises:
            InputError: no such space, wrong dimension, values that are not finite, or k < 1.
        """
        info = self._space(space)
        asked = np.ascontiguousarray(queries, dtype=np.float32)
        asked = asked[None] if asked.ndim == 1 else asked
        if asked.ndim != 2 or asked.shape[1] != info.dim:
            raise InputError(f"space {space!r} has dimension {info.dim}, the query has shape {np.shape(queries)}")
        if not math.isfinite(np.vdot(asked, asked)):
            raise InputError("the query vector holds values that are not finite, or too large to be squared")
        _check_k(k)
        selection = self._masks.select(where)
        parts = [(segment, selection.of(segment)) for segment in self._segments[space]]
        return _merge(search_segments(parts, asked, k, exact=exact), len(asked), k)

    def search_words(self, query: str, k: int, where: Filter = _EVERYTHING) -> list[Scored]:
        """Passages that share words with a free text, by BM25 (larger is better), best first, ties by row.

        Any characters are fine; stop words do not count and at most 64 distinct terms do.
        """
        _check_k(k)
        if self._words is None:
            raise InputError("the snapshot is closed")
        return self._words.search(query, k, self._masks.select(where))

    def shared_words(self, query: str, texts: Sequence[str]) -> list[tuple[float, bool]]:
        """How much of a free text's words each of ``texts`` has, in [0, 1], and whether it has the rarest of them.

        See :meth:`~rag.indexing.words.bm25.WordRanker.shares`.
        """
        if self._words is None:
            raise InputError("the snapshot is closed")
        return self._words.shares(query, texts)

    def passages(self, rows: Sequence[int]) -> list[tuple[Passage, Document]]:
        """The passages of ``rows`` with their documents, in the same order.

        Raises:
            InputError: a row that this version does not have.
        """
        wanted = [int(row) for row in rows]
        lines = self._catalogue.fetch(_passages_query(len(wanted)), table_values(wanted))
        if len(lines) < len(wanted) or max(wanted, default=0) > self._last_row:
            there = {line[0] for line in lines if line[0] <= self._last_row}
            missing = next(row for row in wanted if row not in there)
            raise InputError(f"version {self.version} has no passage row {missing}")
        documents: dict[int, Document] = {}
        found = []
        for _, identity, start, end, row, body in lines:
            document = documents.get(row)
            if document is None:
                document = documents[row] = _document(body)
            found.append((_passage(identity, document, start, end), document))
        return found

    def vectors(self, space: str, rows: Sequence[int]) -> Vectors:
        """The stored vectors of ``rows``: (len(rows), dim) float32.

        Raises:
            InputError: no such space, or a row without a vector in it.
        """
        result = np.empty((len(rows), self._space(space).dim), np.float32)
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        filled = np.zeros(len(wanted), np.bool_)
        for segment in self._segments[space]:
            positions = segment.positions(wanted)
            here = positions >= 0
            result[here] = segment.take(positions[here])
            filled |= here
        filled &= wanted <= self._last_row
        if not filled.all():
            raise InputError(f"passage row {wanted[~filled][0]} has no vector in space {space!r}")
        return result

    def document(self, document_id: str) -> Document | None:
        """The document with this id, or None where this version has none."""
        found = self._documents("d.id = :value", document_id)
        return found[0] if found else None

    def intact(self, document_id: str) -> bool:
        """Whether a document of this version still hashes to what was ingested; True for an unknown id."""
        query = f"SELECT d.sha256, d.body FROM documents d WHERE d.id = :value AND {ALIVE}"
        rows = self._catalogue.fetch(query, {"value": document_id, "v": self.version})
        return all(sha256_of(body) == expected for expected, body in rows)

    def passages_of(self, document_id: str) -> list[tuple[int, Passage]]:
        """Row and passage of each passage of a document, in the document's order; empty for an unknown id."""
        query = (
            "SELECT p.row, p.id, p.start, p.end, d.body FROM documents d"
            " JOIN passages p ON p.row >= d.first AND p.row < d.first + d.passages"
            f" WHERE d.id = :value AND {ALIVE} ORDER BY p.row"
        )
        rows = self._catalogue.fetch(query, {"value": document_id, "v": self.version})
        if not rows:
            return []
        document = _document(rows[0][-1])
        return [(row, _passage(identity, document, start, end)) for row, identity, start, end, _ in rows]

    def case(self, case_id: str) -> list[Document]:
        """The documents of a case (a report and its images, say), in the order they were ingested."""
        return self._documents("d.case_id = :value", case_id)

    def documents_of_group(self, group_id: str) -> list[Document]:
        """The documents of a patient or an article, in the order they were ingested."""
        return self._documents("d.group_id = :value", group_id)

    def documents(self, kind: Kind) -> list[Document]:
        """All documents of a kind, in the order they were ingested."""
        return self._documents("d.kind = :value", kind)

    def terms(self) -> list[Document]:
        """The documents that define a term: those with ``synonyms`` in their metadata, an ontology's for instance."""
        query = (
            "SELECT d.body FROM documents d WHERE json_extract(d.body, '$.metadata.synonyms') IS NOT NULL"
            f" AND {ALIVE} ORDER BY d.row"
        )
        return [_document(body) for (body,) in self._catalogue.fetch(query, {"v": self.version})]

    def term_names(self) -> list[tuple[str, str, list[str], str]]:
        """Id, title, synonyms and domain of each of the ``terms``: thousands, read whenever an index is opened."""
        query = (
            "SELECT json_extract(d.body, '$.id', '$.title', '$.metadata.synonyms', '$.domain') FROM documents d"
            f" WHERE json_extract(d.body, '$.metadata.synonyms') IS NOT NULL AND {ALIVE} ORDER BY d.row"
        )
        rows = self._catalogue.fetch(query, {"v": self.version})
        found: list[tuple[str, str, list[str], str]] = json.loads(f"[{','.join(row for (row,) in rows)}]")
        return found

    def has_metadata(self, name: str) -> bool:
        """Whether a document of this version has a value of this name in its metadata."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM documents d WHERE json_extract(d.body, '$.metadata.' || :name) IS NOT NULL"
            f" AND {ALIVE})"
        )
        return bool(self.select(query, {"name": name})[0][0])

    def images_have(self, kinds: Sequence[str]) -> bool:
        """Whether the case of an image has a document of one of ``kinds``, in any version; True where there are so many
        images that looking would take long."""
        query = (
            "SELECT count(*), sum(EXISTS (SELECT 1 FROM documents t WHERE t.case_id = i.case_id"
            " AND t.kind IN (SELECT value FROM json_each(:kinds))))"
            " FROM (SELECT case_id FROM documents WHERE kind = 'image' LIMIT :most) i"
        )
        ((images, found),) = self._catalogue.fetch(query, {"kinds": json.dumps(kinds), "most": _LOOKED_AT})
        return bool(found) or images == _LOOKED_AT

    def has_case(self, case_id: str) -> str | None:
        """The case's id as stored, found exactly or else ignoring ASCII case; None where there is no such case."""
        for condition in ("d.case_id = :value", "d.case_id = :value COLLATE NOCASE"):
            query = f"SELECT d.case_id FROM documents d WHERE {condition} AND {ALIVE} ORDER BY d.case_id LIMIT 1"
            for (found,) in self._catalogue.fetch(query, {"value": case_id, "v": self.version}):
                return str(found)
        return None

    def case_ending(self, name: str) -> str | None:
        """The one case whose id is a path that ends with ``name``; None where there is none, or several."""
        escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = (
            f"SELECT DISTINCT d.case_id FROM documents d WHERE d.case_id LIKE :value ESCAPE '\\' AND {ALIVE} LIMIT 2"
        )
        found = list(self._catalogue.fetch(query, {"value": f"%/{escaped}", "v": self.version}))
        return str(found[0][0]) if len(found) == 1 else None

    def cases_starting(self, prefix: str, limit: int) -> list[str]:
        """Studies (cases that are more than literature) whose ids begin so, in any ASCII case; the shortest first."""
        query = (
            "SELECT DISTINCT d.case_id FROM documents d WHERE d.case_id >= :prefix COLLATE NOCASE"
            " AND d.case_id < :prefix || char(1114111) COLLATE NOCASE AND d.kind != 'literature'"
            f" AND {ALIVE} ORDER BY length(d.case_id), d.case_id LIMIT :limit"
        )
        values = {"prefix": prefix, "limit": limit, "v": self.version}
        return [str(case) for (case,) in self._catalogue.fetch(query, values)]

    def spaces(self) -> dict[str, SpaceInfo]:
        """The vector spaces of this version; ``n`` counts the vectors of its own documents."""
        return dict(self._spaces)

    def rows(self, space: str) -> NDArray[np.int64]:
        """The passage rows of this version that have a vector in a space, ascending.

        Raises:
            InputError: no such space.
        """
        self._space(space)
        alive = self._masks.select(_EVERYTHING)
        parts = [
            segment.rows if (allowed := alive.of(segment)) is None else segment.rows[allowed.mask]
            for segment in self._segments[space]
        ]
        return np.sort(np.concatenate(parts))

    def backends(self, space: str) -> dict[str, int]:
        """How many vectors of a space each backend holds; the flat ones never miss a near passage."""
        held: Counter[str] = Counter()
        for segment in self._segments[space]:
            held[segment.backend] += segment.info.n
        return dict(held)

    def counts(self) -> list[Count]:
        """Documents by source, kind, domain and licence."""
        return read_shelves(self._catalogue, self.version)

    def said(self, names: Iterable[str]) -> dict[str, Reputation]:
        """What was said of those of these names of which anything was, whatever the version."""
        return said_of(self._catalogue.fetch, names)

    def named(self, names: Iterable[str]) -> list[Document]:
        """The documents of this version that have one of these names; see ``rag.corpus.marks.aliases_of``."""
        by_id = f"d.id IN {LISTED}".replace("?", ":names")
        parts = (f"SELECT d.row, d.body FROM documents d WHERE {which} AND {ALIVE}" for which in (by_id, NAMED))
        found = self._catalogue.fetch(" UNION ".join(parts), {"names": listed(names), "v": self.version})
        return [_document(body) for _, body in sorted(found)]

    def select(self, query: str, values: Mapping[str, Any]) -> list[Any]:
        """All rows of a query over the catalogue, in which ``:v`` is this version: for tables that are read apart."""
        return self._catalogue.fetch(query, {"v": self.version, **values})

    def close(self) -> None:
        """Give up the segments and the lease; the snapshot cannot be used afterwards."""
        self._segments = {}
        self._spaces = {}
        self._words = None
        if self._lease is not None:
            self._lease.release()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _space(self, space: str) -> SpaceInfo:
        if space not in self._spaces:
            there = ", ".join(sorted(self._spaces)) or "none"
            raise InputError(f"version {self.version} has no vectors of space {space!r}; it has: {there}")
        return self._spaces[space]

    def _documents(self, condition: str, value: str) -> list[Document]:
        query = f"SELECT d.body FROM documents d WHERE {condition} AND {ALIVE} ORDER BY d.first, d.row"
        return [_document(body) for (body,) in self._catalogue.fetch(query, {"value": value, "v": self.version})]

    def _read(
        self, open_segment: Callable[[SegmentInfo], AnySegment]
    ) -> tuple[dict[str, SpaceInfo], list[AnySegment], Mask]:
        """Spaces, segments and alive rows, all as of one moment.

        Compaction may drop forgotten documents together with their segments; a mask from before or after would not
        fit. It may also remove segments between our reading their names and opening them: then we read again.
        """
        gone: SegmentGoneError | None = None
        for _ in range(5):
            with self._catalogue.reading() as connection:
                spaces = read_spaces(connection, self.version)
                infos = [info for info in read_segments(connection) if info.first_row <= self._last_row]
                alive = alive_rows(connection, self.version, self._last_row)
            try:
                return spaces, [open_segment(info) for info in infos], alive
            except SegmentGoneError as error:
                gone = error
        raise IndexStateError(f"{gone} is missing; restore it, or build the index anew from its sources") from gone


@lru_cache(maxsize=256)
def _passages_query(rows: int) -> str:
    """SQL for the passages of so many rows, each with its document, in the order of the rows."""
    return (
        f"SELECT p.row, p.id, p.start, p.end, d.row, d.body FROM {table(rows)} w"
        " CROSS JOIN passages p ON p.row = w.value CROSS JOIN documents d ON d.row = p.document"
    )


def _document(body: str) -> Document:
    try:
        return _parse(body)
    except ValidationError as error:
        raise _damaged("document") from error


def _passage(identity: str, document: Document, start: int, end: int) -> Passage:
    try:
        text = document.text[start:end]
        return _make_passage({"id": identity, "document_id": document.id, "start": start, "end": end, "text": text})
    except (ValidationError, TypeError) as error:
        raise _damaged("passage") from error


def _damaged(what: str) -> IndexStateError:
    return IndexStateError(f"a {what} in the catalogue is damaged; which one says: rag index verify")


def _merge(parts: list[tuple[NDArray[np.int64], Vectors]], queries: int, k: int) -> list[list[Scored]]:
    """For each query the k best of several segments' results, ties by row."""
    if not parts:
        return [[] for _ in range(queries)]
    rows, scores = parts[0]
    if len(parts) > 1:
        rows, scores = (np.concatenate([part[i] for part in parts], axis=1) for i in (0, 1))
        order, lines = np.lexsort((rows, -scores), axis=1)[:, :k], np.arange(queries)[:, None]
        rows, scores = rows[lines, order], scores[lines, order]
    pairs = zip(rows.tolist(), scores.tolist(), strict=True)
    return [list(map(_scored, zip(*pair, strict=True))) for pair in pairs]


def _check_k(k: int) -> None:
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
