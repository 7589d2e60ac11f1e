"""MediConfusion (Sepehri et al. 2024): pairs of images that models confuse, one question with two options for both.

As published: "data/dataset.csv" (``id``, ``im_1_local``, ``im_2_local``, ``question``, ``option_A``, ``option_B``,
``im_1_correct``, ``im_2_correct``, ``category_1``) beside "data/images". A pair counts where both images are answered
rightly; confused is who gives both the same answer.
"""

from __future__ import annotations

from ast import literal_eval
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.metrics import bootstrap
from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.items import WITHHELD, Item
from rag.evaluation.report import Report, Row
from rag.evaluation.suite import Sample, Subject
from rag.evaluation.suites.vqa_rad import NO_IMAGE
from rag.progress import Progress


@dataclass(frozen=True)
class MediConfusionSuite(ChoiceSuite):
    """Both images of every pair.

    >>> MediConfusionSuite().name
    'mediconfusion'
    """

    name: ClassVar[str] = "mediconfusion"
    collection: ClassVar[str] = "MediConfusion"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        for row in rows_of(folder.find("data/dataset.csv", "dataset.csv")):
            pair = row.text("id")
            options = {"A": row.text("option_A"), "B": row.text("option_B")}
            for n in (1, 2):
                name, answer = row.text(f"im_{n}_local"), row.text(f"im_{n}_correct").strip().upper()
                if answer not in options:
                    raise InputError(f"{row.place}: im_{n}_correct is {answer!r}; it has to be A or B")
                image = folder.image(f"data/images/{name}.jpg", f"images/{name}.jpg", f"{name}.jpg")
                if image is None:
                    yield NO_IMAGE
                    continue
                of = {"category": _first(row.text(f"category_{n}", default=""))}
                yield Item(f"{pair}-{n}", pair, row.text("question"), answer, options, image, of=of)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        report = super().measure(subject, sample, progress)
        pairs = defaultdict(list)
        for outcome in report.details["outcomes"]:
            pairs[outcome["group"]].append(outcome)
        both = {pair: some for pair, some in pairs.items() if len(some) == 2}
        if not both:
            return report
        values = {
            "both_right": [float(all(o["said"] == o["answer"] for o in some)) for some in both.values()],
            "confused": [float(some[0]["said"] == some[1]["said"] != WITHHELD) for some in both.values()],
        }
        row = Row({"pairs of": report.rows[0].of["answered by"]}, {"pairs": len(both)}, bootstrap(values, list(both)))
        return replace(report, rows=(*report.rows, row))

    def notes(self, items: Sequence[Item]) -> tuple[str, ...]:
        return (
            "a constant is right about one image of each pair and about no pair; guessing, about a quarter of pairs",
        )


def _first(categories: str) -> str:
    """The first of a list of names, written as Python writes it."""
    try:
        named = literal_eval(categories)
    except (ValueError, SyntaxError, RecursionError):
        return categories or "none"
    return str(named[0]) if isinstance(named, list) and named else str(named)
