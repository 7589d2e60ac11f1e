"""What an image tower says of each place of an image, in the space that it shares with texts.

Two ways, both small enough to be written here: the package ``grad-cam`` has more of them and pulls torchvision, whose
wheel does not run beside a CPU build of torch (:func:`rag.encoders.runtime.torch`).

- *dense*: each place of the last feature map is pooled and projected as if the whole image were like it (BioViL's way,
  Boecking et al. 2022; with class tokens MaskCLIP's, Zhou et al. 2022). For a tower that averages its map, the image's
  vector is the mean of its places, so the map divides the similarity of the whole among them.
- *gradient*: what the similarity to a text depends on. Grad-CAM (Selvaraju et al. 2017) where the last map is that of a
  convolution; relevance through the attention of every block (Chefer et al. 2021, equations 5 and 6) in a transformer.

Towers are timm's (with ``trunk`` and ``head``, as open_clip wraps them) or open_clip's own vision transformer, which
has no gradient here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError


def dense(visual: Any, pixels: Any) -> tuple[Any, Any]:
    """Vectors of places (n, rows, columns, dim) and of whole images (n, dim), not normalised.

    Raises:
        InputError: the tower has no map of places.
    """
    trunk = getattr(visual, "trunk", None)
    if trunk is None:
        return _own_transformer(visual, pixels)
    features = trunk.forward_features(pixels)
    cells, rows = _cells(trunk, features)
    places = visual.head(trunk.forward_head(cells, pre_logits=True))
    whole = visual.head(trunk.forward_head(features, pre_logits=True))
    return places.reshape(len(pixels), rows, -1, places.shape[-1]), whole


def gradient(visual: Any, pixels: Any, texts: Any) -> Any:
    """What the cosine of each image to each of ``texts`` (m, dim) depends on: (n, m, rows, columns), 0 or more.

    Raises:
        InputError: the tower is not one of timm's, or has no map of places.
    """
    library, trunk = torch(), getattr(visual, "trunk", None)
    if trunk is None:
        raise _no_map(visual)
    with library.enable_grad():
        if hasattr(trunk, "blocks") and hasattr(trunk, "num_prefix_tokens"):
            return _through_attention(visual, pixels, texts)
        with library.no_grad():
            features = trunk.forward_features(pixels)
        features.requires_grad_()
        maps = []
        for score in _cosines(visual.head(trunk.forward_head(features, pre_logits=True)), texts):
            (slope,) = library.autograd.grad(score, features, retain_graph=True)
            weights = _channels_first(trunk, slope).mean(dim=(2, 3), keepdim=True)
            maps.append((weights * _channels_first(trunk, features)).sum(dim=1).clamp(min=0).detach())
    return library.stack(maps, dim=1)


def _cells(trunk: Any, features: Any) -> tuple[Any, int]:
    """Each place as features of an image of its own, in the trunk's layout, and the number of rows."""
    if features.ndim == 3:
        first = int(getattr(trunk, "num_prefix_tokens", 0))
        tokens = features[:, first:]
        rows = _side(tokens.shape[1], trunk)
        # in the place of the class token as well, whichever of the two is pooled
        return tokens.reshape(-1, 1, tokens.shape[-1]).expand(-1, first + 1, -1), rows
    maps = _channels_first(trunk, features)
    rows = int(maps.shape[2])
    cells = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1], 1, 1)
    return cells if maps is features else cells.permute(0, 2, 3, 1), rows


def _channels_first(trunk: Any, features: Any) -> Any:
    if features.ndim == 4 and features.shape[1] == trunk.num_features:
        return features
    if features.ndim == 4 and features.shape[-1] == trunk.num_features:
        return features.permute(0, 3, 1, 2)
    raise _no_map(trunk)


def _own_transformer(visual: Any, pixels: Any) -> tuple[Any, Any]:
    if not hasattr(visual, "ln_post") or visual.attn_pool is not None:
        raise _no_map(visual)
    seen = visual.forward_intermediates(pixels, indices=1, normalize_intermediates=True)
    (places,) = seen["image_intermediates"]
    places = places.permute(0, 2, 3, 1)
    return places if visual.proj is None else places @ visual.proj, seen["image_features"]


def _through_attention(visual: Any, pixels: Any, texts: Any) -> Any:
    library, trunk = torch(), visual.trunk
    with _watched(trunk) as attention:
        vectors = visual(pixels.detach().requires_grad_())
    if len(attention) != len(trunk.blocks):
        raise _no_map(trunk)
    maps = []
    for score in _cosines(vectors, texts):
        slopes = library.autograd.grad(score, attention, retain_graph=True)
        count = attention[0].shape[-1]
        relevance = library.eye(count, device=pixels.device).expand(len(pixels), -1, -1)
        for weights, slope in zip(attention, slopes, strict=True):
            relevance = relevance + (slope * weights).clamp(min=0).mean(dim=1) @ relevance
        first = int(trunk.num_prefix_tokens)
        seen = (relevance[:, 0] if first else relevance.mean(dim=1))[:, first:].detach()
        maps.append(seen.reshape(len(pixels), _side(seen.shape[1], trunk), -1))
    return library.stack(maps, dim=1)


@contextmanager
def _watched(trunk: Any) -> Iterator[list[Any]]:
    """The attention weights of each block, as this thread computes them; fused kernels would not tell them."""
    me, seen, attentions = threading.get_ident(), list[Any](), [block.attn for block in trunk.blocks]

    def note(module: Any, given: Any, weights: Any) -> None:
        if threading.get_ident() == me:
            seen.append(weights)

    fused = [attention.fused_attn for attention in attentions]
    hooks = [attention.attn_drop.register_forward_hook(note) for attention in attentions]
    try:
        for attention in attentions:
            attention.fused_attn = False
        yield seen
    finally:
        for attention, before in zip(attentions, fused, strict=True):
            attention.fused_attn = before
        for hook in hooks:
            hook.remove()


def _cosines(vectors: Any, texts: Any) -> Iterator[Any]:
    """Of each text, the sum over the images: they do not touch one another, so its slope is each image's own."""
    normalize = torch().nn.functional.normalize
    yield from (normalize(vectors.float(), dim=-1) @ normalize(texts.float(), dim=-1).T).sum(dim=0)


def _side(tokens: int, tower: Any) -> int:
    side = int(tokens**0.5)
    if side * side != tokens:
        raise _no_map(tower)
    return side


def _no_map(tower: Any) -> InputError:
    return InputError(
        f"the image tower {type(tower).__name__} has no map of places to look at in this way; use another image "
        "encoder, or another grounder"
    )
