"""Looking by a language model that sees: which tokens of the image it attends to when it is asked for a finding.

Attention to an image's tokens is partly habit, the same whatever is asked, so each map is divided by that of a question
without a finding (Zhang et al. 2025, *MLLMs know where to look*). It is read at the last token of the prompt, from
which the answer is written, as the mean over all heads of all layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.base import Request
from rag.generation.messages import QUESTION_IMAGE, Picture
from rag.generation.prompts import Prompt
from rag.generation.weights import Loaded, Weights
from rag.grounding.region import Method
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.settings import GenerationSettings
from rag.types import Question

_ASKED, _HABIT = "Does the image show {phrase}?", "What kind of image is this?"


class AttentionLooker:
    """The model of ``generation.transformers``, which sees; see the module.

    Raises:
        InputError: no model is named, or its files cannot be used.
        MissingDependencyError: the model or a library is not on this machine.
    """

    method: Method = "attention"
    views = 2  # each is a pass through the whole model

    def __init__(self, settings: GenerationSettings, texts: Texts) -> None:
        named = settings.transformers
        self._weights = Weights.find(named.model, named.revision, named.device, named.dtype, named.cache)
        self._prompt, self._texts = Prompt(settings.prompt), texts

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    def look(self, squares: Sequence[Image.Image], phrases: Sequence[str]) -> NDArray[np.float32]:
        """See :class:`~rag.grounding.base.Looker`.

        Raises:
            InputError: the model does not see, or its image tokens are no square.
        """
        loaded = self._weights.load()
        if not loaded.sees:
            raise InputError(f"the language model {loaded.name!r} sees no images, so it cannot say where something is")
        questions = [_HABIT, *(_ASKED.format(phrase=phrase) for phrase in phrases)]
        with loaded.lock:
            text = loaded.model.config.get_text_config()
            before = text._attn_implementation
            text._attn_implementation = "eager"  # the fast kernels keep no weights; image towers stay as they are
            try:
                maps = np.stack([[self._attended(loaded, square, q) for q in questions] for square in squares])
            finally:
                text._attn_implementation = before
        habit = np.maximum(maps[:, :1], np.finfo(np.float32).tiny)
        return (maps[:, 1:] / habit).astype(np.float32)

    def _attended(self, loaded: Loaded, square: Image.Image, question: str) -> NDArray[np.float32]:
        """(rows, columns): attention of the prompt's last token to the tokens of the image."""
        picture = Picture(square, QUESTION_IMAGE)
        asked = read_question(question, self._texts.lexicon)
        request = Request(Question(text=question, image=QUESTION_IMAGE), asked, ())
        inputs = loaded.inputs(self._prompt.render(request, (), (picture,))).to(loaded.model.device)
        for name, value in inputs.items():
            if value.is_floating_point():
                inputs[name] = value.to(loaded.model.dtype)
        with torch().inference_mode():
            seen = loaded.model(**inputs, output_attentions=True, use_cache=False).attentions
        config = loaded.model.config
        image = getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None)
        place = (inputs["input_ids"][0] == image).nonzero()[:, 0]
        side = round(len(place) ** 0.5)
        if not side or side * side != len(place):
            raise InputError(f"the {len(place)} image tokens of {loaded.name!r} are no square, so places have no order")
        mean = sum(layer[0, :, -1, place].float().mean(dim=0) for layer in seen) / len(seen)
        attended: NDArray[np.float32] = mean.reshape(side, side).cpu().numpy()
        return attended
