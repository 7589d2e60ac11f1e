"""One question on its way from words to answer; each step of the pipeline fills its own fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rag.answering.confidence import Signals
from rag.answering.numbering import Numbering
from rag.answering.posed import Posed
from rag.audit.record import Failed, Working
from rag.generation.base import Request
from rag.language.languages import ENGLISH, language_name
from rag.language.question import Asked
from rag.retrieval.search import Retrieved
from rag.risk_control.policy import Policy
from rag.timing import Clock
from rag.types import (
    Answer,
    AnswerTable,
    Certificate,
    Citation,
    Domain,
    Draft,
    DraftSentence,
    Evidence,
    Hit,
    Question,
    Quote,
    SecondOpinion,
    Selection,
    Sentence,
    TakenAs,
)
from rag.verification.base import Verified


class Attempt(NamedTuple):
    """A draft, what the verifier made of it, and why it may not be given (None where it may)."""

    draft: Draft
    verified: Verified
    failure: str | None


@dataclass(frozen=True)
class Line:
    """A sentence of a looked-up answer, and what it quotes: (hit, start, end), offsets in the hit's document."""

    text: str
    quotes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class LookedUp:
    """An answer that nobody writes: a count of reports, or a comparison of two.

    Attributes:
        hits: the passages that are quoted.
        lines: its sentences; each quotes some of them, or says that there is nothing to quote.
        table: the same for people to look at.
        note: what a reader must know of it: how often the reader is wrong, which reports are not counted.
        confidence: in [0, 1].
        refusal: why it cannot be looked up; then there are no lines.
    """

    hits: tuple[Hit, ...] = ()
    lines: tuple[Line, ...] = ()
    table: AnswerTable | None = None
    note: str = ""
    confidence: float = 0.0
    refusal: str | None = None

    def attempt(self, evidence: Sequence[Evidence]) -> Attempt:
        """As drafts are: its sentences, each quoting what stands in the documents."""
        drafted = tuple(
            DraftSentence(text=line.text, quotes=tuple(Quote(number=h + 1, start=a, end=b) for h, a, b in line.quotes))
            for line in self.lines
        )
        passed = tuple(
            Sentence(text=s.text, citations=tuple(dict.fromkeys(q.number for q in s.quotes))) for s in drafted
        )
        citations = tuple(self._citation(n, q, evidence) for n, s in enumerate(drafted) for q in s.quotes)
        draft = Draft(sentences=drafted, confidence=self.confidence, refusal=self.refusal)
        return Attempt(draft, Verified(passed, citations, ()), self.refusal)

    def _citation(self, sentence: int, q: Quote, evidence: Sequence[Evidence]) -> Citation:
        e = evidence[q.number - 1]
        return Citation(
            sentence=sentence,
            number=q.number,
            document_id=e.document_id,
            passage_id=e.passage_id,
            source=e.source,
            quote=self.hits[q.number - 1].document.text[q.start : q.end],
            start=q.start,
            end=q.end,
            verdict="supported",
            score=1.0,
            boxes=e.boxes_between(q.start, q.end),
        )


class Crossing(NamedTuple):
    """The languages of a question and of the evidence that may answer it, where one of them is not English.

    ``read``: an English question has English evidence, too, which is read first. ``alone``: all evidence that may
    answer is in the language ``told``. ``said``: how a yes or no was read there, where one was.
    """

    asked: str
    told: str
    read: bool = False
    alone: bool = False
    said: str = ""

    @property
    def unread(self) -> str:
        """The languages that are not read here, in words."""
        codes = dict.fromkeys(code for code in (self.asked, self.told) if code != ENGLISH)
        return " and ".join(language_name(code) for code in codes)

    @property
    def note(self) -> str:
        return self.said or f"quoted as it stands, not verified in this language ({self.unread}), and so no yes or no"


