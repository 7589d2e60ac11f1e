"""From plain words to criteria: "How many reports mention a left but not right effusion larger than 1 cm since 2019?".

Everything that the words ask for is read, or the question is refused with the part that is not: a count of something
near to what was asked for is a wrong answer that looks exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from typing import cast

import tomli

from rag.cohorts.criteria import BodySide, By, CohortQuestion, Criterion, Order, Size, Standing
from rag.errors import InputError
from rag.indexing import Count
from rag.language.cues import load_cues
from rag.language.languages import ENGLISH, language_of
from rag.language.lexicon import Lexicon
from rag.language.phrasebook import render
from rag.language.quantities import quantities_of
from rag.language.question import content_of
from rag.language.statements import Assertion, statements_of
from rag.language.tokens import tokens_of
from rag.language.typed import TypedWords
from rag.settings import knowledge_dir

_UNIT = r"(?:reports?|stud(?:y|ies)|cases?|patients?|people|x-?rays?|radiographs?|exam(?:ination)?s?|scans?|films?)"
_SOME = (
    r"(?:\s+(?:all|any|the|of|these|those|my|our|every|each|different|some|few|several|examples?|\d{1,3}|two|three|four|"
    r"five|ten|radiology|ophthalmology|pathology|chest|eye|imaging))*"
)
_EVER = r"(?:(?:any|even|a|the)\s+)?"
_FIRST = r"(?:\s+(?P<order>first|earliest|oldest|last|latest|newest|most recent))?"
_LEAD = re.compile(
    rf"^\W*(?:please\s+|can you\s+|could you\s+|i (?:want|need) (?:to see\s+)?)*"
    rf"(?:(?P<count>(?:in\s+)?(?:how many|(?:what|which)\s+(?:share|proportion|percentage|percent|fraction)\s+of|"
    rf"(?:the\s+)?number of|count)){_SOME}\s+(?P<counted>{_UNIT})|"
    rf"(?P<list>(?:in\s+)?which|what|show(?:\s+me)?|list|find(?:\s+me)?|give\s+me|display|get(?:\s+me)?|"
    rf"are\s+there|is\s+there|what\s+(?:is|was|are|were)|which\s+(?:is|was)){_SOME}{_FIRST}{_SOME}\s+(?P<listed>{_UNIT})|"
    rf"(?:the\s+)?(?P<bare>first|earliest|oldest|last|latest|newest|most recent)\s+{_UNIT}|"
    rf"(?:all\s+)?{_UNIT}\s+(?=with|that|which|mentioning|showing|reporting|of\s+patients)|"
    rf"(?P<table>cross[- ]?tab(?:ulat(?:e|ion)|s)?(?:\s+of)?))\b",
    re.I,
)
_REPORTS = (
    r"(?:(?:the|these|those|our|my|your|all|any|most|other|indexed)\s+)*"
    r"(?:(?:radiology|imaging|chest|x-?ray|ct|mri?|pathology|ophthalmology|eye)\s+)*"
    r"(?:reports|radiologists|pathologists|ophthalmologists)"
)
_SAID_OF = re.compile(
    rf"^\W*(?:(?:what|how)\s+)?(?:do|did|have|can)\s+{_REPORTS}\s+(?:(?:have\s+to|usually|typically|mostly|ever)\s+)*"
    r"(?:say|said|tell|write|written|state|mention(?:ed)?|report|note|describe|show|speak)\s+(?:us\s+|me\s+|anything\s+)?"
    r"(?:(?:about|of|on|regarding|concerning)\s+)?(?P<of>.+)$|"
    r"^\W*(?:what\s+(?:is|was|has\s+been)\s+(?:said|written|reported|stated|noted|mentioned))\s+"
    rf"(?:about|of|on|regarding)\s+(?P<about>.+?)\s+(?:in|by)\s+{_REPORTS}\W*$",
    re.I,
)
_DATE = r"((?:19|20)\d\d(?:-\d\d(?:-\d\d)?)?)"
_BETWEEN = re.compile(rf"\b(?:between|from)\s+{_DATE}\s+(?:and|to|until)\s+{_DATE}", re.I)
_SINCE = re.compile(rf"\b(?:since|from)\s+{_DATE}|\b(?P<after>after)\s+{_DATE}", re.I)
_UNTIL = re.compile(rf"\b(?:until|up to|to the end of)\s+{_DATE}|\b(?P<before>before)\s+{_DATE}", re.I)
_IN = re.compile(rf"\b(?:in|during|of)\s+(?:the\s+year\s+)?{_DATE}", re.I)
_BY = re.compile(
    r"(?:,?\s*\b(?:by|per|for each|grouped by|broken down by)\s+"
    r"(?P<by>domains?|sources?|corpus|years?|sides?|laterality|degrees?|severity|standing|status))\s*$",
    re.I,
)
_BYS: dict[str, By] = {
    "domain": "domain", "source": "source", "corpus": "source", "year": "year", "side": "side", "laterality": "side",
    "degree": "degree", "severity": "degree", "standing": "standing", "status": "standing",
}  # fmt: skip
_ORDERS: dict[str, Order] = {
    "first": "first", "earliest": "first", "oldest": "first", "last": "last", "latest": "last", "newest": "last",
    "most recent": "last",
}  # fmt: skip
_SIDED = r"(left|right)(?:[- ]?(?:sided|side))?"
_ONE_SIDE = re.compile(
    rf"\b{_SIDED}\b(?P<between>[^,;.]{{0,60}}?),?\s*\b(?:but|and)\s+not\s+(?:on\s+|in\s+)?(?:the\s+)?{_SIDED}\b", re.I
)
_ONLY_SIDE = re.compile(
    rf"\bonly\s+(?:on\s+|in\s+)?(?:the\s+)?{_SIDED}\b|\b{_SIDED}\s+only\b|\bunilateral\s+{_SIDED}\b", re.I
)
_BOTH_OF = re.compile(r"\bboth\s+(?=[^,]+\band\b)", re.I)
_BOTH = re.compile(r"\b(?:both\s+)?(?:left\s+and\s+right|right\s+and\s+left)\b|\b(?:on|in)\s+both\s+sides\b", re.I)
_EITHER = re.compile(r"\b(?:left\s+or\s+right|right\s+or\s+left)\b", re.I)
# what a report does with a finding, in the words of a question; the first that fits
_STANDINGS: tuple[tuple[Standing, re.Pattern[str]], ...] = (
    ("history", re.compile(r"\b(?:(?:a\s+)?(?:past\s+)?history of|previously had|prior)\b", re.I)),
    (
        "denied",
        re.compile(
            r"\b(?:den(?:y|ies|ied|ying)|rul(?:e|es|ed|ing) out|exclud(?:e|es|ed|ing)|negative for|say(?:s|ing)? no|"
            r"stat(?:e|es|ing) (?:that there is )?no|explicitly (?:no|absent)|(?:is|are|was|were) absent|absent)\b",
            re.I,
        ),
    ),
    (
        "raised",
        re.compile(
            r"\b(?:(?:only|merely|just)\s+)?(?:raise(?:s|d)?|raising|suspect(?:s|ed|ing)?|suspicio\w*(?:\s+(?:of|for))?|"
            r"suggest(?:s|ed|ing|ive)?(?:\s+of)?|possibl[ey]|possibility of|probabl[ey]|question(?:s|ed|able|ing)?|"
            r"quer(?:y|ied|ies)|equivocal|uncertain\w*|doubtful|cannot exclude|not excluded|hedged?|may have|"
            r"might have)\b",
            re.I,
        ),
    ),
    (
        "silent",
        re.compile(
            r"\b(?:(?:(?:do|does|did)(?:\s+not|n[’']?t)\s+(?:even\s+)?(?:mention|discuss|address|comment on|speak of)|"
            rf"(?:not|never|without|nowhere)\s+{_EVER}mention(?:s|ed|ing)?|"
            r"(?:(?:with|make|makes|making|have|has|contain|contains)\s+)?no\s+mention|silent|"
            r"(?:say|says|saying)\s+nothing|(?:do|does|did)(?:\s+not|n[’']?t)\s+say\s+anything|"
            r"fail(?:s|ed|ing)?\s+to\s+mention|omit(?:s|ted|ting)?)(?:\s+(?:of|on|about))?)(?!\w)",
            re.I,
        ),
    ),
)
_ASSERTS = re.compile(r"\b(?:definite(?:ly)?|confirm(?:s|ed|ing)?|assert(?:s|ed|ing)?|positive for)\b", re.I)
_SAID = rf"(?!\s+{_EVER}mention)"  # what is not mentioned is not denied either
_JOINT = re.compile(
    rf"(?P<not>\b(?:but|and|or)\s+(?:not|no|without)\b{_SAID}|\bwith\s+no\b{_SAID}|\bwithout\b{_SAID}|\bneither\b|"
    rf"\bnor\b|\bno\b{_SAID}|"
    r"\b(?:do|does|did)(?:\s+not|n[’']?t)\s+(?:have|show|report)\b|\bnot\s+(?:having|showing)\b)|"
    r"(?P<or>\bor\b)|(?P<and>\band\b|\bbut\b|\bas well as\b|\btogether with\b|\bplus\b|\bwith\b|\bversus\b|\bvs\b|"
    r"\bagainst\b|\bby\b)|(?P<list>,)",
    re.I,
)
_JOINED = re.compile(r"(?:^|\b(?:and|or|but))\s*$", re.I)
_NEITHER = re.compile(r"\bmention(?:s|ing)?\s+neither\b(.*?)\bnor\b", re.I)
_RANGE = re.compile(r"\bbetween\s+\d[^,]*\band\s+\d", re.I)
_SIZES = frozenset({"length", "volume", "percent", "density", "mass", "angle"})
_SENTENCE = (0, 0)


class NotReadError(InputError):
    """A part of a question about many reports that cannot be read."""


def asks_of_reports(text: str) -> bool:
    """Whether it asks how many, which, or for a list of reports, studies, cases or patients."""
    return _LEAD.match(text) is not None


def counts_reports(text: str) -> bool:
    """Whether it must be meant of the reports here: "how many reports …", and not "which patients …"."""
    lead = _LEAD.match(text)
    if lead is None:
        return False
    unit = lead["counted"] or lead["listed"] or "report"
    medicine = unit.lower().startswith(("patient", "people", "case", "stud"))
    return bool(lead["table"]) or not medicine


def said_of(text: str) -> str:
    """What reports are asked to say something of, in "what do the reports say about pneumothorax?", "do any reports
    mention it?"; empty where none are asked.

    "Case reports" and "studies" are literature.
    """
    found = _SAID_OF.match(text)
    return (found["of"] or found["about"]).strip(" ?.!") if found else ""


def name_of(lexicon: Lexicon, concept: str) -> str:
    """A finding's name; of a structure, what it is that can be there or not."""
    name = lexicon.name(concept)
    return f"an abnormality of the {name}" if lexicon.concepts[concept].kind == "structure" else name


