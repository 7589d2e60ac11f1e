"""A question as certificates see it: what kind of evidence it is about, what it asks for, and how it is worded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from rag.language.cues import load_cues
from rag.language.forms import Form
from rag.language.lexicon import Lexicon
from rag.language.question import Asked
from rag.language.tokens import tokens_of
from rag.types import Hit

Scope = Literal["study", "image", "literature"]


class Posed(NamedTuple):
    """What of a question decides whether a certificate covers it.

    Attributes:
        scope: the kind of yes/no question; None for an open one.
        form: what it asks for; see :mod:`rag.language.forms`.
        wording: its features, see :func:`wording_of`, and the word behind each.
    """

    scope: Scope | None
    form: Form = "presence"
    wording: Mapping[str, str] = {}


def pose(asked: Asked, hits: Sequence[Hit], lexicon: Lexicon, study: str | None) -> Posed:
    """A question that was read and searched; the id of its ``study`` is no word of it."""
    return Posed(scope_of(asked, hits), asked.form, wording_of(asked.text, lexicon, study) if asked.yes_no else {})


def scope_of(asked: Asked, hits: Sequence[Hit]) -> Scope | None:
    """The kind of yes/no question, as certificates name it; None for an open one."""
    if not asked.yes_no:
        return None
    if any(h.channel == "study" for h in hits):
        return "study"
    return "image" if any(h.by_image for h in hits) else "literature"


def wording_of(text: str, lexicon: Lexicon, study: str | None = None) -> dict[str, str]:
    """What a question is made of: feature -> the word behind it.

    What the reader knows by kind counts by its kind (``<finding>``, ``<side>``, ``<number>``): one finding is read like
    another. Every other word that carries content is left unread, and counts itself; certificates keep the first eight
    digits of its hash and no word.
    """
    cues = load_cues()
    tokens = tokens_of(text.replace(study, " ") if study else text)
    kinds = {i: f"<{m.kind}>" for m in lexicon.mentions(tokens) for i in range(m.first, m.last)}
    kinds |= {i: "<course>" for c in cues.courses.all(tokens) for i in range(c.first, c.last) if i not in kinds}
    tables = (("<side>", cues.sides), ("<zone>", cues.zones), ("<degree>", cues.degrees))
    features: dict[str, str] = {}
    for i, token in enumerate(tokens):
        word = token.lemma
        known = kinds.get(i) or next((kind for kind, words in tables if word in words), None)
        if known is None and word[:1].isdigit():
            known = "<number>"
        if known is not None:
            features[known] = word
        elif token.is_word and word not in cues.stop_words and token.text.lower() not in cues.stop_words:
            features[hashlib.sha256(word.encode()).hexdigest()[:8]] = word
    return features
