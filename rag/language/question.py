"""What a question asks, in the vocabulary of assertions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from rag.language.cues import Place, load_cues
from rag.language.lexicon import Lexicon
from rag.language.statements import Assertion, statements_of
from rag.language.tokens import Token, tokens_of

_AUXILIARY = r"is|are|was|were|do|does|did|can|could|has|have|had|should|would|will|may|might|isn't|aren't|doesn't"
_YES_NO = re.compile(rf"^(?:[^,?]{{1,80}},\s*)?(?:{_AUXILIARY})\b", re.I)
_LEADING = re.compile(rf"^(?:[^,?]{{1,80}},\s*)?(?:{_AUXILIARY})\b\s*(?:there\b|it\b|this\b)?", re.I)


_PATIENT = re.compile(
    rf"^(?:{_AUXILIARY})\s+(?:there|the|this|these|his|her|their|both)\b|\b(?:this|the|my|your)\s+(?:patient|person|image|"
    r"picture|photo\w*|x-?ray|radiograph|film|scan|slide|section|study|case|report|chest)\b",
    re.I,
)
_REPORTS = re.compile(r"\b(?:report|case|stud(?:y|ies)|patient|example)s?\b", re.I)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read.

    ``claims`` are what a *yes* would assert; one of them is enough. ``words`` are the lemmas that carry content, for
    texts the lexicon does not know. ``topics`` are the concepts mentioned, whatever is said of them. ``about_patient``
    questions ask about somebody ("is there an effusion?"), not about medicine. ``for_reports`` questions ask for the
    reports of patients ("which cases have a granuloma?"). ``hedged`` questions ("could it represent ...") are met by
    hedged evidence.
    """

    text: str
    yes_no: bool
    claims: tuple[Assertion, ...]
    words: frozenset[str]
    topics: frozenset[str]
    about_patient: bool
    for_reports: bool
    place: Place
    hedged: bool
    change: bool


def read_question(text: str, lexicon: Lexicon, ignore: str | None = None) -> Asked:
    """Parse ``text``; ``ignore`` (a study id) is taken out first."""
    plain = text.replace(ignore, " ") if ignore else text
    plain = re.sub(
        r"\b(?:study|case|report|patient|image)\s+(?=show|demonstrate|have|has|\W|$)", " ", plain, flags=re.I
    )
    yes_no = bool(_YES_NO.match(plain.strip()))
    body = _LEADING.sub("", plain.strip(), count=1) if yes_no else plain
    body = body.rstrip(" ?.")
    tokens = tokens_of(body)
    lemmas = [t.lemma for t in tokens]
    statement = _lead_ins().sub(" ", body)
    claims = tuple(
        replace(a, status="absent" if a.status == "absent" else "present")
        for a in statements_of(tokens_of(statement), lexicon, (0, len(statement)))
        if not a.derived
    )
    return Asked(
        text=text,
        yes_no=yes_no,
        claims=claims,
        words=content_of(tokens),
        topics=frozenset(m.concept for m in lexicon.mentions(tokens)),
        about_patient=bool(_PATIENT.search(plain.strip())),
        for_reports=bool(_REPORTS.search(text)),
        place=load_cues().place(tokens),
        hedged=not load_cues().hedges.isdisjoint(t.text.lower() for t in tokens),
        change=bool({"change", "changed", "difference"} & set(lemmas))
        and not any(lexicon.concepts[c.concept].kind == "finding" for c in claims),
    )


def content_of(tokens: Iterable[Token]) -> frozenset[str]:
    """Lemmas of the words and numbers that carry content."""
    stop = load_cues().stop_words
    return frozenset(t.lemma for t in tokens if t.is_word and t.lemma not in stop and t.text.lower() not in stop)


@lru_cache(maxsize=1)
def _lead_ins() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(load_cues().lead_ins)})\b(?:\s+(?:of|for))?", re.I)
