"""The words that assert, deny, doubt and locate: ``knowledge/assertion.toml``, ready for use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import tomli

from rag.errors import InputError
from rag.language.tokens import Token, lemma
from rag.settings import knowledge_dir
from rag.types import sha256_of

# unknown: it is spoken of, and said that nobody can tell
Status = Literal["present", "absent", "uncertain", "historical", "hypothetical", "family", "unknown"]
Effect = Literal["present", "absent", "uncertain", "historical", "hypothetical", "family", "unknown", "none", "open"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is, how much, since when, and how it compares with before, as far as words say so.

    ``sides`` holds ``left`` and ``right`` for bilateral findings. Sets are empty where nothing is said.
    """

    sides: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    degrees: frozenset[str] = frozenset()
    course: frozenset[str] = frozenset()
    acuity: frozenset[str] = frozenset()


NOWHERE = Place()
_CLAUSE_WORDS = (
    "adjectives", "breaks", "verbs", "negation_ends", "goes_on_with", "changes", "effects", "effected", "change_links",
    "subjects", "articles", "openers",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CuePhrase:
    """A phrase at tokens[first:last] and what it means."""

    first: int
    last: int
    meaning: Any


class Phrases:
    """Phrases to be found in tokens; a word matches a token as it stands or the token's singular."""

    def __init__(self, table: Mapping[str, Sequence[str]]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for meaning, phrases in table.items():
            for phrase in phrases:
                words = tuple(phrase.split())
                self._by_first.setdefault(words[0], []).append((words, meaning))
        # of two phrases of one length the one that is no singular is meant more exactly: "rules out" is not "rule out"
        for rows in self._by_first.values():
            rows.sort(key=lambda row: (-len(row[0]), all(lemma(w) == w for w in row[0])))

    def at(self, tokens: Sequence[Token], i: int, stop: int | None = None) -> CuePhrase | None:
        """The longest phrase that begins at token ``i`` and ends before ``stop``."""
        token = tokens[i]
        if token.word not in self._by_first and token.lemma not in self._by_first:
            return None
        best: CuePhrase | None = None
        exact = False
        for first in {token.word, token.lemma}:
            for words, meaning in self._by_first.get(first, ()):
                last = i + len(words)
                if last > (len(tokens) if stop is None else stop) or (best and last - i < best.last - i):
                    continue
                pairs = list(zip(words, tokens[i:last], strict=True))
                if not all(w in (t.word, t.lemma) for w, t in pairs):
                    continue
                as_it_stands = all(w == t.word for w, t in pairs)
                if best is None or last > best.last or (as_it_stands and not exact):
                    best, exact = CuePhrase(i, last, meaning), as_it_stands
        return best

    def all(self, tokens: Sequence[Token], but: range = range(0)) -> list[CuePhrase]:
        """Phrases from left to right, longest first, without overlap and outside the tokens ``but``."""
        found: list[CuePhrase] = []
        i = 0
        while i < len(tokens):
            here = None if i in but else self.at(tokens, i, but.start if but and i < but.start else None)
            if here is None:
                i += 1
            else:
                found.append(here)
                i = here.last
        return found


@dataclass(frozen=True)
class Cues:
    """See ``assertion.toml``, whose tables these are; side, zone and degree words with what they mean."""

    before: Phrases
    affirming: Phrases
    adjectives: frozenset[str]
    predicates: Phrases
    auxiliaries: frozenset[str]
    adverbs: frozenset[str]
    modals: frozenset[str]
    negators: frozenset[str]
    answers: Phrases
    past: Phrases
    earlier_adjectives: frozenset[str]
    studies: frozenset[str]
    shows: Phrases
    now: frozenset[str]
    parted_verbs: frozenset[str]
    particles: frozenset[str]
    breaks: frozenset[str]
    stops: Phrases
    verbs: frozenset[str]
    negation_ends: frozenset[str]
    goes_on_with: frozenset[str]
    changes: frozenset[str]
    effects: frozenset[str]
    effected: frozenset[str]
    change_links: frozenset[str]
    subjects: frozenset[str]
    articles: frozenset[str]
    openers: frozenset[str]
    relatives: frozenset[str]
    tellers: frozenset[str]
    states: tuple[tuple[tuple[str, ...], str], ...]
    states_by_word: Mapping[str, Sequence[tuple[tuple[str, ...], str]]]
    sides: Mapping[str, str]
    zones: Mapping[str, str]
    degrees: Mapping[str, str]
    natures: frozenset[str]
    acuities: Mapping[str, str]
    axes: tuple[frozenset[str], ...]
    courses: Phrases
    inside: frozenset[str]
    lead_ins: tuple[str, ...]
    hedges: frozenset[str]
    general: frozenset[str]
    stop_words: frozenset[str]
    turning: frozenset[str]
    denying: frozenset[str]
    vocabulary: frozenset[str]
    asking: frozenset[str]
    fingerprint: str

    def place(self, tokens: Sequence[Token]) -> Place:
        """The sides, zones, degrees, changes and ages that ``tokens`` name."""
        words = [t.lemma for t in tokens]
        sides = {self.sides[w] for w in words if w in self.sides}
        return Place(
            frozenset({"left", "right"} if "both" in sides else sides),
            frozenset(self.zones[w] for w in words if w in self.zones),
            frozenset(self.degrees[w] for w in words if w in self.degrees),
            frozenset(found.meaning for found in self.courses.all(tokens)),
            frozenset(self.acuities[w] for w in words if w in self.acuities),
        )


@lru_cache(maxsize=1)
def load_cues() -> Cues:
    """Read the file once per process.

    Raises:
        InputError: it is missing, is not TOML, or lacks a table.
    """
    path = knowledge_dir() / "assertion.toml"
    try:
        text = path.read_text(encoding="utf-8")
        data = tomli.loads(text)
        sides, zones, degrees = (_inverted(data[name]) for name in ("side", "zone", "degree"))
        predicate, clause, people, earlier = data["predicate"], data["clause"], data["people"], data["earlier"]
        return Cues(
            before=Phrases(data["before"]),
            affirming=Phrases({"present": clause["affirming"]}),
            predicates=Phrases(
                {name: predicate[name] for name in ("seen", "denying", "excluding", "doubting", "assessing")}
            ),
            past=Phrases({"historical": predicate["past"]}),
            earlier_adjectives=frozenset(earlier["adjectives"]),
            studies=frozenset(earlier["studies"]),
            shows=Phrases({"historical": earlier["shows"]}),
            now=frozenset(earlier["now"]),
            parted_verbs=frozenset(data["parted"]["verbs"]),
            particles=frozenset(data["parted"]["particles"]),
            **{name: frozenset(predicate[name]) for name in ("auxiliaries", "adverbs", "modals", "negators")},
            answers=Phrases(data["answer"]),
            **{n: frozenset(clause[n]) for n in _CLAUSE_WORDS},
            stops=Phrases({"stop": clause["breaks"]}),
            relatives=frozenset(people["relatives"]),
            tellers=frozenset(people["tellers"]),
            states=(states := _phrases(data["state"])),
            states_by_word={w: [row for row in states if row[0][0] == w] for w in {row[0][0] for row in states}},
            sides=sides,
            zones=zones,
            degrees=degrees,
            natures=frozenset(data["nature"]["words"]),
            acuities=_inverted(data["acuity"]),
            axes=tuple(map(frozenset, data["axis"]["zones"])),
            courses=Phrases(data["course"]),
            inside=frozenset({*sides, *zones, *degrees, *data["inside"]["words"]}),
            lead_ins=tuple(sorted(data["question"]["lead_ins"], key=len, reverse=True)),
            **{n: frozenset(data["question"][n]) for n in ("hedges", "general", "stop_words", "turning", "denying")},
            vocabulary=frozenset(_words(data)),
            asking=frozenset(data["question"]["asking"]),
            fingerprint=sha256_of(text)[:16],
        )
    except (OSError, tomli.TOMLDecodeError, KeyError) as error:
        raise InputError(f"the cue words {path} cannot be used: {error}") from error


def _words(data: Any) -> Iterator[str]:
    """Every word of every phrase."""
    if isinstance(data, str):
        yield from data.split()
    elif isinstance(data, list | dict):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _words(part)


def _phrases(table: Mapping[Any, list[str]]) -> tuple[tuple[tuple[str, ...], Any], ...]:
    """(words, key) of every phrase under every key, longest first."""
    rows = [(tuple(phrase.split()), effect) for effect, phrases in table.items() for phrase in phrases]
    return tuple(sorted(rows, key=lambda row: -len(row[0])))


def _inverted(table: Mapping[str, Iterable[str]]) -> dict[str, str]:
    return {word: meaning for meaning, words in table.items() for word in words}
