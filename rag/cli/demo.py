"""``rag demo``: real reports, an ontology, notes and sample images become an index; six questions are asked of it.

At the end a certificate is computed from questions whose answers come from the reports' human codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from rag.answering.engine import Engine
from rag.building.index import Index
from rag.building.report import IngestReport
from rag.building.source import Source
from rag.calibration.calibrate import calibrate
from rag.calibration.outcome import Calibration
from rag.calibration.synthesis import synthesize
from rag.corpus.packaged import packaged_file
from rag.evaluation.questions import LabelledQuestion
from rag.progress import Progress
from rag.settings import Settings
from rag.types import Answer, Question

NAME = "demo"
QUESTIONS, ALPHA, DELTA = 1000, 0.03, 0.05
SOURCES = (
    Source("openi"),
    Source("hpo", options={"branches": ("eye", "respiratory", "cardiovascular", "neoplasm")}),
    Source("notes"),
    Source("samples"),
)
NEXT_STEPS = """Where to go next:
  rag ask "Does study CXR1 show a pleural effusion?" --index demo
  rag search "hyperinflated lungs with flattened diaphragms" --index demo
  rag audit list --index demo            then: rag audit verify ID
  rag ingest YOUR_FOLDER --index mine    then: rag ask "..." --index mine
  docs/architecture.md tells how it works"""


@dataclass(frozen=True)
class DemoQuestion:
    """A demo question and what it is there to show."""

    title: str
    text: str
    image: str | None = None


PREPARED = (
    DemoQuestion("A study's own report, read for one finding", "Does study CXR2814 show cardiomegaly?"),
    DemoQuestion("Literature, quoted and referenced", "What is retinal drusen?"),
    DemoQuestion(
        "A fundus photograph: similar images and what is known", "What does this fundus photograph show?", "fundus"
    ),
    DemoQuestion("A histology image", "What does this histology image show?", "histology"),
    DemoQuestion("A question the evidence cannot answer", "Which dose of warfarin should this patient take?"),
    DemoQuestion("A report that contradicts itself", "Does study CXR227 show a pleural effusion?"),
)


@dataclass(frozen=True)
class Demo:
    """What the demo did. ``answers`` are titled; ``calibration`` is that of the synthetic questions."""

    report: IngestReport
    answers: tuple[tuple[str, Answer], ...]
    calibration: Calibration
    certified: tuple[tuple[str, Answer], ...]


def run_demo(settings: Settings, progress: Progress) -> Demo:
    """Build (or bring up to date) the index ``demo``, answer the prepared questions, and certify.

    Raises:
        MissingDependencyError: a package that carries a corpus or a model is not installed.
    """
    index = Index.create(NAME, settings)
    report = index.ingest(SOURCES, progress=progress)
    engine = Engine(index.store, settings)
    pictures = _pictures(index.path / "questions")
    answers = []
    advance = progress.stage("answering", len(PREPARED))
    for q in PREPARED:
        answers.append((q.title, engine.ask(Question(text=q.text, image=str(pictures[q.image]) if q.image else None))))
        advance(1)
    labelled = [q.labelled() for q in synthesize(index, count=QUESTIONS)]
    calibration = calibrate(engine, labelled, alpha=ALPHA, delta=DELTA, progress=progress)
    return Demo(report, tuple(answers), calibration, tuple(_under_certificate(labelled, engine)))


def _under_certificate(labelled: list[LabelledQuestion], engine: Engine) -> Iterator[tuple[str, Answer]]:
    """The first question answered under the certificate, and the first withheld for want of confidence."""
    wanted = {"answered": "Answered under the certificate", "abstained": "Withheld under the certificate"}
    for q in labelled:
        answer = engine.ask_many([q.question], record=False)[0]
        withheld = answer.decision == "abstained" and answer.reason.startswith("confidence")
        if answer.certificate.status == "valid" and (answer.decision == "answered" or withheld):
            title = wanted.pop(answer.decision, None)
            if title is not None:
                yield title, engine.ask(q.question)
        if not wanted:
            return


def _pictures(folder: Path) -> dict[str, Path]:
    """The question's images: mirrored crops of indexed samples, so that they are alike and yet not the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, file in {"fundus": "retina.jpg", "histology": "ihc.png"}.items():
        with Image.open(packaged_file("skimage", "data", file)) as picture:
            wide, high = picture.size
            crop = (
                picture.convert("RGB")
                .crop((wide // 10, high // 10, wide, high))
                .transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            )
        made[name] = folder / f"{name}.png"
        crop.save(made[name])
    return made
