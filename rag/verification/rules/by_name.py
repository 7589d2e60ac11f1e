"""A property that a question about medicine in general asks for by its name, and which sentences tell it.

"What is the survival rate of glioblastoma?" is not answered by what glioblastoma is. Search finds what speaks of the
thing; a sentence tells the property where it has a number of its kind or one of its words (``knowledge/wanted.toml``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Any, NamedTuple

import tomli

from rag.errors import InputError
from rag.language.clinical_text import ClinicalSentence, Texts
from rag.language.lexicon import Lexicon
from rag.language.question import Asked, content_of
from rag.language.tokens import Token, tokens_of
from rag.settings import knowledge_dir
from rag.types import Evidence

_NO_NAME = (
    r"of|for|in|on|to|with|by|from|after|between|and|or|than|as|how|why|when|where|who|what|which|if|that|"
    r"do|does|did|is|are|was|were|can|could|may|should|has|have|had|not|no"
)
_LEADS = (
    r"^\W*(?:(?:what|which|(?:tell|give)\s+me|list|name|describe|explain)(?:['’]?s|\s+(?:is|are|was|were))?\s+)?"
    rf"(?:(?:the|an?|any|some|all)\s+)?((?:(?!(?:{_NO_NAME})\b)[\w'-]+\s+){{0,3}}?)(?:(?:rate|risk|chance)s?\s+of\s+)?"
)
_GOES_ON = (
    r"(?=\s+(?:rates?\s+|ratio\s+)?(?:of|for|in|among|at|to|with|after|following|from|when|by|during)\b|\s*(?:[?.!]|$))"
)
_CHOOSES, _ARTICLES = frozenset({"or", "versus", "vs"}), frozenset({"a", "an", "the", "either", "any"})
_OTHER_NAMES = re.compile(r"Also called:")  # a line of an ontology's passages
_ASKS = re.compile(
    r"\W*(?:what|which|who|how|why|when|where|is|are|do|does|did|can|should)\b.*\?\W*$|\W*see\b", re.I | re.S
)
_AIMS = re.compile(
    r"\b(?:research|stud(?:y|ies)|trials?|scientists|researchers|investigators)\b.*"
    r"\b(?:new ways|ways to|goals?|aim(?:s|ed)?|focus\w*|hopes?|better understand\w*)\b",
    re.I | re.S,
)
_ASKS_NOT = re.compile(r"\b(?:what|which|who|when|where)\b[^?]*(?:\b(?:not|never|cannot|except)\b|n['’]t\b)", re.I)
_DENIES = re.compile(
    r"\b(?:no|not|never|nor|neither|none|cannot|without|except|unlike|rather than|lack\w*|absen\w+|fail\w*|"
    r"exclud\w+|spar\w+)\b|n['’]t\b",
    re.I,
)
_OF = re.compile(r"\s+of\s+(.+?)\s+(?:in|for|with|during|after|among|when|by|from|at)\s")
_PHRASES = re.compile(rf"\b(?:{_NO_NAME}|exist|there)\b|[^\w\s'-]")
_KINDS = frozenset({"type", "kind", "form", "sort", "class", "category", "variety", "group", "subtype", "variant"})
_COUNTS = 5  # words from a number to what it counts, and what does not stand between them
_ENDS = re.compile(rf"the|a|an|{_NO_NAME}")


@dataclass(frozen=True, slots=True)
class NamedProperty:
    """What is asked for by name; ``meaning`` goes on from "none says"; ``synonyms``: lines of other names count."""

    name: str
    meaning: str
    asked: tuple[re.Pattern[str], ...]
    said: re.Pattern[str]
    synonyms: bool
    counted: bool
    whole: bool


class Sought(NamedTuple):
    """A property and what it is asked of: the question's lemmas and concepts; ``counted``: what a number must count."""

    property: NamedProperty
    subject: frozenset[str]
    topics: frozenset[str]
    counted: frozenset[str]

    def told_by(self, sentence: ClinicalSentence, title: ClinicalSentence, lexicon: Lexicon) -> bool:
        """Whether a sentence under a title tells the property of what it is asked of."""
        if _OTHER_NAMES.match(sentence.text):
            told = self.property.synonyms
        else:
            told = states_something(sentence.text) and not _AIMS.search(sentence.text) and self._said(sentence)
        return told and self._of_subject(sentence, title, lexicon)

    def titles(self, title: ClinicalSentence) -> bool:
        """Whether a title announces the property: "Treatment of glaucoma"."""
        return self.property.said.search(title.text) is not None

    def _said(self, sentence: ClinicalSentence) -> bool:
        if not self.property.counted:
            return self.property.said.search(sentence.text) is not None
        places = (i for i, t in enumerate(sentence.tokens) if t.lemma in self.counted)
        return any(self.property.said.match(t.word) for i in places for t in _attributes(sentence.tokens[:i]))

    def _of_subject(self, sentence: ClinicalSentence, title: ClinicalSentence, lexicon: Lexicon) -> bool:
        if self.property.whole:
            return 2 * len(self.subject & sentence.words) >= len(self.subject)
        if not self.subject or self.subject & (sentence.words | title.words):
            return True
        told = {m.concept for m in (*sentence.mentions, *title.mentions)}
        return any(lexicon.is_a(t, topic) for t in told for topic in self.topics)


