"""PMC-OA (Lin et al., MICCAI 2023): figures of open-access articles with their captions.

As published: "pmc_oa.jsonl" (or "test.jsonl" and others) of ``image`` and ``caption``, some with ``pmcid``, beside
"caption_T060_filtered_top4_sep_v0_subfigures" or "images". Articles are the groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.items import Item
from rag.evaluation.published.reporting import ReportSuite
from rag.evaluation.suites.vqa_rad import NO_IMAGE

_ARTICLE = re.compile(r"PMC\d+")


@dataclass(frozen=True)
class PmcOaSuite(ReportSuite):
    """Figures with captions.

    >>> PmcOaSuite().name
    'pmc-oa'
    """

    name: ClassVar[str] = "pmc-oa"
    collection: ClassVar[str] = "PMC-OA"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        for row in rows_of(folder.find("test.jsonl", "pmc_oa.jsonl", "*.jsonl")):
            name, caption = row.text("image"), row.text("caption").strip()
            image = folder.image(f"caption_T060_filtered_top4_sep_v0_subfigures/{name}", f"images/{name}", name)
            if image is None or not caption:
                yield NO_IMAGE if image is None else "its caption is empty"
                continue
            article = _ARTICLE.search(row.text("pmcid", default=name))
            yield Item(name, article[0] if article else name, "", caption, image=image)