def read_typed_cohort(text: str, typed: TypedWords, lexicon: Lexicon, shelves: Sequence[Count]) -> CohortQuestion:
    """The same as :func:`read_cohort` of words as people type them, in a language that has phrases in the knowledge
    folder; what was read for what is noted."""
    code = language_of(text, lexicon.vocabulary)
    read = render(text, code, lexicon) if code != ENGLISH else None
    if read is not None and read.unread:
        raise NotReadError(read.asks_back)
    mended = typed.mend(text if read is None else read.text)
    notes = mended.notes if read is None else (read.note, *mended.notes)
    return read_cohort(mended.text, lexicon, shelves).model_copy(update={"notes": notes})


def read_cohort(text: str, lexicon: Lexicon, shelves: Sequence[Count] = ()) -> CohortQuestion:
    """What a question about many reports, or the mere description of some, asks for.

    >>> found = read_cohort("Which reports deny pneumothorax?", Lexicon.load())
    >>> [(c.finding, c.standing) for c in found.criteria]
    [('pneumothorax', 'denied')]

    Args:
        lexicon: of the index.
        shelves: what the index holds, so that its domains and sources can be named.

    Raises:
        NotReadError: a part of it names nothing that is known; the part is quoted.
    """
    fields: dict[str, object] = {}
    text = _shelved(text, shelves, fields)
    lead = _LEAD.match(text)
    body = text[lead.end() :] if lead else text
    body = body.strip(" ?.!")
    if lead and (order := lead["order"] or lead["bare"]):
        fields["order"] = _ORDERS[order.lower()]
    if found := _BY.search(body):
        word = found["by"].lower().removesuffix("s")
        fields["by"], body = (_BYS[word],), body[: found.start()]
    body = _dated(body, fields)
    if _RANGE.search(body):
        raise NotReadError("two sizes stand in one question; ask for one bound at a time, e.g.: larger than 1 cm")
    if lead and lead["table"]:
        fields["by"] = ("finding", "finding")
    parts = list(_parts(body, lexicon))
    criteria = [c for part in parts for c in part.criteria]
    joints = {part.joint for part in parts[1:] if part.criteria and not part.negative}
    if {"or", "and"} <= joints:
        raise NotReadError("“and” and “or” stand in one question; ask for one of them at a time")
    if fields.get("by") == ("finding", "finding") and len(criteria) != 2:
        raise NotReadError(
            "a table of two findings needs two findings that I know, e.g.: crosstab cardiomegaly by edema"
        )
    return CohortQuestion.model_validate(
        fields | {"criteria": tuple(criteria), "joined": "or" if "or" in joints else "and"}
    )


