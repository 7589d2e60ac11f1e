"""A property that a question about medicine in general asks for by its name, and which sentences tell it.

"What is the survival rate of glioblastoma?" is not answered by what glioblastoma is. Search finds what speaks of the
thing; a sentence tells the property where it has a number of its kind or one of its words (``knowledge/wanted.toml``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import tomli

from rag.errors import InputError
from rag.language.clinical_text import Texts
from rag.language.question import Asked, content_of
from rag.language.tokens import tokens_of
from rag.settings import knowledge_dir
from rag.types import Evidence

_ASKS = r"^\W*(?:what|which|(?:tell|give)\s+me)(?:['’]?s|\s+(?:is|are|was|were))?\s+(?:the\s+|an?\s+)?"
_CHOOSES, _ARTICLES = frozenset({"or", "versus", "vs"}), frozenset({"a", "an", "the", "either", "any"})
_GOES_ON = r"(?=\s+(?:rates?\s+|ratio\s+)?(?:of|for|in|among|at|to|with|after|following|from|when|by)\b|\s*(?:[?.!]|$))"


@dataclass(frozen=True, slots=True)
class NamedProperty:
    """What is asked for by name; ``meaning`` goes on from "none says"; ``synonyms``: lines of other names count."""

    name: str
    meaning: str
    asked: re.Pattern[str]
    said: re.Pattern[str]
    synonyms: bool

    def told_by(self, sentence: str) -> bool:
        """Whether a sentence has it, whatever of."""
        return self.said.search(sentence.lower()) is not None


def named_property(asked: Asked) -> NamedProperty | None:
    """The property that an open question asks for by its name; None where it asks for none.

    >>> named_property(read_question("What is the incidence of glaucoma?", lexicon)).meaning    # doctest: +SKIP
    'how common it is'
    """
    if asked.yes_no:
        return None
    text = asked.plain.lower()
    return next((p for p in _knowledge().properties if p.asked.search(text)), None)


def subject_of(asked: Asked, wanted: NamedProperty) -> frozenset[str]:
    """Lemmas of what the property is asked of: the question's words without those that ask for it."""
    return content_of(tokens_of(wanted.asked.sub(" ", asked.plain.lower())))


def why_untold(asked: Asked, evidence: Iterable[Evidence], texts: Texts) -> str | None:
    """Why passages of literature and reports do not answer: none has a sentence that tells the property asked for."""
    wanted = named_property(asked)
    if wanted is None or any(wanted.told_by(s.text) for e in evidence for _, _, s in texts.of(e.text).sentences):
        return None
    if wanted.synonyms and any("Also called:" in e.text for e in evidence):
        return None
    return f"the passages found speak of it, and none says {wanted.meaning}"


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
        rows = data["asked_by_name"]
        properties = tuple(
            NamedProperty(
                row["name"],
                row["as"],
                _asked(row.get("nouns"), row.get("asks", ())),
                re.compile("|".join(f"(?:{p})" for p in row["said"])),
                bool(row.get("synonyms")),
            )
            for row in rows
        )
        return _Knowledge(properties, frozenset(data["documents"]["words"]))
    except (OSError, tomli.TOMLDecodeError, KeyError, re.error) as error:
        raise InputError(f"the properties asked for by name, {path}, cannot be used: {error}") from error


def _asked(nouns: str | None, asks: Iterable[str]) -> re.Pattern[str]:
    named = [rf"{_ASKS}(?:[\w-]+\s+){{0,3}}?(?:{nouns}){_GOES_ON}"] if nouns else []
    return re.compile("|".join([*named, *(rf"^\W*(?:{a})" for a in asks)]))
