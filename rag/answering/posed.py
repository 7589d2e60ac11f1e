"""A question as certificates see it: what kind of evidence it is about, what it asks for, and how it is worded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from rag.language.clinical_text import Texts
from rag.language.cues import load_cues
from rag.language.forms import Form
from rag.language.lexicon import Lexicon
from rag.language.question import Asked
from rag.language.tokens import tokens_of
from rag.types import Hit, Question

Scope = Literal["study", "image", "literature"]


class Posed(NamedTuple):
    """What of a question decides whether a certificate covers it.

    Attributes:
        scope: the kind of yes/no question; None for an open one.
        form: what it asks for; see :mod:`rag.language.forms`.
        wording: its features, see :func:`features_of`, and the word behind each.
        unread: of the words of its study's report, the share that the lexicon does not know, in [0, 1].
    """

    scope: Scope | None
    form: Form = "presence"
    wording: Mapping[str, str] = {}
    unread: float = 0.0


def pose(asked: Asked, hits: Sequence[Hit], texts: Texts, question: Question) -> Posed:
    """A question that was read and searched; the id of its study is no word of it, an image beside it counts as one."""
    scope = scope_of(asked, hits)
    if scope is None:
        return Posed(None, asked.form)
    own = [h.passage.text for h in hits if h.channel == "study"]
    wording = features_of(asked.text, texts.lexicon, question.study)
    if question.image is not None:
        wording["<image>"] = "an image beside it"
    return Posed(scope, asked.form, wording, unread_of(own, texts))


def unread_of(passages: Sequence[str], texts: Texts) -> float:
    """Of the words that carry content in ``passages``, the share that the lexicon does not know; 0 without any."""
    words = frozenset[str]().union(*(texts.of(text).words for text in passages))
    known = texts.lexicon.vocabulary
    return round(sum(word not in known for word in words) / len(words), 4) if words else 0.0


def scope_of(asked: Asked, hits: Sequence[Hit]) -> Scope | None:
    """The kind of yes/no question, as certificates name it; None for an open one."""
    if not asked.yes_no:
        return None
    if any(h.channel == "study" for h in hits):
        return "study"
    return "image" if any(h.by_image for h in hits) else "literature"


def features_of(text: str, lexicon: Lexicon, study: str | None = None) -> dict[str, str]:
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
    turning = cues.turning | cues.denying
    features: dict[str, str] = {}
    for i, token in enumerate(tokens):
        word = token.lemma
        known = kinds.get(i) or next((kind for kind, words in tables if word in words), None)
        if known is None and word[:1].isdigit():
            known = "<number>"
        if known is not None:
            features[known] = word
        elif token.is_word and (
            token.text.lower() in turning or cues.stop_words.isdisjoint((word, token.text.lower()))
        ):
            features[hashlib.sha256(word.encode()).hexdigest()[:8]] = word
    denied = [token.text for token in tokens if token.text.lower() in cues.denying]
    if len(denied) > 1:
        features["<denied twice>"] = " … ".join(denied)
    return features