@dataclass
class _Part:
    """What stands between two joining words."""

    joint: str
    negative: bool
    text: str
    criteria: list[Criterion] = field(default_factory=list)


def _parts(body: str, lexicon: Lexicon) -> Iterator[_Part]:
    body, sides, not_sides = _one_sided(body)
    standing: Standing | None = None
    pieces = list(_pieces(_silence_apart(_both_sided(body))))
    for part in pieces:
        inherits = part.joint in ("or", "list")
        own = next((name for name, words in _STANDINGS if words.search(part.text)), None)
        standing = own or (standing if inherits else None)
        if standing == "silent" and own is None:
            part.joint = "list"  # "do not mention A or B": neither
        part.criteria = list(_criteria(part, lexicon, standing, sides, not_sides))
        if part.criteria:
            sides, not_sides = (), ()
        yield part


def _silence_apart(body: str) -> str:
    """The text with an "and" before each silence that what stands before it is no part of: "A without mentioning B"."""
    body = _NEITHER.sub(r"not mention \1 or", body)
    silent = dict(_STANDINGS)["silent"]
    for found in reversed(list(silent.finditer(body))):
        before, after = body[: found.start()], body[found.end() :]
        if after.strip() and not found[0].lower().endswith("mentioned") and not _JOINED.search(before):
            body = f"{before} and {found[0]}{after}"
    return body


