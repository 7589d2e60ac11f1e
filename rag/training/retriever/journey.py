"""Records become a retriever: read, divide, train, measure, write its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from rag.building.source import Source
from rag.corpus.source import read_source
from rag.encoders.runtime import torch
from rag.progress import Progress
from rag.training.retriever import card as model_card
from rag.training.retriever.examples import Example, divide, read_examples
from rag.training.retriever.loop import train
from rag.training.retriever.measure import PairRecall, measure
from rag.training.retriever.recipe import Recipe
from rag.training.run_folder import CARD, RunFolder


class TrainingReport(BaseModel):
    """What came of a training. ``refused`` holds (record, reason) of what could not be read."""

    out: str
    images: dict[str, int]
    left_out: int
    refused: list[tuple[str, str]]
    epochs: int
    best_epoch: int
    minutes: float
    dev: list[PairRecall]
    test: list[PairRecall]

    def words(self) -> str:
        """For a terminal."""
        lines = [f"{record} was left out: {reason}" for record, reason in self.refused]
        counts = ", ".join(f"{n:,} {name}" for name, n in self.images.items())
        lines.append(f"Images: {counts}; {self.left_out:,} of other splits or domains were left out.")
        lines.append(f"Best epoch: {self.best_epoch} of {self.epochs}, in {self.minutes:.1f} minutes.")
        for r in self.test:
            recalls = "  ".join(f"R@{k} {value:.3f}" for k, value in r.at.items())
            lines.append(f"  {r.direction}  {r.queries:<16} n={r.n:<5} {recalls}  (R@10 {r.low:.3f} to {r.high:.3f})")
        lines.append(f"The model and its card are in {self.out}.")
        return "\n".join(lines)


def train_retriever(
    source: Source,
    out: Path,
    recipe: Recipe,
    progress: Progress,
    *,
    domains: Sequence[str] = (),
    command: str = "",
) -> TrainingReport:
    """Train on the records of ``source`` and write the model folder ``out``.

    Raises:
        InputError: the records do not do (no images, no texts, one group, an unknown domain), or ``out`` is taken.
        MissingDependencyError: a library or the base model is not installed.
    """
    records = read_source(source.name, source.format, **source.options)
    examples, refused = read_examples(records, domains, progress.stage("reading records"))
    parts = divide(examples)
    run = RunFolder(out, _identity(recipe, (*parts.train, *parts.dev)))
    trained = train(parts, recipe, run, progress)
    tell = progress.stage("measuring", len(parts.dev) + len(parts.test))
    dev, test = (measure(out, part, tell) for part in (parts.dev, parts.test))
    threads = int(torch().get_num_threads())
    facts = model_card.Facts(out.resolve().name, command, parts, recipe, trained, dev, test, threads)
    aside = out / f"{CARD}.new"
    aside.write_text(model_card.write(facts), encoding="utf-8")
    aside.replace(out / CARD)
    run.remove()
    return TrainingReport(
        out=str(out),
        images={"train": len(parts.train), "dev": len(parts.dev), "test": len(parts.test)},
        left_out=parts.skipped,
        refused=[(f"{q.source}, {q.record}", q.reason) for q in refused],
        epochs=len(trained.dev_recall) - 1,
        best_epoch=trained.best_epoch,
        minutes=trained.seconds / 60,
        dev=dev,
        test=test,
    )


def _identity(recipe: Recipe, examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for e in examples:
        digest.update(json.dumps([e.case, e.image_sha256, e.text, e.group, e.split, sorted(e.concepts)]).encode())
    return json.dumps({"recipe": recipe.model_dump(), "examples": digest.hexdigest()})
