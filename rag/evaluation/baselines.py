"""What costs little, beside every figure: a constant, the question's words alone, evidence shuffled, evidence given.

A system that is no better than these has learned nothing from evidence: published figures of this field hide that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rag.answering.pipeline import Pipeline
from rag.evaluation.questions import BATCH, LabelledQuestion, side_of
from rag.progress import Progress
from rag.types import Document, Hit, Passage

FOLDS = 5


def answer_constantly(questions: Sequence[LabelledQuestion]) -> list[str]:
    """The commonest label, to every question."""
    (most, _), *_ = Counter(q.answer for q in questions).most_common(1)
    return [most] * len(questions)


def answer_by_words(questions: Sequence[LabelledQuestion]) -> list[str] | None:
    """What a logistic regression on the question's words and pairs of words says, learned from other groups' labels.

    Five folds by group, by scikit-learn. None where there are too few groups or a fold has one label alone.
    """
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    groups, labels = [q.group for q in questions], [q.answer for q in questions]
    if len(set(groups)) < FOLDS or min(Counter(labels).values()) < FOLDS or len(set(labels)) < 2:
        return None
    texts = [q.question.text.replace(q.question.study or "\0", "") for q in questions]
    model = make_pipeline(CountVectorizer(ngram_range=(1, 2), binary=True), LogisticRegression(max_iter=1000))
    return [str(said) for said in cross_val_predict(model, texts, labels, groups=groups, cv=GroupKFold(FOLDS))]


def answer_without_evidence(questions: Sequence[LabelledQuestion], pipeline: Pipeline, tell: Progress) -> list[str]:
    """What the generator says when nothing was found."""
    return _answer_from([()] * len(questions), questions, pipeline, tell, "asking without evidence")


def answer_from_shuffled(questions: Sequence[LabelledQuestion], pipeline: Pipeline, tell: Progress) -> list[str]:
    """What is said from the contexts of another group's question: of the next one in the file that has some."""
    found = _contexts(questions, pipeline, tell)
    others = list[Sequence[Hit]]()
    for n, question in enumerate(questions):
        later = ((n + step) % len(questions) for step in range(1, len(questions)))
        taken = next((found[m] for m in later if found[m] and questions[m].group != question.group), ())
        others.append([hit.model_copy(update={"channel": "text"}) for hit in taken])  # not its own study
    return _answer_from(others, questions, pipeline, tell, "asking with others' evidence")


def answer_from_labelled(questions: Sequence[LabelledQuestion], pipeline: Pipeline, tell: Progress) -> list[str] | None:
    """What is said from the documents that the labels name as evidence. None where they name none."""
    if not any(q.evidence for q in questions):
        return None
    given = [[_whole(d, q) for e in q.evidence if (d := pipeline.snapshot.document(e))] for q in questions]
    return _answer_from(given, questions, pipeline, tell, "asking with the evidence of the labels")


def _contexts(questions: Sequence[LabelledQuestion], pipeline: Pipeline, tell: Progress) -> list[Sequence[Hit]]:
    """What the selector keeps for each question."""
    found, advance = list[Sequence[Hit]](), tell.stage("searching", len(questions))
    for i in range(0, len(questions), BATCH):
        for turn in pipeline.begin([q.question for q in questions[i : i + BATCH]]):
            found.append(turn.found.hits[: pipeline.select(turn).kept])
            advance(1)
    return found


def _answer_from(
    evidence: Sequence[Sequence[Hit]],
    questions: Sequence[LabelledQuestion],
    pipeline: Pipeline,
    tell: Progress,
    stage: str,
) -> list[str]:
    said, advance = list[str](), tell.stage(stage, len(questions))
    for question, hits in zip(questions, evidence, strict=True):
        answer = pipeline.finish(pipeline.begin_with(question.question, hits))
        said.append(side_of(answer))
        advance(1)
    return said


def _whole(d: Document, q: LabelledQuestion) -> Hit:
    channel = "study" if q.question.study == d.case_id else "text"
    whole = Passage(id=f"{d.id}#0", document_id=d.id, start=0, end=len(d.text), text=d.text)
    return Hit(passage=whole, document=d, score=1.0, channel=channel, ranks={channel: 1})
