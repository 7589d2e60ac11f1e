"""A model cut in two: what stays as it was pretrained, and what is trained on its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.training.retriever.recipe import Recipe

_PIECE = 32  # texts of like length per forward pass: long ones do not make the others long


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that share a learning rate."""

    parameters: list[Any]
    rate: float


class Towers:
    """The two towers of an open_clip model with a timm image tower and a Hugging Face text tower.

    Batch normalisation keeps its pretrained statistics, so the frozen stages give one output for one image.

    Raises:
        InputError: the model has other towers.
    """

    def __init__(self, model: Any, tokenizer: Any, recipe: Recipe) -> None:
        if not (hasattr(model.visual, "trunk") and hasattr(getattr(model, "text", None), "transformer")):
            raise InputError(
                f"the model {recipe.base!r} cannot be trained: its towers are not those of timm and transformers"
            )
        self.model, self._tokenizer, self._recipe = model, tokenizer, recipe
        stages = _stages(model.visual.trunk)
        layers = _layers(model.text.transformer)
        frozen = max(0, len(stages) - recipe.image_stages)
        self._frozen, self._trained = stages[:frozen], stages[frozen:]
        self._text_layers = layers[max(0, len(layers) - recipe.text_layers) :] if recipe.text_layers else []
        self._embeddings = recipe.text_layers > len(layers)
        model.eval()  # batch normalisation as pretrained, and no dropout but the recipe's
        model.requires_grad_(False)
        for group in self.groups():
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    @property
    def sees_pixels(self) -> bool:
        """Whether nothing of the image tower is frozen."""
        return not self._frozen

    @property
    def heads(self) -> list[Any]:
        """The parameters of the projections, and the temperature."""
        model = self.model
        return [*model.visual.head.parameters(), *model.text.proj.parameters(), model.logit_scale]

    @property
    def starts_with_heads(self) -> bool:
        """Whether the projections learn alone at first."""
        return bool(self._recipe.head_epochs and (self._trained or not self.text_is_frozen))

    @property
    def text_is_frozen(self) -> bool:
        return not self._recipe.text_layers

    def groups(self) -> Iterator[Group]:
        """Trained parameters, the slower the deeper (layer-wise decay)."""
        recipe = self._recipe
        yield Group(self.heads, recipe.joint_head_rate if self.starts_with_heads else recipe.head_rate)
        for depth, modules in enumerate(reversed(self._trained)):
            yield Group([p for m in modules for p in m.parameters()], recipe.image_rate * recipe.decay**depth)
        for depth, layer in enumerate(reversed(self._text_layers)):
            yield Group(list(layer.parameters()), recipe.text_rate * recipe.decay**depth)
        if self._embeddings:
            rate = recipe.text_rate * recipe.decay ** len(self._text_layers)
            yield Group(list(self.model.text.transformer.embeddings.parameters()), rate)

    def frozen_images(self, pixels: Any) -> Any:
        """What the frozen stages make of (n, 3, height, width) pixels; no gradient."""
        with torch().inference_mode():
            return _through(self._frozen, pixels.contiguous(memory_format=torch().channels_last))

    def pooled_images(self, features: Any) -> Any:
        """(n, width) pooled features from what the frozen stages gave."""
        return _through(self._trained, features)

    def projected(self, pooled: Any, training: bool) -> Any:
        """(n, dim) unit vectors from pooled image features."""
        return self._unit(self.model.visual.head(self._dropped(pooled, self._recipe.dropout, training)))

    def pooled_texts(self, texts: Sequence[str]) -> Any:
        """(n, width) sentence vectors of the text tower, before its projection."""
        library = torch()
        tower, pieces = self.model.text, []
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), _PIECE):
            ids = self._tokenizer([texts[i] for i in order[start : start + _PIECE]])
            used = (ids != tower.config.pad_token_id).sum(dim=1).max()
            ids = ids[:, : max(1, int(used))]
            mask = (ids != tower.config.pad_token_id).long()
            pieces.append(tower.pooler(tower.transformer(input_ids=ids, attention_mask=mask), mask))
        return library.cat(pieces)[library.tensor(order).argsort()]

    def texts(self, pooled: Any, training: bool) -> Any:
        """(n, dim) unit vectors from pooled sentence vectors."""
        return self._unit(self.model.text.proj(self._dropped(pooled, self._recipe.text_dropout, training)))

    def _unit(self, vectors: Any) -> Any:
        return torch().nn.functional.normalize(vectors, dim=-1)

    def _dropped(self, features: Any, share: float, training: bool) -> Any:
        return torch().nn.functional.dropout(features, share, training)


def _stages(trunk: Any) -> list[list[Any]]:
    """The stages of an EfficientNet, from the pixels to the pooled features; any other network is one stage."""
    if all(hasattr(trunk, name) for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2", "global_pool")):
        *middle, last = [[block] for block in trunk.blocks]
        return [[trunk.conv_stem, trunk.bn1], *middle, [*last, trunk.conv_head, trunk.bn2, trunk.global_pool]]
    return [[trunk]]


def _layers(transformer: Any) -> list[Any]:
    layers = getattr(getattr(transformer, "encoder", transformer), "layer", None)
    if layers is None:
        raise InputError("the text tower has no list of layers as BERT has; models of this kind are not trained here")
    return list(layers)


def _through(stages: Sequence[Sequence[Any]], x: Any) -> Any:
    for modules in stages:
        for module in modules:
            x = module(x)
    return x
