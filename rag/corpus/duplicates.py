"""The same thing twice in a corpus: equal and nearly equal texts and pictures, by MinHash and perceptual hash.

Texts are alike where their runs of three words are (datasketch: MinHash, LSH), pictures where their DCT hashes and
their thumbnails are (ImageHash): the extra ``duplicates``. Of documents that say the same one can be kept, and names
the others; but never across patients, whose reports are often word for word the same, nor across the studies of one
patient, nor where a number or a negation differs: then being alike is reported and nothing else. Beside what an index
holds, whose ids are other sources', only literature counts as the same, and what is of one DICOM study.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rag.corpus.images import load_image
from rag.corpus.marks import with_copies
from rag.corpus.pseudonyms import is_pseudonym
from rag.corpus.source import Survey
from rag.errors import InputError, MissingDependencyError
from rag.types import Document

ALIKE = 0.75  # Jaccard similarity of runs of words from which two texts are reported
PERMUTATIONS = 128
RUN = 3  # words
MIN_WORDS = 8  # shorter texts are alike by chance
BITS = 3  # of 64 in which the hashes of two pictures may differ
GREY = 3.0  # mean difference of two thumbnails, of 255
_WORD = re.compile(r"\w+")
_DECISIVE = re.compile(
    r"\d+(?:[.,]\d+)?|\b(?:no|not|nor|without|never|none|negative|denies|absent|sin|kein\w*|left|right)\b"
)


@dataclass(frozen=True, slots=True)
class Alike:
    """Documents that are alike: the first is what the others are like.

    ``across`` counts the patients or articles that they belong to; more than one is worth a look, for reports too.
    """

    kind: str
    ids: tuple[str, ...]
    across: int
    equal: bool


@dataclass
class Duplicates:
    """What was found in a source, and which documents (``folded``: id to the id that stands for it) say nothing new."""

    alike: list[Alike] = field(default_factory=list)
    folded: dict[str, str] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)  # of a document that stands for others: where they are
    held: set[str] = field(default_factory=set)  # of those that stand for others, what an index holds

    def fold(self, document: Document) -> Document | None:
        """None for a document that another stands for; that other one with their places among its references."""
        if document.id in self.folded:
            return None
        return with_copies(document, self.sources.get(document.id, ()), "also")


def find_duplicates(made: Survey, held: Iterable[Document] = ()) -> Duplicates:
    """Read a surveyed source and say what is in it twice, or in it and ``held``: documents of an index.

    Memory grows with how many documents there are. A document of the source that one of the index stands for is left
    out; if that one leaves the index some day, the source must be read again.

    >>> find_duplicates(survey("reports")).alike[0].ids                                       # doctest: +SKIP
    ('a/1', 'b/1')

    Raises InputError as ``ingest`` does, MissingDependencyError without the extra ``duplicates``.
    """
    texts, pictures = _Texts(), _Pictures()
    found, members = Duplicates(), defaultdict[tuple[str, str, bool], list[Document]](list)
    there = set[str]()
    for document in held:
        there.add(document.id)
        for _ in (pictures if document.kind == "image" else texts).like(document):
            pass  # what the index holds twice is not asked
    for _, _, record in made.records():
        if not isinstance(record, Document):
            continue
        finder = pictures if record.kind == "image" else texts
        for like, equal, same in finder.like(record):
            if like.id == record.id:  # what the index holds of this very document
                continue
            members[record.kind, like.id, equal].append(_slim(record))
            if like.id in there and (record.id in there or not _may_fold_across(like, record)):
                continue
            if same and like.id not in found.folded and record.id not in found.folded:
                found.folded[record.id] = like.id
                found.sources.setdefault(like.id, []).append(f"{record.source}: {record.id}")
                found.held.update({like.id} & there)
    firsts = texts.first | pictures.first
    for (kind, first, equal), others in members.items():
        groups = {firsts[first].group_id, *(other.group_id for other in others)}
        found.alike.append(Alike(kind, (first, *(other.id for other in others)), len(groups), equal))
    return found


def _slim(document: Document) -> Document:
    return document.model_copy(update={"text": "", "metadata": {}})


def _may_fold(one: Document, other: Document) -> bool:
    """Whether one of two like documents may stand for both: of one study, or literature."""
    return one.kind == other.kind and (one.kind == "literature" or one.case_id == other.case_id)


def _may_fold_across(held: Document, other: Document) -> bool:
    """The same of an index's document and another source's: equal case ids are chance, but for DICOM's pseudonyms."""
    return other.kind == "literature" or (held.case_id == other.case_id and is_pseudonym(other.case_id))


