"""Pairs from labelled questions: the right answer, and a wrong one that is likely to be given.

Wrong answers are made by rule, or are what a model says: then a pair is made only where the model fails, and over-
reliance is taken at its word (RULE): right by its own evidence, wrong as soon as a misleading passage is added.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.reading import read_passage
from rag.training.generator.citing import IMAGE_MARK, REFUSAL, finished, of_image, shortened
from rag.training.generator.examples import Asking, Composer, Shown
from rag.training.generator.labelled import Lesson
from rag.training.generator.preferences import Origin, PairKind, Preference
from rag.training.generator.recipe import GeneratorRecipe

Answerer = Callable[[Asking], str]
_OTHER = {"Yes": "No", "No": "Yes"}
_TRIES = 12  # reports looked at for one that says the opposite


class PairMaker:
    """Makes pairs of the questions of one split; ``says`` answers as the model does that is to be tuned, if given."""

    def __init__(
        self, items: Sequence[Lesson], recipe: GeneratorRecipe, texts: Texts, says: Answerer | None = None
    ) -> None:
        self._composer = Composer(items, recipe)
        self._recipe, self._texts, self._says = recipe, texts, says
        self._seen = [i for i in items if i.about == "image"]
        self._reports = [i for i in items if i.about == "study"]

    def pairs(self, item: Lesson) -> list[Preference]:
        """All that the question is good for."""
        draw = random.Random(f"{self._recipe.seed}:pairs:{item.id}")  # noqa: S311 - nothing secret
        return list(self._of_image(item, draw) if item.about == "image" else self._of_text(item, draw))

    # ------------------------------------------------------------------ what is read

    def _of_text(self, item: Lesson, draw: random.Random) -> Iterator[Preference]:
        if item.about == "study" and item.side in _OTHER:
            yield from self._over_reliance(item, draw)
        asking, own = self._composer.among(item, draw, self._composer.others(item, draw, draw.choice((1, 2, 3))))
        right = self._composer.citer.answer(item.question, item.side, item.words, own)
        if right is None:
            return
        others = {n: p.text for n, p in enumerate(asking.passages, start=1) if n not in own}
        wrong = [REFUSAL]
        if item.side in _OTHER:
            wrong.append(right.replace(f"{item.side}.", f"{_OTHER[item.side]}.", 1))
        elsewhere = self._composer.citer.quote(item.question, others)
        if elsewhere:
            wrong.append(" ".join([*([f"{item.side}."] if item.side else []), elsewhere]))
        yield from self._pair("use of evidence", item, asking, right, draw.choice(wrong))
        foreign = Asking(item.question, tuple(p for n, p in enumerate(asking.passages, start=1) if n in others))
        quote = self._composer.citer.quote(item.question, dict(enumerate((p.text for p in foreign.passages), start=1)))
        if quote:
            said = " ".join([*([draw.choice(("Yes.", "No."))] if item.side else []), quote])
            yield from self._pair("use of evidence", item, foreign, REFUSAL, said)

    def _over_reliance(self, item: Lesson, draw: random.Random) -> Iterator[Preference]:
        """A passage that says the opposite of the own report: named by the file, or found among the others."""
        found = self._misleading(item, draw)
        if found is None:
            return
        text, sentence = found
        misleading = Shown(shortened(text, self._recipe.other_words), "similar")
        asking, own = self._composer.among(item, draw, (misleading,))
        right = self._composer.citer.answer(item.question, item.side, item.words, own)
        number = next((n for n, p in enumerate(asking.passages, start=1) if p == misleading), None)
        if right is None or number is None or number in own or item.side is None:
            return
        wrong = f"{_OTHER[item.side]}. {finished(sentence)} [{number}]"
        if self._says is not None:
            without = Asking(item.question, tuple(p for p in asking.passages if p != misleading))
            if begins(self._says(without)) != item.side:
                return  # it does not know in the first place, so the passage is not at fault
        yield from self._pair("over-reliance", item, asking, right, wrong)

    def _misleading(self, item: Lesson, draw: random.Random) -> tuple[str, str] | None:
        """A text and its sentence that says the opposite of the right answer."""
        asked = read_question(item.question, self._texts.lexicon)
        others = [draw.choice(self._reports) for _ in range(_TRIES)] if self._reports else []
        texts = [*item.misleading, *(t for o in others if o.group != item.group for t in o.support)]
        for text in texts:
            short = shortened(text, self._recipe.other_words)
            reading = read_passage(asked, short, self._texts)
            wrong, right = (reading.no, reading.yes) if item.side == "Yes" else (reading.yes, reading.no)
            if wrong is not None and right is None:
                return text, short[wrong.start : wrong.end]
        return None

    # ------------------------------------------------------------------ what is seen

    def _of_image(self, item: Lesson, draw: random.Random) -> Iterator[Preference]:
        asking = Asking(item.question, self._composer.others(item, draw, draw.choice((0, 1, 2))), item.image)
        right = of_image(item.side, item.words)
        if (wrong := self._of_another(item, draw)) is not None:
            yield from self._pair("cross-modality, swapped", item, asking, right, wrong)
        yield from self._pair("cross-modality, noise", item, replace(asking, view="noise"), REFUSAL, right)

    def _of_another(self, item: Lesson, draw: random.Random) -> str | None:
        """What would be right of another image: the other side, or what is said of it to the same question."""
        if item.side is not None:
            return f"{_OTHER[item.side]}. {IMAGE_MARK}" if item.side in _OTHER else None
        right = of_image(item.side, item.words)
        same = [o for o in self._seen if o.question == item.question and o.group != item.group and o.side is None]
        others = sorted({said for o in same if (said := of_image(None, o.words)) != right})
        return draw.choice(others) if others else None

    # ------------------------------------------------------------------ what the model says

    def _pair(self, kind: PairKind, item: Lesson, asking: Asking, chosen: str, rejected: str) -> Iterator[Preference]:
        """With the wrong answer that was made; where a model is asked, with what it says, if that is wrong."""
        origin: Origin = "labelled" if kind == "over-reliance" and item.wrong else "made"
        if self._says is not None:
            origin, rejected = "model", self._says(asking).strip()
            if not rejected or begins(rejected) == begins(chosen):
                return
        yield Preference(kind, origin, item.group, item.source, item.licence, asking, chosen, rejected)


def begins(answer: str) -> str:
    """What tells answers apart: the side, the refusal, or for others all of it but its citations."""
    if answer.startswith(REFUSAL[:12]):
        return REFUSAL
    first = answer.split(".")[0].split(",")[0].strip()
    return first if first in ("Yes", "No", "Maybe") else " ".join(answer.split("[")[0].split()).casefold()
