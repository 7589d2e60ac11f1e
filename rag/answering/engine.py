"""Journey B: a question becomes an answer.

question → encode → route → retrieve per channel → fuse → select k → generate → verify → decide → record
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Steps
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rag.answering.certificate import Scope, certificate_for, load_certificate
from rag.answering.confidence import signals_of
from rag.answering.contexts import kept, selection
from rag.answering.decision import decide
from rag.answering.drafting import Attempt, attempts
from rag.answering.eligibility import admissible, hopeless, narrowed, sought
from rag.answering.intake import checked
from rag.answering.numbering import evidence_of, image_file, told
from rag.answering.pipeline import View
from rag.answering.workings import Reworked, Said, Trial, Worked, shaping
from rag.audit.ledger import Given, Ledger
from rag.generation.base import Request, refusal
from rag.indexing.store import IndexStore
from rag.language.question import Asked, read_question
from rag.retrieval.search import Retrieved, Sight
from rag.risk_control.policy import Policy
from rag.settings import Settings
from rag.timing import Clock
from rag.types import Answer, Certificate, Domain, Event, Hit, Question
from rag.verification.verify import Verified

_T = TypeVar("_T")
LEDGER = "ledger.sqlite"
_VOTERS = 5  # most similar images that vote on the domain
_UNASKED = Certificate(status="valid", why="a trial answer, given to nobody")


class Engine:
    """Answers questions from one index. Open once, ask often; safe to use from several threads.

    >>> engine = Engine.open("indexes/demo")                              # doctest: +SKIP
    >>> engine.ask("Does study CXR2814 show cardiomegaly?").answer        # doctest: +SKIP
    """

    def __init__(self, store: IndexStore, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.store = store
        self.ledger = Ledger(store.path / LEDGER)
        self._opening = threading.Lock()
        self._view = View.open(store, self.settings)

    @classmethod
    def open(cls, path: str | Path, settings: Settings | None = None) -> Engine:
        """Open the index in the folder ``path``.

        Raises:
            InputError: there is no index at ``path``, or it is empty.
            IndexStateError: the index is damaged, or was built with other encoders than the settings name.
        """
        chosen = settings or Settings()
        return cls(IndexStore.open(Path(path), chosen.vectors), chosen)

    def ask(self, question: str | Question, *, caller: str = "python", **options: Any) -> Answer:
        """Answer one question. ``options`` are the fields of :class:`~rag.types.Question` (image, study, …)."""
        asked = question if isinstance(question, Question) else Question(text=question, **options)
        return self.ask_many([asked], caller=caller)[0]

    def ask_many(
        self, questions: Sequence[Question], *, record: bool = True, caller: str | Sequence[str] = "python"
    ) -> list[Answer]:
        """Answer several questions; encoders and search run on all of them at once, and so does a generator that can.

        Args:
            record: False leaves the ledger out: for measurements, whose answers are given to nobody.
            caller: who asks, as the ledger is to name them (the id of a key, never a secret): one name, or one for
                each question.
        """
        view, clock = self._follow(), Clock()
        with clock("read"):
            questions = [self._checked(q, view) for q in questions]
            asked = [read_question(q.text, view.lexicon, q.study) for q in questions]
        found, domains = self._retrieve(questions, asked, view, clock, view.widest)

        def work(i: int) -> Worked:
            return self._worked(questions[i], asked[i], found[i], domains[i], view, clock.copy(len(questions)))

        worked = _each(work, len(questions), view.generator.parallel)
        if record:
            callers = [caller] * len(worked) if isinstance(caller, str) else caller
            settings = shaping(self.settings)
            self.ledger.extend(
                Given(w.answer, w.working(view, settings), who) for w, who in zip(worked, callers, strict=True)
            )
        return [w.answer for w in worked]

    def stream(self, question: Question, *, caller: str = "python") -> Iterator[Event]:
        """Answer one question, telling what happens as it happens; the last event holds the recorded answer.

        Sentences are told as soon as each is verified, hence before the decision: if the answer is then withheld, the
        last event says so and whoever showed them takes them back. They come with the numbers and in the order of the
        final answer, and a draft that has told one is never replaced by another.

        Raises:
            RagError: the question cannot be answered as it is, or the generator failed midway; nothing is recorded.
        """
        view, clock = self._follow(), Clock()
        yield Event(kind="stage", stage="read")
        with clock("read"):
            q = self._checked(question, view)
            asked = read_question(q.text, view.lexicon, q.study)
        yield Event(kind="stage", stage="retrieve")
        (found,), (domain,) = self._retrieve([q], [asked], view, clock, view.widest)
        certificate, policy = self._policy(q, asked, found, domain, view)
        evidence = tuple(evidence_of(n, h) for n, h in enumerate(_kept(found, policy), start=1))
        yield Event(kind="evidence", evidence=evidence)
        yield Event(kind="stage", stage="generate")
        worked = yield from self._answer(q, asked, found, domain, policy, certificate, view, clock)
        answer = worked.answer
        self.ledger.append(answer, worked.working(view, shaping(self.settings)), caller)
        yield Event(kind="answer", answer=answer)

    def rework(self, question: Question, version: int, policy: Policy, certificate: Certificate) -> Reworked:
        """Answer as of index version ``version``, by a given policy and under a given certificate; nothing is recorded.

        Raises:
            InputError: the question cannot be answered, or the version has been forgotten.
            IndexStateError: that version was encoded by other encoders than the settings name.
        """
        view, clock = self._follow(), Clock()
        if view.snapshot.version != version:
            view = View.open(self.store, self.settings, version)
        q = self._checked(question, view)
        asked = read_question(q.text, view.lexicon, q.study)
        (found,), (domain,) = self._retrieve([q], [asked], view, clock, max(view.widest, policy.k + 1))
        worked = _finished(self._answer(q, asked, found, domain, policy, certificate, view, clock))
        spaces = view.snapshot.spaces()
        backends = {name for space in spaces for name in view.snapshot.backends(space)}
        today = self._policy(q, asked, found, domain, view)[1]
        return Reworked(worked, worked.working(view, shaping(self.settings)), today, frozenset(backends))

    def outcomes(self, questions: Sequence[Question], settings: Sequence[tuple[int, float]]) -> list[Trial]:
        """What would be answered under each (k, gamma), whatever the confidence.

        One search serves all settings. The generator is asked once for each number of contexts that they lead to.
        Nothing is recorded and no certificate is applied.
        """
        view, clock = self._follow(), Clock()
        questions = [self._checked(q, view) for q in questions]
        asked = [read_question(q.text, view.lexicon, q.study) for q in questions]
        found, domains = self._retrieve(questions, asked, view, clock, max(k for k, _ in settings) + 1)

        def trial(i: int) -> Trial:
            seen: dict[int, Said] = {}
            row = []
            for k, gamma in settings:
                policy = Policy(k, gamma, 0.0)
                contexts = len(_kept(found[i], policy))
                if contexts not in seen:
                    working = self._answer(
                        questions[i], asked[i], found[i], domains[i], policy, _UNASKED, view, Clock()
                    )
                    worked = _finished(working)
                    seen[contexts] = Said(worked.answer.verdict, worked.answer.confidence, worked.signals)
                row.append(seen[contexts])
            documents = tuple(h.document.id for h in found[i].hits)
            return Trial(_scope(asked[i], found[i]), domains[i], tuple(row), documents)

        return _each(trial, len(questions), view.generator.parallel)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of everything that answers depend on, by name: a certificate is valid only while they hold."""
        return dict(self._follow().fingerprints)

    def search(self, question: str | Question, k: int = 10, **options: Any) -> list[Hit]:
        """The ``k`` best passages, without answering."""
        view = self._follow()
        q = self._checked(question if isinstance(question, Question) else Question(text=question, **options), view)
        asked = read_question(q.text, view.lexicon, q.study)
        found, _ = self._retrieve([q], [asked], view, Clock(), k, everywhere=True)
        return list(found[0].hits[:k])

    def has_study(self, study: str) -> bool:
        """Whether the index holds a case of this id."""
        return self._follow().snapshot.has_case(study) is not None

    @property
    def version(self) -> int:
        """The index version that questions are answered from."""
        return self._view.snapshot.version

    # ---------------------------------------------------------------- steps

    def refresh(self) -> None:
        """Open the latest published version now, so that no question has to wait for it."""
        with self._opening:
            if not self._is_latest(self._view):
                self._view = View.open(self.store, self.settings)

    def _follow(self) -> View:
        """The latest published version; a question in flight stays with the view that it began with.

        Whoever first meets a new version opens it; questions that others ask meanwhile are answered from the version
        before, as if they had come a moment earlier, and nobody waits for them.
        """
        if not self._is_latest(self._view) and self._opening.acquire(blocking=False):
            try:
                if not self._is_latest(self._view):
                    self._view = View.open(self.store, self.settings)
            finally:
                self._opening.release()
        return self._view

    def _is_latest(self, view: View) -> bool:
        return view.snapshot.version == self.store.version() and view.certificate == load_certificate(self.store.path)

    def _checked(self, q: Question, view: View) -> Question:
        return checked(q, view.snapshot, self.store.name, self.settings.answering.max_question_chars)

    def _retrieve(
        self,
        questions: Sequence[Question],
        asked: Sequence[Asked],
        view: View,
        clock: Clock,
        k: int = 0,
        *,
        everywhere: bool = False,
    ) -> tuple[list[Retrieved], list[Domain]]:
        with clock("route"):
            sights = view.searcher.see(questions)
            domains = [self._route(q, a, s, view) for q, a, s in zip(questions, asked, sights, strict=True)]
        with clock("search"):
            votes = [a.yes_no and bool(s.near) for a, s in zip(asked, sights, strict=True)]
            narrow = self.settings.retrieval.literature_first and not everywhere
            first = [sought(q, a) if narrow else () for q, a in zip(questions, asked, strict=True)]
            depth = max(k, self.settings.selection.k_max + 1)
            found = view.searcher.search(questions, domains, sights, votes, first, depth)
        return found, [narrowed(d, kinds, f) for d, kinds, f in zip(domains, first, found, strict=True)]

    def _route(self, q: Question, a: Asked, sight: Sight, view: View) -> Domain:
        if q.domain is not None:
            return view.router.named(q.domain)
        if q.study is not None:
            name = view.snapshot.case(q.study)[0].domain
            return Domain(name=name, probability=1.0, out_of_domain=False, searched=(name,), basis="study")
        concepts = [view.lexicon.concepts[c].domain for c in a.topics if c in view.lexicon.concepts]
        near = [(n.document.domain, n.similarity) for n in sight.near[:_VOTERS]]
        return view.router.route(q.text, concepts, vector=sight.vector, features=sight.features, neighbours=near)

    def _policy(
        self, q: Question, asked: Asked, found: Retrieved, domain: Domain, view: View
    ) -> tuple[Certificate, Policy]:
        """The certificate that covers the question, or why none does, and the policy to answer by."""
        certificate = certificate_for(
            view.certificate, view.fingerprints, _scope(asked, found), domain, q.domain is None
        )
        certified = certificate.policy if certificate.status == "valid" else None
        return certificate, Policy.from_dict(certified) if certified else self._default_policy()

    def _worked(self, q: Question, asked: Asked, found: Retrieved, domain: Domain, view: View, clock: Clock) -> Worked:
        certificate, policy = self._policy(q, asked, found, domain, view)
        return _finished(self._answer(q, asked, found, domain, policy, certificate, view, clock))

    def _default_policy(self) -> Policy:
        selection = self.settings.selection
        return Policy(selection.k_max, selection.gamma, self.settings.answering.min_confidence)

    def _answer(
        self,
        q: Question,
        asked: Asked,
        found: Retrieved,
        domain: Domain,
        policy: Policy,
        certificate: Certificate,
        view: View,
        clock: Clock,
    ) -> Steps[Event, None, Worked]:
        """Generate, verify and decide; sentences that pass are told as they do."""
        with clock("select"):
            evidence = tuple(evidence_of(n, h) for n, h in enumerate(_kept(found, policy), start=1))
            admitted = admissible(asked, evidence)
            pictures = partial(image_file, snapshot=view.snapshot)
            request = Request(q, asked, admitted, self.settings.answering.max_sentences, pictures)
        if why := hopeless(request, evidence, found, domain, self.settings):
            tried: tuple[Attempt, ...] = (Attempt(refusal(why), Verified((), (), ()), why),)
        else:
            revisions = self.settings.generation.revisions
            writing = attempts(request, view.generator, view.lexicon, view.verifier, revisions, clock)
            tried = yield from told(writing)
        draft, verified, _ = tried[-1]
        best = max((e.score for e in evidence), default=0.0)
        signals = signals_of(draft, verified.score, asked, admitted, view.lexicon, best)
        chosen = selection(found.hits, policy)
        strict = self.settings.answering.when_uncertified == "abstain"
        answer = decide(
            q, tried[-1], signals, evidence, chosen, domain, policy, certificate, view, clock, certified_only=strict
        )
        return Worked(answer, draft, verified, policy, tried, signals)


def _scope(asked: Asked, found: Retrieved) -> Scope | None:
    """The kind of yes/no question, as certificates name it; None for an open one."""
    if not asked.yes_no:
        return None
    channels = {h.channel for h in found.hits}
    return "study" if "study" in channels else "image" if any("image" in h.ranks for h in found.hits) else "literature"


def _kept(found: Retrieved, policy: Policy) -> tuple[Hit, ...]:
    """How many contexts: the gap rule over fused scores; a study is read whole."""
    return found.hits[: kept(found.hits, policy)[0]]


def _each(work: Callable[[int], _T], n: int, parallel: int) -> list[_T]:
    """``work`` of 0 … n - 1 in order, ``parallel`` of them at once; the first failure ends it."""
    if min(n, parallel) <= 1:
        return [work(i) for i in range(n)]
    with ThreadPoolExecutor(min(n, parallel)) as pool:
        return list(pool.map(work, range(n)))


def _finished(working: Steps[Event, None, Worked]) -> Worked:
    """What comes out where nobody listens."""
    while True:
        try:
            next(working)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
