"""Gradient caching (Gao et al. 2021): the gradient of a large batch in the memory of a small one.

A contrastive loss needs the vectors of the whole batch, but the vectors do not need each other. So: encode in chunks
without a graph; take the loss and its gradient at the vectors; encode each chunk again, with a graph, and push the
gradient of its vectors through it. Dropout draws the same numbers both times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rag.encoders.runtime import torch

Encode = Callable[[Sequence[Any]], Any]


def backward(
    towers: Sequence[tuple[Encode, Sequence[Any]]], loss: Callable[..., Any], chunk: int, parameters: Sequence[Any]
) -> float:
    """Add the gradient of ``loss(vectors of tower 1, vectors of tower 2, …)`` to the parameters; the loss's value.

    Args:
        towers: for each tower its encoder (inputs → (n, d) vectors) and its inputs of this batch.
        loss: differentiable in the vectors, and in ``parameters``.
        chunk: inputs that are encoded with a graph at a time. Batches no larger take the direct way.
        parameters: leaf tensors that the loss uses beside the vectors (the temperature).
    """
    library = torch()
    if all(len(inputs) <= chunk for _, inputs in towers):
        value = loss(*(encode(inputs) for encode, inputs in towers))
        value.backward()
        return float(value.detach())
    vectors: list[Any] = []
    chunks: list[tuple[Encode, Sequence[Any], Any, int, int]] = []
    with library.no_grad():
        for encode, inputs in towers:
            parts = []
            for start in range(0, len(inputs), chunk):
                piece = inputs[start : start + chunk]
                chunks.append((encode, piece, library.get_rng_state(), len(vectors), start))
                parts.append(encode(piece))
            vectors.append(library.cat(parts).requires_grad_())
    value = loss(*vectors)
    gradients = library.autograd.grad(value, [*vectors, *parameters])
    for parameter, gradient in zip(parameters, gradients[len(vectors) :], strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
    after = library.get_rng_state()
    for encode, piece, state, tower, start in chunks:
        library.set_rng_state(state)
        encode(piece).backward(gradients[tower][start : start + len(piece)])
    library.set_rng_state(after)
    return float(value.detach())
