"""``rag demo``: real reports, an ontology, notes and sample images become an index; six questions are asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from rag.corpus.packaged import packaged_file
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.engine import Engine
from rag.indexing.store import IndexStore
from rag.ingest import IngestReport, Source, ingest
from rag.progress import Progress
from rag.settings import Settings
from rag.types import Answer, Question

NAME = "demo"
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
class Prepared:
    """A demo question and what it is there to show."""

    title: str
    text: str
    image: str | None = None


PREPARED = (
    Prepared("A study's own report, read for one finding", "Does study CXR2814 show cardiomegaly?"),
    Prepared("Literature, quoted and referenced", "What is retinal drusen?"),
    Prepared(
        "A fundus photograph: similar images and what is known", "What does this fundus photograph show?", "fundus"
    ),
    Prepared("A histology image", "What does this histology image show?", "histology"),
    Prepared("A question the evidence cannot answer", "Which dose of warfarin should this patient take?"),
    Prepared("A report that contradicts itself", "Does study CXR227 show a pleural effusion?"),
)


def run_demo(settings: Settings, progress: Progress) -> tuple[IngestReport, list[tuple[str, Answer]]]:
    """Build (or bring up to date) the index ``demo`` and answer the prepared questions.

    Raises:
        MissingDependencyError: a package that carries a corpus or a model is not installed.
    """
    text, image = load_text_encoder(settings.encoders), load_image_encoder(settings.encoders)
    path = settings.indexes / NAME
    store = IndexStore.open(path) if path.exists() else IndexStore.create(path)
    report = ingest(SOURCES, store, text, image, progress=progress)
    engine = Engine(store, settings)
    pictures = _pictures(path / "questions")
    answers = []
    advance = progress.stage("answering", len(PREPARED))
    for q in PREPARED:
        answers.append((q.title, engine.ask(Question(text=q.text, image=str(pictures[q.image]) if q.image else None))))
        advance(1)
    return report, answers


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
