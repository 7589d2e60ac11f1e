"""Two studies, finding by finding: what is new, gone, larger, unchanged, or said of one of them alone.

The earlier study comes first where both are one patient's and dated; else they come as they were named, and nothing is
called new or gone: two patients have no before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.cohorts.asking import name_of
from rag.cohorts.statements import date_of, other_language, read_document
from rag.errors import InputError
from rag.indexing.snapshot import Snapshot
from rag.indexing.statements import LEFT, RIGHT, Statement
from rag.language.clinical_text import Texts
from rag.language.languages import language_name
from rag.language.lexicon import Lexicon
from rag.types import Document

_STRENGTH = {"present": 3, "uncertain": 2, "hypothetical": 2, "absent": 1}
_SAID = {3: "there", 2: "raised", 1: "denied", 0: "not mentioned"}
_DEGREES = ("small", "moderate", "large")
_SIDES = {LEFT: "left", RIGHT: "right", LEFT | RIGHT: "bilateral"}
_UNITS = {"length": "mm", "volume": "ml", "percent": "%", "density": "HU", "mass": "g", "angle": "°"}


@dataclass(frozen=True)
class Spoken:
    """A sentence of one study about a finding."""

    document: Document
    statement: Statement

    @property
    def quote(self) -> str:
        return self.document.text[self.statement.start : self.statement.end]


@dataclass(frozen=True)
class ComparedFinding:
    """One line of a comparison: ``change`` from ``before`` to ``after``; a side that does not mention it is None."""

    finding: str
    name: str
    change: str
    before: Spoken | None
    after: Spoken | None


@dataclass(frozen=True)
class Comparison:
    """Two studies; ``in_time``: the first is the earlier one of the same patient. Findings denied in both are apart."""

    before: str
    after: str
    in_time: bool
    findings: tuple[ComparedFinding, ...]
    denied: tuple[ComparedFinding, ...]


def compare_studies(snapshot: Snapshot, texts: Texts, first: str, second: str) -> Comparison:
    """What the reports of two studies say of each finding.

    >>> compare_studies(snapshot, texts, "CXR2814", "CXR100").findings[0].change     # doctest: +SKIP

    Raises:
        InputError: one of them has no report, or one in another language.
    """
    one, other = (_reports(snapshot, case) for case in (first, second))
    for document in (*one, *other):
        if (code := other_language(document, texts)) is not None:
            raise InputError(
                f"the report of study {document.case_id!r} is in {language_name(code)}, which is not read here, so it "
                "cannot be compared; ask about each study apart, and its sentences are quoted"
            )
    dates = [date_of(some[0].metadata) for some in (one, other)]
    same = one[0].group_id == other[0].group_id
    in_time = same and all(dates) and dates[0] != dates[1]
    if in_time and dates[0] > dates[1]:
        first, second, one, other = second, first, other, one
    before, after = (
        [Spoken(d, s) for d in some for s in read_document(0, d, texts).statements] for some in (one, other)
    )
    rows = list(_rows(texts.lexicon, before, after, (first, second), in_time))
    return Comparison(
        before=first,
        after=second,
        in_time=in_time,
        findings=tuple(r for r in rows if r.change != "denied in both"),
        denied=tuple(r for r in rows if r.change == "denied in both"),
    )


def prior_of(snapshot: Snapshot, case: str) -> str:
    """The study of the same patient that came last before this one.

    Raises:
        InputError: none is known, or this one has no date.
    """
    (this, *_), dated = _reports(snapshot, case), []
    date = date_of(this.metadata)
    if not date:
        raise InputError(f"the report of study {case!r} carries no date, so its prior is not known; name both studies")
    for document in snapshot.documents_of_group(this.group_id):
        when = date_of(document.metadata)
        if document.kind == "report" and when and when < date:
            dated.append((when, document.case_id))
    if not dated:
        raise InputError(f"the index holds no earlier study of the patient of study {case!r}")
    return max(dated)[1]


def _reports(snapshot: Snapshot, case: str) -> list[Document]:
    found = [d for d in snapshot.case(case) if d.kind == "report"]
    if not found:
        raise InputError(f"study {case!r} has no report to compare")
    return found


def _rows(
    lexicon: Lexicon, one: Sequence[Spoken], other: Sequence[Spoken], cases: tuple[str, str], in_time: bool
) -> Iterator[ComparedFinding]:
    outright = [s.statement for s in (*one, *other) if not s.statement.derived and s.statement.status in _STRENGTH]
    named = {s.concept: None for s in outright if lexicon.concepts[s.concept].kind != "structure"}
    there = {s.concept for s in outright if _STRENGTH[s.status] > 1}
    for finding in named:
        narrower = any(f != finding and f in there and lexicon.is_a(f, finding) for f in named)
        if narrower and finding in there:
            continue  # its narrower kind has a line of its own
        a, b = _strongest(lexicon, one, finding), _strongest(lexicon, other, finding)
        yield ComparedFinding(finding, name_of(lexicon, finding), _change(a, b, cases, in_time), a, b)


def _strongest(lexicon: Lexicon, said: Sequence[Spoken], finding: str) -> Spoken | None:
    """The sentence that counts: a narrower finding that is there, before a doubt, before a wider one that is denied."""
    about = [
        s
        for s in said
        if s.statement.status in _STRENGTH
        and (
            lexicon.is_a(finding, s.statement.concept) and not s.statement.degrees
            if s.statement.status == "absent"
            else lexicon.is_a(s.statement.concept, finding)
        )
    ]
    return max(about, key=lambda s: (_STRENGTH[s.statement.status], s.statement.value or 0.0), default=None)


def _change(a: Spoken | None, b: Spoken | None, cases: tuple[str, str], in_time: bool) -> str:
    before, after = (_STRENGTH[s.statement.status] if s else 0 for s in (a, b))
    if a and b and before == after:
        return {3: _grown(a.statement, b.statement), 2: "raised in both", 1: "denied in both"}[before]
    if not (a and b):
        said, case = (before, cases[0]) if a else (after, cases[1])
        return f"{_SAID[said]} in {case}, not mentioned in the other"
    if in_time and {before, after} == {1, 3}:
        return "new" if after == 3 else "gone"
    return f"{_SAID[before]} in {cases[0]}, {_SAID[after]} in {cases[1]}"


def _grown(a: Statement, b: Statement) -> str:
    """How a finding that both have compares: by size, then by degree, then by side."""
    if a.value is not None and b.value is not None and a.dimension == b.dimension:
        sizes = f"{a.value:g} → {b.value:g} {_UNITS.get(a.dimension, '')}".rstrip()
        if a.value == b.value:
            return f"unchanged: {b.value:g} {_UNITS.get(a.dimension, '')}".rstrip()
        return f"{'larger' if b.value > a.value else 'smaller'}: {sizes}"
    one, other = _degree(a), _degree(b)
    if one and other and one != other:
        return f"{'more' if _DEGREES.index(other) > _DEGREES.index(one) else 'less'}: {one} → {other}"
    if a.sides and b.sides and a.sides != b.sides:
        return f"another side: {_SIDES[a.sides]} → {_SIDES[b.sides]}"
    return "in both"


def _degree(s: Statement) -> str:
    degrees = s.degrees.split()
    return degrees[0] if len(degrees) == 1 and degrees[0] in _DEGREES else ""
