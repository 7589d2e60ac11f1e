"""Images with texts of any corpus that ``rag ingest`` reads, measured as report generation is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.cases import read_labelled_cases
from rag.evaluation.published.folder import sample_of
from rag.evaluation.published.items import Item
from rag.evaluation.published.reporting import ReportSuite
from rag.evaluation.suite import Sample


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

    def read(self, path: Path) -> Sample:
        cases, left_out = read_labelled_cases(path, split=self.split)
        items = [
            Item(c.id, c.group, "", c.text, image=c.images[0])
            for c in cases
            if c.images and c.text.strip() and (not self.source or c.source == self.source)
        ]
        if not items:
            raise InputError(
                f"{path} holds no case with an image and a text{f' of {self.source!r}' if self.source else ''}"
            )
        sample = sample_of(items, self.limit, self.seed)
        return Sample(
            sample, left_out + Counter({"not in the sample, or without image or text": len(cases) - len(sample)})
        )
