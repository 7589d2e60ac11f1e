"""Which reports say it, exactly: criteria become sets of reports, from the statements that were kept of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from rag.cohorts.asking import name_of
from rag.cohorts.criteria import (
    MOST,
    STANDINGS,
    By,
    Cell,
    Cohort,
    CohortHit,
    CohortQuestion,
    Criterion,
    FoundStatement,
    Page,
    Standing,
    Tally,
)
from rag.cohorts.reliability import error_of
from rag.cohorts.statements import bits_of, kept_words, rules_of
from rag.errors import InputError
from rag.indexing.catalogue import LISTED, listed
from rag.indexing.snapshot import Snapshot
from rag.indexing.statements import LEFT, RIGHT, ReportRow, Statement, StatementTable, need_readings
from rag.language.lexicon import Lexicon

_STANDING: Mapping[str, int] = {
    "present": 4, "uncertain": 3, "hypothetical": 3, "absent": 2, "historical": 1,
}  # fmt: skip
_OF_RANK: tuple[Standing, ...] = ("silent", "history", "denied", "raised", "present")
_RANK = "CASE s.status {} ELSE 0 END".format(" ".join(f"WHEN '{s}' THEN {r}" for s, r in _STANDING.items()))
_UNSAID = "not said"


def find(
    snapshot: Snapshot, lexicon: Lexicon, question: CohortQuestion, page: Page | None = None, index: str = "index"
) -> Cohort:
    """Count the reports of a version that meet the criteria, and quote a page of them.

    >>> found = find(snapshot, lexicon, read_cohort("nodules larger than 1 cm", lexicon))    # doctest: +SKIP
    >>> found.count, found.hits[0].statements[0].quote                                       # doctest: +SKIP

    Args:
        lexicon: of the index; findings are its concepts.
        page: which hits to quote; the first 20 unless given.
        index: its name, for messages.

    Raises:
        InputError: a criterion names no finding of the lexicon, or reports are to be ordered by dates that none has.
        IndexStateError: the index was made before statements were kept; the message says what to run.
    """
    page = page or Page()
    table = StatementTable(snapshot)
    counted = table.rules()
    need_readings(counted, index)
    for criterion in question.criteria:
        if criterion.finding not in lexicon.concepts:
            raise InputError(f"there is no finding {criterion.finding!r}; name it in words, e.g.: pleural effusion")
    counting = _Counting.open(table, lexicon, question)
    scope, rows = counting.scope, counting.rows()
    today = rules_of(lexicon)
    return Cohort(
        question=question,
        index=index,
        index_version=snapshot.version,
        rules=", ".join(name for name in counted if name),
        scope=len(scope),
        count=len(rows),
        patients=len({scope[row].group_id for row in rows}),
        tallies=tuple(counting.tally(finding, today) for finding in counting.standings),
        cells=counting.cells(rows),
        hits=tuple(counting.hits(rows[page.offset : page.offset + page.limit])),
        offset=page.offset,
        unread=counted.get("", 0),
        other_languages=table.languages(),
        earlier=sum(n for name, n in counted.items() if name and name != today),
    )


def find_all(
    snapshot: Snapshot, lexicon: Lexicon, question: CohortQuestion, index: str = "index"
) -> Iterator[CohortHit]:
    """Every hit, page by page: for a file."""
    offset: int | None = 0
    while offset is not None:
        found = find(snapshot, lexicon, question, Page(offset=offset, limit=MOST), index)
        yield from found.hits
        offset = found.following


def present_in(snapshot: Snapshot, lexicon: Lexicon, finding: str) -> tuple[set[str], set[str]]:
    """The cases whose reports were read, and those in whose reports a finding is there: to compare with labels."""
    table = StatementTable(snapshot)
    scope, cases = table.reports({}), table.shelves("case_id")
    standing = _standings(table, lexicon, finding)
    there = _OF_RANK.index("present")
    return {cases[row] for row in scope}, {cases[row] for row in scope if standing.get(row) == there}


def _standings(table: StatementTable, lexicon: Lexicon, finding: str) -> dict[int, int]:
    """How strongly each document speaks of a finding; those that do not are left out."""
    condition, values = _about(lexicon, finding)
    return table.strongest(condition, values, _RANK)


def _about(lexicon: Lexicon, finding: str) -> tuple[str, dict[str, Any]]:
    """The statements that say something of a finding: a narrower one that is there, a wider one that is denied.

    "No large effusion" leaves a small one open, so it denies nothing.
    """
    narrower = [c for c in lexicon.concepts if lexicon.is_a(c, finding)]
    wider = sorted(lexicon.ancestors(finding))
    said = f"(s.status <> 'absent' AND s.concept IN {LISTED.replace('?', ':narrower')})"
    denied = f"(s.status = 'absent' AND s.degrees = '' AND s.concept IN {LISTED.replace('?', ':wider')})"
    return f"({said} OR {denied})", {"narrower": listed(narrower), "wider": listed(wider)}


def _placed(lexicon: Lexicon, c: Criterion) -> tuple[str, dict[str, Any]]:
    """The statements that make a report meet a criterion: of its standing, and in one sentence as it is asked for."""
    condition, values = _about(lexicon, c.finding)
    parts = [condition, f"{_RANK} = :rank"]
    values["rank"] = _OF_RANK.index(c.standing)
    if c.sides:
        parts.append("s.sides & :sides")
        values["sides"] = bits_of(frozenset(c.sides))
    for column, words in (("zones", c.zones), ("degrees", c.degrees), ("course", c.course)):
        for n, word in enumerate(words):
            parts.append(f"instr(s.{column}, :{column}{n})")
            values[f"{column}{n}"] = kept_words(frozenset({word}))
    if c.size:
        parts.append(f"s.dimension = :dimension AND s.value {c.size.bound} :value")
        values |= {"dimension": c.size.dimension, "value": c.size.value}
    return " AND ".join(f"({p})" for p in parts), values


@dataclass(frozen=True)
class _Counting:
    """A cohort being counted: the reports in scope, by row, and how each speaks of each finding."""

    table: StatementTable
    lexicon: Lexicon
    question: CohortQuestion
    scope: Mapping[int, ReportRow]
    standings: Mapping[str, Mapping[int, int]]

    @classmethod
    def open(cls, table: StatementTable, lexicon: Lexicon, question: CohortQuestion) -> _Counting:
        where = {"domain": question.domains, "source": question.sources, "group_id": question.groups}
        scope = table.reports(where, question.since, question.until)
        standings = {c.finding: _standings(table, lexicon, c.finding) for c in question.criteria}
        return cls(table, lexicon, question, scope, standings)

    def rows(self) -> list[int]:
        """The reports that meet the criteria, in the order asked for."""
        sets = [self._meeting(c) for c in self.question.criteria]
        both = set.intersection if self.question.joined == "and" else set.union
        chosen = reduce(both, sets) if sets else set(self.scope)
        rows = [row for row in self.scope if row in chosen]
        if self.question.order == "ingested":
            return rows
        dated = [row for row in rows if self.scope[row].date]
        if rows and not dated:
            raise InputError("none of these reports carries a date, so there is no first or last one among them")
        return sorted(dated, key=lambda row: self.scope[row].date, reverse=self.question.order == "last")

    def _meeting(self, c: Criterion) -> set[int]:
        """The reports in scope that meet a criterion."""
        rank, standing = _OF_RANK.index(c.standing), self.standings[c.finding]
        chosen = {row for row in self.scope if standing.get(row, 0) == rank}
        if not c.plain:
            condition, values = _placed(self.lexicon, c)
            chosen &= self.table.strongest(condition, values, _RANK).keys() if condition else chosen
            for side in c.sides if c.standing == "present" else ():
                chosen &= self._on(c, side)
            for side in c.not_sides:
                chosen -= self._on(c, side)
        return set(self.scope) - chosen if c.excluded else chosen

    def _on(self, c: Criterion, side: str) -> set[int]:
        """The documents that say that it is there on a side, among others."""
        condition, values = _about(self.lexicon, c.finding)
        bit = bits_of(frozenset({side}))
        present = f"{condition} AND s.status = 'present' AND s.sides & {bit}"
        return set(self.table.strongest(present, values, "1"))

    def tally(self, finding: str, rules: str) -> Tally:
        standing = self.standings[finding]
        counts = Counter(_OF_RANK[standing.get(row, 0)] for row in self.scope)
        return Tally(
            finding=finding,
            name=name_of(self.lexicon, finding),
            error=error_of(finding, rules),
            **{name: counts[name] for name in STANDINGS},
        )

    def cells(self, rows: Sequence[int]) -> tuple[Cell, ...]:
        """Counts for each value, or pair of values, most first. A report that has two values counts under both."""
        by = self.question.by
        if not by:
            return ()
        counted = rows if by not in (("finding", "finding"), ("standing",)) else list(self.scope)
        values = [self._values(b, n, counted) for n, b in enumerate(by)]
        counts: Counter[tuple[str, ...]] = Counter()
        for row in counted:
            first = [(value,) for value in values[0](row)]
            counts.update(first if len(values) == 1 else [(*a, b) for a in first for b in values[1](row)])
        return tuple(Cell(values=v, reports=n) for v, n in sorted(counts.items(), key=lambda c: (-c[1], c[0])))

    def _values(self, by: By, place: int, rows: Sequence[int]) -> Callable[[int], Sequence[str]]:
        """What a report is counted under."""
        if by in ("domain", "source"):
            told = self.table.shelves(by)
            return lambda row: (told.get(row, _UNSAID),)
        if by == "year":
            return lambda row: (self.scope[row].date[:4] or _UNSAID,)
        criteria = self.question.criteria
        if not criteria:
            raise InputError(f"to count by {by}, name a finding")
        if by in ("finding", "standing"):
            c = criteria[min(place, len(criteria) - 1)]
            said = self.standings[c.finding]
            return lambda row: (f"{c.name}: {_OF_RANK[said.get(row, 0)]}",)
        condition, values = _about(self.lexicon, criteria[0].finding)
        quoted = self.table.quoted(f"{condition} AND s.status = 'present'", values, rows)
        words = _sides_of if by == "side" else _degrees_of
        return lambda row: sorted({w for s in quoted.get(row, ()) for w in words(s)}) or (_UNSAID,)

    def hits(self, rows: Sequence[int]) -> Iterable[CohortHit]:
        """The reports with the sentences that made them count."""
        said: dict[int, list[Statement]] = {}
        for c in self.question.criteria:
            if not c.excluded and c.standing != "silent":
                condition, values = _placed(self.lexicon, c)
                for row, some in self.table.quoted(condition, values, rows).items():
                    said.setdefault(row, []).extend(some)
        documents = self.table.documents(rows)
        for row in rows:
            d = documents[row]
            yield CohortHit(
                document_id=d.id,
                case_id=d.case_id,
                group_id=d.group_id,
                domain=d.domain,
                source=d.source,
                licence=d.licence,
                date=self.scope[row].date,
                title=d.title,
                sha256=d.sha256,
                series=str(d.metadata.get("series") or ""),
                statements=tuple(
                    FoundStatement(
                        finding=s.concept,
                        status=s.status,
                        size=s.value,
                        dimension=s.dimension,
                        quote=d.text[s.start : s.end],
                        start=s.start,
                        end=s.end,
                    )
                    for s in _outright(said.get(row, ()))
                ),
            )


def _sides_of(s: Statement) -> Sequence[str]:
    return ("bilateral",) if s.sides == LEFT | RIGHT else {LEFT: ("left",), RIGHT: ("right",)}.get(s.sides, ())


def _degrees_of(s: Statement) -> Sequence[str]:
    return s.degrees.split()


def _outright(statements: Sequence[Statement]) -> list[Statement]:
    """One statement a sentence and finding; what only follows from a fixed phrase counts where nothing else does."""
    plain = [s for s in statements if not s.derived] or statements
    return list({(s.start, s.concept): s for s in plain}.values())
