"""What a generator learns from: prompts, and the answers it should give to them.

Beside its own evidence, most prompts hold other passages, as a search brings them: of other patients, of other
articles, about other things. Some hold nothing else, and are to be refused: a generator that was never shown a question
it must refuse answers them all. Everything follows from the seed and the question's id, so one question more or less
changes no other example.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag.generation.base import Request
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.training.generator.citing import REFUSAL, Citer, of_image, shortened
from rag.training.generator.labelled import Lesson
from rag.training.generator.recipe import GeneratorRecipe
from rag.types import Evidence, Question, sha256_of

View = Literal["plain", "varied", "noise"]
Whose = Literal["study", "similar", "general"]
_CHANNEL = {"study": "study", "similar": "image", "general": "text"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage of a prompt, and whose it is: this very study's, a similar case's, or literature."""

    text: str
    whose: Whose


@dataclass(frozen=True, slots=True)
class Asking:
    """A question with what is shown beside it; ``view`` says how its image is shown."""

    question: str
    passages: tuple[Shown, ...] = ()
    image: str | None = None
    view: View = "plain"

    def request(self, lexicon: Lexicon) -> Request:
        """The same, as a generator is asked."""
        evidence = tuple(_evidence(n, p) for n, p in enumerate(self.passages, start=1))
        question = Question(text=self.question, image=self.image)
        return Request(question, read_question(self.question, lexicon), evidence)


@dataclass(frozen=True, slots=True)
class Taught:
    """A prompt with the answer to give. ``kind`` is what it teaches, ``of`` the labelled question behind it."""

    of: Lesson
    kind: str
    asking: Asking
    answer: str


def compose(items: Sequence[Lesson], recipe: GeneratorRecipe) -> list[Taught]:
    """The examples that the questions of one split make; other passages come from the same split alone.

    Questions whose answer no passage holds make none.
    """
    composer = Composer(items, recipe)
    return [example for item in items for example in composer.examples(item)]


