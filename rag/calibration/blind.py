"""What a certificate may not count: answers to questions for which the guard finds the system blind."""

from __future__ import annotations

from collections.abc import Sequence

from rag.answering.image_guard import ImageEffects, refuse_blind
from rag.calibration.trials import Trial
from rag.evaluation.questions import LabelledQuestion
from rag.language.lexicon import Lexicon
from rag.language.question import read_question


def silence_blind(
    questions: Sequence[LabelledQuestion], trials: Sequence[Trial], lexicon: Lexicon, effects: ImageEffects | None
) -> list[Trial]:
    """The trials as the guard lets them be answered: none at all where the kind of question is blind.

    >>> silence_blind([], [], lexicon, None)                                                # doctest: +SKIP
    []
    """
    if effects is None:
        return list(trials)
    heard = []
    for q, trial in zip(questions, trials, strict=True):
        about = q.question.image is not None and q.question.study is None
        form = read_question(q.question.text, lexicon).form if about else "presence"
        if about and refuse_blind(effects.of(trial.domain.name, form)):
            trial = trial._replace(outcomes=tuple(said._replace(verdict=None) for said in trial.outcomes))
        heard.append(trial)
    return heard
