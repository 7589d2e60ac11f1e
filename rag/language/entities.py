"""What a question is about by name: a passage in which the name does not stand answers another question.

Names are the words that general English does not have, and those with a digit or a capital inside: "Which gene is
mutated in Alport syndrome?", "What is the function of MAGT1?".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import takewhile

from rag.language.cues import load_cues
from rag.language.tokens import Token, tokens_of
from rag.language.typed import english_words

_LEAST = 2  # letters and digits of a name
_NO_LETTERS = re.compile(r"[\W_]+")
_LETTERED = re.compile(r"\b(\w{3,})[ -]A\b(?= [a-z]|[^\w ]|$)")


def names_of(question: str) -> frozenset[str]:
    """The names in a question: what their singular and plural share, without case and hyphens.

    >>> sorted(names_of("Which gene is mutated in Alport syndrome, and is it PKD1?"))
    ['alport', 'pkd1']
    """
    found = {_stem(t) for t in tokens_of(question) if is_name(t)}
    return frozenset(name for name in found if len(name) >= _LEAST)


def speaks_of(names: Collection[str], text: str) -> bool:
    """Whether all of ``names`` stand in ``text``, however they are joined: "GDF-15" is "GDF15"."""
    if not names:
        return True
    bare = _bare(text)
    return all(name in bare for name in names)


def lettered(question: str) -> frozenset[str]:
    """Things told apart by the letter A, which everywhere else is an article.

    >>> sorted(lettered("Does vitamin A prevent a second stroke?"))
    ['vitamin']
    """
    return frozenset(m[1].lower() for m in _LETTERED.finditer(question))


def has_letter(thing: str, text: str) -> bool:
    """Whether a text speaks of that thing with the letter A."""
    return re.search(rf"\b(?i:{re.escape(thing)})[ -]A\b", text) is not None


def is_name(token: Token) -> bool:
    words = {token.word, token.lemma}
    if not token.is_word or not words.isdisjoint(load_cues().stop_words):
        return False
    return any(c.isupper() or c.isdigit() for c in token.text[1:]) or words.isdisjoint(english_words())


def _stem(token: Token) -> str:
    pairs = zip(token.word, token.lemma, strict=False)
    return _bare("".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _bare(text: str) -> str:
    return _NO_LETTERS.sub("", text.lower())
