"""Quilt-1M (Ikezogwo et al., NeurIPS 2023): pathology images with captions, mostly of teaching videos.

As published: "quilt_1M_lookup.csv" of ``image_path``, ``caption``, ``subset``, ``split`` beside the folder "quilt_1m"
or "images". Images of one video are one group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.items import Item
from rag.evaluation.published.reporting import ReportSuite
from rag.evaluation.suites.vqa_rad import NO_IMAGE


@dataclass(frozen=True)
class QuiltSuite(ReportSuite):
    """Images of one split, or of all.

    >>> QuiltSuite(split="val").name
    'quilt-1m'

    Attributes:
        split: as the file calls them; all where empty.
    """

    split: str = ""
    name: ClassVar[str] = "quilt-1m"
    collection: ClassVar[str] = "Quilt-1M"
    domain: ClassVar[str] = "pathology"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        for row in rows_of(folder.find("quilt_1M_lookup.csv", "*lookup*.csv")):
            if self.split and row.text("split", default="") != self.split:
                yield f"not of the split {self.split}"
                continue
            name, caption = row.text("image_path"), row.text("caption").strip()
            image = folder.image(f"quilt_1m/{name}", f"images/{name}", name)
            if image is None or not caption:
                yield NO_IMAGE if image is None else "its caption is empty"
                continue
            yield Item(name, name.split("_image_")[0], "", caption, image=image)
