"""What a model says to a prompt, for pairs that are to be about its own mistakes."""

from __future__ import annotations

from pathlib import Path

from rag.encoders.runtime import torch
from rag.generation.prompts import Prompt
from rag.language.lexicon import Lexicon
from rag.training.generator.adapting import resume_adapter
from rag.training.generator.bases import open_base
from rag.training.generator.examples import Asking
from rag.training.generator.feeding import Feeder
from rag.training.generator.loop import mixed
from rag.training.generator.pairing import Answerer
from rag.training.generator.recipe import PreferenceRecipe
from rag.training.generator.sft import TuningJob

_LONGEST = 64  # tokens of an answer: enough to see where it goes wrong


def answerer_of(model: Path, job: TuningJob, recipe: PreferenceRecipe) -> Answerer:
    """Answers as the adapters in ``model`` do on the job's base to its prompt, the likeliest token always.

    Raises:
        InputError: model, base or prompt do not do.
        MissingDependencyError: a library or the base is not installed.
    """
    opened = open_base(job.base, job.vision, recipe.precision)
    tuned = resume_adapter(opened.loaded, model, opened.name).model.eval()
    feeder = Feeder(opened.loaded, Prompt(job.prompt), Lexicon.load(), recipe, recipe.image_side)

    def answer(asking: Asking) -> str:
        inputs = {name: value.to(opened.loaded.model.device) for name, value in feeder.prompt(asking).items()}
        with torch().inference_mode(), mixed(recipe.precision):
            ids = tuned.generate(**inputs, max_new_tokens=_LONGEST, do_sample=False)
        said = ids[0, inputs["input_ids"].shape[-1] :]
        return str(opened.loaded.tokenizer.decode(said, skip_special_tokens=True)).strip()

    return answer
