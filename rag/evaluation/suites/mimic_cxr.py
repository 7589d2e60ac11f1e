"""MIMIC-CXR (Johnson et al. 2019): chest radiographs with reports; access needs training and an agreement.

As published for report generation (R2Gen): "annotation.json" with ``subject_id``, ``study_id``, ``report`` and
``image_path``, beside the folder "images" or "files" of MIMIC-CXR-JPG. Patients are the groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.evaluation.published.folder import Folder
from rag.evaluation.published.items import Item
from rag.evaluation.published.reporting import ReportSuite
from rag.evaluation.suites.iuxray import annotated


@dataclass(frozen=True)
class MimicCxrSuite(ReportSuite):
    """The studies of one split.

    >>> MimicCxrSuite(limit=100).name
    'mimic-cxr'

    Attributes:
        split: test, val or train.
    """

    split: str = "test"
    name: ClassVar[str] = "mimic-cxr"
    collection: ClassVar[str] = "MIMIC-CXR"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        yield from annotated(folder, self.split)