def _pieces(body: str) -> Iterator[_Part]:
    """The text cut at its joining words; a list goes on as it began: "without effusion or pneumothorax"."""
    begin, joint, negative = 0, "", False
    for found in [*_JOINT.finditer(body), None]:
        text = body[begin : found.start() if found else len(body)]
        if text.strip() or found is None:
            yield _Part(joint, negative, text)
        if found is None:
            return
        kind = found.lastgroup or ""
        bare = not text.strip() and begin > 0
        joint = joint if bare and kind == "not" and joint == "or" else kind
        negative = kind == "not" or (negative and (kind in ("or", "list") or bare))
        begin = found.end()


def _criteria(
    part: _Part,
    lexicon: Lexicon,
    standing: Standing | None,
    sides: tuple[BodySide, ...],
    not_sides: tuple[BodySide, ...],
) -> Iterator[Criterion]:
    plain = _ASSERTS.sub(" ", part.text)
    for _, words in _STANDINGS:
        plain = words.sub(" ", plain)
    size, plain = _sized(plain)
    tokens = tokens_of(plain)
    claims = {a.concept: a for a in statements_of(tokens, lexicon, _SENTENCE) if not a.derived}
    narrowest = [a for a in claims.values() if not any(_implied(a, b, lexicon) for b in claims.values())]
    _refuse_unread(plain, narrowest, lexicon, size, sides)
    for n, a in enumerate(narrowest):
        normal = a.status == "absent"
        yield Criterion(
            finding=a.concept,
            name=name_of(lexicon, a.concept),
            standing="denied" if normal else standing or "present",
            sides=cast(tuple[BodySide, ...], tuple(sorted(a.place.sides)) or sides),
            not_sides=not_sides,
            zones=tuple(sorted(a.place.zones)),
            degrees=tuple(sorted(a.place.degrees)),
            course=tuple(sorted(a.place.course)),
            size=size if n == len(narrowest) - 1 else None,
            excluded=part.negative and not normal,
        )


def _implied(a: Assertion, b: Assertion, lexicon: Lexicon) -> bool:
    """Whether ``a`` only repeats a part of ``b``: "enlarged heart" is one finding and not also a structure."""
    return a.concept != b.concept and a.status == b.status and lexicon.is_a(b.concept, a.concept)


def _refuse_unread(
    text: str, claims: Sequence[Assertion], lexicon: Lexicon, size: Size | None, sides: tuple[BodySide, ...]
) -> None:
    """Raise where a word asks for something that no criterion holds."""
    tokens, cues = tokens_of(text), load_cues()
    read = {i for m in lexicon.mentions(tokens) for i in range(m.first, m.last)} if claims else set()
    states = {w for words, _ in cues.states for w in words} | {
        w for rows in lexicon.states.values() for r in rows for w in r[0]
    }
    course = {i for found in cues.courses.all(tokens) for i in range(found.first, found.last)}
    if claims:
        read |= course | {i for i, t in enumerate(tokens) if t.lemma in cues.inside or t.word in states}
    asks = (t for i, t in enumerate(tokens) if i not in read and content_of([t]))
    left = [t for t in asks if not {t.word, t.lemma} & _plain_words()]
    if left:
        quoted = text[left[0].start : left[-1].end]
        raise NotReadError(
            f"I know no finding, and nothing else that is kept of reports, called “{quoted}”; name a finding, e.g.: "
            "pleural effusion"
        )
    if (size or sides) and not claims:
        raise NotReadError("a size or a side belongs to a finding; name one, e.g.: nodules larger than 1 cm")


