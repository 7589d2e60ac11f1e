"""What a general question asks about, and what it asks of it: "does MYC | inhibit | apoptosis?".

The words that relate things are in knowledge/relations.toml; without one of them a question parts at its article ("is
MYC | a tumour suppressor?").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import tomli

from rag.errors import InputError
from rag.language.clinical_text import Texts
from rag.language.cues import load_cues
from rag.language.tokens import Token, tokens_of
from rag.settings import knowledge_dir
from rag.verification.rules.wording import meets

# they open a question; inside, they part a statement
LEADS = frozenset({
    "is", "are", "was", "were", "do", "does", "did", "can", "could", "has", "have", "had", "should", "would", "will",
    "may", "might",
})  # fmt: skip
ARTICLES = frozenset({"a", "an", "the", "any"})
PREPOSITIONS = frozenset({
    "of", "in", "on", "at", "by", "for", "from", "with", "to", "into", "via", "through", "among", "between", "during",
    "after", "before", "against", "as", "than", "under",
})  # fmt: skip
LINKS = frozenset({"and", "or", ",", "/", "&", "as", "well"})
FUNCTION_WORDS = (
    LEADS | ARTICLES | PREPOSITIONS | LINKS | {"there", "it", "be", "been", "this", "these", "that", "those"}
)
NAMING = ("ion", "ions", "or", "ors", "ment", "er", "ers", "ance", "ist", "ists")


class Relations(NamedTuple):
    """The words of knowledge/relations.toml."""

    directed: frozenset[str]
    mutual: frozenset[str]
    said: frozenset[str]
    without: frozenset[str]
    denying: frozenset[str]
    excluding: frozenset[str]
    open: tuple[str, ...]
    efficacy: frozenset[str]
    outcome: frozenset[str]
    failed: tuple[str, ...]
    worked: tuple[str, ...]


class Roles(NamedTuple):
    """What a question asks about, and what it asks of it; of a directed relation also by which word."""

    subject: tuple[str, ...]
    rest: tuple[str, ...]
    verb: str
    directed: bool
    passive: bool


def roles_of(question: str, texts: Texts) -> Roles:
    """The parts of a question; all of them empty where it has none that are known."""
    return texts.once(_roles_of, question)


def _roles_of(texts: Texts, question: str) -> Roles:
    tokens = tokens_of(question.rstrip(" ?."))
    lead = tokens[0].word if tokens and tokens[0].word in LEADS else ""
    body = tokens[1:] if lead else tokens
    at, verb = _parting(body)
    if at is None or (body and body[0].word == "there"):
        return Roles((), (), "", False, False)
    subject, rest = _content(body[:at]), _content(body[at:])
    known = relations()
    directed = bool(verb) and any(meets(w, verb) for w in known.directed)
    after = body[at + 1 :] if verb else body[at:]
    passive = directed and any(t.word == "by" for t in after[:2])
    if directed and not passive and lead in ("is", "are", "was", "were", "has", "have") and verb.endswith("ed"):
        directed = False  # "is it used to treat", "is it indicated in": who does it stands nowhere
    return Roles(subject, rest, verb, directed, passive)


def _parting(body: Sequence[Token]) -> tuple[int | None, str]:
    """Where what is asked about ends, and the word of the relation where one is known."""
    for i in range(1, len(body)):
        word, before = body[i].word, body[i - 1].word
        if not _content(body[:i]):
            continue
        if word in LEADS:
            return i, next((t.lemma for t in body[i + 1 : i + 3] if _relates(t.word)), "")
        if body[i].text in ARTICLES and before not in PREPOSITIONS | LINKS:  # there is none in "vitamin A"
            return i, ""
        following = body[i + 1].word if i + 1 < len(body) else ""
        if (
            before not in PREPOSITIONS
            and body[i - 1].text not in ARTICLES
            and _relates(word)
            and not _relates(following)
        ):
            return i, body[i].lemma
    return None, ""


def _relates(word: str) -> bool:
    """Whether a word is a verb or an adjective that relates things; "suppressor" names one."""
    known = relations()
    stems = known.directed | known.mutual | known.said
    return word in stems or (not word.endswith(NAMING) and any(is_form(word, stem) for stem in stems))


def is_form(word: str, stem: str) -> bool:
    """Whether a word is a form of a relation's word."""
    return word == stem or (len(word) > 3 and word.rstrip("s") == stem) or meets(stem, word)


def _content(tokens: Sequence[Token]) -> tuple[str, ...]:
    stop = load_cues().stop_words
    return tuple(t.lemma for t in tokens if t.is_word and stop.isdisjoint((t.word, t.lemma)))


@lru_cache(maxsize=1)
def relations() -> Relations:
    """Those of knowledge/relations.toml."""
    path = knowledge_dir() / "relations.toml"
    try:
        data = tomli.loads(path.read_text(encoding="utf-8"))
        parts = ("directed", "mutual", "said", "without", "denying", "excluding", "efficacy")
        words = {part: frozenset(data[part]["words"]) for part in parts}
        told = data["efficacy"]
        return Relations(
            **words,
            open=tuple(data["open"]["phrases"]),
            outcome=frozenset(told["outcome"]),
            failed=tuple(told["failed"]),
            worked=tuple(told["worked"]),
        )
    except (OSError, tomli.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"the relations {path} cannot be used: {error}") from error