def _attributes(before: Sequence[Token]) -> Iterator[Token]:
    """The words before a noun that may belong to it, from the nearest one on: "two main", not "4 patients the"."""
    near = reversed(before[-_COUNTS:])
    return takewhile(lambda t: t.is_word and not _ENDS.fullmatch(t.word), near)


def asks_what_is_not(asked: Asked) -> bool:
    """Whether an open question asks for what is not so: "what does not cause it?"."""
    return not asked.yes_no and _ASKS_NOT.search(asked.plain) is not None


def denies_something(sentence: str) -> bool:
    """Whether it has a word that says what is not so."""
    return _DENIES.search(sentence) is not None


def states_something(sentence: str) -> bool:
    """Whether it is no line of other names, and no question itself, as headings of pages for patients are."""
    return _OTHER_NAMES.match(sentence) is None and _ASKS.match(sentence) is None


def sought(asked: Asked) -> Sought | None:
    """The property that an open question asks for by its name, and of what; None where it asks for none.

    >>> sought(read_question("What is the incidence of glaucoma?", lexicon)).property.meaning    # doctest: +SKIP
    'how common it is'
    """
    if asked.yes_no:
        return None
    text = asked.plain.lower()
    for one in _knowledge().properties:
        if match := next((m for pattern in one.asked if (m := pattern.search(text))), None):
            rest = text[match.end() :]
            counted = _counted(rest) if one.counted else frozenset()
            if of := _OF.match(rest):  # the dose of colchicine in gout is one of colchicine
                return Sought(one, _subject(match, of[1]), frozenset(), counted)
            return Sought(one, _subject(match, rest), asked.topics, counted)
    return None


def _subject(match: re.Match[str], asked_of: str) -> frozenset[str]:
    """Lemmas of what a property is asked of, with those before its name: "5-year survival", "eye pressure"."""
    return content_of(tokens_of(" ".join((*(group or "" for group in match.groups()), asked_of))))


def _counted(rest: str) -> frozenset[str]:
    """Lemmas of what "how many" asks to count, of kinds also of what they are kinds of."""
    phrases = [p for p in _PHRASES.split(rest) if p.strip()]
    named = content_of(tokens_of(phrases[0])) if phrases else frozenset[str]()
    if not named & _KINDS:
        return named
    return named | _KINDS | (content_of(tokens_of(phrases[1])) if len(phrases) > 1 else frozenset())


def why_untold(asked: Asked, evidence: Iterable[Evidence], texts: Texts) -> str | None:
    """Why passages of literature and reports do not answer: none has a sentence that tells the property asked for."""
    wanted = sought(asked)
    if wanted is None:
        return None
    for e in evidence:
        title = texts.sentence(e.title)
        if any(wanted.told_by(sentence, title, texts.lexicon) for _, _, sentence in texts.of(e.text).sentences):
            return None
    return f"none of the passages found says {wanted.property.meaning}"


def names_nothing(words: Iterable[str]) -> bool:
    """Whether a question's words of content name only what is asked in ("what is a case?")."""
    return all(word.lower() in _knowledge().documents for word in words)


def bare_choice(asked: Asked, texts: Texts) -> str:
    """The things that a question names without a verb ("pneumonia or atelectasis?"), in words; empty where it asks."""
    tokens = tokens_of(asked.plain)
    mentions = texts.lexicon.mentions(tokens)
    inside = {i for m in mentions for i in range(m.first, m.last)}
    outside = {t.word for i, t in enumerate(tokens) if i not in inside and t.is_word}
    if len(mentions) < 2 or not outside & _CHOOSES or not outside <= _CHOOSES | _ARTICLES:
        return ""
    return " and ".join(" ".join(t.text for t in tokens[m.first : m.last]) for m in mentions)


class _Knowledge(NamedTuple):
    properties: tuple[NamedProperty, ...]
    documents: frozenset[str]


@lru_cache(maxsize=1)
def _knowledge() -> _Knowledge:
    path = knowledge_dir() / "wanted.toml"
    try:
        data = tomli.loads(path.read_text(encoding="utf-8"))
        return _Knowledge(tuple(_property(row) for row in data["asked_by_name"]), frozenset(data["documents"]["words"]))
    except (OSError, tomli.TOMLDecodeError, KeyError, re.error) as error:
        raise InputError(f"the properties asked for by name, {path}, cannot be used: {error}") from error


def _property(row: dict[str, Any]) -> NamedProperty:
    named = [rf"{_LEADS}(?:{row['nouns']}){_GOES_ON}"] if "nouns" in row else []
    return NamedProperty(
        row["name"],
        row["as"],
        tuple(re.compile(p) for p in (*named, *(rf"^\W*(?:{a})" for a in row.get("asks", ())))),
        re.compile("|".join(f"(?:{p})" for p in row["said"]), re.I),
        bool(row.get("synonyms")),
        bool(row.get("counted")),
        bool(row.get("whole")),
    )
