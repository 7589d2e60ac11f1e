"""Image questions asked with right, exchanged and noised images: which kinds of answers depend on the image?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.evaluation.metrics import Estimate
from rag.evaluation.questions import read_yes_no
from rag.evaluation.report import Report, Row, exactly
from rag.evaluation.sight import measure_sight
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.evaluation.suites.questions import SKIPPED
from rag.progress import Progress


@dataclass(frozen=True)
class SightSuite:
    """Yes/no questions with images; see :mod:`rag.evaluation.sight`.

    >>> SightSuite(save=True).seed
    0

    Attributes:
        save: keep the marks beside the index: from then on, kinds that are blind are not answered from the image.
        seed: of the exchange of images and of the noise.
    """

    save: bool = False
    seed: int = 0
    name: ClassVar[str] = "sight"

    def read(self, path: Path) -> Sample:
        rows, skipped = read_yes_no(path)
        about = [q for q in rows if q.question.image and not q.question.study]
        left_out = Counter({SKIPPED: skipped, "it names no image": len(rows) - len(about)})
        return Sample(about, +left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        questions = [q.labelled() for q in sample.rows]
        found = measure_sight(questions, engine, progress, seed=self.seed, measured_on=f"{len(questions)} questions")
        if self.save:
            found.over(engine.pipeline().image_effects).save(engine.store.path)
        rows = tuple(
            Row(
                {"domain": e.domain, "form": e.form or "all", "status": e.status},
                {"questions": e.questions, "patients": e.groups},
                {
                    "right": exactly(e.right),
                    "exchanged": exactly(e.swapped),
                    "noise": exactly(e.noised),
                    "image_effect": Estimate(*e.effect),
                },
            )
            for e in found.effects
        )
        outside = len(questions) - sum(e.questions for e in found.effects if e.form is None)
        left_out = Counter(sample.left_out) + Counter(
            {"out of domain, open, or the only patient of its domain": outside}
        )
        notes = () if self.save else ("nothing was saved; with save=yes, blind kinds are not answered from the image",)
        return Report(self.name, measured_index(engine), rows, +left_out, notes)
