"""What a question asks, in the vocabulary of assertions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from rag.language.cues import NOWHERE, Place, load_cues
from rag.language.forms import (
    Form,
    Joined,
    asks_for_whole,
    form_of,
    is_choice,
    joined_by,
    plainly_put,
    presupposes,
    unread_part,
)
from rag.language.lexicon import Lexicon
from rag.language.naming import without_study
from rag.language.quantities import Quantity, quantities_of
from rag.language.statements import Assertion, statements_of
from rag.language.tokens import Token, tokens_of

_AUXILIARY = r"is|are|was|were|do|does|did|can|could|has|have|had|should|would|will|may|might|isn't|aren't|doesn't"
_YES_NO = re.compile(rf"^(?:[^,?]{{1,80}},\s*)?(?:{_AUXILIARY})\b", re.I)
_LEADING = re.compile(rf"^(?:[^,?]{{1,80}},\s*)?(?:{_AUXILIARY})\b\s*(?:there\b|it\b|this\b)?", re.I)
_TITLED = re.compile(rf"^(?P<title>[^?]{{2,300}}?)(?:[:.]\s|--)\s*(?P<asked>(?:{_AUXILIARY})\b[^?.:]*\??)$", re.I)
# "Aripiprazole: a new risk factor for gambling?", "PSA levels that fluctuate are reassuring enough?"
_PUT = re.compile(rf"^(?=\S+(?:\s+\S+){{4}})(?:[^?]+(?:[:,]\s|--)[^?:]+|[^?]+\s(?:{_AUXILIARY})\s[^?]+)\?$", re.I)
_ASKS_OPENLY = re.compile(
    r"\b(?:what|which|who|whom|whose|how|why|when|where|list|name|describe|define|explain|compare|show|tell|give|"
    r"summari[sz]e|find|or)\b",
    re.I,
)
_EITHER = re.compile(r"[\s,(]*\byes\s+or\s+no\b[\s)?.]*$", re.I)

_PATIENT = re.compile(
    rf"^(?:{_AUXILIARY})\s+(?:this|these|his|her)\b|\b(?:this|the|my|your)\s+(?:patient|person|image|picture|"
    r"photo\w*|x-?ray|radiograph|film|scan|slide|section|study|case|report|chest)\b|\bmy\s+\w|"
    r"\b(?:i|he|she)(?:'(?:m|ve|s))?\s+(?:have|has|had|am|is|was|feel|feels|felt|got|took|takes?)\b",
    re.I,
)
_OPENS = re.compile(rf"^(?:{_AUXILIARY})\s+(?:there|the|their|both)\b", re.I)
_LIST = re.compile(
    r"^\W*(?:please\s+)?(?:list|enumerate|name(?!\s+an?\b))\b|"
    r"\b(?:which|what)\s+(?:are\s+(?:\w+\s+){1,3}?\w{2,}(?<![su])s\b|"
    r"(?:[\w-]+\s+){0,3}?\w{2,}(?<![su])s\s+(?:are|were|have|can|may|do|could|cause|should)\b)",
    re.I,
)
_FACT = re.compile(
    r"\b(?:which|who|whom|whose|where|when|how\s+(?:many|much|often|long|old|large))\b|"
    r"\bwhat\s+(?!is\b|are\b|was\b|were\b|do\b|does\b|did\b|can\b|happens?\b)\w+|\bname\s+an?\b",
    re.I,
)
_FEW = 2  # content words that no finding accounts for
_REPORTS = re.compile(r"\b(?:report|case|stud(?:y|ies)|patient|example)s?\b", re.I)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, read; ``plain`` is its text without the study that it names.

    ``claims`` are what a *yes* would assert; one of them is enough. ``words`` are the lemmas that carry content, for
    texts the lexicon does not know. ``topics`` are the concepts mentioned, whatever is said of them. ``about_patient``
    questions ask about somebody ("is there an effusion?"), not about medicine. ``for_reports`` questions ask for the
    reports of patients ("which cases have a granuloma?"). ``hedged`` questions ("could it represent ...") are met by
    hedged evidence. ``joined`` says whether all claims or any of them make a *yes*; ``quantities`` must be met as well.
    ``unread`` is a part that no rule reads. ``ends`` questions ask whether something is over ("has it resolved?").
    ``relates`` questions ask for more than their findings and places ("is lithium effective in migraine?"). A question
    ``for_list`` wants several things ("which genes are mutated in ...?"), one ``for_fact`` a thing, a place, a number.
    """

    text: str
    plain: str
    yes_no: bool
    claims: tuple[Assertion, ...]
    words: frozenset[str]
    topics: frozenset[str]
    about_patient: bool
    for_reports: bool
    place: Place
    hedged: bool
    change: bool
    form: Form = "presence"
    joined: Joined = ""
    quantities: tuple[Quantity, ...] = ()
    unread: str = ""
    ends: bool = False
    relates: bool = False
    for_list: bool = False
    for_fact: bool = False

    @property
    def in_general(self) -> Asked:
        """As literature answers it: that migraine is there does not say that lithium is effective in it."""
        return replace(self, claims=(), joined="") if self.relates and self.claims else self

    @property
    def denies(self) -> bool:
        """Whether a *yes* says that something is not there, or is normal."""
        return bool(self.claims) and all(c.status == "absent" for c in self.claims)


