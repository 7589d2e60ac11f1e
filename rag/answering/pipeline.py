"""The parts of one index version, open, and the three steps in which they answer: begin → write → decide.

    for turn in pipeline.begin(questions):
        for event in pipeline.write(turn):
            ...
        answer = pipeline.decide(turn)

Whoever answers questions loops over these three: the engine, its stream, replays, trials for calibration, suites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from rag.answering.across import crossing_of, languages_of, quote_across, quote_similar, read_across
from rag.answering.certificate import StoredCertificate, certificate_for
from rag.answering.confidence import of_reading, signals_of
from rag.answering.contexts import evidence_of, image_file, select_contexts
from rag.answering.decision import decide
from rag.answering.drafting import Drafting
from rag.answering.eligibility import (
    admit,
    kinds_to_search_first,
    leave_out_retracted,
    note_kinds,
    refuse_irrelevant,
    refuse_unanswerable,
)
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.image_guard import ImageEffects
from rag.answering.intake import check_question, in_its_language
from rag.answering.lookup import NOT_CERTIFIED, look_up
from rag.answering.parts import join_answers, split_question
from rag.answering.posed import Posed, pose
from rag.answering.turn import Attempt, Crossing, LookedUp, Turn
from rag.answering.witnesses import agreement, hear
from rag.generation.base import Request, refusal
from rag.generation.chat import LanguageGenerator
from rag.indexing.snapshot import Snapshot
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.question import Asked, read_question, unread_question
from rag.language.typed import TypedWords
from rag.retrieval.router import Router
from rag.retrieval.search import Retrieved, Searcher, Sight
from rag.risk_control.policy import Policy
from rag.settings import Settings
from rag.timing import Clock
from rag.types import Answer, AskedBack, Certificate, Domain, Event, Hit, Question, Selection, TakenAs
from rag.verification.base import Verified

_T = TypeVar("_T")
_VOTERS = 5  # most similar images that vote on the domain
_EVERYTHING = 1e6  # no gap between scores is as wide
ENGLISH_ONLY = "it was not asked in English, and certificates are tested on English questions alone"
_GIVEN = Domain(name="general", probability=1.0, out_of_domain=False, basis="given evidence")
_UNCERTIFIED = Certificate(status="uncertified", why="the evidence was given, not found")


@dataclass(frozen=True)
class Pipeline:
    """An index as of one version, with all that answering from it needs. Never changes, so threads may share it.

    >>> pipeline = open_version(store, settings)                                   # doctest: +SKIP
    >>> (turn,) = pipeline.begin([Question(text="What is drusen?")])                # doctest: +SKIP
    >>> pipeline.finish(turn).answer                                                # doctest: +SKIP
    """

    name: str
    settings: Settings
    snapshot: Snapshot
    texts: Texts
    typed: TypedWords
    searcher: Searcher
    router: Router
    drafting: Drafting
    witness: LanguageGenerator | None
    certificate: StoredCertificate | None
    evidence_certificate: EvidenceCertificate | None
    image_effects: ImageEffects | None
    finding_fingerprints: dict[str, str]
    fingerprints: dict[str, str]

    # ---------------------------------------------------------------- the three steps

    def begin(self, questions: Sequence[Question], *, depth: int = 0, everywhere: bool = False) -> list[Turn]:
        """Check, read, route and search; encoders and search run on all questions at once.

        A question whose answer is looked up is not searched for, and one that asks several things gets a turn for each.

        Args:
            questions: as they were asked.
            depth: hits to look at, where that is more than any policy that may apply needs.
            everywhere: kinds of evidence are not searched one before another: for a plain search.

        Raises:
            InputError: a question cannot be asked of this index.
        """
        clock = Clock()
        with clock("read"):
            most = self.settings.answering.max_question_chars
            given = [check_question(q, self.snapshot, self.name, most) for q in questions]
            given = [self._mended(in_its_language(q, self.lexicon)) for q in given]
            questions = [q.read_as for q in given]
        if everywhere:
            return self._search(questions, clock, depth, everywhere=True)
        made: dict[int, Turn] = {}
        split: dict[int, list[Question]] = {}
        for n, q in enumerate(questions):
            own = Clock()
            with own("read"):
                found = look_up(q, self.snapshot, self.texts, self.name) if q.language is None else None
                if isinstance(q.taken, AskedBack):
                    found = LookedUp(refusal=q.taken.back)
                parts = split_question(q, self.snapshot, self.lexicon) if found is None and q.language is None else [q]
            if found is not None:
                made[n] = self._looked_up(q, found, own)
            elif len(parts) > 1:
                split[n] = parts
        plain = [n for n in range(len(questions)) if n not in made and n not in split]
        made |= zip(plain, self._search([questions[n] for n in plain], clock, depth), strict=True)
        for n, parts in split.items():
            made[n] = self._joining(questions[n], self.begin(parts, depth=depth))
        for n, q in enumerate(given):
            made[n].given = q.model_copy(update={"study": made[n].question.study})
            if q.language is not None:
                self._uncertify(made[n], ENGLISH_ONLY)
        return [made[n] for n in range(len(questions))]

    def _search(
        self, questions: Sequence[Question], clock: Clock, depth: int, *, everywhere: bool = False
    ) -> list[Turn]:
        """Read, route and search questions that are answered from what is found."""
        if not questions:
            return []
        with clock("read"):
            asked = [self._read(q) for q in questions]
        with clock("route"):
            sights = self.searcher.see(questions)
            domains = [self._route(q, a, s) for q, a, s in zip(questions, asked, sights, strict=True)]
        with clock("search"):
            votes = [a.yes_no and bool(s.near) for a, s in zip(asked, sights, strict=True)]
            narrow = self.settings.retrieval.literature_first and not everywhere
            first = [kinds_to_search_first(q, a) if narrow else () for q, a in zip(questions, asked, strict=True)]
            deep = max(depth, self._widest)
            found = self.searcher.search(questions, domains, sights, votes, first, deep)
            if self.settings.answering.when_retracted == "leave out" and not everywhere:
                found = [leave_out_retracted(f) for f in found]
        domains = [note_kinds(d, kinds, f) for d, kinds, f in zip(domains, first, found, strict=True)]
        posed = [pose(a, f.hits, self.texts, q) for q, a, f in zip(questions, asked, found, strict=True)]
        return [
            Turn(q, a, d, f, p, *self._govern(q, d, p), clock.copy(len(questions)), self._promise(q, d, p))
            for q, a, d, f, p in zip(questions, asked, domains, found, posed, strict=True)
        ]

    def _mended(self, q: Question) -> Question:
        """The question with its spelling and its abbreviations read, where that changes it; what was read is noted."""
        if isinstance(q.taken, AskedBack) or q.language is not None:
            return q
        before = q.taken or TakenAs(means=q.text)
        mended = self.typed.mend(before.means)
        if not mended.notes:
            return q
        taken = TakenAs(means=mended.text, notes=(*before.notes, *mended.notes))
        return q.model_copy(update={"taken": taken})

    def _read(self, q: Question) -> Asked:
        return unread_question(q.text, q.study) if q.language else read_question(q.text, self.lexicon, q.study)

    def _looked_up(self, q: Question, found: LookedUp, clock: Clock) -> Turn:
        """A turn whose answer is looked up: everything that it quotes becomes evidence."""
        name = found.hits[0].document.domain if found.hits else "general"
        domain = Domain(name=name, probability=1.0, out_of_domain=False, basis="reports")
        policy = Policy(max(1, len(found.hits)), _EVERYTHING, self.settings.answering.min_confidence)
        certificate = Certificate(status="uncertified", why=NOT_CERTIFIED)
        asked = read_question(q.text, self.lexicon, q.study)
        return Turn(q, asked, domain, Retrieved(found.hits), Posed(None), certificate, policy, clock, looked_up=found)

    def _uncertify(self, turn: Turn, why: str) -> None:
        """Answer it, and each part of it, by the usual policy."""
        turn.certificate, turn.policy = Certificate(status="uncertified", why=why), self.default_policy
        for part in turn.parts:
            self._uncertify(part, why)

    def _joining(self, q: Question, parts: Sequence[Turn]) -> Turn:
        """A turn that joins those of its parts."""
        first = parts[0]
        asked = read_question(q.text, self.lexicon, q.study)
        return Turn(
            q,
            asked,
            first.domain,
            Retrieved(()),
            Posed(None),
            first.certificate,
            self.default_policy,
            parts=tuple(parts),
        )

    def begin_with(self, question: Question, hits: Sequence[Hit]) -> Turn:
        """A turn whose evidence is given instead of found; all of it becomes contexts. For suites that measure reading.

        The question is not checked, and nothing is certified.
        """
        asked = self._read(question)
        policy = Policy(max(1, len(hits)), _EVERYTHING, self.settings.answering.min_confidence)
        posed = pose(asked, hits, self.texts, question)
        return Turn(question, asked, _GIVEN, Retrieved(tuple(hits)), posed, _UNCERTIFIED, policy)

    def select(self, turn: Turn) -> Selection:
        """Choose how many of the hits become contexts."""
        with turn.clock("select"):
            turn.selection = select_contexts(turn.found.hits, turn.policy, turn.promise)
        return turn.selection

    def write(self, turn: Turn) -> Iterator[Event]:
        """Generate and verify; tells the evidence, then the sentences that pass as they do.

        Raises:
            RagError: the generator failed midway.
        """
        if turn.parts:
            yield from self._write_parts(turn)
            return
        selection, retrieval = turn.selection or self.select(turn), self.settings.retrieval
        with turn.clock("select"):
            hits = turn.found.hits[: selection.kept]
            turn.evidence = tuple(evidence_of(n, h) for n, h in enumerate(hits, start=1))
            turn.request = Request(
                turn.question,
                turn.asked,
                admit(turn.asked, turn.evidence, retrieval.min_quoted_similarity, retrieval.min_relevance),
                self.settings.answering.max_sentences,
                partial(image_file, snapshot=self.snapshot),
                domain=turn.domain,
            )
        yield Event(kind="evidence", evidence=turn.evidence)
        yield Event(kind="stage", stage="generate")
        if turn.looked_up is not None:
            turn.attempts = (turn.looked_up.attempt(turn.evidence),)
            yield from self._told(turn, turn.attempts[0])
            return
        languages = languages_of(turn.found.hits, self.texts)
        crossing = self._crossing(turn, languages)
        whole = turn.request
        turn.request = replace(whole, evidence=tuple(e for e in whole.evidence if e.document_id not in languages))
        unread, by_image = crossing is not None and not crossing.read, turn.question.of_image
        why = None
        if by_image or not unread:
            why = refuse_unanswerable(turn, self.settings, self.texts, looks=self._looks)
        if why is not None:
            turn.attempts = (Attempt(refusal(why), Verified((), (), ()), why),)
        if crossing is not None and (unread if why is None else not by_image):
            yield from self._write_across(turn, whole, crossing)
        if unread or why is not None:
            return
        writing = self.drafting.write(turn.request, turn.clock)
        while True:
            try:
                passed = next(writing)
            except StopIteration as done:
                turn.attempts = done.value
                break
            (sentence,), citations = turn.numbers.renumber([passed.sentence], passed.citations)
            yield Event(kind="sentence", sentence=sentence, citations=citations)
        if crossing is not None and not turn.last.verified.sentences:
            yield from self._write_across(turn, whole, crossing)

    def _crossing(self, turn: Turn, languages: Mapping[str, str]) -> Crossing | None:
        """The languages, where question or evidence is in one that is not read and something may be quoted."""
        least, bridge = self.settings.retrieval.min_relevance, self.searcher.bridge
        crossing = crossing_of(turn.question, turn.request.evidence, least, languages)
        if bridge is None:
            return crossing
        return None if refuse_irrelevant(turn, self.settings) else crossing

    def _write_across(self, turn: Turn, request: Request, crossing: Crossing) -> Iterator[Event]:
        """Quote, and promise nothing."""
        quote = quote_similar if turn.question.of_image else quote_across
        with turn.clock("generate"):
            attempt, turn.crossing = read_across(request, crossing, self.texts) or (
                quote(request, crossing, self.searcher.bridge, self.texts),
                crossing,
            )
        turn.request, turn.attempts = request, (attempt,)
        self._uncertify(turn, turn.crossing.note)
        yield from self._told(turn, turn.attempts[0])

    def _told(self, turn: Turn, attempt: Attempt) -> Iterator[Event]:
        """The sentences of an attempt that nobody wrote."""
        for n, said in enumerate(attempt.verified.sentences):
            mine = [c for c in attempt.verified.citations if c.sentence == n]
            (sentence,), citations = turn.numbers.renumber([said], mine)
            yield Event(kind="sentence", sentence=sentence, citations=citations)

    def _write_parts(self, turn: Turn) -> Iterator[Event]:
        """Write and decide each part, then tell what they come to: a part's numbers are not those of the whole."""
        yield Event(kind="stage", stage="generate")
        with turn.clock("parts"):
            self.finish_all(turn.parts)
            turn.answer = join_answers(turn, self.snapshot.version)
            turn.attempts = tuple(attempt for part in turn.parts for attempt in part.attempts)
            turn.signals = min((part.signals for part in turn.parts), key=lambda signals: signals.pooled)
        yield Event(kind="evidence", evidence=turn.answer.evidence)
        for n, sentence in enumerate(turn.answer.sentences):
            mine = tuple(c for c in turn.answer.citations if c.sentence == n)
            yield Event(kind="sentence", sentence=sentence, citations=mine)

    def decide(self, turn: Turn) -> Answer:
        """Answer or abstain, by the turn's policy and certificate."""
        if turn.parts:
            return turn.answer
        draft, verified, _ = turn.last
        best = max((e.score if e.relevance is None else e.relevance for e in turn.evidence), default=0.0)
        support = 1.0 if turn.looked_up is not None else verified.score  # none or nothing said is exact, too
        if verified.by_model and draft.probability is not None:  # nothing supports it, but it was measured
            draft, support = draft.model_copy(update={"confidence": of_reading(draft.probability)}), 1.0
        turn.signals = signals_of(draft, support, turn.asked, turn.request.evidence, self.texts, best)
        if self.witness is not None and turn.looked_up is None:
            with turn.clock("witness"):
                turn.second_opinion = hear(self.witness, turn, self.settings.generation.witness or "")
            turn.signals = turn.signals._replace(witness=agreement(turn.second_opinion, draft.verdict))
        turn.answer = decide(
            turn,
            self.snapshot.version,
            self.drafting.generator.prompt_sha256,
            certified_only=self.settings.answering.when_uncertified == "abstain",
        )
        return turn.answer

    # ---------------------------------------------------------------- where nobody listens

    def finish(self, turn: Turn) -> Answer:
        """Write and decide."""
        for _ in self.write(turn):
            pass
        return self.decide(turn)

    def finish_all(self, turns: Sequence[Turn]) -> list[Answer]:
        """Write and decide each."""
        return self.each(turns, self.finish)

    def each(self, turns: Sequence[Turn], work: Callable[[Turn], _T]) -> list[_T]:
        """``work`` on each turn, several at once where the generator gains by it; the first failure ends it."""
        parallel = min(len(turns), self.drafting.generator.parallel)
        if parallel <= 1:
            return [work(turn) for turn in turns]
        with ThreadPoolExecutor(parallel) as pool:
            return list(pool.map(work, turns))

    # ---------------------------------------------------------------- parts of the steps

    @property
    def lexicon(self) -> Lexicon:
        return self.texts.lexicon

    @property
    def least(self) -> int:
        """How many contexts an answer must have, by a certificate about missed evidence; 0 without a valid one."""
        return int(self.fingerprints.get("least contexts", 0))

    @property
    def default_policy(self) -> Policy:
        """Of a question that no certificate covers."""
        selection = self.settings.selection
        return Policy(selection.k_max, selection.gamma, self.settings.answering.min_confidence, least=self.least)

    @property
    def _looks(self) -> bool:
        """Whether whoever writes answers questions about an image from the image."""
        return getattr(self.drafting.generator, "looks", False)

    @property
    def _widest(self) -> int:
        """Most hits that a policy may look at."""
        certified = self.certificate.widest + 1 if self.certificate else 0
        return max(certified, self.default_policy.widest)

    def _route(self, q: Question, a: Asked, sight: Sight) -> Domain:
        if q.domain is not None:
            return self.router.named(q.domain)
        if q.study is not None:
            name = self.snapshot.case(q.study)[0].domain
            return Domain(name=name, probability=1.0, out_of_domain=False, searched=(name,), basis="study")
        concepts = [self.lexicon.concepts[c].domain for c in a.topics if c in self.lexicon.concepts]
        near = [(n.document.domain, n.similarity) for n in sight.near[:_VOTERS]]
        return self.router.route(q.text, concepts, vector=sight.vector, features=sight.features, neighbours=near)

    def _govern(self, q: Question, domain: Domain, posed: Posed) -> tuple[Certificate, Policy]:
        """The certificate that covers the question, or why none does, and the policy to answer by."""
        certificate = certificate_for(self.certificate, self.fingerprints, posed, domain, q.domain is None)
        if self.image_effects is not None and posed.scope is not None and q.image is not None and q.study is None:
            effect = self.image_effects.of(domain.name, posed.form)
            certificate = certificate.model_copy(update={"image_effect": effect})
        certified = certificate.policy if certificate.status == "valid" else None
        if certified is None:
            return certificate, self.default_policy
        return certificate, replace(Policy.from_dict(certified), least=self.least)

    def _promise(self, q: Question, domain: Domain, posed: Posed) -> Certificate | None:
        """What is promised of the passages found, where that was ever calibrated."""
        if self.evidence_certificate is None:
            return None
        return self.evidence_certificate.promise(self.finding_fingerprints, posed.scope, domain, q.domain is None)