@dataclass
class Turn:
    """What is known of one question so far. A turn belongs to one thread at a time.

    ``begin`` gives the fields up to ``promise``; ``select``, ``write`` and ``decide`` give the others, in that order.

    Attributes:
        question: as it was asked, with the study that its words name.
        asked: what was read from it.
        domain: the router's opinion, and which kinds of evidence were searched.
        found: what the channels brought, best first.
        posed: what of it decides whether a certificate covers it.
        certificate: what covers the question, or why nothing does.
        policy: how many contexts, and from which confidence on to answer.
        clock: milliseconds of each step.
        looked_up: the answer, where it is looked up and not written.
        parts: where several things are asked for, a turn for each; this one only joins their answers.
        given: the question as it was asked, where ``question`` is what it is taken to mean.
        promise: how seldom evidence is missed among the contexts, where that was calibrated.
        selection: how many of the hits became evidence, and by which rule.
        evidence: those, numbered as the generator is shown them.
        request: what the generator is asked; its evidence is what may answer.
        crossing: the languages of question and evidence, where one of them is not English.
        attempts: all drafts with their verdicts, in order; the last one counts.
        numbers: the answer's numbers of the evidence.
        second_opinion: what another model says, where one is asked.
        signals: of which the confidence is made.
        answer: what is given.
    """

    question: Question
    asked: Asked
    domain: Domain
    found: Retrieved
    posed: Posed
    certificate: Certificate
    policy: Policy
    clock: Clock = field(default_factory=Clock)
    promise: Certificate | None = None
    looked_up: LookedUp | None = None
    parts: tuple[Turn, ...] = ()
    given: Question | None = None
    selection: Selection | None = field(default=None, init=False)
    evidence: tuple[Evidence, ...] = field(default=(), init=False)
    request: Request = field(init=False)
    crossing: Crossing | None = field(default=None, init=False)
    attempts: tuple[Attempt, ...] = field(default=(), init=False)
    numbers: Numbering = field(default_factory=Numbering, init=False)
    second_opinion: SecondOpinion | None = field(default=None, init=False)
    signals: Signals = field(init=False)
    answer: Answer = field(init=False)

    def under(self, policy: Policy, certificate: Certificate, promise: Certificate | None = None) -> Turn:
        """The same question, read and searched, to be answered by another policy."""
        return replace(self, policy=policy, certificate=certificate, promise=promise, clock=Clock())

    @property
    def as_asked(self) -> Question:
        """The question for the record: its own words, and what they were taken to mean."""
        return self.given or self.question

    @property
    def taken_for(self) -> str:
        """What must be said of how it was read; empty where it was read as it stands."""
        taken = self.as_asked.taken
        return "; ".join(taken.notes) if isinstance(taken, TakenAs) else ""

    @property
    def last(self) -> Attempt:
        """The attempt that counts."""
        return self.attempts[-1]

    def working(self, fingerprints: dict[str, str], settings: dict[str, Any]) -> Working:
        """What the ledger keeps besides the answer.

        Args:
            fingerprints: of the pipeline that answered.
            settings: those that shape an answer; see :func:`~rag.settings.shaping_settings`.
        """
        if self.parts:
            return self._joined(fingerprints, settings)
        return Working(
            draft=self.last.draft,
            shown=tuple(e.passage_id for e in self.evidence),
            dropped=self.last.verified.dropped,
            repaired=self.last.verified.repaired,
            earlier=tuple(
                Failed(draft=a.draft, dropped=a.verified.dropped, why=a.failure or "") for a in self.attempts[:-1]
            ),
            policy=self.policy.as_dict(),
            fingerprints=fingerprints,
            settings=settings,
        )

    def _joined(self, fingerprints: dict[str, str], settings: dict[str, Any]) -> Working:
        """What the ledger keeps of several parts: what each was shown, and what was dropped of it."""
        made = [part.working(fingerprints, settings) for part in self.parts]
        return Working(
            shown=tuple(dict.fromkeys(shown for one in made for shown in one.shown)),
            dropped=tuple(dropped for one in made for dropped in one.dropped),
            repaired=tuple(repaired for one in made for repaired in one.repaired),
            policy=self.policy.as_dict(),
            fingerprints=fingerprints,
            settings=settings,
        )
