"""Which evidence may answer, whoever writes the answer.

A report says something about its own patient, and about one whose image looks alike as far as images that look alike
share findings. About anybody else it says nothing, however well it matches the question's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.answering.image_guard import refuse_blind
from rag.answering.turn import Turn
from rag.generation.base import Request
from rag.language.clinical_text import Texts
from rag.language.question import Asked, subject_words
from rag.retrieval.search import Retrieved
from rag.settings import Settings
from rag.types import Domain, Evidence, Kind, Question
from rag.verification.rules.by_name import bare_choice, names_nothing, sought, why_untold
from rag.verification.rules.wanted import needs_telling, tell_of_study

_EXPLAINS = re.compile(
    r"\W*(?:what\s+causes?\b|why\b|define\b|explain\b|"
    r"what(?:'s|\s+is|\s+are)\s+the\s+(?:causes?|treatments?|cures?|prognos[ie]s|risks?|complications?|meaning)\b|"
    r"how\s+(?:is|are|do|does|can|to|common|likely|dangerous|serious|rare)\b)",
    re.I,
)


def kinds_to_search_first(question: Question, asked: Asked) -> tuple[Kind, ...]:
    """The kinds of evidence to search first; none named means all at once.

    Literature, where nothing else may answer: the question is about medicine in general, and not about a patient, an
    image or what reports there are. It is left for everything where nothing in it bears on the question
    (``retrieval.min_relevance``).
    """
    if question.study is not None or question.image is not None or asked.about_patient:
        return ()
    return ("literature",) if asked.yes_no or not asked.for_reports else ()


def note_kinds(domain: Domain, first: tuple[Kind, ...], found: Retrieved) -> Domain:
    """The router's opinion with the kinds of evidence that were searched, and why those."""
    if not first:
        return domain
    general = "a question about medicine in general"
    why = general if found.kinds else f"{general}, on which nothing in the {' or '.join(first)} bears"
    return domain.model_copy(update={"kinds": found.kinds, "why": why})


def leave_out_retracted(found: Retrieved) -> Retrieved:
    """Without the passages of articles that were retracted: they answer nothing."""
    kept = tuple(hit for hit in found.hits if not hit.document.retracted)
    return found if len(kept) == len(found.hits) else replace(found, hits=kept)


def admit(
    asked: Asked, evidence: Sequence[Evidence], least_alike: float = -1.0, least_relevant: float = 0.0
) -> tuple[Evidence, ...]:
    """The evidence that a generator may see.

    All of it for an open question, but for cases whose image is less alike than ``least_alike`` and literature that
    bears on it with a probability below ``least_relevant``; and where it is the study's own or of similar images. For
    any other yes/no question literature alone, and none if that question is about a patient.
    """
    if not asked.yes_no:
        return tuple(e for e in evidence if _bears(e, least_alike, least_relevant))
    if any(e.of_case for e in evidence):
        return tuple(evidence)
    return () if asked.about_patient else tuple(e for e in evidence if e.kind == "literature")


def _bears(e: Evidence, least_alike: float, least_relevant: float) -> bool:
    if e.of_similar_image:
        return e.score >= least_alike
    return e.kind != "literature" or e.relevance is None or e.relevance >= least_relevant


def refuse_unanswerable(turn: Turn, settings: Settings, texts: Texts, *, looks: bool = False) -> str | None:
    """Why what was found cannot bear on the question at all, so that nothing need be generated.

    A study's own report is found whatever is asked: whether a sentence of it tells what is asked is read here.
    Where whoever writes ``looks`` at images, a yes/no question about one needs nothing that was found.
    """
    request, domain = turn.request, turn.domain
    strict = request.asked.yes_no or settings.answering.when_out_of_domain == "abstain"
    if domain.out_of_domain and strict:
        return "the image is unlike those of every domain that the router was trained on"
    own = [e for e in request.evidence if e.of_study]
    if own and needs_telling(request.asked):
        told = tell_of_study(request.asked, own, texts)
        return None if told.sentences else told.missing
    if request.question.image is not None and request.question.study is None:
        if blind := refuse_blind(turn.certificate.image_effect):
            return blind
        if looks if request.asked.yes_no else domain.basis != "words":
            return None  # what it shows can be seen, or at least what kind of image it is
    if turn.question.study is None and turn.question.image is None:
        if names_nothing(subject_words(request.asked.plain)):
            return "it names nothing to look for"
        if either := bare_choice(request.asked, texts):
            return f"it names {either} and asks nothing of them; ask what one is, or whether a study shows it"
    return (
        refuse_irrelevant(turn, settings)
        or _inadmissible(request, turn.evidence)
        or _unexplained(request)
        or _untold(request, texts)
    )


def refuse_irrelevant(turn: Turn, settings: Settings) -> str | None:
    """Why what search found does not bear on the question; None where something does, or was not searched for."""
    if turn.question.study is None and not any(e.of_similar_image for e in turn.evidence):
        judged = [e.relevance for e in turn.evidence if e.relevance is not None]
        if judged and max(judged) < settings.retrieval.min_relevance:
            return "none of the passages found bears on the question"
    return None


def _unexplained(request: Request) -> str | None:
    """Why reports of patients do not answer what only literature can: "what causes scoliosis?"."""
    asked, evidence = request.asked, request.evidence
    explains = _EXPLAINS.match(asked.plain) is not None or sought(asked) is not None
    if asked.for_reports or asked.about_patient or not explains:
        return None
    if any(e.of_case or e.kind == "literature" for e in evidence):
        return None
    return "only reports of patients speak of it, and they explain nothing"


def _untold(request: Request, texts: Texts) -> str | None:
    """Why a question in general for a property by its name is not answered: no passage tells it."""
    evidence = request.evidence
    if request.question.image is not None or not evidence or any(e.of_case for e in evidence):
        return None
    return why_untold(request.asked, evidence, texts)


def _inadmissible(request: Request, evidence: Sequence[Evidence]) -> str | None:
    """Why nothing of what was found may answer; None where something may, or nothing was found."""
    if request.evidence or not evidence:
        return None
    if request.question.image is not None:
        return "no indexed image is like this one, and only similar cases may say what it shows"
    if not request.asked.about_patient:
        return "no literature in the index says yes or no to it"
    return "it is about a patient: name the study, or give the image"