class Composer:
    """Puts prompts together from the questions of one split."""

    def __init__(self, items: Sequence[Lesson], recipe: GeneratorRecipe) -> None:
        self._recipe = recipe
        self._reports = [(i.group, t) for i in items if i.about == "study" for t in (*i.support, *i.misleading)]
        captions = [i for i in items if i.about == "image" and i.side is None]
        self._captions: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for i in captions:
            self._captions[i.domain].append((i.group, " ".join(i.words)))
        said = {i.image: " ".join(i.words) for i in captions}
        self._sided: dict[tuple[str, str | None], list[tuple[str, str]]] = defaultdict(list)
        for i in items:
            if i.about == "image" and i.side is not None and i.image in said:
                self._sided[i.question, i.side].append((i.group, said[i.image]))
        self._literature = [(i.group, t) for i in items if i.about == "literature" for t in i.support]
        pools = (self._reports, *self._captions.values(), self._literature)
        self.citer = Citer({text for pool in pools for _, text in pool})

    def examples(self, item: Lesson) -> list[Taught]:
        """In each version one that is answered (if its evidence holds the answer), and perhaps one that is refused."""
        made: list[Taught | None] = []
        for version in range(self._recipe.versions):
            draw = random.Random(f"{self._recipe.seed}:{version}:{item.id}")  # noqa: S311 - nothing secret
            made += [self.answered(item, draw), self.refused(item, draw)]
        return [example for example in made if example is not None]

    def answered(self, item: Lesson, draw: random.Random) -> Taught | None:
        """The question among its own evidence and other passages."""
        if item.about == "image":
            beside = draw.choice((1, 2, 3)) if draw.random() < self._recipe.similar else 0
            shown = self.others(item, draw, beside)
            asking = Asking(item.question, shown, item.image, "varied")
            return Taught(item, "image", asking, of_image(item.side, item.words))
        asking, own = self.among(item, draw, self.others(item, draw, draw.choice((0, 1, 1, 2, 3))))
        answer = self.citer.answer(item.question, item.side, item.words, own)
        return Taught(item, item.about, asking, answer) if answer else None

    def refused(self, item: Lesson, draw: random.Random) -> Taught | None:
        """Sometimes: the question among other passages alone, or with an image that shows nothing."""
        if draw.random() >= self._recipe.refusals:
            return None
        shown = self.others(item, draw, draw.choice((0, 1, 2, 3)))
        if item.about == "image":
            return Taught(item, "refusal, noise", Asking(item.question, shown, item.image, "noise"), REFUSAL)
        kind = "refusal, other passages" if shown else "refusal, no evidence"
        return Taught(item, kind, Asking(item.question, shown), REFUSAL)

    def among(self, item: Lesson, draw: random.Random, others: Sequence[Shown]) -> tuple[Asking, dict[int, str]]:
        """The question's own evidence shuffled among other passages, and the own by number."""
        whose: Whose = "study" if item.about == "study" else "general"
        texts = item.support if item.about == "study" else draw.sample(item.support, min(2, len(item.support)))
        own = [Shown(shortened(t, self._recipe.own_words), whose) for t in texts]
        order = [*own, *others]
        draw.shuffle(order)
        numbers = {n: p.text for n, p in enumerate(order, start=1) if p in own}
        return Asking(item.question, tuple(order), item.image), numbers

    def others(self, item: Lesson, draw: random.Random, count: int) -> tuple[Shown, ...]:
        """Passages of other groups, such as a search brings to such a question; the misleading one first."""
        own = {*item.support, " ".join(item.words)}
        near, whose = (
            (self._literature, "general")
            if item.about == "literature"
            else (self._reports if item.about == "study" else self._captions[item.domain], "similar")
        )
        astray = draw.random() < self._recipe.misleading
        texts = list(self._telling(item, draw, astray)[:count])
        for _ in range(4 * count):
            if len(texts) >= count or not near:
                break
            group, text = draw.choice(near)
            if group != item.group and text not in own and text not in texts:
                texts.append(text)
        return tuple(Shown(shortened(t, self._recipe.other_words), whose) for t in texts)  # type: ignore[arg-type]

    def beside(self, item: Lesson, draw: random.Random, count: int, *, agreeing: bool) -> tuple[Shown, ...]:
        """Texts of images for which the same question has the same, or the other, answer; none: of the domain."""
        own = " ".join(item.words)
        pool = self._sided_as(item, agreeing) or [
            t for g, t in self._captions[item.domain] if g != item.group and t != own
        ]
        texts = draw.sample(pool, min(count, len(pool)))
        return tuple(Shown(shortened(t, self._recipe.other_words), "similar") for t in texts)

    def _telling(self, item: Lesson, draw: random.Random, astray: bool) -> Sequence[str]:
        """What is known to mislead, or nothing; for an image a text that contradicts, or one that agrees.

        If texts contradicted and never agreed, to answer against them would be learned, and not to look.
        """
        if item.about != "image" or item.misleading:
            return item.misleading if astray else ()
        pool = self._sided_as(item, not astray)
        return [draw.choice(pool)] if pool else ()

    def _sided_as(self, item: Lesson, agreeing: bool) -> list[str]:
        if item.about != "image" or item.side is None:
            return []
        side = item.side if agreeing else "No" if item.side == "Yes" else "Yes"
        return [text for group, text in self._sided[item.question, side] if group != item.group]


def _evidence(number: int, passage: Shown) -> Evidence:
    literature = passage.whose == "general"
    return Evidence(
        number=number,
        document_id=f"shown {number}",
        passage_id=f"shown {number}",
        kind="literature" if literature else "report",
        domain="general",
        title="",
        source="literature" if literature else "reports",
        licence="",
        case_id=f"shown {number}",
        group_id=f"shown {number}",
        channel=_CHANNEL[passage.whose],
        score=1.0,
        text=passage.text,
        start=0,
        sha256=sha256_of(passage.text),
    )
