"""What a certificate may not count: answers to questions for which the guard finds the system blind."""

from __future__ import annotations

from collections.abc import Sequence

from rag.answering.image_guard import ImageEffects, refuse_blind
from rag.calibration.trials import Trial
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.language.lexicon import Lexicon
from rag.language.question import read_question


def silence_blind(
    questions: Sequence[LabelledQuestion], trials: Sequence[Trial], lexicon: Lexicon, effects: ImageEffects | None
) -> list[Trial]:
    """The trials as the guard lets them be answered: none at all where the kind of question is blind.

    >>> silence_blind([], [], lexicon, None)                                                # doctest: +SKIP
    []

    Raises:
        InputError: there are questions, and none of them may be answered.
    """
    if effects is None:
        return list(trials)
    heard, silenced = list[Trial](), 0
    for q, trial in zip(questions, trials, strict=True):
        about = q.question.image is not None and q.question.study is None
        form = read_question(q.question.text, lexicon).form if about else "presence"
        if about and refuse_blind(effects.of(trial.domain.name, form)):
            trial = trial._replace(outcomes=tuple(said._replace(verdict=None) for said in trial.outcomes))
            silenced += 1
        heard.append(trial)
    if silenced and silenced == len(heard):
        raise InputError(
            "all questions are of kinds whose answers do not depend on the image; such questions are not answered, so "
            "there is nothing to certify (what was found: rag evaluate sight)"
        )
    return heard