@lru_cache(maxsize=1)
def _plain_words() -> frozenset[str]:
    path = knowledge_dir() / "cohorts.toml"
    try:
        return frozenset(tomli.loads(path.read_text(encoding="utf-8"))["plain"])
    except (OSError, tomli.TOMLDecodeError, KeyError) as error:
        raise InputError(f"the words {path} cannot be used: {error}") from error


def _sized(text: str) -> tuple[Size | None, str]:
    """The bound on a size, and the text without it."""
    tokens = tokens_of(text)
    sizes = [q for q in quantities_of(tokens) if q.dimension in _SIZES]
    if not sizes:
        return None, text
    if len(sizes) > 1:
        raise NotReadError("two sizes stand in one question; ask for one bound at a time, e.g.: larger than 1 cm")
    q = sizes[0]
    start, end = tokens[q.first].start, tokens[q.last - 1].end
    bound = q.bound or "="
    size = Size.model_validate(
        {"dimension": q.dimension, "bound": bound, "value": q.value, "stated": text[start:end].strip()}
    )
    return size, f"{text[:start]} {text[end:]}"


def _one_sided(body: str) -> tuple[str, tuple[BodySide, ...], tuple[BodySide, ...]]:
    """ "Left but not right", "only on the left": the side, the other one, and the words without that."""
    if (found := _ONE_SIDE.search(body)) and found[1].lower() != found[3].lower():
        side, other = found[1].lower(), found[3].lower()
        body = f"{body[: found.start()]} {found['between']} {body[found.end() :]}"
    elif found := _ONLY_SIDE.search(body):
        side = next(g for g in found.groups() if g).lower()
        other = "right" if side == "left" else "left"
        body = f"{body[: found.start()]} {body[found.end() :]}"
    else:
        return body, (), ()
    return body, (cast(BodySide, side),), (cast(BodySide, other),)


def _both_sided(body: str) -> str:
    return _EITHER.sub(" ", _BOTH_OF.sub(" ", _BOTH.sub(" bilateral ", body)))


def _shelved(body: str, shelves: Iterable[Count], fields: dict[str, object]) -> str:
    """Takes the domains and sources that it names out of the text."""
    for shelf, values in (("domains", {s.domain for s in shelves}), ("sources", {s.source for s in shelves})):
        named = []
        for value in sorted(values, key=len, reverse=True):
            if re.fullmatch(_UNIT, value, re.I):  # a source called "reports" is not named by that word
                continue
            name = rf"(?<![\w-]){re.escape(value)}(?![\w-])"
            words = re.compile(rf"{name}(?=\s+{_UNIT}\b)|(?:\b(?:in|from|of)\s+)?{name}(?!\s+{_UNIT}\b)", re.I)
            if words.search(body):
                named.append(value)
                body = words.sub(" ", body)
        if named:
            fields[shelf] = tuple(sorted(named))
    return body


def _dated(body: str, fields: dict[str, object]) -> str:
    """Takes the dates out of the text."""
    for told in re.findall(rf"\b{_DATE}", body):
        _first_day(told)
    if found := _BETWEEN.search(body):
        fields["since"], fields["until"] = found[1], found[2]
        return _BETWEEN.sub(" ", body)
    if found := _SINCE.search(body):
        fields["since"] = _following(found[3]) if found["after"] else found[1]
        body = _SINCE.sub(" ", body)
    if found := _UNTIL.search(body):
        fields["until"] = _day_before(found[3]) if found["before"] else found[1]
        body = _UNTIL.sub(" ", body)
    if not fields.keys() & {"since", "until"} and (found := _IN.search(body)):
        fields["since"] = fields["until"] = found[1]
        body = _IN.sub(" ", body)
    return body


def _first_day(told: str) -> date:
    try:
        return date.fromisoformat(told + "-01-01"[len(told) - 4 :] if len(told) < 10 else told)
    except ValueError as error:
        raise NotReadError(f"{told} is not a date; write it as 2019, 2019-03 or 2019-03-31") from error


def _day_before(told: str) -> str:
    return (_first_day(told) - timedelta(days=1)).isoformat()


def _following(told: str) -> str:
    """The first day after a year, a month or a day."""
    first = _first_day(told)
    if len(told) == 4:
        return str(first.year + 1)
    if len(told) == 7:
        return (first.replace(day=28) + timedelta(days=4)).isoformat()[:7]
    return (first + timedelta(days=1)).isoformat()
