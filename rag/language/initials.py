"""Abbreviations that are the initials of what a question names: "PD" where Parkinson's disease is asked about.

Articles write a name once and its initials ever after. The question has the name, so that no list of them is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.language.tokens import Token, tokens_of

_INITIALS = re.compile(r"[A-Z]{2,6}")
_DEFINED = r"((?:[\w'’-]+\s+){1,8})\(\s*%s\s*\)"


def in_full(text: str, question: str) -> str:
    """``text`` with the initials of words that stand together in ``question`` written out.

    Not where the text itself says that they are those of something else.

    >>> in_full("Isradipine did not slow PD.", "Is isradipine effective for Parkinson's disease?")
    "Isradipine did not slow Parkinson's disease."
    """
    found = {m[0] for m in re.finditer(rf"\b{_INITIALS.pattern}\b", text)}
    for letters in sorted(found - set(_INITIALS.findall(question))):
        name = _named(letters, [t for t in tokens_of(question) if t.is_word], question)
        if name and not _of_another(letters, name, text):
            text = re.sub(rf"\b{letters}\b", lambda _, name=name: name, text)  # type: ignore[misc]
    return text


def _named(letters: str, words: Sequence[Token], question: str) -> str:
    """The words of the question whose initials these are; empty where there are none."""
    for n in range(len(words) - len(letters) + 1):
        some = words[n : n + len(letters)]
        if all(w.word[0] == letter.lower() and len(w.word) > 1 for w, letter in zip(some, letters, strict=True)):
            return question[some[0].start : some[-1].end]
    return ""


def _of_another(letters: str, name: str, text: str) -> bool:
    """Whether the text writes them behind other words: "atopic dermatitis (AD)"."""
    defined = re.search(_DEFINED % letters, text)
    if defined is None:
        return False
    before = {t.lemma for t in tokens_of(defined[1])}
    return not any(t.lemma in before for t in tokens_of(name))
