"""MIRAGE (Xiong et al. 2024): five sets of multiple choice, answered with question-only retrieval.

As published: "benchmark.json", an object from set to an object from id to ``question``, ``options`` (key → words) and
``answer`` (a key). The search sees the question and never its options, as MIRAGE requires; whoever answers sees both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, LayoutRow, json_of
from rag.evaluation.published.items import SIDES, SIDES_OR_MAYBE, Item


@dataclass(frozen=True)
class MirageSuite(ChoiceSuite):
    """Questions of all sets, or of those that are named.

    >>> MirageSuite(sets="medqa").name
    'mirage'

    Attributes:
        sets: medqa, medmcqa, mmlu, pubmedqa, bioasq: one, or several with commas between; all unless given.
    """

    sets: str | tuple[str, ...] = ()
    name: ClassVar[str] = "mirage"
    collection: ClassVar[str] = "MIRAGE"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        file = folder.find("benchmark.json", "**/benchmark.json")
        held = json_of(file)
        if not isinstance(held, dict) or not all(isinstance(some, dict) for some in held.values()):
            raise InputError(f"{file} is no object of sets of questions, as MIRAGE's benchmark.json is")
        wanted = (self.sets,) if isinstance(self.sets, str) else self.sets
        if unknown := sorted(set(wanted) - held.keys()):
            raise InputError(f"{file} has no set {unknown[0]!r}; there are: {', '.join(held)}")
        for of, questions in held.items():
            for number, (key, values) in enumerate(questions.items(), start=1):
                if wanted and of not in wanted:
                    yield f"of the set {of}"
                    continue
                row = LayoutRow(f"{file}, {of}, question {number}", values)
                yield _item(row, f"{of}/{key}", of)

    def notes(self, items: Sequence[Item]) -> tuple[str, ...]:
        return ("who writes is asked for a letter, which no text can bear out: these answers are not verified",)


def _item(row: LayoutRow, identity: str, of: str) -> Item:
    options = row.values.get("options")
    answer = row.text("answer")
    if not isinstance(options, dict) or answer not in options:
        raise InputError(f"{row.place}: a question needs 'options' and an 'answer' that is one of their keys")
    words = {str(key): str(value).strip() for key, value in options.items()}
    sides = {value.casefold() for value in words.values()}
    if sides in ({"yes", "no"}, {"yes", "no", "maybe"}):  # of PubMedQA and BioASQ: asked as what they are
        known = SIDES_OR_MAYBE if "maybe" in sides else SIDES
        return Item(identity, identity, row.text("question"), words[answer].casefold(), known, of={"set": of})
    return Item(identity, identity, row.text("question"), answer, words, of={"set": of})
