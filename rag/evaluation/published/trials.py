"""What a collection's questions can be asked with besides: other evidence, another's image, noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from rag.evaluation.baselines import Trials
from rag.evaluation.published.asking import Asker, HeardAnswer, ask_alone
from rag.evaluation.published.folder import scratch_folder
from rag.evaluation.published.items import Item
from rag.evaluation.sight import write_noised
from rag.types import Hit


class ItemTrials(Trials):
    """Items that nobody is asked about again."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        super().__init__(
            [item.text for item in items],
            [item.answer for item in items],
            [item.group for item in items],
            kinds=[tuple(item.options) for item in items],
            closed=[not item.open and not item.lettered for item in items],
        )


class ModelTrials(ItemTrials):
    """Items that a language model is asked directly."""

    def __init__(self, items: Sequence[Item], asker: Asker) -> None:
        super().__init__(items)
        self.asker = asker

    def holds_image(self, row: int) -> bool:
        return self.items[row].image is not None

    def from_image_of(self, rows: Sequence[int | None]) -> list[str]:
        return _labels(self._asked(shown_with(self.items, rows), "asking with another image, or none"))

    def from_image_in_noise(self) -> list[str]:
        return _labels(self._asked(in_noise(self.items), "asking with noise"))

    def from_own_evidence(self) -> list[str] | None:
        if not any(item.given for item in self.items):
            return None
        return _labels(ask_alone(self.items, self.asker.pipeline, self.asker.progress, evidence=True))

    def _asked(self, items: Sequence[Item], stage: str) -> Sequence[HeardAnswer]:
        return ask_alone(items, self.asker.pipeline, self.asker.progress)


class ProductTrials(ModelTrials):
    """Items that the product is asked."""

    def holds_evidence(self, row: int) -> bool:
        return bool(self._contexts[row])

    def from_evidence_of(self, rows: Sequence[int | None]) -> list[str]:
        given = [self._contexts[row] if row is not None else () for row in rows]
        return _labels(self.asker.given(self.items, given, "asking with other evidence"))

    def from_own_evidence(self) -> list[str] | None:
        gold = [item.hits() for item in self.items]
        return _labels(self.asker.given(self.items, gold, "asking with the labels' evidence")) if any(gold) else None

    def _asked(self, items: Sequence[Item], stage: str) -> Sequence[HeardAnswer]:
        return self.asker.found(items, stage=stage)

    @cached_property
    def _contexts(self) -> Sequence[Sequence[Hit]]:
        if self.asker.searches:
            return self.asker.contexts(self.items)
        return [item.hits() for item in self.items]


@dataclass(frozen=True)
class LongestOption:
    """Of several options the one of most letters: it is often the right one, for it had to be made so."""

    name: ClassVar[str] = "the longest option"

    def answers(self, trials: Trials) -> list[str] | None:
        if not isinstance(trials, ItemTrials) or not all(item.lettered for item in trials.items):
            return None
        return [max(i.options, key=lambda key, i=i: len(i.options[key])) for i in trials.items]  # type: ignore[misc]


def shown_with(items: Sequence[Item], rows: Sequence[int | None]) -> list[Item]:
    """The items with the images of the rows that are named for them, or with none; whose image it is, is not found."""
    return [
        item if item.image is None else item.about(items[row]) if row is not None else replace(item, image=None)
        for item, row in zip(items, rows, strict=True)
    ]


def in_noise(items: Sequence[Item]) -> list[Item]:
    """The items with their images drowned in noise, the same noise every time."""
    folder = scratch_folder()
    return [
        replace(item, image=str(write_noised(Path(item.image), folder / f"{n}.png", seed=n))) if item.image else item
        for n, item in enumerate(items)
    ]


def _labels(heard: Sequence[HeardAnswer]) -> list[str]:
    return [answer.label for answer in heard]
