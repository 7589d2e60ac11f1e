"""Journey B: a question becomes an answer.

question → encode → route → retrieve per channel → fuse → select k → generate → verify → decide → record
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rag.answering.certificate import StoredCertificate
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.image_guard import effects_that_hold
from rag.answering.intake import in_its_language
from rag.answering.opening import open_version
from rag.answering.pipeline import Pipeline
from rag.answering.replay import Replay
from rag.answering.replay import replay as replay_entry
from rag.answering.thread import REMEMBERED, follow, follow_conversation, last_turns
from rag.answering.turn import Turn
from rag.audit.checks import AuditReport, check_entry, documents_in
from rag.audit.feedback import Feedback, Mark, give_feedback
from rag.audit.ledger import LEDGER, Given, Ledger
from rag.audit.redaction import redact_thread
from rag.building.index import Index
from rag.cohorts.asking import read_typed_cohort
from rag.cohorts.criteria import Cohort, CohortHit, CohortQuestion, Page
from rag.cohorts.find import find, find_all
from rag.corpus.images import load_image
from rag.errors import InputError
from rag.grounding.answers import CitedGrounding, EntryImages, ground_targets, targets_of_answer, targets_of_report
from rag.grounding.base import Grounder
from rag.grounding.region import Grounding
from rag.grounding.standing import UNLIKE, ground_in
from rag.indexing.store import IndexStore
from rag.settings import Settings, shaping_settings
from rag.types import Answer, Event, Hit, Question


class Engine:
    """Answers questions from one index. Open once, ask often; safe to use from several threads.

    >>> engine = Engine.open("indexes/demo")                              # doctest: +SKIP
    >>> answer = engine.ask("Does study CXR2814 show cardiomegaly?")      # doctest: +SKIP
    >>> engine.ledger[answer.audit_id].answer == answer                   # doctest: +SKIP
    """

    def __init__(self, store: IndexStore, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.store = store
        self.ledger = Ledger(store.path / LEDGER)
        self._opening = threading.Lock()
        self._pipeline = open_version(store, self.settings)

    @classmethod
    def open(cls, where: str | Path | Index, settings: Settings | None = None) -> Engine:
        """Open an index by its path or name, as :class:`~rag.building.index.Index` takes it, or one that is open.

        Raises:
            InputError: there is no such index, or it is empty.
            IndexStateError: the index is damaged, or was built with other encoders than the settings name.
        """
        index = where if isinstance(where, Index) else Index.open(where, settings)
        return cls(index.store, settings or index.settings)

    def ask(self, question: str | Question, *, record: bool = True, caller: str = "python", **options: Any) -> Answer:
        """Answer one question. ``options`` are the fields of :class:`~rag.types.Question` (image, study, …).

        ``record`` as in ``ask_many``.
        """
        asked = question if isinstance(question, Question) else Question(text=question, **options)
        return self.ask_many([asked], record=record, caller=caller)[0]

    def ask_many(
        self, questions: Sequence[Question], *, record: bool = True, caller: str | Sequence[str] = "python"
    ) -> list[Answer]:
        """Answer several questions; encoders and search run on all of them at once, and so does a generator that can.

        Args:
            record: False leaves the ledger out: for measurements, whose answers are given to nobody, and for an index
                on a disk that is only read. Such an answer cannot be audited: its ``audit_id`` is 'unrecorded'.
            caller: who asks, as the ledger is to name them (the id of a key, never a secret): one name, or one for
                each question.
        """
        pipeline = self.pipeline()
        callers = [caller] * len(questions) if isinstance(caller, str) else caller
        turns = pipeline.begin([self._followed(q, pipeline, who) for q, who in zip(questions, callers, strict=True)])
        answers = pipeline.finish_all(turns)
        if not record:
            return [_unrecorded(answer) for answer in answers]
        self._record(turns, pipeline, callers)
        return answers

    def stream(self, question: Question, *, record: bool = True, caller: str = "python") -> Iterator[Event]:
        """Answer one question, telling what happens as it happens; the last event holds the recorded answer.

        Sentences are told as soon as each is verified, hence before the decision: if the answer is then withheld, the
        last event says so and whoever showed them takes them back. They come with the numbers and in the order of the
        final answer, and a draft that has told one is never replaced by another.

        Raises:
            RagError: the question cannot be answered as it is, or the generator failed midway; nothing is recorded.
        """
        pipeline = self.pipeline()
        yield Event(kind="stage", stage="read")
        yield Event(kind="stage", stage="retrieve")
        (turn,) = pipeline.begin([self._followed(question, pipeline, caller)])
        yield from pipeline.write(turn)
        answer = pipeline.decide(turn)
        if record:
            self._record([turn], pipeline, [caller])
        yield Event(kind="answer", answer=answer if record else _unrecorded(answer))

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of everything that answers depend on, by name: a certificate is valid only while they hold."""
        return dict(self.pipeline().fingerprints)

    def search(self, question: str | Question, k: int = 10, **options: Any) -> list[Hit]:
        """The ``k`` best passages, without answering."""
        asked = question if isinstance(question, Question) else Question(text=question, **options)
        (turn,) = self.pipeline().begin([asked], depth=k, everywhere=True)
        return list(turn.found.hits[:k])

    def find(self, question: str | CohortQuestion, page: Page | None = None) -> Cohort:
        """Count the reports that say something, exactly, and quote a page of them; nothing is generated.

        >>> found = engine.find("left but not right pleural effusion larger than 1 cm")   # doctest: +SKIP
        >>> found.count, found.scope, found.tallies[0].error                              # doctest: +SKIP

        Args:
            question: plain words ("How many reports mention cardiomegaly?"), or criteria.
            page: which of the hits to quote; the first 20 unless given.

        Raises:
            InputError: a part of the words names nothing that is known.
            IndexStateError: the reports have not been read: the message says what to run.
        """
        pipeline = self.pipeline()
        return find(pipeline.snapshot, pipeline.lexicon, self._cohort(question, pipeline), page, self.store.name)

    def find_all(self, question: str | CohortQuestion) -> Iterator[CohortHit]:
        """Every report that meets the question, with its quotes: what a file is written from."""
        pipeline = self.pipeline()
        return find_all(pipeline.snapshot, pipeline.lexicon, self._cohort(question, pipeline), self.store.name)

    @staticmethod
    def _cohort(question: str | CohortQuestion, pipeline: Pipeline) -> CohortQuestion:
        if isinstance(question, CohortQuestion):
            return question
        return read_typed_cohort(question, pipeline.typed, pipeline.lexicon, pipeline.snapshot.counts())

    def has_study(self, study: str) -> bool:
        """Whether the index holds a case of this id."""
        return self.pipeline().snapshot.has_case(study) is not None

    @property
    def version(self) -> int:
        """The index version that questions are answered from."""
        return self._pipeline.snapshot.version

    # ---------------------------------------------------------------- recorded answers

    def verify(self, audit_id: str) -> AuditReport:
        """Check a recorded answer against the ledger's hashes and the evidence as of its index version.

        >>> engine.verify(answer.audit_id).ok                                           # doctest: +SKIP

        Raises:
            InputError: no answer is recorded under this id.
        """
        entry = self.ledger.answered(audit_id)
        return check_entry(entry, documents_in(self.store), self.ledger.verify_chain(images=False))

    def replay(self, audit_id: str) -> Replay:
        """Answer a recorded question again, from the same index version by the same policy, and say what differs.

        >>> engine.replay(answer.audit_id).outcome                                      # doctest: +SKIP
        'identical'

        Raises:
            InputError: no answer is recorded under this id, or it cannot be read.
        """
        return replay_entry(self, self.ledger.answered(audit_id))

    def regions(self, audit_id: str, report: int | None = None) -> list[CitedGrounding]:
        """Where in its images the findings of a recorded answer are, as far as a model can say.

        >>> first = engine.regions(answer.audit_id)[0].region                            # doctest: +SKIP
        >>> first.phrase, first.boxes, first.cannot_say                                  # doctest: +SKIP
        ('drusen', (Box(x0=0.42, …),), None)

        Args:
            report: number of a piece of evidence: all that its report says, in the image of its case.

        Raises:
            InputError: no answer is recorded under this id, it has no such evidence with an image, its index version
                has been forgotten, or nobody can say where things are: the image encoder knows no texts.
        """
        entry = self.ledger.answered(audit_id)
        with self.store.snapshot(entry.answer.index_version) as snapshot:
            images, texts = EntryImages(entry, snapshot, self.ledger.images), self.pipeline().texts
            if report is None:
                targets = targets_of_answer(images, texts)
            elif images.has(report):
                targets = targets_of_report(report, images.report(report), texts)
            else:
                raise InputError(f"the answer has no evidence {report} with an image")
            return ground_targets(targets, images, self.grounder) if targets else []

    def ground(self, image: str | Path, phrases: Sequence[str], domain: str | None = None) -> list[Grounding]:
        """Where in an image file phrases are, as far as that may be said in its domain: the router's unless given.

        Raises:
            InputError: the image cannot be read, or nobody can say where things are.
        """
        picture = load_image(image)
        if not phrases:
            return []
        if domain is None:
            (turn,) = self.pipeline().begin([Question(text=phrases[0], image=str(image))])
            domain = UNLIKE if turn.domain.out_of_domain else turn.domain.name
        else:
            domain = self.pipeline().router.named(domain).name
        return ground_in(domain, self.grounder, picture, phrases)

    @cached_property
    def grounder(self) -> Grounder:
        """Who says where in an image a finding is: that of the settings, loaded when it is first asked."""
        from rag.grounding.registry import load_grounder  # with those who look, and Pillow

        return load_grounder(self.settings, self.pipeline().texts)

    def feedback(
        self,
        audit_id: str,
        mark: Mark,
        *,
        correction: str | None = None,
        reason: str | None = None,
        caller: str = "python",
    ) -> Feedback:
        """Record whether an answer was right, wrong or is to be corrected; see :mod:`rag.audit.feedback`.

        >>> engine.feedback(answer.audit_id, "wrong", reason="the other lung").audit_id  # doctest: +SKIP

        Raises:
            InputError: no such answer or mark, or a correction where none belongs.
        """
        return give_feedback(self.ledger, audit_id, mark, correction=correction, reason=reason, caller=caller)

    def thread(self, thread: str, caller: str = "python") -> list[Answer]:
        """The last answers of a conversation, newest first."""
        return [entry.answer for entry in self.ledger.thread(thread, caller, REMEMBERED)]

    def forget_thread(self, thread: str, why: str = "forgotten by who asked", caller: str = "python") -> int:
        """Take the texts and images of a conversation out of the ledger, for good; returns how many turns it had.

        >>> engine.forget_thread("rounds-monday")                                        # doctest: +SKIP
        3
        """
        return len(redact_thread(self.ledger, thread, why, caller, of=caller).entries)

    def after(self, question: Question, earlier: Sequence[Question]) -> Question:
        """The question as a conversation makes it mean, for a client that brings its earlier questions along.

        >>> earlier = [Question(text="Does CXR1 show a mass?")]                          # doctest: +SKIP
        >>> engine.after(Question(text="and an effusion?"), earlier).read_as.text        # doctest: +SKIP
        'Does CXR1 show an effusion?'
        """
        pipeline = self.pipeline()
        return follow_conversation(question, earlier, pipeline.snapshot, pipeline.lexicon)

    def _followed(self, q: Question, pipeline: Pipeline, caller: str) -> Question:
        """The question as its thread makes it mean."""
        if q.thread is None or q.taken is not None:
            return q
        earlier = last_turns(self.ledger, q.thread, caller)
        return follow(in_its_language(q, pipeline.lexicon), earlier, pipeline.snapshot, pipeline.lexicon)

    # ---------------------------------------------------------------- versions

    def refresh(self) -> None:
        """Open the latest published version now, so that no question has to wait for it."""
        with self._opening:
            self._renew()

    def pipeline(self, version: int | None = None) -> Pipeline:
        """The parts of the latest published version, open, or those of a past one.

        A question in flight stays with the pipeline that it began with. Whoever first meets a new version opens it;
        questions that others ask meanwhile are answered from the version before, as if they had come a moment earlier,
        and nobody waits for them.

        Raises:
            InputError: the version has been forgotten.
            IndexStateError: it was encoded by other encoders than the settings name.
        """
        if not self._is_latest(self._pipeline) and self._opening.acquire(blocking=False):
            try:
                self._renew()
            finally:
                self._opening.release()
        latest = self._pipeline
        if version is None or version == latest.snapshot.version:
            return latest
        return open_version(self.store, self.settings, version, latest.lexicon)

    def _renew(self) -> None:
        """Open the latest version, where it is another one; what was read for the one before is forgotten."""
        before = self._pipeline
        if not self._is_latest(before):
            self._pipeline = open_version(self.store, self.settings, known=before.lexicon)
            before.texts.forget()

    def _is_latest(self, pipeline: Pipeline) -> bool:
        folder = self.store.path
        return (
            pipeline.snapshot.version == self.store.version()
            and pipeline.certificate == StoredCertificate.load(folder)
            and pipeline.evidence_certificate == EvidenceCertificate.load(folder)
            and pipeline.image_effects == effects_that_hold(folder, self.settings.generation, pipeline.fingerprints)
        )

    def _record(self, turns: Sequence[Turn], pipeline: Pipeline, callers: Sequence[str]) -> None:
        settings = shaping_settings(self.settings)
        self.ledger.extend(
            Given(turn.answer, turn.working(pipeline.fingerprints, settings), who)
            for turn, who in zip(turns, callers, strict=True)
        )


def _unrecorded(answer: Answer) -> Answer:
    return answer.model_copy(update={"audit_id": "unrecorded"})
