"""The contrastive loss against its definition, against open_clip, and through gradient caching."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rag.encoders.runtime import torch as load_torch
from rag.training.retriever import gradcache
from rag.training.retriever.losses import contrastive, matches, soften

torch = load_torch()


def unit(n: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, 8, generator=draw, dtype=torch.float64), dim=-1)


def by_definition(images: np.ndarray, texts: np.ndarray, scale: float, positives: np.ndarray) -> float:
    """Mean over rows, then over columns, of the mean surprise of what is positive."""
    total = 0.0
    for logits, right in ((scale * images @ texts.T, positives), (scale * texts @ images.T, positives.T)):
        rows = []
        for row, mask in zip(logits, right, strict=True):
            everything = math.log(sum(math.exp(x) for x in row))
            rows.append(sum((everything - x) * m for x, m in zip(row, mask, strict=True)) / mask.sum())
        total += sum(rows) / len(rows)
    return total / 2


def test_several_positives() -> None:
    images, texts = unit(5, 1), unit(3, 2)
    positives = matches(torch.tensor([7, 8, 7, 9, 7]), torch.tensor([7, 8, 9]))
    assert positives.sum().item() == 5
    found = contrastive(images, texts, torch.tensor(14.0), soften(positives, positives, 0.0))
    assert found.item() == pytest.approx(by_definition(images.numpy(), texts.numpy(), 14.0, positives.numpy()))


def test_one_positive_each_is_the_loss_of_clip() -> None:
    from open_clip.loss import ClipLoss

    images, texts, scale = unit(6, 3), unit(6, 4), torch.tensor(20.0)
    key = torch.arange(6)
    found = contrastive(images, texts, scale, soften(matches(key, key), torch.eye(6), 0.0))
    assert found.item() == pytest.approx(ClipLoss()(images, texts, scale).item())


def test_a_share_of_the_target_goes_to_what_is_alike() -> None:
    positives = torch.eye(3)
    likeness = torch.tensor([[0.2, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    rows, columns = soften(positives, likeness, 0.4, temperature=0.5)
    assert torch.allclose(rows.sum(dim=1), torch.ones(3))
    assert torch.allclose(columns.sum(dim=1), torch.ones(3))
    weights = [math.exp(x / 0.5) for x in (1.0, 0.9, 0.0)]  # what belongs together counts as 1
    expected = [0.6 * own + 0.4 * w / sum(weights) for own, w in zip((1, 0, 0), weights, strict=True)]
    assert rows[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_gradient_caching_gives_the_gradient_of_the_whole_batch(chunk: int) -> None:
    """Dropout included, once its draws are the same: a chunk's second pass sees what its first saw."""

    def gradients(size: int, dropout: float) -> list[torch.Tensor]:
        torch.manual_seed(0)
        image = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Dropout(dropout)).double()
        text = torch.nn.Linear(4, 8).double()
        scale = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        x, y = torch.randn(11, 6).double(), torch.randn(7, 4).double()
        keys = torch.arange(11) % 7
        targets = soften(matches(keys, torch.arange(7)), torch.zeros(11, 7), 0.0)

        def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            a, b = (torch.nn.functional.normalize(v, dim=-1) for v in (a, b))
            return contrastive(a, b, scale.exp(), targets)

        value = gradcache.backward([(image, x), (text, y)], loss, size, [scale])
        assert math.isfinite(value)
        return [p.grad for p in (*image.parameters(), *text.parameters(), scale)]

    for whole, cached in zip(gradients(100, 0.0), gradients(chunk, 0.0), strict=True):
        assert torch.allclose(whole, cached)


def test_gradient_caching_repeats_dropout() -> None:
    """The gradient is that of the vectors the loss was taken at, although they are computed twice."""
    torch.manual_seed(1)
    layer, drop = torch.nn.Linear(5, 8).double(), torch.nn.Dropout(0.5)
    x = torch.randn(9, 5).double()
    seen: list[torch.Tensor] = []

    def encode(rows: torch.Tensor) -> torch.Tensor:
        seen.append(drop(layer(rows)))
        return seen[-1]

    gradcache.backward([(encode, x)], lambda v: v.square().sum(), 4, [])
    first, second = seen[:3], seen[3:]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
