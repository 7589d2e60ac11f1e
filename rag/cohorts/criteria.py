"""What a question about many reports asks for, and what is found: the nouns of counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError

from rag.errors import InputError
from rag.types import Noun

Standing = Literal["present", "raised", "denied", "history", "silent"]
STANDINGS: tuple[Standing, ...] = ("present", "raised", "denied", "history", "silent")
BodySide = Literal["left", "right"]
By = Literal["domain", "source", "year", "side", "degree", "standing", "finding"]
Order = Literal["ingested", "first", "last"]
MOST = 1000  # hits in one page


class Size(Noun):
    """A bound on the size of a finding, in the unit of its dimension: lengths in mm, volumes in ml.

    >>> Size(dimension="length", bound=">", value=10, stated="larger than 1 cm").value
    10.0
    """

    dimension: str
    bound: Literal["<", "<=", ">", ">=", "="]
    value: float
    stated: str = Field("", description="As it was asked.")


class Criterion(Noun):
    """What a report must say of one finding, or must not (``excluded``).

    A report stands to a finding as the strongest thing that it says of it: that it is there (``present``), that it may
    be (``raised``), that it is not (``denied``), that it was (``history``), or nothing (``silent``). A narrower finding
    that is there, and a wider one that is denied, count.

    >>> Criterion(finding="pleural_effusion", name="pleural effusion", sides=("left",)).standing
    'present'
    """

    finding: str = Field(description="A concept of the lexicon.")
    name: str
    standing: Standing = "present"
    sides: tuple[BodySide, ...] = Field((), description="On each of these.")
    not_sides: tuple[BodySide, ...] = Field((), description="And on none of these.")
    zones: tuple[str, ...] = ()
    degrees: tuple[str, ...] = ()
    course: tuple[str, ...] = ()
    size: Size | None = None
    excluded: bool = False

    @property
    def plain(self) -> bool:
        """Whether it asks for no more than a standing."""
        return not (self.sides or self.not_sides or self.zones or self.degrees or self.course or self.size)

    def __str__(self) -> str:
        said = [*(() if self.sides == ("left", "right") else self.sides), *self.degrees, *self.course]
        said += ["bilateral"] if self.sides == ("left", "right") else []
        said += [*self.zones, self.name]
        if self.size:
            said.append(self.size.stated)
        if self.not_sides:
            said.append(f"not on the {' or '.join(self.not_sides)}")
        words = " ".join(said)
        return f"not asserted: {words}" if self.excluded else f"{words} ({self.standing})"


class CohortQuestion(Noun):
    """Which reports are counted: those that meet the criteria, of the reports in scope.

    >>> CohortQuestion(criteria=(Criterion(finding="nodule", name="nodule"),)).joined
    'and'
    """

    criteria: tuple[Criterion, ...] = ()
    joined: Literal["and", "or"] = "and"
    domains: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = Field((), description="Patients.")
    since: str = Field("", pattern=r"^(\d{4}(-\d\d){0,2})?$", description="Earliest date, ISO: 2019, 2019-03, …")
    until: str = Field("", pattern=r"^(\d{4}(-\d\d){0,2})?$", description="Latest date, included.")
    order: Order = "ingested"
    by: tuple[By, ...] = Field((), max_length=2, description="Count for each value of this, or of two of these.")
    notes: tuple[str, ...] = Field((), description="What was read for what: spelling, abbreviations, lay words.")

    @property
    def scope(self) -> str:
        """Where it counts, in words; empty where everywhere."""
        said = [f"in {' or '.join(self.domains)}"] if self.domains else []
        said += [f"from {' or '.join(self.sources)}"] if self.sources else []
        said += [f"of patient {' or '.join(self.groups)}"] if self.groups else []
        said += [f"since {self.since}"] if self.since else []
        said += [f"until {self.until}"] if self.until else []
        return " ".join(said)

    def __str__(self) -> str:
        return " ".join([f" {self.joined} ".join(map(str, self.criteria)) or "all reports", self.scope]).strip()


def refined(question: CohortQuestion, fields: Mapping[str, Any]) -> CohortQuestion:
    """The question with more said about where and how to count.

    Raises:
        InputError: a value does not do; the field is named.
    """
    try:
        return CohortQuestion.model_validate({**question.model_dump(), **fields})
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']} (got {first['input']!r})") from error


class Tally(Noun):
    """How the reports in scope stand to one finding: each is counted once, under the strongest thing that it says."""

    finding: str
    name: str
    present: int = 0
    raised: int = 0
    denied: int = 0
    history: int = 0
    silent: int = 0
    error: ReaderError | None = Field(None, description="How often the reader is wrong about it; None: not measured.")


class ReaderError(Noun):
    """How the reader's "it is there" agreed with labels of reports; see ``knowledge/reader-errors.toml``."""

    labels: str
    reports: int
    labelled: int = Field(description="Reports whose label says that it is there.")
    missed: int = Field(description="Of those, how many the reader does not say it of.")
    false: int = Field(description="Reports that the reader says it of, and the label does not.")
    current: bool = Field(description="Whether they were counted by today's rules of reading.")

    @property
    def rate(self) -> float:
        """Share of the reports that reader and labels differ on, in [0, 1]."""
        return (self.missed + self.false) / self.reports

    def __str__(self) -> str:
        earlier = "" if self.current else ", by earlier rules"
        return (
            f"reader and labels differ on {self.rate:.1%} of {self.reports:,} reports of {self.labels}{earlier}: "
            f"{self.missed} of {self.labelled} missed, {self.false} false"
        )


