"""How well a tuned generator says what it should, on questions that it has not learned from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from rag.encoders.runtime import torch
from rag.training.generator.batches import length_batches
from rag.training.generator.citing import REFUSAL
from rag.training.generator.examples import Taught
from rag.training.generator.feeding import Feeder
from rag.training.generator.loop import mixed
from rag.training.generator.losses import token_log_probs
from rag.training.generator.recipe import Schedule

SIDES = ("Yes", "No", "Maybe")


class Measured(BaseModel):
    """One kind of example on one split.

    ``loss`` is the mean negative log-probability of a token of the right answer. ``begun_right`` is the share of
    examples at whose first token the right beginning is likelier than the others, among yes, no, maybe and a refusal;
    ``balanced`` averages that over the right beginnings. They are None where no example begins with one of them.
    """

    kind: str
    n: int
    loss: float
    begun_right: float | None
    balanced: float | None


def measure_generator(
    model: Any, feeder: Feeder, examples: Sequence[Taught], lengths: Sequence[int], schedule: Schedule
) -> list[Measured]:
    """Each kind and 'all', by teacher forcing: nothing is generated, so it is quick and has no luck in it.

    ``lengths`` are the examples' tokens.
    """
    beginnings = {name: feeder.tokens(text)[0] for name, text in _BEGINNINGS.items()}
    told = len(set(beginnings.values())) == len(beginnings)  # a vocabulary may begin them alike
    losses: dict[int, float] = {}
    tokens: dict[int, int] = {}
    right: dict[int, tuple[str, bool]] = {}
    with torch().inference_mode(), mixed(schedule.precision):
        for rows in length_batches(lengths, schedule.tokens, 0, 0):
            batch = feeder.batch([(examples[r].asking, examples[r].answer) for r in rows], (0, 0))
            log_probs = token_log_probs(model, batch)
            for place, row in enumerate(rows):
                some = log_probs[batch.rows == place]
                losses[row], tokens[row] = -float(some.sum()), len(some)
            asked = [r for r in rows if _beginning(examples[r].answer)] if told else []
            for row, scores in zip(asked, _first_scores(model, feeder, examples, asked, beginnings), strict=True):
                name = _beginning(examples[row].answer)
                right[row] = (name, max(scores, key=lambda n: scores[n]) == name)
    kinds: dict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        kinds[example.kind].append(row)
    return [_measured(kind, rows, losses, tokens, right) for kind, rows in [*sorted(kinds.items()), ("all", [*losses])]]


_BEGINNINGS = {**{side: f"{side}." for side in SIDES}, "refusal": REFUSAL}


def _beginning(answer: str) -> str:
    return next((name for name, text in _BEGINNINGS.items() if answer.startswith(text)), "")


def _first_scores(
    model: Any, feeder: Feeder, examples: Sequence[Taught], rows: Sequence[int], beginnings: dict[str, int]
) -> list[dict[str, float]]:
    """For each row the log-probability with which each beginning comes first."""
    if not rows:
        return []
    batch = feeder.batch([(examples[r].asking, examples[r].answer) for r in rows], (0, 0))
    columns = batch.columns[batch.first]
    kept, places = torch().unique(columns, return_inverse=True)
    logits = model(**batch.inputs, logits_to_keep=kept).logits[batch.rows[batch.first], places].float()
    return [{name: float(row[token]) for name, token in beginnings.items()} for row in logits]


def _measured(
    kind: str, rows: Sequence[int], losses: dict[int, float], tokens: dict[int, int], right: dict[int, tuple[str, bool]]
) -> Measured:
    told = [right[r] for r in rows if r in right]
    sides: dict[str, list[bool]] = defaultdict(list)
    for name, ok in told:
        sides[name].append(ok)
    return Measured(
        kind=kind,
        n=len(rows),
        loss=sum(losses[r] for r in rows) / max(1, sum(tokens[r] for r in rows)),
        begun_right=sum(ok for _, ok in told) / len(told) if told else None,
        balanced=sum(sum(v) / len(v) for v in sides.values()) / len(sides) if sides else None,
    )