def read_question(text: str, lexicon: Lexicon, ignore: str | None = None) -> Asked:
    """Parse ``text``; ``ignore`` (a study id) is taken out first."""
    plain = without_study(text, ignore) if ignore else text
    plain = re.sub(
        r"\b(?:study|case|report|patient|image)\s+(?=show|demonstrate|have|has|\W|$)", " ", plain, flags=re.I
    )
    plain, either = _EITHER.subn("", plain.strip())
    titled = _TITLED.match(plain)
    sentence = titled["asked"] if titled else plain  # "Hernia of the bowel: is it common?" asks after its title
    put = _PUT.match(plain) is not None and _ASKS_OPENLY.search(plain) is None
    yes_no = bool(either or put or _YES_NO.match(sentence))
    body = _LEADING.sub("", sentence, count=1) if yes_no else plain
    body = (f"{titled['title']}: {body}" if titled else body).rstrip(" ?.")
    tokens = tokens_of(body)
    lemmas = [t.lemma for t in tokens]
    plain_body = plainly_put(body)
    statement = _lead_ins().sub(" ", plain_body)
    claims = tuple(
        replace(a, status="absent" if a.status == "absent" else "present")
        for a in statements_of(tokens_of(statement), lexicon, (0, len(statement)))
        if not a.derived
    )
    said, joined = tokens_of(plain_body), joined_by(body, claims)
    bounds = {i for q in quantities_of(said) for i in range(q.first, q.last)}  # "larger than 5 mm" has not grown
    place = load_cues().place([t for i, t in enumerate(said) if i not in bounds])
    numbered = {i for q in quantities_of(tokens) for i in range(q.first, q.last)}
    words = content_of(t for i, t in enumerate(tokens) if i not in numbered)
    numbers = tuple(q for q in quantities_of(tokens) if not (q.dimension == "count" and q.value == 1))
    choice = yes_no and is_choice(body, claims, place)
    whole = asks_for_whole(words, claims)
    topics = frozenset(m.concept for m in lexicon.mentions(tokens))
    return Asked(
        text=text,
        plain=" ".join(plain.split()),
        yes_no=yes_no and not choice,
        claims=claims,
        words=words,
        topics=topics,
        about_patient=bool(_PATIENT.search(sentence))
        or (bool(_OPENS.match(sentence)) and _of_somebody(tokens, words, lexicon)),
        for_reports=bool(_REPORTS.search(text)),
        place=place,
        hedged=not load_cues().hedges.isdisjoint(t.text.lower() for t in tokens),
        change=bool({"change", "changed", "difference"} & set(lemmas))
        and not any(lexicon.concepts[c.concept].kind == "finding" for c in claims),
        form="choice" if choice else "whole" if whole else form_of(body, claims, place, bool(numbers), joined),
        joined=joined,
        quantities=numbers,
        unread=unread_part(body) if yes_no else "",
        ends=presupposes(body),
        relates=_relates(tokens, lexicon),
        for_list=_LIST.search(sentence) is not None,
        for_fact=_FACT.search(sentence) is not None,
    )


def unread_question(text: str, ignore: str | None = None) -> Asked:
    """A question in a language that is not read here: nothing of it is known but its words."""
    plain = without_study(text, ignore) if ignore else text
    nothing: frozenset[str] = frozenset()
    return Asked(
        text=text,
        plain=" ".join(plain.split()),
        yes_no=False,
        claims=(),
        words=nothing,
        topics=nothing,
        about_patient=False,
        for_reports=False,
        place=NOWHERE,
        hedged=False,
        change=False,
    )


def _of_somebody(tokens: Sequence[Token], words: frozenset[str], lexicon: Lexicon) -> bool:
    """Whether "is there …", "is the …" asks for a finding, and not for what is known of many: a cure, a risk."""
    cues = load_cues()
    if not cues.general.isdisjoint(words):
        return False
    named = {tokens[i].lemma for m in lexicon.mentions(tokens) for i in range(m.first, m.last)}
    where = {*cues.sides, *cues.zones, *cues.degrees}
    left = words - named - where
    return len(left) <= max(_FEW, len(words & named))


def _relates(tokens: Sequence[Token], lexicon: Lexicon) -> bool:
    """Whether some word of content is no part of a finding, a structure, a number or a place."""
    known = {i for m in lexicon.mentions(tokens) for i in range(m.first, m.last)}
    known |= {i for q in quantities_of(tokens) for i in range(q.first, q.last)}
    rest = [t for i, t in enumerate(tokens) if i not in known and _carries_content(t)]
    return any(load_cues().place([t]) == NOWHERE for t in rest)


def subject_words(text: str) -> list[str]:
    """Words and numbers that tell what a question is about, as they are written."""
    asking = load_cues().asking
    return [t.text for t in tokens_of(text) if _carries_content(t) and t.text.lower() not in asking]


def content_of(tokens: Iterable[Token]) -> frozenset[str]:
    """Lemmas of the words and numbers that carry content."""
    return frozenset(t.lemma for t in tokens if _carries_content(t))


def _carries_content(token: Token) -> bool:
    return token.is_word and load_cues().stop_words.isdisjoint((token.lemma, token.text.lower()))


@lru_cache(maxsize=1)
def _lead_ins() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(load_cues().lead_ins)})\b(?:\s+(?:of|for))?", re.I)
