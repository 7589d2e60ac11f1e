"""Symmetric InfoNCE between images and texts, with any number of positives (ConVIRT, CLIP; Khosla et al. 2020)."""

from __future__ import annotations

from typing import Any

from rag.encoders.runtime import torch


def matches(images: Any, texts: Any) -> Any:
    """(n, m) of 0 and 1: which of ``n`` images and ``m`` texts belong together.

    ``images`` and ``texts`` are integer keys (n,) and (m,); equal keys match.
    """
    return (images[:, None] == texts[None, :]).float()


def soften(positives: Any, likeness: Any, share: float, temperature: float = 0.1) -> tuple[Any, Any]:
    """Targets of both directions, of which ``share`` goes to pairs that are alike without belonging together.

    Args:
        positives: (n, m), non-negative; every row and every column has a positive entry.
        likeness: (n, m) in [0, 1]; what belongs together counts as 1.
        temperature: how sharply the shared part prefers what is more alike.

    Returns:
        (n, m) and (m, n), rows summing to 1.
    """
    rows, columns = _shares(positives), _shares(positives.T)
    if not share:
        return rows, columns
    alike = torch().where(positives > 0, torch().ones_like(likeness), likeness) / temperature
    return (1 - share) * rows + share * alike.softmax(dim=1), (1 - share) * columns + share * alike.T.softmax(dim=1)


def contrastive(images: Any, texts: Any, scale: Any, targets: tuple[Any, Any]) -> Any:
    """The mean of the image-to-text and the text-to-image cross-entropy, a scalar tensor.

    Args:
        images: (n, d) unit vectors.
        texts: (m, d) unit vectors. A text that several images share is one row: were it repeated, the loss would
            divide the frequent texts' probability among their copies and so teach that they are unlikely.
        scale: inverse temperature, a positive scalar tensor.
        targets: (n, m) over the texts of each image and (m, n) over the images of each text, as :func:`soften` gives
            them. With one positive each and nothing shared this is CLIP's loss.
    """
    logits = scale * images @ texts.T
    return (_cross_entropy(logits, targets[0]) + _cross_entropy(logits.T, targets[1])) / 2


def _cross_entropy(logits: Any, target: Any) -> Any:
    return -(target * torch().nn.functional.log_softmax(logits, dim=1)).sum(dim=1).mean()


def _shares(positives: Any) -> Any:
    return positives / positives.sum(dim=1, keepdim=True)
