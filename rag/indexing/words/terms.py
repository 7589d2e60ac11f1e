"""From text to terms: what counts as a word, and which words of a question do not count.

The tokenizer is SQLite FTS5's own (Unicode words, diacritics removed, Porter stems), run in memory: its speed is C's,
and the index and the questions cannot disagree about it.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_TERMS = 64
# A question longer than this is cut before it is tokenised: 64 terms come long before.
_MAX_CHARACTERS = 20_000

# FTS5's unicode61 keeps letters and digits; the underscore separates there, so it does here.
_TERM = re.compile(r"[^\W_]+")

# "no", "not" and "without" carry clinical meaning and stay.
STOP_WORDS = frozenset(
    """a about after again all also am an and any are as at be because been before being between both but by can could
    did do does doing done during each either for from further had has have having he her here hers him his how i if in
    into is it its just may me might more most must my of off on once only or other our out over own please same she
    should so some such tell than that the their them then there these they this those through to too under until up us
    very was we were what when where whether which while who whom why will with would you your""".split()  # noqa: SIM905 - a list of words is read as one
)


def terms_of(query: str) -> list[str]:
    """The distinct terms of a free text, in order, at most 64, without stop words.

    A stop word in capitals among other writing is an abbreviation (US, AS, ALL) and stays.
    """
    text = unicodedata.normalize("NFKC", query[:_MAX_CHARACTERS])
    shouting = text.upper() == text
    terms: dict[str, None] = {}
    for word in _TERM.findall(text):
        abbreviation = len(word) > 1 and word.isupper() and not shouting
        if word.lower() in STOP_WORDS and not abbreviation:
            continue
        terms[word.lower()] = None
        if len(terms) == MAX_TERMS:
            break
    return list(terms)


@dataclass(frozen=True)
class Counted:
    """The words of n texts, counted: ``postings[starts[i]:starts[i + 1]]`` is where ``terms[i]`` occurs.

    ``terms`` are UTF-8, ascending; ``postings`` is (m, 2) uint32: position of the text, and how often the term occurs
    there; ``lengths`` is (n,) uint32, the number of words of each text.
    """

    terms: list[bytes]
    starts: NDArray[np.int64]
    postings: NDArray[np.uint32]
    lengths: NDArray[np.uint32]


class Tokenizer:
    """Splits texts into stemmed terms. Safe for many threads, which take turns."""

    fingerprint = "fts5 porter unicode61"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.executescript(
            """
            CREATE VIRTUAL TABLE texts USING fts5 (text, content = '', tokenize = 'porter unicode61');
            CREATE VIRTUAL TABLE terms USING fts5vocab (texts, row);
            CREATE VIRTUAL TABLE occurrences USING fts5vocab (texts, instance);
            """
        )

    def stems(self, terms: Sequence[str]) -> list[bytes]:
        """The distinct stems of a question's terms, in order."""
        with self._lock, self._loaded([" ".join(terms)]) as connection:
            found = connection.execute('SELECT term FROM occurrences ORDER BY "offset"').fetchall()
        return list(dict.fromkeys(term.encode() for (term,) in found))

    def count(self, texts: Sequence[str]) -> Counted:
        """Count the words of each text."""
        with self._lock, self._loaded(texts) as connection:
            table = connection.execute("SELECT term, cnt FROM terms").fetchall()
            total = np.array([occurrences for _, occurrences in table], np.int64)
            # Occurrences come by term, then by text: the terms' totals say where each term's begin.
            where = (text for (text,) in connection.execute("SELECT doc FROM occurrences"))
            text = np.fromiter(where, np.int64, int(total.sum()))
        term = np.repeat(np.arange(len(table)), total)
        fresh = np.ones(len(text), np.bool_)
        fresh[1:] = (np.diff(term) != 0) | (np.diff(text) != 0)
        first = np.flatnonzero(fresh)
        counts = np.diff(np.append(first, len(text)))
        return Counted(
            terms=[name.encode() for name, _ in table],
            starts=np.searchsorted(term[first], np.arange(len(table) + 1)),
            postings=np.stack([text[first], counts], axis=1).astype(np.uint32),
            lengths=np.bincount(text, minlength=len(texts)).astype(np.uint32),
        )

    @contextmanager
    def _loaded(self, texts: Sequence[str]) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN")
        try:
            connection.executemany("INSERT INTO texts (rowid, text) VALUES (?, ?)", enumerate(texts))
            yield connection
        finally:
            connection.execute("INSERT INTO texts (texts) VALUES ('delete-all')")
            connection.execute("COMMIT")
