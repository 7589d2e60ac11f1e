"""IU X-Ray (Demner-Fushman et al. 2016): chest radiographs of Open-i with their reports.

As published for report generation (R2Gen, Chen et al. 2020): "annotation.json", an object from split to a list of
``id``, ``report`` and ``image_path`` (a list), beside the folder "images". The first image of a study is the one that
is asked about. Questions about the same studies are a file for ``rag evaluate FILE``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.published.folder import Folder, LayoutRow, json_of
from rag.evaluation.published.items import Item
from rag.evaluation.published.reporting import ReportSuite
from rag.evaluation.suites.vqa_rad import NO_IMAGE


@dataclass(frozen=True)
class IuXraySuite(ReportSuite):
    """The studies of one split.

    >>> IuXraySuite(split="val").name
    'iuxray'

    Attributes:
        split: test, val or train.
    """

    split: str = "test"
    name: ClassVar[str] = "iuxray"
    collection: ClassVar[str] = "IU X-Ray"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        yield from annotated(folder, self.split)


def annotated(folder: Folder, split: str) -> Iterator[Item | str]:
    """Studies of an annotation.json of R2Gen's form; patients are groups where it names them."""
    file = folder.find("annotation.json", "*annotation*.json")
    held = json_of(file)
    if not isinstance(held, dict) or not isinstance(held.get(split), list):
        raise InputError(f"{file} has no list {split!r} of studies, as R2Gen's annotation.json has")
    for number, values in enumerate(held[split], start=1):
        if not isinstance(values, dict):
            raise InputError(f"{file}, {split}, study {number}: not an object")
        row = LayoutRow(f"{file}, {split}, study {number}", values)
        paths = values.get("image_path")
        if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths):
            raise InputError(f"{row.place}: it needs 'image_path', a list of paths")
        image = folder.image(*(name for path in paths for name in (f"images/{path}", f"files/{path}", path)))
        report = row.text("report").strip()
        if image is None or not report:
            yield NO_IMAGE if image is None else "its report is empty"
            continue
        identity = row.text("study_id", "id")
        yield Item(identity, row.text("subject_id", default=identity), "", report, image=image)
