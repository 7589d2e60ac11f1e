"""SLAKE (Liu et al., ISBI 2021): questions about radiology images in English and Chinese.

As published: "train.json", "validate.json", "test.json" (``img_name``, ``question``, ``answer``, ``q_lang``,
``modality``, ``location``, ``answer_type``, ``content_type``, ``qid``) beside the folder "imgs". Where the images are
not there, the questions are asked without them, and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.items import SIDES, Item, side_in


@dataclass(frozen=True)
class SlakeSuite(ChoiceSuite):
    """Questions of one split.

    >>> SlakeSuite(split="validate").name
    'slake'

    Attributes:
        split: test, validate or train.
        language: en, zh or any.
    """

    split: str = "test"
    language: str = "en"
    name: ClassVar[str] = "slake"
    collection: ClassVar[str] = "SLAKE"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        for row in rows_of(folder.find(f"{self.split}.json", f"{self.split}.jsonl")):
            if self.language not in ("any", row.text("q_lang")):
                yield f"its language is not {self.language}"
                continue
            name, answer = row.text("img_name"), row.text("answer")
            side = side_in(answer)
            of = {"modality": row.text("modality"), "form": row.text("content_type")}
            image = folder.image(f"imgs/{name}", name)
            identity = row.text("qid", "id")
            yield Item(identity, name, row.text("question"), side or answer, SIDES if side else {}, image, of=of)

    def notes(self, items: Sequence[Item]) -> tuple[str, ...]:
        without = sum(item.image is None for item in items)
        return (
            (f"{without} of {len(items)} questions were asked without their images, which are not there",)
            if without
            else ()
        )
