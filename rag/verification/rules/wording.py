"""What a text says, word by word: the words that carry content, with their polarity, their clause and their number.

Where the finding lexicon is silent, a sentence and its evidence are compared by these: one word meets another that is
the same, derived from it, or known to mean the same; "benign" denies "malignant"; and a word that stands under a
negation on one side only is a contradiction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import tomli

from rag.corpus.sentences import sentence_spans
from rag.errors import InputError
from rag.language.clinical_text import Texts
from rag.language.context import ContextReader
from rag.language.cues import Phrases, Place, Status, load_cues
from rag.language.quantities import Quantity, quantities_of
from rag.language.scope import Clause
from rag.language.tokens import Token
from rag.settings import knowledge_dir

Embed = Callable[[Sequence[str]], np.ndarray]  # texts -> unit vectors, float32 (n, dim)
ALIKE = 0.62  # cosine of two words' vectors from which one may stand for the other
_CUES = frozenset({"absent", "none", "uncertain", "historical", "family"})  # cues that are no content themselves
_KINDS = ("itis", "osis", "oma", "ectomy", "emia", "uria", "algia", "plasia", "trophy", "pathy", "plasty", "oscopy")
_PART_ENDS = frozenset({",", ";", "and", "but", "versus", "vs", "compared"})
_DENYING = ("un", "in", "ir", "im", "non", "a", "dis")
_SEGMENT_ENDS = frozenset({",", ";", "and", "with", "but", ":", "which"})


@dataclass(frozen=True, slots=True)
class Word:
    """A content word: its name (one for all words that mean the same), status, token, and segment."""

    name: str
    text: str
    status: Status
    token: int
    segment: int


@dataclass(frozen=True, slots=True)
class WordClause:
    """A part of a sentence between commas and conjunctions: its place, and the numbers in it."""

    place: Place
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True)
class Wording:
    """A text, read."""

    tokens: tuple[Token, ...]
    words: tuple[Word, ...]
    segments: tuple[WordClause, ...]
    quantities: tuple[Quantity, ...]
    parts: tuple[tuple[int, int], ...]

    def said_of(self, q: Quantity) -> frozenset[int]:
        """The words (by index) that a number is said of: those of its part of the sentence, between "and" and commas.

        A part that begins with its number goes on about the subject of the first one: "2.1% with warfarin and 1.4% with
        apixaban".
        """
        return self._bound[q.first]

    @cached_property
    def _bound(self) -> dict[int, frozenset[int]]:
        bound: dict[int, frozenset[int]] = {}
        subject: frozenset[int] = frozenset()
        for first, last in self.parts:
            numbers = [q for q in self.quantities if first <= q.first < last]
            mine = [i for i, w in enumerate(self.words) if first <= w.token < last]
            if not numbers:
                continue
            before = frozenset(i for i in mine if self.words[i].token < numbers[0].first)
            subject = before or subject
            for q in numbers:
                bound[q.first] = frozenset(mine) | subject
        return bound

    def segment_of(self, token: int) -> int:
        """The segment of a quantity that begins at ``token``."""
        return next(i for i, s in enumerate(self.segments) if any(q.first == token for q in s.quantities))


@dataclass(frozen=True)
class _Knowledge:
    alike: Phrases
    opposites: Mapping[str, frozenset[str]]
    wider: Mapping[str, frozenset[str]]
    light: frozenset[str]
    generic: frozenset[str]


@lru_cache(maxsize=1)
def _knowledge() -> _Knowledge:
    path = knowledge_dir() / "wording.toml"
    try:
        data = tomli.loads(path.read_text(encoding="utf-8"))
        opposites: dict[str, set[str]] = {}
        for a, b in data["opposite"]["pairs"]:
            opposites.setdefault(a, set()).add(b)
            opposites.setdefault(b, set()).add(a)
        return _Knowledge(
            Phrases(data["alike"]),
            {name: frozenset(others) for name, others in opposites.items()},
            {name: frozenset(kinds) for name, kinds in data["wider"].items()},
            frozenset(data["light"]["names"]),
            frozenset(data["generic"]["words"]),
        )
    except (OSError, tomli.TOMLDecodeError, KeyError, ValueError) as error:
        raise InputError(f"the wordings {path} cannot be used: {error}") from error


def wording_of(text: str, texts: Texts) -> Wording:
    """Read ``text``; sentence by sentence, so that no negation reaches into the next one."""
    return texts.once(_wording, text)


def _wording(texts: Texts, text: str) -> Wording:
    tokens: list[Token] = []
    words: list[Word] = []
    segments: list[WordClause] = []
    quantities: list[Quantity] = []
    parts: list[tuple[int, int]] = []
    text = texts.of(text).visible
    for start, end in sentence_spans(text):
        sentence = texts.sentence(text[start:end]).tokens
        offset, first_segment = len(tokens), len(segments)
        numbers = quantities_of(sentence)
        where = _segments(sentence)
        words += _words(sentence, offset, numbers, where, first_segment)
        shifted = [replace(q, first=q.first + offset, last=q.last + offset) for q in numbers]
        for n in range(max(where) + 1 if where else 0):
            inside = [t for t, s in zip(sentence, where, strict=True) if s == n]
            mine = tuple(q for q in shifted if where[q.first - offset] == n)
            place = load_cues().place(inside)
            if n and not place.sides:  # "the left is 0.7, with inferior notching" goes on about the left
                place = replace(place, sides=segments[-1].place.sides)
            segments.append(WordClause(place, mine))
        quantities += shifted
        ends = [i for i, t in enumerate(sentence) if t.word in _PART_ENDS] + [len(sentence)]
        parts += [(a + offset, b + offset) for a, b in zip([0, *ends], ends, strict=False) if a < b]
        tokens += sentence
    return Wording(tuple(tokens), tuple(words), tuple(segments), tuple(quantities), tuple(parts))


def _segments(tokens: Sequence[Token]) -> list[int]:
    """The segment of each token."""
    found, current = [], 0
    for i, token in enumerate(tokens):
        linked = token.word == "with" and i and tokens[i - 1].word in load_cues().goes_on_with
        if token.word in _SEGMENT_ENDS and i and not linked:
            current += 1
        found.append(current)
    return found


def _words(
    tokens: Sequence[Token], offset: int, numbers: Sequence[Quantity], where: Sequence[int], first_segment: int
) -> list[Word]:
    cues, known, reader = load_cues(), _knowledge(), ContextReader(tokens)
    used = {i for q in numbers for i in range(q.first, q.last)}
    used |= {i for c in Clause(tokens).cues if c.meaning in _CUES for i in range(c.first, c.last)}
    found: list[Word] = []
    alike = {f.first: f for f in known.alike.all(tokens)}
    i = 0
    while i < len(tokens):
        token, phrase = tokens[i], alike.get(i)
        last = phrase.last if phrase else i + 1
        if i in used or not token.is_word or (phrase is None and _says_nothing(token, cues.stop_words, known.generic)):
            i += 1
            continue
        place = token.lemma in cues.sides or token.lemma in cues.zones or token.lemma in cues.degrees
        if phrase is not None or not (place or token.text.isdigit()):
            name = str(phrase.meaning) if phrase else token.lemma
            if name.startswith("_"):
                i = last
                continue
            status = reader.context(i, last).status
            text = " ".join(t.text for t in tokens[i:last])
            found += [Word(n, text, status, i + offset, first_segment + where[i]) for n in name.split("+")]
        i = last
    return found


def _says_nothing(token: Token, stop_words: frozenset[str], generic: frozenset[str]) -> bool:
    return not {token.word, token.lemma}.isdisjoint(stop_words) or not {token.word, token.lemma}.isdisjoint(generic)


def meets(a: str, b: str) -> bool:
    """Whether ``b`` says ``a``: they are one, or derived from one ("sensitivity", "sensitive"), or b is an a."""
    if a == b or b in _knowledge().wider.get(a, ()):
        return True
    if a[:4] != b[:4] or opposed(a, b) or any(c.isdigit() for c in a + b):
        return False  # "BRCA1" is no "BRCA2"
    common = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        common += 1
    kinds = {next((k for k in _KINDS if name.endswith(k)), "") for name in (a, b)}
    if len(kinds - {""}) > 1:
        return False  # "diverticulosis" is no "diverticulitis"
    return common >= 4 and common >= 0.6 * min(len(a), len(b)) and max(len(a), len(b)) - common <= 5


def opposed(a: str, b: str) -> bool:
    """Whether one name denies the other: by the table, or by its prefix (hyper-, hypo-; reversible, irreversible)."""
    if b in _knowledge().opposites.get(a, ()):
        return True
    short, long = sorted((a, b), key=len)
    if long.startswith("hyper") and short == "hypo" + long[5:]:
        return True
    return len(short) >= 5 and any(long == prefix + short for prefix in _DENYING)


def light(name: str) -> bool:
    """Whether a sentence loses nothing when its evidence leaves the word out."""
    return name in _knowledge().light
