"""What was found, in words, and as files for a spreadsheet or a script."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from rag.cohorts.criteria import Cohort, CohortHit, Criterion, Standing, Tally
from rag.language.languages import language_name

_VERBS: dict[Standing, tuple[str, str]] = {
    "present": ("asserts", "assert"),
    "raised": ("only raises", "only raise"),
    "denied": ("denies", "deny"),
    "history": ("tells as history", "tell as history"),
    "silent": ("does not mention", "do not mention"),
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "document_id", "case_id", "patient", "domain", "source", "licence", "date", "finding", "status", "size",
    "dimension", "quote", "start", "end", "document_sha256", "series",
)  # fmt: skip


def count_in_words(found: Cohort) -> str:
    """One sentence: how many of how many, and how the others stand to the finding where there is one alone.

    >>> count_in_words(engine.find("How many reports mention cardiomegaly?"))            # doctest: +SKIP
    '376 of 3,934 reports (9.6%) assert cardiomegaly; 24 only raise it, 3,293 deny it, 1 tells it as history, …'
    """
    q = found.question
    scope = f" {q.scope}" if q.scope else ""
    if not q.criteria:
        return f"The index holds {_reports(found.count)}{scope}, of {found.patients:,} patients."
    share = f" ({found.share:.1%})" if found.scope else ""
    whole = f"{found.count:,} of {_reports(found.scope)}{scope}{share}"
    criterion, tally = q.criteria[0], found.tallies[0]
    if len(q.criteria) == 1 and criterion.excluded and criterion.plain:
        rest = _others(tally, criterion.standing)
        verb = "does not" if found.count == 1 else "do not"
        asserts = _verb(criterion.standing, 2)
        told = f"{whole} {verb} {asserts} {criterion.name}{': ' if rest else ''}{rest}."
    elif len(q.criteria) > 1 or criterion.excluded:
        told = f"{whole} {_are(found.count, 'meets', 'meet')} this: {criteria_in_words(q.criteria, q.joined)}."
    elif criterion.plain:
        rest = _others(tally, criterion.standing)
        told = f"{whole} {_verb(criterion.standing, found.count)} {criterion.name}{'; ' if rest else ''}{rest}."
    else:
        verb = _verb(criterion.standing, found.count)
        least = getattr(tally, criterion.standing)
        told = (
            f"{whole} {verb} {_plainly(criterion)}; {least:,} {_verb(criterion.standing, least)} {tally.name} at all."
        )
    if found.patients != found.count:
        told += f" They are of {found.patients:,} patients."
    return told


def warnings(found: Cohort) -> list[str]:
    """What a reader of the count must know: how often the reader is wrong, and which reports are not in it."""
    told = [*found.question.notes, *(f"{t.name}: {t.error}" for t in found.tallies if t.error)]
    unmeasured = [t.name for t in found.tallies if not t.error]
    if unmeasured:
        told.append(f"how often the reader is wrong about {', '.join(unmeasured)} has not been measured")
    if found.unread:
        told.append(f"{_reports(found.unread)} have not been read and are not counted: rag index reread {found.index}")
    if found.other_languages:
        names = ", ".join(f"{n:,} {language_name(code)}" for code, n in sorted(found.other_languages.items()))
        told.append(f"not counted are reports in languages that are not read here: {names}")
    if found.earlier:
        told.append(f"{_reports(found.earlier)} were read by earlier rules: rag index reread {found.index}")
    return told


def criteria_in_words(criteria: Iterable[Criterion], joined: str) -> str:
    """ "asserts cardiomegaly and does not assert pneumothorax"."""
    return f" {joined} ".join(
        f"does not assert {_plainly(c)}" if c.excluded else f"{_VERBS[c.standing][0]} {_plainly(c)}" for c in criteria
    )


def rows(hits: Iterable[CohortHit]) -> Iterator[tuple[str, ...]]:
    """A row for each sentence that made a report count, in the order of ``COLUMNS``; one for a report without any."""
    for hit in hits:
        place = (hit.document_id, hit.case_id, hit.group_id, hit.domain, hit.source, hit.licence, hit.date)
        for s in hit.statements:
            size = "" if s.size is None else f"{s.size:g}"
            said = (s.finding, s.status, size, s.dimension, s.quote, str(s.start), str(s.end))
            yield (*place, *said, hit.sha256, hit.series)
        if not hit.statements:
            yield (*place, "", "", "", "", "", "", "", hit.sha256, hit.series)


def as_csv(hits: Iterable[CohortHit]) -> Iterator[str]:
    """Lines of a CSV file, its header first. A cell that a spreadsheet would take for a formula gets an apostrophe."""
    yield _line(COLUMNS)
    for row in rows(hits):
        yield _line(tuple(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row))


def as_jsonl(hits: Iterable[CohortHit]) -> Iterator[str]:
    """One JSON object a report and line."""
    for hit in hits:
        yield hit.model_dump_json() + "\n"


def _line(cells: tuple[str, ...]) -> str:
    written = io.StringIO(newline="")
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _others(tally: Tally, but: Standing) -> str:
    said = [
        f"{n:,} {_verb(standing, n).replace('mention', 'mention it').replace('as history', 'it as history')}"
        + ("" if standing in ("silent", "history") else " it")
        for standing in _VERBS
        if standing != but and (n := getattr(tally, standing))
    ]
    return ", ".join(said)


def _plainly(c: Criterion) -> str:
    """The finding with its places and size."""
    both = c.sides == ("left", "right")
    words = [*(("bilateral",) if both else c.sides), *c.course, *c.degrees, *c.zones, c.name]
    words += [c.size.stated] if c.size else []
    words += [f"(and none on the {' or '.join(c.not_sides)})"] if c.not_sides else []
    return " ".join(words)


def _verb(standing: Standing, n: int) -> str:
    return _VERBS[standing][0 if n == 1 else 1]


def _are(n: int, one: str, many: str) -> str:
    return one if n == 1 else many


def _reports(n: int) -> str:
    return f"{n:,} report{'' if n == 1 else 's'}"
