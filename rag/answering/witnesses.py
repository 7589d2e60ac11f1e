"""A second witness to a yes/no question about a study: a language model, asked apart from whoever writes the draft.

The reader and the model err on different questions: where both say the same, an answer is surer than either alone, and
where they differ it is doubtful. What the witness says is one signal among those that confidence is made of
(:mod:`rag.answering.confidence`); how much it counts is learned from calibration data, and certified like all else.
"""

from __future__ import annotations

from pathlib import Path

from rag.answering.turn import Turn
from rag.errors import InputError
from rag.generation.chat import LanguageGenerator
from rag.generation.registry import load_generator
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings, load_settings
from rag.types import SecondOpinion, Side


def load_witness(settings: GenerationSettings, texts: Texts) -> LanguageGenerator | None:
    """The model of the profile that ``settings.witness`` names; None where it names none.

    The profile alone says who it is: ``RAG_GENERATION__KIND`` and the like are meant for whoever writes. Only the
    folder of assembled models is shared.

    Raises:
        InputError: there is no such profile, or its generator tells no probabilities.
        MissingDependencyError: its libraries or its model are not on this machine.
    """
    if settings.witness is None:
        return None
    chosen = load_settings(settings.witness, environment=False).generation
    model = chosen.transformers.model_copy(update={"cache": chosen.transformers.cache or settings.transformers.cache})
    witness = load_generator(chosen.model_copy(update={"transformers": model, "memo": settings.memo}), texts)
    if not isinstance(witness, LanguageGenerator):
        raise InputError(
            f"setting 'generation.witness': the profile {settings.witness!r} has no language model; name one that has"
        )
    return witness


def hear(witness: LanguageGenerator, turn: Turn, profile: str) -> SecondOpinion | None:
    """What the witness of a profile, or of a profile's file, says; None where it is not asked or cannot say.

    It is asked where the draft says yes or no from a study's own report.
    """
    if turn.last.draft.verdict is None or not any(e.of_study for e in turn.request.evidence):
        return None
    yes = witness.opinion(turn.request)
    return None if yes is None else SecondOpinion(model=Path(profile).stem, probability=round(yes, 4))


def agreement(opinion: SecondOpinion | None, verdict: Side | None) -> float:
    """The probability that a witness gives ``verdict``, in [0, 1]; 0.5 where nothing was heard."""
    if opinion is None:
        return 0.5
    return opinion.probability if verdict == "yes" else round(1 - opinion.probability, 4)
