"""Word segments: an inverted index as plain arrays, memory-mapped.

Why not one FTS5 table in the catalogue: its BM25 counts every row it holds, so old versions' scores would drift with
every ingest and audits could not be replayed; and a question of common words over a million passages takes it half a
second. Here the counts are taken under a version's own mask, and scoring is a few vector operations.

Files: ``lengths.npy`` (n,) words of each passage; ``terms.npy`` all terms' UTF-8 bytes, ascending, end to end;
``directory.npy`` (terms + 1, 2) where each term's bytes and its postings begin; ``postings.npy`` (m, 2) position of the
passage and count.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.indexing.segments import Rows, Segment, SegmentContent, SegmentInfo, load_array, write_array, write_segment
from rag.indexing.words.terms import Counted, Tokenizer

ROWS_PER_SEGMENT = 1 << 18
_NOTHING = np.empty((0, 2), np.uint32)


def write_words(root: Path, rows: Rows, counted: Counted) -> SegmentInfo:
    """Write a word segment: (n,) ascending rows and the counted words of their texts, in the same order."""

    def fill(directory: Path) -> None:
        ends = np.cumsum([0, *map(len, counted.terms)])
        write_array(directory / "terms.npy", np.frombuffer(b"".join(counted.terms), np.uint8))
        write_array(directory / "directory.npy", np.stack([ends, counted.starts], axis=1).astype(np.int64))
        write_array(directory / "postings.npy", counted.postings)
        write_array(directory / "lengths.npy", counted.lengths)

    return write_segment(root, SegmentContent("words", "", Tokenizer.fingerprint, 0), rows, fill)


class WordSegment(Segment):
    """An open word segment."""

    def __init__(self, root: Path, info: SegmentInfo) -> None:
        super().__init__(root, info)
        self.lengths: NDArray[np.uint32] = load_array(self.path / "lengths.npy", np.uint32, (info.n,))
        self._terms: NDArray[np.uint8] = load_array(self.path / "terms.npy", np.uint8, (-1,))
        self._directory: NDArray[np.int64] = load_array(self.path / "directory.npy", np.int64, (-1, 2))
        self._postings: NDArray[np.uint32] = load_array(self.path / "postings.npy", np.uint32, (-1, 2))

    def __len__(self) -> int:
        """The number of distinct terms."""
        return len(self._directory) - 1

    def __getitem__(self, number: int) -> bytes:
        """A term by its place in the order."""
        return bytes(self._terms[self._directory[number, 0] : self._directory[number + 1, 0]])

    def postings(self, term: bytes) -> NDArray[np.uint32]:
        """(m, 2): positions of the passages with ``term``, and how often each has it."""
        number = bisect_left(self, term)
        if number == len(self) or self[number] != term:
            return _NOTHING
        return self._postings[self._directory[number, 1] : self._directory[number + 1, 1]]

    def counted(self) -> Counted:
        """The whole segment in memory."""
        return Counted(
            terms=[self[number] for number in range(len(self))],
            starts=np.array(self._directory[:, 1]),
            postings=np.array(self._postings),
            lengths=np.array(self.lengths),
        )


def merge_words(parts: Sequence[WordSegment], dead: Rows) -> tuple[Rows, Counted]:
    """Several segments as one, without the passages in ``dead``."""
    rows = np.concatenate([part.rows for part in parts])
    order = np.argsort(rows)
    order = order[~np.isin(rows[order], dead)]
    place = np.full(len(rows), -1, np.int64)  # from position in the concatenation to position in the result
    place[order] = np.arange(len(order))
    counted = [part.counted() for part in parts]
    terms = sorted({term for one in counted for term in one.terms})
    number_of = {term: number for number, term in enumerate(terms)}
    offsets = np.cumsum([0, *(len(part.rows) for part in parts)])
    columns = []
    for offset, one in zip(offsets, counted, strict=False):
        number = np.array([number_of[term] for term in one.terms], np.int64)
        position = place[one.postings[:, 0].astype(np.int64) + offset]
        columns.append(np.stack([np.repeat(number, np.diff(one.starts)), position, one.postings[:, 1]], axis=1))
    table = np.concatenate(columns)
    table = table[table[:, 1] >= 0]
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    used, numbers = np.unique(table[:, 0], return_inverse=True)
    return rows[order], Counted(
        terms=[terms[number] for number in used],
        starts=np.searchsorted(numbers, np.arange(len(used) + 1)),
        postings=table[:, 1:].astype(np.uint32),
        lengths=np.concatenate([one.lengths for one in counted])[order],
    )
