"""What is asked of every collection of questions, in one form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from rag.types import Document, Hit, Passage, Question

SIDES: Mapping[str, str] = MappingProxyType({"yes": "yes", "no": "no"})
SIDES_OR_MAYBE: Mapping[str, str] = MappingProxyType({**SIDES, "maybe": "maybe"})
LETTERS = "ABCDEFGHIJ"
WITHHELD = "withheld"
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class GoldText:
    """A text that a collection names as a question's evidence."""

    id: str
    text: str


@dataclass(frozen=True)
class Item:
    """A question with its right answer.

    >>> item = Item("1", "g", "Is there an effusion?", "yes", SIDES)
    >>> item.lettered, item.open
    (False, False)

    Attributes:
        id: unique in the collection.
        group: the unit of statistics: patient, article, image.
        text: the question.
        answer: the key of the right option; without options, the right words.
        options: by key; ``SIDES`` for yes or no, empty where the answer is free.
        image: path of the image that is asked about.
        given: what the collection names as evidence.
        study: the case of the index that is asked about.
        of: what to break figures down by: modality, form, domain.
        hidden: groups that may not be found besides its own, such as that of an image which is not its own.
    """

    id: str
    group: str
    text: str
    answer: str
    options: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    given: tuple[GoldText, ...] = ()
    study: str | None = None
    of: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """Whether the answer is in words of one's own."""
        return not self.options

    @property
    def lettered(self) -> bool:
        """Whether one of several options is to be named."""
        return bool(self.options) and not set(self.options) <= set(SIDES_OR_MAYBE)

    @property
    def question(self) -> Question:
        """As it is searched with: the question alone, never its options (MIRAGE's question-only retrieval)."""
        outside = (self.group, *self.hidden) if self.image is not None and self.study is None else ()
        return Question(text=self.text, image=self.image, study=self.study, exclude_groups=outside)

    def about(self, other: Item) -> Item:
        """The same question about another item's image, which must not be found itself."""
        return replace(self, image=other.image, hidden=(other.group,))

    @property
    def spelled_out(self) -> str:
        """The question with its options, for whoever has to choose."""
        if not self.lettered:
            return self.text
        lines = [f"{key}. {words}" for key, words in self.options.items()]
        return "\n".join([self.text, *lines, "Answer with the letter of one option."])

    def hits(self) -> list[Hit]:
        """What the collection gives, as if search had found it, all equally near."""
        return [hit_of(given, n) for n, given in enumerate(self.given)]

    def right(self, said: str) -> float:
        """How right it is, in [0, 1]; of free words, the share of the label's words that are among them.

        What is withheld counts as *maybe*, where that is an answer.
        """
        if not self.open:
            return float(said == self.answer or (said == WITHHELD and self.answer == "maybe"))
        wanted = _WORD.findall(self.answer.casefold())
        there = set(_WORD.findall(said.casefold()))
        return sum(word in there for word in wanted) / len(wanted) if wanted else 0.0


def hit_of(given: GoldText, n: int, channel: str = "text") -> Hit:
    """A text as evidence, whole."""
    document = Document(
        id=given.id, kind="literature", text=given.text, case_id=given.id, group_id=given.id, source="file"
    )
    passage = Passage(id=f"{given.id}#0", document_id=given.id, start=0, end=len(given.text), text=given.text)
    ranks = {channel: n + 1}
    return Hit(passage=passage, document=document, score=1.0, channel=channel, ranks=ranks, similarities={channel: 1.0})


def options_of(words: Sequence[str]) -> dict[str, str]:
    """Options under letters."""
    return dict(zip(LETTERS, words, strict=False))


def side_in(answer: str) -> str | None:
    """``yes`` or ``no``, where a label is one of them whatever its case and full stop."""
    word = answer.strip().strip(".").casefold()
    return word if word in SIDES else None
