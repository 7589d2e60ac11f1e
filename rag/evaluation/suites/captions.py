"""Images with texts of any corpus that ``rag ingest`` reads, measured as report generation is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.evaluation.cases import read_labelled_cases
from rag.evaluation.published.folder import Folder
from rag.evaluation.published.items import Item
from rag.evaluation.published.reporting import ReportSuite


@dataclass(frozen=True)
class CaptionSuite(ReportSuite):
    """Cases with an image and a text; the first image is the one that is asked about.

    >>> CaptionSuite(split="test", source="rocov2").name
    'captions'

    Attributes:
        split: only the rows of this split.
        source: only the cases of this source.
    """

    split: str | None = None
    source: str = ""
    name: ClassVar[str] = "captions"
    collection: ClassVar[str] = "a corpus of cases"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        cases, left_out = read_labelled_cases(folder.given, split=self.split)
        yield from left_out.elements()
        for c in cases:
            if self.source and c.source != self.source:
                yield f"not of {self.source}"
            elif not c.images or not c.text.strip():
                yield "without image or text"
            else:
                yield Item(c.id, c.group, "", c.text, image=c.images[0])
