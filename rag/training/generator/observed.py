"""Pairs from what an index's system said: judged answers of its ledger, and traces of labelled questions.

Only answers whose right side the shown evidence says itself become pairs, by the same reader that verifies: nobody is
taught to answer right without support.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rag.answering.engine import Engine
from rag.audit.feedback import labelled_questions
from rag.audit.ledger import Ledger
from rag.calibration.traces import trace
from rag.calibration.trials import UNASKED
from rag.evaluation.questions import LabelledQuestion
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.reading import read_passage
from rag.progress import Progress
from rag.risk_control.policy import SETTINGS, Policy
from rag.training.generator.citing import finished
from rag.training.generator.examples import Asking, Shown
from rag.training.generator.pairing import begins
from rag.training.generator.preferences import Origin, PairKind, Preference
from rag.types import Draft, Evidence

_EVERYTHING = 100.0  # a gap threshold that never cuts


def pairs_of_ledger(ledger: Ledger, texts: Texts, left_out: Counter[str]) -> list[Preference]:
    """Of each judged yes/no answer that was wrong, and of each right one that was right only at a second attempt.

    ``left_out`` counts judged answers that make no pair, by the reason.
    """
    labels = labelled_questions(ledger)
    left_out.update(labels.skipped)
    pairs = []
    for row in labels.rows:
        entry = ledger.get(row["id"])
        answer, working = entry.answer, entry.working
        drafts = [f.draft for f in working.earlier] + ([working.draft] if working.draft else [])
        said = next((text for d in drafts if begins(text := written(d)) != row["answer"].capitalize() and text), None)
        if said is None:
            left_out["no draft of it was wrong"] += 1
            continue
        question = answer.question
        found = is_supported(question.text, row["answer"], answer.evidence, texts)
        if found is None:
            left_out["no evidence that was shown says the right answer"] += 1
            continue
        asking = Asking(question.text, shown(answer.evidence), row.get("image"))
        pairs.append(_pair("use of evidence", "feedback", row["group"], answer.evidence, asking, (found, said)))
    return pairs


def pairs_of_traces(
    questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress, left_out: Counter[str]
) -> list[Preference]:
    """Of questions that are answered right from few contexts and wrong from more: over-reliance as it happens.

    Questions are traced as for calibration, from the same cache; only those that turn wrong are asked again.
    """
    pipeline, pairs = engine.pipeline(), []
    for q, trial in zip(questions, trace(questions, engine, progress), strict=True):
        outcomes = zip(SETTINGS, trial.outcomes, strict=True)
        verdicts = {k: said.verdict for (k, gamma), said in outcomes if gamma == _EVERYTHING}
        right = min((k for k, verdict in verdicts.items() if verdict == q.answer), default=None)
        wrong = [
            k for k, v in sorted(verdicts.items()) if right is not None and k > right and v not in (None, q.answer)
        ]
        if not wrong:
            left_out["its answer does not turn wrong with more contexts"] += 1
            continue
        (turn,) = pipeline.begin([q.question], depth=max(verdicts) + 1)
        asked = turn.under(Policy(wrong[0], _EVERYTHING, 0.0, least=pipeline.least), UNASKED)
        pipeline.finish(asked)
        found = is_supported(q.question.text, q.answer, asked.evidence, pipeline.texts)
        said = written(asked.last.draft)
        if found is None or begins(said) == q.answer.capitalize():
            left_out["no evidence that was shown says the right answer"] += 1
            continue
        asking = Asking(q.question.text, shown(asked.evidence), q.question.image)
        pairs.append(_pair("over-reliance", "trace", q.group, asked.evidence, asking, (found, said)))
    return pairs


def is_supported(question: str, side: str, evidence: Iterable[Evidence], texts: Texts) -> str | None:
    """The answer of this side with the evidence's strongest sentence for it, cited; None where there is none."""
    asked = read_question(question, texts.lexicon)
    found = []
    for e in evidence:
        reading = read_passage(asked, e.text, texts)
        support = reading.yes if side == "yes" else reading.no
        if support is not None and not support.raised:
            found.append((e.channel == "study", support.weight, -e.number, e.text[support.start : support.end]))
    if not found:
        return None
    _, _, number, sentence = max(found)
    return f"{side.capitalize()}. {finished(sentence)} [{-number}]"


def written(draft: Draft) -> str:
    """A draft as its generator wrote it, or as it would be written by one that writes."""
    if draft.text:
        return " ".join(draft.text.split())
    cited = [" ".join([s.text, *(f"[{n}]" for n in sorted({q.number for q in s.quotes}))]) for s in draft.sentences]
    side = draft.verdict.capitalize() if draft.verdict else ""
    opened = bool(cited) and bool(side) and cited[0].startswith(side)
    return " ".join([*([f"{side}."] if side and not opened else []), *cited])


def shown(evidence: Iterable[Evidence]) -> tuple[Shown, ...]:
    """Evidence as passages of a prompt."""
    return tuple(
        Shown(e.text, "study" if e.channel == "study" else "general" if e.kind == "literature" else "similar")
        for e in evidence
    )


def _pair(
    kind: PairKind, origin: Origin, group: str, evidence: Sequence[Evidence], asking: Asking, answers: tuple[str, str]
) -> Preference:
    sources = ", ".join(sorted({e.source for e in evidence}))
    licences = ", ".join(sorted({e.licence for e in evidence}))
    return Preference(kind, origin, group, sources, licences, asking, *answers)