class _Texts:
    def __init__(self) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise MissingDependencyError(
                'Finding like texts needs datasketch: pip install "clincite[duplicates]".'
            ) from error
        self._hash, self._near = MinHash, MinHashLSH(threshold=ALIKE, num_perm=PERMUTATIONS)
        self._equal: dict[tuple[str, ...], str] = {}
        self._decisive: dict[str, list[str]] = {}
        self._hashes: dict[str, Any] = {}
        self.first: dict[str, Document] = {}

    def like(self, document: Document) -> Iterator[tuple[Document, bool, bool]]:
        """Earlier documents that this one is like, whether they are equal, and whether it says nothing new."""
        words = _WORD.findall(document.text.casefold())
        if not words:
            return
        scope = "" if document.kind == "literature" else document.case_id
        whole = " ".join(words)
        # Equal texts of one study first, so that they are found however many other patients have the same.
        for key in ((document.kind, scope, whole), (document.kind, "*", whole)):
            if (found := self._equal.get(key)) is not None:
                yield self.first[found], True, _may_fold(self.first[found], document)
                self._equal.setdefault((document.kind, scope, whole), document.id)
                self.first.setdefault(document.id, _slim(document))
                return
        self._equal[document.kind, scope, whole] = self._equal[document.kind, "*", whole] = document.id
        self.first[document.id] = _slim(document)
        self._decisive[document.id] = sorted(_DECISIVE.findall(document.text.casefold()))
        if len(words) < MIN_WORDS:
            return
        sketch = self._hash(num_perm=PERMUTATIONS)
        sketch.update_batch([" ".join(words[n : n + RUN]).encode() for n in range(len(words) - RUN + 1)])
        near = [str(key) for key in self._near.query(sketch)]
        best = max(near, key=lambda key: float(sketch.jaccard(self._hashes[key])), default=None)
        self._near.insert(document.id, sketch)
        self._hashes[document.id] = sketch
        if best is not None and float(sketch.jaccard(self._hashes[best])) >= ALIKE:
            same = self._decisive[best] == self._decisive[document.id] and _may_fold(self.first[best], document)
            yield self.first[best], False, same


class _Pictures:
    def __init__(self) -> None:
        try:
            from imagehash import phash
        except ImportError as error:
            raise MissingDependencyError(
                'Finding like images needs ImageHash: pip install "clincite[duplicates]".'
            ) from error
        self._phash = phash
        self._by_part: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._seen: dict[str, tuple[int, np.ndarray]] = {}
        self.first: dict[str, Document] = {}

    def like(self, document: Document) -> Iterator[tuple[Document, bool, bool]]:
        """As for texts; a picture says nothing new beside a like one of its own study."""
        try:
            image = load_image(document.image or "").convert("L")
        except InputError:
            return
        thumbnail = np.asarray(image.resize((32, 32)), dtype=np.float32)
        code = int(str(self._phash(image)), 16)
        parts = [(n, (code >> (16 * n)) & 0xFFFF) for n in range(4)]  # of codes that differ in 3 bits one part is equal
        candidates = dict.fromkeys(identity for part in parts for identity in self._by_part[part])
        for identity in candidates:
            other, small = self._seen[identity]
            if (code ^ other).bit_count() <= BITS and float(np.abs(thumbnail - small).mean()) <= GREY:
                first = self.first[identity]
                equal = first.image_sha256 == document.image_sha256
                yield first, equal, _may_fold(first, document)
                return
        for part in parts:
            self._by_part[part].append(document.id)
        self._seen[document.id], self.first[document.id] = (code, thumbnail), _slim(document)
