"""Questions become a reranker: search, divide, train, measure, write its card."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from rag.answering.pipeline import Pipeline
from rag.encoders.cross import save_cross_encoder
from rag.evaluation.metrics import DEPTH, Estimate, bootstrap, measure_ranking
from rag.progress import Progress
from rag.training.reranker.card import RerankerFacts, write_card
from rag.training.reranker.learner import RankLearner
from rag.training.reranker.lists import RankedList, RankedParts, divide, hash_of, mine_lists
from rag.training.reranker.recipe import RerankerRecipe
from rag.training.run_folder import RunFolder, overwrite

METRIC = f"nDCG@{DEPTH}"
_SAVE = 50  # steps
_CHANNEL = "rerank"


class RankingFigures(BaseModel):
    """nDCG@10 of the questions of a file and split: of the channels' fusion, with the reranker in it, and its gain.

    ``alone`` is the order of the reranker by itself among the candidates.
    """

    source: str
    split: str
    questions: int
    fused: Estimate
    reranked: Estimate
    alone: Estimate
    gain: Estimate


class RerankerReport(BaseModel):
    """What came of a training."""

    out: str
    questions: dict[str, int]
    left_out: int
    epochs: int
    best_epoch: int
    minutes: float
    measured: list[RankingFigures]

    def words(self) -> str:
        """For a terminal."""
        counts = ", ".join(f"{n:,} {name}" for name, n in self.questions.items())
        lines = [
            f"Questions: {counts}; {self.left_out:,} of other splits were left out.",
            f"Best epoch: {self.best_epoch} of {self.epochs}, in {self.minutes:.1f} minutes.",
        ]
        lines += [
            f"  {m.source}, {m.split}, n={m.questions}: {METRIC} {m.fused} fused, {m.reranked} with the reranker, "
            f"{m.alone} by it alone; gain {m.gain}"
            for m in self.measured
        ]
        return "\n".join([*lines, f"The model and its card are in {self.out}."])


@dataclass(slots=True)
class RerankerRun:
    """What a run has come to: the dev figure before the first epoch and after each, and in seconds what all took."""

    dev: list[float] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0


def train_reranker(
    asked: Sequence[tuple[Path, Pipeline]], out: Path, recipe: RerankerRecipe, progress: Progress, *, command: str = ""
) -> RerankerReport:
    """Train on the questions of files, each with the open index that it asks, and write the model folder ``out``.

    A run that was killed goes on from its last save, to the same bytes as one that was not.

    Raises:
        InputError: the questions do not do (none with a relevant passage, one split empty), or ``out`` is taken.
        MissingDependencyError: a library or MiniLM's package is not installed.
    """
    lists = [one for file, pipeline in asked for one in mine_lists(file, pipeline, recipe.depth, progress)]
    parts = divide(lists)
    identity = json.dumps({"recipe": recipe.model_dump(), "lists": hash_of([*parts.train, *parts.dev])})
    run = RunFolder(out, identity)
    learner, trained = _train(parts, recipe, run, progress)
    save_cross_encoder(out, recipe.reading, learner.learned())
    counts = {"train": len(parts.train), "dev": len(parts.dev), "test": len(parts.test)}
    tell = progress.stage("measuring", counts["dev"] + counts["test"])
    measured = [m for split in ("dev", "test") for m in measure(getattr(parts, split), split, learner, recipe, tell)]
    report = RerankerReport(
        out=str(out),
        questions=counts,
        left_out=parts.skipped,
        epochs=len(trained.dev) - 1,
        best_epoch=trained.best_epoch,
        minutes=trained.seconds / 60,
        measured=measured,
    )
    write_card(RerankerFacts(command, parts, recipe, trained.dev, report.model_dump(mode="json")), out)
    run.remove()
    return report


def measure(
    lists: Sequence[RankedList], split: str, learner: RankLearner, recipe: RerankerRecipe, tell: Callable[[int], None]
) -> list[RankingFigures]:
    """For each file that has questions in the split."""
    found = []
    for source in sorted({one.source for one in lists}):
        some = [one for one in lists if one.source == source]
        orders: dict[str, list[float]] = {"fused": [], "reranked": [], "alone": []}
        for one in some:
            for name, order in _orders(one, learner, recipe).items():
                orders[name].append(_ndcg(one, order))
            tell(1)
        gain = np.array(orders["reranked"]) - np.array(orders["fused"])
        estimates = bootstrap({**orders, "gain": gain}, [one.group for one in some])
        found.append(RankingFigures(source=source, split=split, questions=len(some), **estimates))
    return found


def _orders(one: RankedList, learner: RankLearner, recipe: RerankerRecipe) -> Mapping[str, list[int]]:
    fused = one.fused()
    head = fused[: recipe.candidates]
    scores = learner.score(one.question, [one.texts[row] for row in head])
    again = [head[n] for n in sorted(range(len(head)), key=lambda n: -scores[n])]
    both = one.fused({_CHANNEL: again}, recipe.weight)
    return {"fused": fused, "reranked": both, "alone": [*again, *fused[recipe.candidates :]]}


def _ndcg(one: RankedList, order: Sequence[int]) -> float:
    """Of documents, each where its best passage stands."""
    documents = list(dict.fromkeys(one.documents[row] for row in order))
    missed = [name for name in one.gains if name not in documents]
    scores = [*(-float(n) for n in range(len(documents))), *(-np.inf for _ in missed)]
    gains = [one.gains.get(name, 0.0) for name in (*documents, *missed)]
    return float(measure_ranking([scores], [gains])[METRIC][0])


def _train(
    parts: RankedParts, recipe: RerankerRecipe, run: RunFolder, progress: Progress
) -> tuple[RankLearner, RerankerRun]:
    """Learn, measured on dev before the first epoch and after each; the best weights are those that are given."""
    n = len(parts.train)
    steps = -(-n // recipe.lists)
    learner, clock = RankLearner(recipe, steps * recipe.epochs), time.monotonic()
    dev = [parts.dev[i] for i in np.random.default_rng(recipe.seed).permutation(len(parts.dev))[: recipe.dev]]

    def on_dev() -> float:
        tell = progress.stage("measuring on dev", len(dev))
        found = []
        for one in dev:
            found.append(_ndcg(one, _orders(one, learner, recipe)["alone"]))
            tell(1)
        return float(np.mean(found))

    if saved := run.load():
        trained = RerankerRun(**saved.facts)
        best = [saved.tensors[f"best.{i}"] for i in range(len(learner.parameters))]
        learner.restore(saved.tensors)
    else:
        trained, best = RerankerRun([on_dev()]), learner.weights()
    earlier = trained.seconds

    def save() -> None:
        trained.seconds = earlier + time.monotonic() - clock
        run.save({f"best.{i}": one for i, one in enumerate(best)} | learner.state(), asdict(trained))

    for epoch in range(len(trained.dev) - 1, recipe.epochs):
        draws = np.random.SeedSequence([recipe.seed, epoch]).spawn(steps + 1)
        order = np.random.default_rng(draws[-1]).permutation(n)
        tell = progress.stage(f"epoch {epoch + 1} of {recipe.epochs}", n)
        done = learner.steps - epoch * steps
        tell(done * recipe.lists)
        for step in range(done, steps):
            some = [parts.train[i] for i in order[step * recipe.lists : (step + 1) * recipe.lists]]
            learner.learn(some, np.random.default_rng(draws[step]))
            tell(len(some))
            if learner.steps % _SAVE == 0:
                save()
        trained.dev.append(on_dev())
        if trained.dev[-1] > max(trained.dev[:-1]):
            trained.best_epoch, best = epoch + 1, learner.weights()
        save()
    overwrite(learner.parameters, best)
    return learner, trained
