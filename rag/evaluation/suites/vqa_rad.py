"""VQA-RAD (Lau et al., Scientific Data 2018): clinicians' questions about radiology images.

As published: "VQA_RAD Dataset Public.json" (a list of ``qid``, ``image_name``, ``image_organ``, ``question``,
``answer``, ``answer_type``, ``question_type``, ``phrase_type``) beside the folder "VQA_RAD Image Folder". JSON lines
with ``id``, ``image`` and the same fields are read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.items import SIDES, Item, side_in

NO_IMAGE = "its image is not in the folder"


@dataclass(frozen=True)
class VqaRadSuite(ChoiceSuite):
    """Closed questions with yes or no, and open ones.

    >>> VqaRadSuite(limit=40).name
    'vqa-rad'
    """

    name: ClassVar[str] = "vqa-rad"
    collection: ClassVar[str] = "VQA-RAD"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        for row in rows_of(folder.find("VQA_RAD Dataset Public.json", "*.json", "*.jsonl")):
            name = row.text("image_name", "image")
            image = folder.image(f"VQA_RAD Image Folder/{name}", f"images/{name}", name)
            if image is None:
                yield NO_IMAGE
                continue
            answer = row.text("answer")
            side = side_in(answer)
            group = row.text("group", default=name)
            of = {"organ": row.text("image_organ", "organ"), "form": row.text("question_type")}
            identity = row.text("id", "qid")
            yield Item(identity, group, row.text("question"), side or answer, SIDES if side else {}, image, of=of)
