"""Journey B: a question becomes an answer.

question → encode → route → retrieve per channel → fuse → select k → generate → verify → decide → record
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.audit.ledger import Ledger, new_audit_id
from rag.corpus.images import check_image
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import IndexStateError, InputError
from rag.findings.lexicon import Lexicon, Term
from rag.findings.question import Asked, read_question
from rag.generation.protocol import Generator, Request
from rag.generation.reader import ReaderGenerator
from rag.indexing.snapshot import Snapshot
from rag.indexing.store import IndexStore
from rag.retrieval.router import route
from rag.retrieval.search import Found, Neighbour, Searcher
from rag.selection.gap import gap_cut
from rag.settings import Settings
from rag.types import Answer, Certificate, Citation, Decision, Domain, Draft, Evidence, Hit, Question, Sentence
from rag.verification.verify import Verified, verify

LEDGER = "ledger.sqlite"
_VOTERS = 5  # most similar images that vote on the domain
_IDENTIFIER = re.compile(r"[A-Za-z][\w./:-]*\d[\w./:-]*")
_UNCERTIFIED = Certificate(status="uncertified", why="no certificate has been computed for this index")


class Engine:
    """Answers questions from one index. Open once, ask often; safe to use from several threads.

    >>> engine = Engine.open("indexes/demo")                              # doctest: +SKIP
    >>> engine.ask("Does study CXR2814 show cardiomegaly?").answer        # doctest: +SKIP
    """

    def __init__(self, store: IndexStore, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.store = store
        self.ledger = Ledger(store.path / LEDGER)
        self._snapshot: Snapshot | None = None
        self._follow()

    @classmethod
    def open(cls, path: str | Path, settings: Settings | None = None) -> Engine:
        """Open the index in the folder ``path``.

        Raises:
            InputError: there is no index at ``path``, or it is empty.
            IndexStateError: the index is damaged, or was built with other encoders than the settings name.
        """
        return cls(IndexStore.open(Path(path)), settings)

    def ask(self, question: str | Question, **options: Any) -> Answer:
        """Answer one question. ``options`` are the fields of :class:`~rag.types.Question` (image, study, …)."""
        return self.ask_many([question if isinstance(question, Question) else Question(text=question, **options)])[0]

    def ask_many(self, questions: Sequence[Question], *, record: bool = True) -> list[Answer]:
        """Answer several questions; encoders and search run on all of them at once.

        ``record=False`` leaves the ledger out: for measurements, whose answers are given to nobody.
        """
        self._follow()
        clock = _Clock()
        with clock("read"):
            questions = [self._checked(q) for q in questions]
            asked = [read_question(q.text, self._lexicon, q.study) for q in questions]
        found, domains = self._retrieve(questions, asked, clock)
        answers = []
        for q, a, f, domain in zip(questions, asked, found, domains, strict=True):
            one = clock.copy(len(questions))
            with one("select"):
                evidence = self._select(f)
            with one("generate"):
                draft = self._draft(Request(q, a, evidence, self.settings.answering.max_sentences), f, domain)
            with one("verify"):
                verified = verify(draft, a, evidence, self._lexicon)
            answer = self._decide(q, a, draft, verified, evidence, domain, one)
            if record:
                self.ledger.append(answer)
            answers.append(answer)
        return answers

    def has_study(self, study: str) -> bool:
        """Whether the index holds a case of this id."""
        return self._now.has_case(study) is not None

    def search(self, question: str | Question, k: int = 10, **options: Any) -> list[Hit]:
        """The ``k`` best passages, without answering."""
        self._follow()
        q = self._checked(question if isinstance(question, Question) else Question(text=question, **options))
        found, _ = self._retrieve([q], [read_question(q.text, self._lexicon, q.study)], _Clock(), k)
        return list(found[0].hits[:k])

    # ---------------------------------------------------------------- steps

    def _follow(self) -> None:
        """Move to the latest published version; encoders are checked against the vectors they will meet."""
        version = self.store.version()
        if self._snapshot is not None and self._snapshot.version == version:
            return
        if not version or not (snapshot := self.store.snapshot(version)).counts():
            raise InputError(
                f"index {self.store.name!r} is empty; add a corpus with: rag ingest SOURCE --index {self.store.name}"
            )
        spaces = snapshot.spaces()
        text = load_text_encoder(self.settings.encoders)
        image = load_image_encoder(self.settings.encoders) if "image" in spaces else None
        for space, encoder in (("text", text), ("image", image)):
            if space in spaces and encoder is not None and spaces[space].fingerprint != encoder.fingerprint:
                raise IndexStateError(
                    f"index {self.store.name!r} holds {space} vectors of another encoder ({spaces[space].fingerprint}; "
                    f"the settings name {encoder.fingerprint}); use that encoder, or rebuild the index with rag ingest"
                )
        terms = [Term(d.id, d.title, tuple(d.metadata.get("synonyms", ())), d.domain) for d in snapshot.terms()]
        self._lexicon = Lexicon.load(terms=terms)
        self._generator: Generator = ReaderGenerator(self._lexicon)
        self._searcher = Searcher(snapshot, text, image, self.settings.retrieval)
        self._snapshot = snapshot

    def _checked(self, q: Question) -> Question:
        """Refuse what cannot be answered, and find the study that the question names."""
        snapshot, most = self._now, self.settings.answering.max_question_chars
        if not q.text.strip():
            raise InputError('the question is empty; write one, e.g.: rag ask "Does study CXR2814 show cardiomegaly?"')
        if len(q.text) > most:
            raise InputError(f"the question has {len(q.text):,} characters; at most {most:,} are read. Shorten it.")
        if q.image is not None:
            check_image(Path(q.image))
            if "image" not in snapshot.spaces():
                raise InputError(
                    f"index {self.store.name!r} has no images to compare {q.image} with; ask without --image"
                )
        if q.study is not None:
            case = snapshot.has_case(q.study)
            if case is None:
                raise InputError(f"index {self.store.name!r} has no study {q.study!r}; see the ids with: rag search")
            return q.model_copy(update={"study": case})
        named = [c for w in _IDENTIFIER.findall(q.text) if (c := snapshot.has_case(w.rstrip(".:/-")))]
        if len(set(named)) == 1 and any(d.kind == "report" for d in snapshot.case(named[0])):
            return q.model_copy(update={"study": named[0]})
        return q

    def _retrieve(
        self, questions: Sequence[Question], asked: Sequence[Asked], clock: _Clock, k: int | None = None
    ) -> tuple[list[Found], list[Domain]]:
        with clock("route"):
            near = self._searcher.neighbours(questions)
            domains = [self._route(q, a, n) for q, a, n in zip(questions, asked, near, strict=True)]
        with clock("search"):
            found = self._searcher.search(questions, domains, near, max(k or 0, self.settings.selection.k_max + 1))
        return found, domains

    def _route(self, q: Question, a: Asked, near: Sequence[Neighbour]) -> Domain:
        if q.domain is not None:
            return Domain(name=q.domain, probability=1.0, out_of_domain=False)
        if q.study is not None:
            return Domain(name=self._now.case(q.study)[0].domain, probability=1.0, out_of_domain=False)
        concepts = [self._lexicon.concepts[c.concept].domain for c in a.claims]
        return route(q.text, [(n.document.domain, n.similarity) for n in near[:_VOTERS]], concepts)

    def _select(self, found: Found) -> tuple[Evidence, ...]:
        """How many contexts: the gap rule over fused scores; a study is read whole."""
        hits = found.hits
        if hits and hits[0].channel != "study":
            cut = gap_cut([h.score for h in hits], self.settings.selection.gamma, self.settings.selection.k_max)
            hits = hits[: cut.k]
        return tuple(_evidence(n, h) for n, h in enumerate(hits, start=1))

    def _draft(self, request: Request, found: Found, domain: Domain) -> Draft:
        """Generate, unless what was found cannot bear on the question at all."""
        floor = self.settings.retrieval.min_similarity
        far = found.text_similarity is not None and found.text_similarity < floor
        alone = request.question.study is None and not any(e.channel == "image" for e in request.evidence)
        if alone and (domain.out_of_domain or far):
            why = (
                "nothing in the question belongs to the domains of this index"
                if domain.out_of_domain
                else "the closest passage is too far from the question"
            )
            return Draft(sentences=(), confidence=0.0, refusal=why)
        return self._generator.generate(request)

    def _decide(
        self,
        q: Question,
        a: Asked,
        draft: Draft,
        verified: Verified,
        evidence: tuple[Evidence, ...],
        domain: Domain,
        clock: _Clock,
    ) -> Answer:
        confidence = round(draft.confidence * verified.score, 4)
        reason = "every sentence is cited and verified"
        if draft.refusal:
            reason = draft.refusal
        elif not verified.sentences:
            kinds = ", ".join(sorted({v for _, v in verified.dropped})) or "nothing was written"
            reason = f"no sentence of the draft passed verification ({kinds})"
        elif confidence < self.settings.answering.min_confidence:
            reason = (
                f"confidence {confidence:.2f} is below the least allowed, {self.settings.answering.min_confidence:.2f}"
            )
        elif any(e.channel == "image" for e in evidence):
            reason += "; similar images need not share a diagnosis"
        refused = bool(draft.refusal or not verified.sentences or confidence < self.settings.answering.min_confidence)
        decision: Decision = "abstained" if refused else "answered"
        sentences, citations, evidence = _numbered(verified, evidence)
        body = " ".join(f"{s.text} {''.join(f'[{n}]' for n in s.citations)}" for s in sentences)
        return Answer(
            question=q,
            answer=body if not refused else f"Not answered: {reason}.",
            decision=decision,
            reason=reason,
            verdict=None if refused else draft.verdict,
            probability=draft.probability,
            confidence=confidence,
            domain=domain,
            sentences=sentences,
            citations=citations,
            evidence=evidence,
            certificate=_UNCERTIFIED,
            audit_id=new_audit_id(),
            index_version=self._now.version,
            timings_ms=clock.timings(),
        )

    @property
    def version(self) -> int:
        """The index version that the last question was answered from."""
        return self._now.version

    @property
    def _now(self) -> Snapshot:
        assert self._snapshot is not None  # _follow() ran in the constructor
        return self._snapshot


def _evidence(number: int, hit: Hit) -> Evidence:
    d, p = hit.document, hit.passage
    return Evidence(
        number=number,
        document_id=d.id,
        passage_id=p.id,
        kind=d.kind,
        domain=d.domain,
        title=d.title,
        source=d.source,
        licence=d.licence,
        case_id=d.case_id,
        group_id=d.group_id,
        channel="image" if hit.found_image else hit.channel,
        score=round(hit.similarities["image"] if hit.found_image else hit.score, 6),
        text=p.text,
        start=p.start,
        sha256=p.sha256,
        image=hit.found_image or d.image,
        references=tuple(d.metadata.get("references", ())),
    )


def _numbered(
    verified: Verified, evidence: tuple[Evidence, ...]
) -> tuple[tuple[Sentence, ...], tuple[Citation, ...], tuple[Evidence, ...]]:
    """Renumber evidence in the order of first citation; what is not cited follows."""
    order = list(dict.fromkeys([c.number for c in verified.citations] + [e.number for e in evidence]))
    new = {old: n for n, old in enumerate(order, start=1)}
    return (
        tuple(
            s.model_copy(update={"citations": tuple(sorted(new[n] for n in s.citations))}) for s in verified.sentences
        ),
        tuple(c.model_copy(update={"number": new[c.number]}) for c in verified.citations),
        tuple(sorted((e.model_copy(update={"number": new[e.number]}) for e in evidence), key=lambda e: e.number)),
    )


class _Clock:
    """Milliseconds per step."""

    def __init__(self) -> None:
        self._ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._ms[step] = self._ms.get(step, 0.0) + (time.perf_counter() - begin) * 1000

    def copy(self, shares: int) -> _Clock:
        """A clock that starts with this one's times, shared equally between ``shares`` questions."""
        other = _Clock()
        other._ms = {k: v / shares for k, v in self._ms.items()}
        return other

    def timings(self) -> dict[str, float]:
        return {k: round(v, 3) for k, v in self._ms.items()} | {"total": round(sum(self._ms.values()), 3)}
