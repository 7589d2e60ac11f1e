"""How well a tuned generator says what it should, on questions that it has not learned from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from rag.encoders.runtime import torch
from rag.training.generator.batches import length_batches
from rag.training.generator.citing import REFUSAL
from rag.training.generator.examples import Asking, Taught
from rag.training.generator.feeding import Feeder
from rag.training.generator.loop import mixed
from rag.training.generator.losses import token_log_probs
from rag.training.generator.recipe import Schedule

SIDES = ("Yes", "No", "Maybe")


class Measured(BaseModel):
    """One kind of example on one split.

    ``source`` says of which data. ``loss`` is the mean negative log-probability of a token of the right answer.
    ``begun_right`` is the share of examples at whose first token the right beginning is likelier than the others, among
    yes, no, maybe and a refusal; ``balanced`` averages that over the right beginnings. They are None where no example
    begins with one of them.
    """

    kind: str
    source: str
    n: int
    loss: float
    begun_right: float | None
    balanced: float | None


def measure_generator(
    model: Any, feeder: Feeder, examples: Sequence[Taught], lengths: Sequence[int], schedule: Schedule
) -> list[Measured]:
    """Each kind of each source, and 'all', by teacher forcing: nothing is generated, so no luck is in it.

    ``lengths`` are the examples' tokens.
    """
    beginnings = Beginnings(feeder)
    losses: dict[int, float] = {}
    tokens: dict[int, int] = {}
    right: dict[int, tuple[str, bool]] = {}
    with torch().inference_mode(), mixed(schedule.precision):
        for rows in length_batches(lengths, schedule.tokens, 0, 0):
            turns = {r: (examples[r].asking, examples[r].answer) for r in rows}
            batch = feeder.batch(list(turns.values()), (0, 0))
            log_probs = token_log_probs(model, batch)
            for place, row in enumerate(rows):
                some = log_probs[batch.rows == place]
                losses[row], tokens[row] = -float(some.sum()), len(some)
            asked = [r for r in rows if _beginning(examples[r].answer)] if beginnings.told else []
            for row, scores in zip(asked, beginnings.scores(model, [turns[r] for r in asked]), strict=True):
                name = _beginning(examples[row].answer)
                right[row] = (name, max(scores, key=lambda n: scores[n]) == name)
    kinds: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, example in enumerate(examples):
        kinds[example.kind, example.of.source].append(row)
    whole = [*sorted(kinds.items()), (("all", "all"), [*losses])]
    return [_measured(kind, source, rows, losses, tokens, right) for (kind, source), rows in whole]


_BEGINNINGS = {**{side: f"{side}." for side in SIDES}, "refusal": REFUSAL}


def _beginning(answer: str) -> str:
    return next((name for name, text in _BEGINNINGS.items() if answer.startswith(text)), "")


class Beginnings:
    """How likely each way is in which an answer may begin: yes, no, maybe, a refusal.

    ``told`` is False where a vocabulary begins two of them alike.
    """

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder
        self._tokens = {name: feeder.tokens(text)[0] for name, text in _BEGINNINGS.items()}
        self.told = len(set(self._tokens.values())) == len(self._tokens)

    def scores(self, model: Any, turns: Sequence[tuple[Asking, str]]) -> list[dict[str, float]]:
        """For each prompt the log-probability, but for a constant, with which each beginning comes first."""
        if not turns:
            return []
        batch = self._feeder.batch(turns, (0, 0))
        columns = batch.columns[batch.first]
        kept, places = torch().unique(columns, return_inverse=True)
        logits = model(**batch.inputs, logits_to_keep=kept).logits[batch.rows[batch.first], places].float()
        ids = list(self._tokens.values())
        return [dict(zip(self._tokens, row, strict=True)) for row in logits[:, ids].tolist()]


def _measured(
    kind: str,
    source: str,
    rows: Sequence[int],
    losses: dict[int, float],
    tokens: dict[int, int],
    right: dict[int, tuple[str, bool]],
) -> Measured:
    told = [right[r] for r in rows if r in right]
    sides: dict[str, list[bool]] = defaultdict(list)
    for name, ok in told:
        sides[name].append(ok)
    return Measured(
        kind=kind,
        source=source,
        n=len(rows),
        loss=sum(losses[r] for r in rows) / max(1, sum(tokens[r] for r in rows)),
        begun_right=sum(ok for _, ok in told) / len(told) if told else None,
        balanced=sum(sum(v) / len(v) for v in sides.values()) / len(sides) if sides else None,
    )