class FoundStatement(Noun):
    """One sentence that made a report count: ``quote == document.text[start:end]``."""

    finding: str
    status: str
    size: float | None = Field(None, description="In mm, ml, … by ``dimension``.")
    dimension: str = ""
    quote: str
    start: int
    end: int


class CohortHit(Noun):
    """A report that meets the criteria, with the sentences that say so."""

    document_id: str
    case_id: str
    group_id: str
    domain: str
    source: str
    licence: str
    date: str
    title: str
    sha256: str = Field(description="Of the document.")
    series: str = Field(
        "",
        exclude_if=lambda series: not series,
        description="Of a DICOM report, the series that it belongs to, as a pseudonym of the index.",
    )
    statements: tuple[FoundStatement, ...] = Field(description="Empty where it counts by what it does not say.")


class Cell(Noun):
    """The count for one value, or for one pair of values."""

    values: tuple[str, ...]
    reports: int


class Cohort(Noun):
    """What was found: the count is of all reports in scope, the hits are one page of them.

    >>> found = engine.find("left but not right pleural effusion")          # doctest: +SKIP
    >>> found.count, found.scope, found.following                           # doctest: +SKIP
    (31, 3934, 20)
    """

    question: CohortQuestion
    index: str
    index_version: int
    rules: str = Field(description="By which the reports were read.")
    scope: int = Field(description="Reports in scope.")
    count: int = Field(description="Reports that meet the criteria.")
    patients: int = Field(description="Patients whose reports these are.")
    tallies: tuple[Tally, ...]
    cells: tuple[Cell, ...] = ()
    hits: tuple[CohortHit, ...]
    offset: int = 0
    unread: int = Field(0, description="Reports that have not been read, and are not counted.")
    other_languages: dict[str, int] = Field(
        default_factory=dict, description="Reports in languages that are not read, by code; they are not counted."
    )
    earlier: int = Field(0, description="Reports that were read by earlier rules than today's.")

    @property
    def share(self) -> float:
        """Of the reports in scope, in [0, 1]; 0 where there is none."""
        return self.count / self.scope if self.scope else 0.0

    @property
    def following(self) -> int | None:
        """The offset of the next page; None where this is the last."""
        after = self.offset + len(self.hits)
        return after if after < self.count and self.hits else None


class Page(Noun):
    """Which of the hits to show."""

    offset: int = Field(0, ge=0)
    limit: int = Field(20, ge=0, le=MOST)
