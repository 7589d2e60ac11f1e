"""What a sentence in another language says of a finding: ``[reading]`` of ``knowledge/languages/*.toml``.

Rules in the family of NegEx (Chapman et al. 2001): a cue acts on what follows until something ends its scope, or on
what stands right before it. A table is there only for a language in which the rules were measured, and only what is put
plainly is read: doubt, history and findings beside a cue that is not theirs are left to the reader's own eyes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import tomli

from rag.errors import InputError
from rag.language.lexicon import Lexicon
from rag.language.phrasebook import phrasebook
from rag.language.tokens import tokens_of
from rag.settings import knowledge_dir

ForeignStatus = Literal["absent", "present", "uncertain"]
_AFTER = 40  # characters behind a finding in which a cue may deny or doubt it
_LIST = 120  # characters in which a list of what is denied ends
_ASKED = r"\?|¿"


class Assessed(NamedTuple):
    """What a sentence says of a phrase; ``plain``: the rules were right about such in ``right`` of the cases."""

    status: ForeignStatus
    plain: bool


class ForeignFinding(NamedTuple):
    """A finding at text[start:end] and what is said of it."""

    concept: str
    said: Assessed
    start: int
    end: int


@dataclass(frozen=True)
class ForeignReading:
    """The rules of one language.

    ``right`` says how often "absent" and "present" were right where they were measured, and ``measured`` on what.
    """

    right: Mapping[str, float]
    measured: str
    before: re.Pattern[str]
    after: re.Pattern[str]
    stops: re.Pattern[str]
    joins: re.Pattern[str]
    another: re.Pattern[str]
    aside: re.Pattern[str]
    partly: re.Pattern[str]
    doubtful: re.Pattern[str]

    def status(self, text: str, start: int, end: int) -> Assessed:
        """What the one sentence ``text`` says of its phrase text[start:end].

        >>> foreign_reading("es").status("No se observa neumotórax.", 14, 24)
        Assessed(status='absent', plain=True)
        """
        cue = self._before(text, start)
        behind = self.after.match(text[end : end + _AFTER])
        if cue is None and behind is not None:
            return Assessed("absent" if behind.lastgroup == "absent" else "uncertain", False)
        if cue is None:
            return Assessed("present", not (self.doubtful.search(text) or self.aside.search(text)))
        return Assessed(cue, cue == "absent" and not (self.aside.search(text) or self.partly.search(text)))

    def _before(self, text: str, start: int) -> ForeignStatus | None:
        """The cue that acts on what follows it up to ``start``: the last in whose scope that is."""
        cue: ForeignStatus | None = None
        for found in self.before.finditer(text, 0, start):
            between = text[found.end() : start]
            listed = self.joins.search(text[start : start + _LIST]) is not None
            parts = between.split(",")[1:]
            goes_on = not parts or (found.lastgroup == "absent" and (listed or all(map(self.joins.match, parts))))
            if self.stops.search(between) or not goes_on:
                continue
            if found.lastgroup == "none":
                cue = None
            elif found.lastgroup == "uncertain":
                cue = "uncertain"
            elif self.another.search(between) is None:
                cue = "absent"
        return cue


def findings_of(text: str, language: str, lexicon: Lexicon) -> Iterator[ForeignFinding]:
    """The findings that the one sentence ``text`` names; none in a language without rules."""
    reading, book = foreign_reading(language), phrasebook(language)
    if reading is None or book is None:
        return
    for start, end, english in book.findings_in(text):
        mention = next((m for m in lexicon.mentions(tokens_of(english)) if m.kind == "finding"), None)
        if mention is not None:
            yield ForeignFinding(mention.concept, reading.status(text, start, end), start, end)


@lru_cache(maxsize=16)
def foreign_reading(language: str) -> ForeignReading | None:
    """Of the language of an ISO 639-1 code; None where its rules were not measured.

    Raises:
        InputError: the file is no TOML, lacks a table, or a cue is no regular expression.
    """
    path = knowledge_dir() / "languages" / f"{language}.toml"
    if phrasebook(language) is None:
        return None
    try:
        data = tomli.loads(path.read_text(encoding="utf-8")).get("reading")
        if data is None:
            return None
        before, after = _grouped(data["before"]), _grouped(data["after"])
        return ForeignReading(
            right={str(k): float(v) for k, v in data["right"].items()},
            measured=str(data["measured"]),
            before=re.compile(before, re.I),
            after=re.compile(rf"\s*(?:\w+\s+){{0,2}}?(?:{after}|(?P<asked>{_ASKED}))", re.I),
            stops=re.compile(rf"[.;:()]|{_any(data['stops'])}|\s-\s", re.I),
            joins=re.compile(rf"(?:.*\W|^)(?:{'|'.join(data['joins'])})\s", re.I | re.S),
            another=re.compile(rf"\s(?:{'|'.join(data['and'])})\s", re.I),
            aside=re.compile(_any(data["aside"]), re.I),
            partly=re.compile(_any(data["partly"]), re.I),
            doubtful=re.compile(rf"{_any(data['doubtful'])}|{_ASKED}", re.I),
        )
    except (OSError, tomli.TOMLDecodeError, KeyError, AttributeError, TypeError, ValueError, re.error) as error:
        raise InputError(f"the cues {path} cannot be used: {error}") from error


def _any(phrases: Sequence[str]) -> str:
    return rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)"


def _grouped(table: Mapping[str, Sequence[str]]) -> str:
    return "|".join(f"(?P<{meaning}>{_any(phrases)})" for meaning, phrases in table.items())
