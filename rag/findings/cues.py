"""The words that assert, deny, doubt and locate: ``knowledge/assertion.toml``, ready for use."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from rag.errors import InputError
from rag.settings import knowledge_dir
from rag.types import sha256_of

Status = Literal["present", "absent", "uncertain", "historical"]
Effect = Literal["present", "absent", "uncertain", "historical", "none"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is and how much of it there is, as far as words say so; empty sets where they do not.

    ``sides`` holds ``left`` and ``right`` for bilateral findings.
    """

    sides: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    degrees: frozenset[str] = frozenset()


NOWHERE = Place()


@dataclass(frozen=True)
class Cues:
    """Cue and state phrases as word tuples, longest first; side, zone and degree words with what they mean."""

    before: tuple[tuple[tuple[str, ...], Effect], ...]
    after: tuple[tuple[tuple[str, ...], Effect], ...]
    breaks: frozenset[str]
    verbs: frozenset[str]
    negation_ends: frozenset[str]
    states: tuple[tuple[tuple[str, ...], str], ...]
    sides: Mapping[str, str]
    zones: Mapping[str, str]
    degrees: Mapping[str, str]
    inside: frozenset[str]
    lead_ins: tuple[str, ...]
    hedges: frozenset[str]
    stop_words: frozenset[str]
    fingerprint: str

    def place(self, words: Iterable[str]) -> Place:
        """The sides, zones and degrees among ``words`` (lemmas)."""
        words = list(words)
        sides = {self.sides[w] for w in words if w in self.sides}
        return Place(
            frozenset({"left", "right"} if "both" in sides else sides),
            frozenset(self.zones[w] for w in words if w in self.zones),
            frozenset(self.degrees[w] for w in words if w in self.degrees),
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
        data = tomllib.loads(text)
        sides, zones, degrees = (_inverted(data[name]) for name in ("side", "zone", "degree"))
        return Cues(
            before=_phrases(data["before"]),
            after=_phrases(data["after"]),
            breaks=frozenset(data["clause"]["breaks"]),
            verbs=frozenset(data["clause"]["verbs"]),
            negation_ends=frozenset(data["clause"]["negation_ends"]),
            states=_phrases(data["state"]),
            sides=sides,
            zones=zones,
            degrees=degrees,
            inside=frozenset({*sides, *zones, *degrees, *data["inside"]["words"]}),
            lead_ins=tuple(sorted(data["question"]["lead_ins"], key=len, reverse=True)),
            hedges=frozenset(data["question"]["hedges"]),
            stop_words=frozenset(data["question"]["stop_words"]),
            fingerprint=sha256_of(text)[:16],
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise InputError(f"the cue words {path} cannot be used: {error}") from error


def _phrases(table: Mapping[Any, list[str]]) -> tuple[tuple[tuple[str, ...], Any], ...]:
    """(words, key) of every phrase under every key, longest first."""
    rows = [(tuple(phrase.split()), effect) for effect, phrases in table.items() for phrase in phrases]
    return tuple(sorted(rows, key=lambda row: -len(row[0])))


def _inverted(table: Mapping[str, list[str]]) -> dict[str, str]:
    return {word: meaning for meaning, words in table.items() for word in words}
