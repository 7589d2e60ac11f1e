"""What is minimised: the answers' surprise, and for pairs the loss of direct preference optimisation."""

from __future__ import annotations

from typing import Any

from rag.encoders.runtime import torch
from rag.training.generator.feeding import Conversations


def token_log_probs(model: Any, batch: Conversations) -> Any:
    """(m,) log-probabilities of the answers' tokens; the model's head is run at their positions alone."""
    library = torch()
    kept, places = library.unique(batch.columns, return_inverse=True)
    logits = model(**batch.inputs, logits_to_keep=kept).logits[batch.rows, places]
    return -library.nn.functional.cross_entropy(logits.float(), batch.targets, reduction="none")


def answer_loss(log_probs: Any, first: Any, first_weight: float) -> Any:
    """Weighted mean negative log-probability of the answers' tokens; an answer's first one weighs ``first_weight``."""
    weights = torch().where(first, first_weight, 1.0)
    return -(log_probs * weights).sum() / weights.sum()


def answer_log_probs(log_probs: Any, batch: Conversations) -> Any:
    """(n,) log-probabilities of whole answers."""
    return log_probs.new_zeros(len(batch)).index_add(0, batch.rows, log_probs)


def alignment_loss(images: Any, texts: Any, same: Any, temperature: float = 0.07) -> Any:
    """InfoNCE both ways between images and texts; each is centred, as means of embeddings have much in common.

    Args:
        images, texts: (n, d), row by row of one case.
        same: (n, n) True where two cases have the same text: both are right.
        temperature: of the softmax over cosines.
    """
    function = torch().nn.functional
    a, b = (function.normalize(x - x.mean(0, keepdim=True), dim=-1, eps=1e-6) for x in (images, texts))
    right = same.float() / same.float().sum(1, keepdim=True)
    scores = a @ b.T / temperature
    return (function.cross_entropy(scores, right) + function.cross_entropy(scores.T, right)) / 2


def preference_loss(margin: Any, beta: float) -> Any:
    """Mean of -log sigmoid(beta margin) (Rafailov et al. 2023, equation 7).

    Args:
        margin: (n,) log-ratio of the chosen answer to that of the rejected one, each the tuned model's over the
            reference's: (log p(c) - log r(c)) - (log p(r) - log r(r)).
        beta: how much the model may leave the reference; larger is less.
    """
    return -torch().nn.functional.logsigmoid(beta * margin).mean()
