"""Does a tuned model look? Yes/no questions on images, asked once more with what should not, or should, change it.

Each is asked with its image alone; beside texts of similar cases that agree with it, and that contradict it; with the
image of another patient, one for which the same question has the other answer where there is one; and with noise for an
image. Who looks is as often right beside either kind of texts: who is right beside those that contradict alone answers
against them. Right is 1, wrong 0, silence 1/2, as :mod:`rag.evaluation.sight` has it for whole answers; here the first
token alone is looked at, so it takes seconds.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from rag.encoders.runtime import torch
from rag.risk_control.image_effect import LEVEL, effect_of
from rag.training.generator.batches import length_batches
from rag.training.generator.examples import Asking, Composer
from rag.training.generator.feeding import Feeder
from rag.training.generator.labelled import Lesson
from rag.training.generator.loop import mixed
from rag.training.generator.measure import Beginnings
from rag.training.generator.recipe import GeneratorRecipe

_TEXTS = 2  # beside an image


class Looking(BaseModel):
    """Questions of one source: shares that are answered rightly, and the effect of the image with its 95% interval."""

    kind: str
    n: int
    groups: int
    alone: float
    agreed: float
    contradicted: float
    exchanged: float
    noised: float
    image_effect: float
    low: float
    high: float


class LookingTest:
    """The questions of one split, each in its five forms. ``askings`` are all of them, to be written beforehand."""

    def __init__(self, items: Sequence[Lesson], recipe: GeneratorRecipe) -> None:
        composer = Composer(items, recipe)
        asked = [i for i in items if i.about == "image" and i.side in ("Yes", "No")]
        named: dict[str, list[Lesson]] = defaultdict(list)
        for item in asked:
            named[item.source].append(item)
        self._recipe = recipe
        self._forms: list[tuple[Lesson, list[Asking]]] = []
        for item in asked:
            draw = random.Random(f"{recipe.seed}:looking:{item.id}")  # noqa: S311 - nothing secret
            strangers = _strangers(item, named[item.source])
            if strangers:
                alone = Asking(item.question, (), item.image)
                texts = [composer.beside(item, draw, _TEXTS, agreeing=agreeing) for agreeing in (True, False)]
                others = [replace(alone, image=draw.choice(strangers)), replace(alone, view="noise")]
                self._forms.append((item, [alone, *(replace(alone, passages=some) for some in texts), *others]))

    @property
    def askings(self) -> list[Asking]:
        return [asking for _, forms in self._forms for asking in forms]

    def measure(self, model: Any, feeder: Feeder) -> list[Looking]:
        """One row for each source, the largest first; none where the vocabulary begins yes and no alike."""
        beginnings = Beginnings(feeder)
        if not beginnings.told or not self._forms:
            return []
        askings = self.askings
        lengths = [feeder.length(a, "Yes.") for a in askings]
        said: dict[int, str] = {}
        with torch().inference_mode(), mixed(self._recipe.precision):
            for rows in length_batches(lengths, self._recipe.tokens, 0, 0):
                scores = beginnings.scores(model, [(askings[r], "Yes.") for r in rows])
                said |= {r: max(s, key=lambda name: s[name]) for r, s in zip(rows, scores, strict=True)}
        found: dict[str, list[tuple[str, list[float]]]] = defaultdict(list)
        width = len(self._forms[0][1])
        for n, (item, _) in enumerate(self._forms):
            answers = [said[n * width + k] for k in range(width)]
            found[item.source].append((item.group, [_score(a, item.side) for a in answers]))
        return [_looking(source, rows) for source, rows in sorted(found.items(), key=lambda f: -len(f[1]))]


def _strangers(item: Lesson, others: Sequence[Lesson]) -> list[str]:
    elsewhere = [o for o in others if o.group != item.group and o.image]
    telling = [o for o in elsewhere if o.question == item.question and o.side != item.side]
    return [o.image for o in telling or elsewhere if o.image]


def _score(said: str, right: str | None) -> float:
    return 0.5 if said not in ("Yes", "No") else float(said == right)


def _looking(source: str, rows: Sequence[tuple[str, list[float]]]) -> Looking:
    alone, agreed, contradicted, exchanged, noised = zip(*(scores for _, scores in rows), strict=True)
    groups = [group for group, _ in rows]
    effect = effect_of(alone, exchanged, groups, LEVEL)
    return Looking(
        kind=source,
        n=len(rows),
        groups=len(set(groups)),
        alone=sum(alone) / len(rows),
        agreed=sum(agreed) / len(rows),
        contradicted=sum(contradicted) / len(rows),
        exchanged=sum(exchanged) / len(rows),
        noised=sum(noised) / len(rows),
        image_effect=effect.value,
        low=effect.low,
        high=effect.high,
    )
