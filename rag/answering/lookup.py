"""Questions that nobody writes an answer to: it is looked up. How many, which, and how two studies compare."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from rag.answering.intake import studies_named
from rag.answering.turn import Line, LookedUp
from rag.cohorts.asking import NotReadError, asks_of_reports, counts_reports, read_cohort, said_of
from rag.cohorts.compare import ComparedFinding, Comparison, Spoken, compare_studies, prior_of
from rag.cohorts.criteria import Cohort, CohortHit, Page, Standing
from rag.cohorts.find import find
from rag.cohorts.reliability import agreement_of
from rag.cohorts.telling import count_in_words, warnings
from rag.errors import IndexStateError, InputError
from rag.indexing.snapshot import Snapshot
from rag.language.clinical_text import Texts
from rag.types import AnswerTable, Document, Hit, Question

SHOWN = 5  # reports that are quoted in an answer; rag find pages through all of them
_SOME: Mapping[Standing, int] = {"present": 3, "raised": 1, "denied": 2}  # reports quoted of what reports say
NOT_CERTIFIED = "it is looked up in what reports say; certificates are tested on yes/no questions alone"
_COMPARES = re.compile(
    r"\b(?:compar(?:e|es|ed|ing|ison)|contrast|differ(?:s|ence|ences|ent)?|versus|vs|what(?:'s| is| has| are)?\s+"
    r"(?:new|changed|gone|different)|changes?\s+(?:between|since|from)|side by side|than|not\s+(?:in|seen\s+in))\b",
    re.I,
)
_THIS = r"(?:the|this|that|these|my|his|her|their|your)"
_IMAGE = r"(?:ct|mri?|x-?ray|radiograph|film|scan|biopsy|image|ultrasound)"
_ONE_REPORT = re.compile(
    rf"\W*what\s+(?:does|did|do|has)\s+{_THIS}\s+(?:\w+\s+)?(?:report|radiologist|pathologist)\s+\w+|"
    rf"\W*what\s+(?:does|did|do|has)\s+{_THIS}\s+(?:[\w-]+\s+){{0,2}}{_IMAGE}s?\s+\w+\W*$|"
    rf"\W*what\s+(?:is|was|were|are)\s+{_THIS}\s+(?:\w+\s+)?(?:impression|conclusion|finding|result|diagnosis)s?\W*$|"
    r"\W*(?:what|which|how|where|when|why)\b[^?]*\b(?:is|was|does|did|has|had)\s+(?:the|this|that)\s+patient\b",
    re.I,
)
_WITH_WHAT = re.compile(r"\bcompared\s+(?:with|to|against)\W*$", re.I)  # the report says what with
_PRIOR = re.compile(r"\b(?:priors?|previous|earlier|last)\b(?!\s+question)", re.I)


def look_up(q: Question, snapshot: Snapshot, texts: Texts, index: str) -> LookedUp | None:
    """The answer to a question that asks to compare studies or to count reports; None for any other question.

    What such a question asks for and cannot be read is refused in words, not answered by something near to it.
    """
    if q.image is not None:
        return None
    try:
        if _COMPARES.search(q.text) and not _WITH_WHAT.search(q.text) and (pair := _pair(q, snapshot)) is not None:
            return _compared(compare_studies(snapshot, texts, *pair), snapshot)
        if q.study is None and _ONE_REPORT.match(q.text):
            raise InputError("it asks what one report says: name the study, or give the image")
        if q.study is None and (of := said_of(q.text)):
            return _said(of, snapshot, texts, index)
        if q.study is None and asks_of_reports(q.text):
            return _counted(q.text, snapshot, texts, index)
    except (InputError, IndexStateError) as problem:
        return LookedUp(refusal=str(problem))
    return None


# ------------------------------------------------------------------ counts


def _counted(text: str, snapshot: Snapshot, texts: Texts, index: str) -> LookedUp | None:
    try:
        asked = read_cohort(text, texts.lexicon, snapshot.counts())
    except NotReadError:
        if counts_reports(text):
            raise
        return None  # "which patients benefit from aspirin?" is a question about medicine
    if not asked.criteria and not counts_reports(text):
        return None
    found = find(snapshot, texts.lexicon, asked, Page(limit=SHOWN if asked.order == "ingested" else 1), index)
    hits = [hit for hit in found.hits if hit.statements]
    cited = tuple(_hit_of(snapshot, hit) for hit in hits)
    return _looked_up(found, cited, _lines(found, hits, 0))


def _said(of: str, snapshot: Snapshot, texts: Texts, index: str) -> LookedUp | None:
    """What reports say of a finding: how many assert and deny it, and some of their sentences; None without reports."""
    asked = read_cohort(of, texts.lexicon, snapshot.counts())
    whole = find(snapshot, texts.lexicon, asked, Page(limit=0), index)
    if not whole.scope:
        return None
    if not asked.criteria:
        raise NotReadError(f"I know no finding called “{of}” to look for in reports; name one, e.g.: pleural effusion")
    cited: list[Hit] = []
    lines: list[Line] = []
    for criterion in asked.criteria:
        hits: list[CohortHit] = []
        for standing, most in _SOME.items():
            one = criterion.model_copy(update={"standing": standing, "excluded": False})
            some = find(snapshot, texts.lexicon, asked.model_copy(update={"criteria": (one,)}), Page(limit=most), index)
            hits += [hit for hit in some.hits if hit.statements]
        present = criterion.model_copy(update={"standing": "present", "excluded": False})
        counted = asked.model_copy(update={"criteria": (present,)})
        lines += _lines(find(snapshot, texts.lexicon, counted, Page(limit=0), index), hits, len(cited))
        cited += [_hit_of(snapshot, hit) for hit in hits]
    return _looked_up(whole, tuple(cited), lines)


def _lines(found: Cohort, hits: Sequence[CohortHit], first: int) -> list[Line]:
    """The count in words, then a sentence of each hit; ``first`` is the place of the first one in what is cited."""
    said = [(hit, (first + n, hit.statements[0].start, hit.statements[0].end)) for n, hit in enumerate(hits)]
    quotes = [Line(f"{hit.case_id}: “{_on_one_line(hit.statements[0].quote)}”", (at,)) for hit, at in said]
    return [Line(count_in_words(found), tuple(at for _, at in said)), *quotes]


def _looked_up(found: Cohort, cited: tuple[Hit, ...], lines: Sequence[Line]) -> LookedUp:
    return LookedUp(
        hits=cited,
        lines=tuple(lines),
        table=_table(found),
        note="; ".join([f"counted in all {found.scope:,} reports in scope, not generated", *warnings(found)]),
        confidence=round(agreement_of(t.finding for t in found.tallies), 4) if found.tallies else 1.0,
    )


def _table(found: Cohort) -> AnswerTable:
    if found.cells:
        rows = tuple((*cell.values, f"{cell.reports:,}") for cell in found.cells)
        return AnswerTable(title=str(found.question), columns=(*found.question.by, "reports"), rows=rows)
    columns = ("finding", "present", "raised", "denied", "history", "silent")
    rows = tuple(
        (t.name, *(f"{n:,}" for n in (t.present, t.raised, t.denied, t.history, t.silent))) for t in found.tallies
    )
    if not rows:
        scope = ((str(found.question), f"{found.count:,}"),)
        return AnswerTable(title="reports", columns=("scope", "reports"), rows=scope)
    return AnswerTable(title=str(found.question), columns=columns, rows=rows)


def _hit_of(snapshot: Snapshot, hit: CohortHit) -> Hit:
    document = snapshot.document(hit.document_id)
    assert document is not None, "it was found in this version"
    return _hit(snapshot, document, hit.statements[0].start)


# ------------------------------------------------------------------ two studies


def _pair(q: Question, snapshot: Snapshot) -> tuple[str, str] | None:
    """The two studies to compare; None where the question names none."""
    named = studies_named(q.text, snapshot)
    if q.study is not None and q.study not in named:
        named = [q.study, *named]
    if len(named) == 2:
        return named[0], named[1]
    if len(named) > 2:
        raise InputError(f"{len(named)} studies are named; two can be compared at a time")
    if len(named) == 1 and _PRIOR.search(q.text):
        return prior_of(snapshot, named[0]), named[0]
    if len(named) == 1 and re.match(r"\W*(?:please\s+)?compare\b", q.text, re.I):
        raise InputError(f"only study {named[0]!r} is known here; name two studies of this index, or ask for its prior")
    return None


def _compared(found: Comparison, snapshot: Snapshot) -> LookedUp:
    hits: list[Hit] = []
    places: dict[tuple[str, str], int] = {}

    def cited(said: Spoken) -> tuple[int, int, int]:
        hit = _hit(snapshot, said.document, said.statement.start)
        key = (hit.document.id, hit.passage.id)
        if key not in places:
            places[key] = len(hits)
            hits.append(hit)
        return places[key], said.statement.start, said.statement.end

    lines = [_line(row, found, cited) for row in (*found.findings, *found.denied)]
    order = "the earlier study comes first" if found.in_time else "the studies stand as they were named"
    return LookedUp(
        hits=tuple(hits),
        lines=tuple(lines),
        table=AnswerTable(
            title=f"{found.before} and {found.after}",
            columns=("finding", "change", found.before, found.after),
            rows=tuple(
                (row.name, row.change, _quoted(row.before), _quoted(row.after))
                for row in (*found.findings, *found.denied)
            ),
        ),
        note=f"read from both reports finding by finding, not generated; {order}",
        confidence=round(agreement_of(row.finding for row in found.findings), 4),
        refusal=None if lines else "neither report says anything of a finding that I know",
    )


def _line(row: ComparedFinding, found: Comparison, cited: Callable[[Spoken], tuple[int, int, int]]) -> Line:
    sides = [(case, said) for case, said in ((found.before, row.before), (found.after, row.after)) if said]
    quotes = "; ".join(f"{case}: “{_on_one_line(said.quote)}”" for case, said in sides)
    name = row.name[:1].upper() + row.name[1:]
    return Line(f"{name}: {row.change}. {quotes}", tuple(cited(said) for _, said in sides))


def _quoted(said: Spoken | None) -> str:
    return f"“{_on_one_line(said.quote)}”" if said else "not mentioned"


def _hit(snapshot: Snapshot, document: Document, start: int) -> Hit:
    """The passage of a document that holds a quote."""
    passages = [p for _, p in snapshot.passages_of(document.id)]
    passage = next((p for p in passages if p.start <= start < p.end), passages[0])
    return Hit(passage=passage, document=document, score=1.0, channel="statements", ranks={})


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
