"""Before a model is taught to answer: what it is shown of an image comes near the words that describe the image.

The mean of an image's tokens, behind the projector, and the mean of the language model's own embeddings of its caption
are drawn together, and apart from those of the batch's other captions (InfoNCE, van den Oord et al. 2018; both ways, as
CLIP has it). Images whose captions are alike are not drawn apart. Projector and tower learn; the language model rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.training.generator.adapting import projector_of
from rag.training.generator.examples import Asking
from rag.training.generator.feeding import Feeder
from rag.training.generator.labelled import Lesson
from rag.training.generator.losses import alignment_loss

_LONGEST = 64  # tokens of a caption


@dataclass(frozen=True)
class Captioned:
    """Pixels (n, …); ids of captions (n, t), 0 where ``shown`` (n, t) is False; which captions are ``same`` (n, n)."""

    pixels: Any
    ids: Any
    shown: Any
    same: Any


def captioned(items: Sequence[Lesson]) -> list[Lesson]:
    """Those that say what an image shows."""
    return [i for i in items if i.about == "image" and i.image is not None and i.side is None and i.words]


def feed_captions(feeder: Feeder, items: Sequence[Lesson], seed: Sequence[int]) -> Captioned:
    """Varied views of the images, and their captions."""
    library = torch()
    texts = [" ".join(i.words) for i in items]
    tokens = [feeder.tokens(text)[:-1][:_LONGEST] for text in texts]
    ids = library.zeros(len(items), max(map(len, tokens)), dtype=library.long)
    shown = library.zeros_like(ids, dtype=library.bool)
    for row, some in enumerate(tokens):
        ids[row, : len(some)] = library.tensor(some)
        shown[row, : len(some)] = True
    same = library.tensor([[a == b for b in texts] for a in texts])
    pixels = feeder.pixels([Asking(i.question, (), i.image, "varied") for i in items], seed)
    return Captioned(pixels, *(feeder.moved(t) for t in (ids, shown, same)))


def align(model: Any, batch: Captioned) -> Any:
    """The loss of one batch. Raises InputError where the model gives no tokens of an image by itself."""
    base = model.get_base_model()
    projector = base.get_submodule(projector_of(base) or "")
    seen: list[Any] = []
    handle = projector.register_forward_hook(lambda module, given, out: seen.append(out))
    try:
        base.get_image_features(pixel_values=batch.pixels)
    except (AttributeError, TypeError) as error:
        raise InputError("'align_epochs' goes with models of LLaVA's kind, and this is another; set it to 0") from error
    finally:
        handle.remove()
    images = seen[0].float().reshape(len(batch.ids), -1, seen[0].shape[-1]).mean(1)
    words = base.get_input_embeddings()(batch.ids).float() * batch.shown[..., None]
    return alignment_loss(images, words.sum(1) / batch.shown.sum(1, keepdim=True), batch.same)
