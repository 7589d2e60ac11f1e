"""Labelled files become a tuned generator: read, divide, compose, train, measure, write its card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.errors import InputError
from rag.generation.compact_lvlm.parts import ModelParts
from rag.generation.prompts import Prompt
from rag.generation.seen import Seen
from rag.language.lexicon import Lexicon
from rag.progress import Progress
from rag.training.generator.adapting import Adapted, adapt
from rag.training.generator.aligning import Captioned, align, captioned, feed_captions
from rag.training.generator.bases import Base, open_base
from rag.training.generator.card import TuningFacts, seen_by, tally, write_card
from rag.training.generator.examples import Asking, Taught, compose
from rag.training.generator.feeding import Conversations, Feeder
from rag.training.generator.labelled import Lesson, read_corpus, read_labelled
from rag.training.generator.loop import Stage, run_stages
from rag.training.generator.losses import answer_loss, token_log_probs
from rag.training.generator.measure import measure_generator
from rag.training.generator.packing import read_parts, write_merged, write_parts
from rag.training.generator.recipe import GeneratorRecipe
from rag.training.generator.sight import LookingTest
from rag.training.run_folder import RunFolder
from rag.training.splits import TRAIN, Split, assign_splits

_HOW = (
    "By teacher forcing, on groups that nothing was learned from. Loss: of a token of the right answer, in nats. "
    "Begun right: the right one of yes, no, maybe and a refusal is the likeliest first token; balanced over them."
)
_ALIGNING = 0.15  # of the minutes
_PURPOSE = "Answers questions from numbered evidence and an image, and cites what supports each sentence."


class TuningReport(BaseModel):
    """What came of a tuning. ``refused`` holds (record, reason) of what could not be learned from."""

    out: str
    counts: list[tuple[str, str, int]]
    left_out: list[str]
    refused: list[tuple[str, str]]
    minutes: float
    first_loss: float | None
    last_loss: float | None
    measured: dict[str, list[dict[str, Any]]]

    def words(self) -> str:
        """For a terminal."""
        lines = [f"{record} was left out: {reason}" for record, reason in self.refused[:20]]
        if len(self.refused) > 20:
            lines.append(f"… and {len(self.refused) - 20} more were left out")
        lines.append("Learned from: " + ", ".join(f"{n:,} {what}" for what, part, n in self.counts if part != "test"))
        if self.first_loss is not None and self.last_loss is not None:
            fell = f"Loss {self.first_loss:.3f} at first, {self.last_loss:.3f} at last"
            lines.append(f"{fell}; {self.minutes:.1f} minutes.")
        for part, results in self.measured.items():
            for m in results:
                values = (f"{k.replace('_', ' ')} {v:.3f}" for k, v in m.items() if isinstance(v, float))
                what = ", ".join(v for v in m.values() if isinstance(v, str))
                lines.append(f"  {part:<13}  {what:<36} n={m['n']:<5} {'  '.join(values)}")
        lines.append(f"The adapter and its card are in {self.out}.")
        return "\n".join(lines)


@dataclass(frozen=True)
class TuningJob:
    """Where a tuning starts and ends: the base, the prompt it will be asked with, the folder, the command.

    ``start`` is a model in parts of the same base to go on from, by its name or folder; None: adapters that have
    learned nothing. ``vision`` is the image tower of a base that has none; ``merged`` also writes the whole model with
    the adapter in it, which the generator 'transformers' loads.
    """

    base: str
    prompt: str
    out: Path
    command: str = ""
    merged: bool = False
    vision: str | None = None
    start: str | None = None


def train_generator(
    files: Sequence[Path],
    job: TuningJob,
    recipe: GeneratorRecipe,
    progress: Progress,
    *,
    corpora: Sequence[str] = (),
) -> TuningReport:
    """Tune the base on what the files hold, and write the model's folder.

    Args:
        files: JSONL of cases and labelled questions; see :mod:`rag.training.generator.labelled`.
        job: base, prompt and folder.
        recipe: everything else that decides the outcome.
        progress: told of rows read and examples learned from.
        corpora: sources, as ``rag ingest`` reads them, with the texts that the questions name.

    Raises:
        InputError: files, base or folder do not do; the message names what.
        MissingDependencyError: a library or the base is not installed.
    """
    texts = read_corpus(d for name in corpora for d in read_source(name)) if corpora else None
    items, refused = read_labelled(files, texts, progress.stage("reading questions"))
    parts = divide_cited(items)
    base = open_base(job.base, job.vision, recipe.precision, recipe.image_size)
    start = _start(job, base)
    run = RunFolder(job.out, _identity(items, base.name, start, job.prompt, recipe))
    feeder = Feeder(base.loaded, Prompt(job.prompt), Lexicon.load(), recipe, recipe.image_side, recipe.views)
    feeder.written.load(run.path)
    course = _Course.of(parts, feeder, recipe)
    feeder.written.save(run.path)
    if not course.taught[TRAIN].examples:
        raise InputError(
            "no question of the split 'train' can be learned from: no passage holds an answer, or all are longer than "
            f"{recipe.longest} tokens"
        )
    tuned = adapt(base.loaded, recipe)
    if start is not None:
        read_parts(tuned, start)
    base.loaded.model.eval()  # nothing random but what the seed decides; the image tower's statistics stay
    stages = [*_aligning(tuned, parts["train"], feeder, recipe), *_stages(tuned, course.taught[TRAIN], feeder, recipe)]
    traces = run_stages(stages, tuned.parameters, recipe, run, progress)
    if not job.merged:  # merging changes the model
        save(tuned, base, job)
    measured = course.measure(tuned, feeder, recipe)
    if job.merged:
        save(tuned, base, job)
    seen = seen_by([*parts["train"], *parts["dev"]])
    if start is not None and (before := Seen.read(start.folder)) is not None:
        seen = before.joined(seen)
    facts = TuningFacts(
        job.out.resolve().name, _PURPOSE, job.command, base.name, job.prompt, recipe, seen, course.counts,
        course.left_out(recipe.longest), traces, measured, _HOW,
    )  # fmt: skip
    write_card(facts, job.out)
    run.remove()
    return report(facts, job.out, refused)


def divide_cited(items: Sequence[Lesson]) -> dict[Split, list[Lesson]]:
    """The questions by split; no group is in two. Raises InputError as :func:`rag.training.splits.assign_splits`."""
    parts: dict[Split, list[Lesson]] = {"train": [], "dev": [], "test": []}
    for item, part in zip(items, assign_splits(items, needed=(TRAIN,)), strict=True):
        if part is not None:
            parts[part].append(item)
    return parts


def save(tuned: Adapted, base: Base, job: TuningJob) -> None:
    """The adapter, and what the job and the base ask for besides."""
    tuned.save(job.out, base.name)
    if base.parts is not None:
        write_parts(tuned, base.parts, job.out)
    if job.merged:
        write_merged(tuned, base, job.out)


def report(facts: TuningFacts, out: Path, refused: Sequence[Quarantined]) -> TuningReport:
    """The same facts, for whoever ran the command."""
    last = next((t for t in reversed(facts.stages.values()) if t.losses), None)
    return TuningReport(
        out=str(out),
        counts=list(facts.counts),
        left_out=list(facts.left_out),
        refused=[(f"{q.source}, {q.record}", q.reason) for q in refused],
        minutes=sum(t.seconds for t in facts.stages.values()) / 60,
        first_loss=last.first if last else None,
        last_loss=last.last if last else None,
        measured={part: [m.model_dump() for m in results] for part, results in facts.measured.items()},
    )


@dataclass(frozen=True)
class _Taught:
    """The examples of a split that are short enough, their tokens, and how many were not."""

    examples: list[Taught]
    lengths: list[int]
    longer: int

    @classmethod
    def of(cls, examples: Sequence[Taught], feeder: Feeder, longest: int) -> _Taught:
        lengths = [feeder.length(e.asking, e.answer) for e in examples]
        kept = [(e, n) for e, n in zip(examples, lengths, strict=True) if n <= longest]
        return cls([e for e, _ in kept], [n for _, n in kept], len(examples) - len(kept))


@dataclass(frozen=True)
class _Course:
    """Each split's examples, and of those that nothing is learned from a test of looking."""

    taught: dict[Split, _Taught]
    tests: dict[Split, LookingTest]

    @classmethod
    def of(cls, parts: Mapping[Split, Sequence[Lesson]], feeder: Feeder, recipe: GeneratorRecipe) -> _Course:
        once = recipe.model_copy(update={"versions": 1})  # of what is only measured
        taught = {
            part: _Taught.of(compose(some, recipe if part == TRAIN else once), feeder, recipe.longest)
            for part, some in parts.items()
        }
        tests = {part: LookingTest(some, recipe) for part, some in parts.items() if part != TRAIN}
        for test in tests.values():
            for asking in test.askings:
                feeder.length(asking, "Yes.")
        return cls(taught, tests)

    @property
    def counts(self) -> list[tuple[str, str, int]]:
        """(kind, split, how many)."""
        return [c for part, some in self.taught.items() for c in tally((e.kind for e in some.examples), part)]

    def left_out(self, longest: int) -> list[str]:
        """What is longer than ``longest`` tokens, in words."""
        return [
            f"{some.longer} examples of {part} with more than {longest} tokens"
            for part, some in self.taught.items()
            if some.longer
        ]

    def measure(self, tuned: Adapted, feeder: Feeder, recipe: GeneratorRecipe) -> dict[str, Sequence[BaseModel]]:
        """The figures of every split that is not learned from, and of its test of looking."""
        measured: dict[str, Sequence[BaseModel]] = {
            part: measure_generator(tuned.model, feeder, some.examples, some.lengths, recipe)
            for part, some in self.taught.items()
            if part != TRAIN and some.examples
        }
        looked = {f"{part}, looking": test.measure(tuned.model, feeder) for part, test in self.tests.items()}
        return measured | looked


def _start(job: TuningJob, base: Base) -> ModelParts | None:
    """The parts to go on from. Raises InputError if they are none, or of another base."""
    if job.start is None:
        return None
    start = ModelParts.find(job.start)
    if start is None:
        raise InputError(f"{job.start!r} is no model in parts to go on from; give one that this command has written")
    if base.parts is None or (base.parts.base, base.parts.tower) != (start.base, start.tower):
        raise InputError(f"the model {job.start!r} to go on from was tuned on another base than {job.base!r}")
    return start


def _aligning(tuned: Adapted, items: Sequence[Lesson], feeder: Feeder, recipe: GeneratorRecipe) -> list[Stage]:
    """Images and captions drawn together, where the recipe asks for it."""
    some = captioned(items)
    if not recipe.align_epochs or not some or not tuned.projector:
        return []
    lengths = [feeder.length(Asking(i.question, (), i.image), " ".join(i.words)) for i in some]

    def feed(rows: Sequence[int], seed: Sequence[int]) -> Captioned:
        return feed_captions(feeder, [some[r] for r in rows], seed)

    def loss(_: Sequence[int], batch: Captioned) -> object:
        return align(tuned.model, batch)

    groups = _rates(tuned, recipe)[1:]
    return [Stage("alignment", groups, lengths, feed, loss, recipe.align_epochs, _ALIGNING)]


def _rates(tuned: Adapted, recipe: GeneratorRecipe) -> list[tuple[dict[str, Any], float]]:
    """What learns with its highest rate: the adapter, and then what sees."""
    groups = ((tuned.adapter, recipe.rate), (tuned.projector, recipe.projector_rate), (tuned.tower, recipe.tower_rate))
    return [(some, rate) for some, rate in groups if some]


def _stages(tuned: Adapted, taught: _Taught, feeder: Feeder, recipe: GeneratorRecipe) -> list[Stage]:
    """The projector alone on examples with an image, then everything that learns on all."""
    examples, lengths = taught.examples, taught.lengths
    seeing = [n for n, e in enumerate(examples) if e.asking.image is not None and e.asking.view != "noise"]

    def feed(rows: Sequence[int], seed: Sequence[int], among: Sequence[int]) -> Conversations:
        some = [examples[among[r]] for r in rows]
        return feeder.batch([(e.asking, e.answer) for e in some], seed)

    def loss(_: Sequence[int], batch: Conversations) -> object:
        return answer_loss(token_log_probs(tuned.model, batch), batch.first, recipe.first_weight)

    stages = []
    if tuned.projector and seeing and recipe.projector_epochs:
        alone = [(tuned.projector, 2 * recipe.projector_rate)]
        some = [lengths[n] for n in seeing]
        stages.append(Stage("projector", alone, some, partial(feed, among=seeing), loss, recipe.projector_epochs, 0.05))
    groups = _rates(tuned, recipe) if seeing else [(tuned.adapter, recipe.rate)]
    left = 0.95 - (_ALIGNING if recipe.align_epochs else 0.0)
    every = range(len(examples))
    stages.append(Stage("adapter", groups, lengths, partial(feed, among=every), loss, recipe.epochs, left))
    return stages


def _identity(
    items: Sequence[Lesson], base: str, start: ModelParts | None, prompt: str, recipe: GeneratorRecipe
) -> str:
    digest = hashlib.sha256()
    for i in items:
        digest.update(json.dumps([i.id, i.group, i.split, i.question, i.side, i.words, i.support, i.image]).encode())
    return json.dumps({"recipe": recipe.model_dump(), "base": base, "start": start and start.sha256, "prompt": prompt,
                       "examples": digest.hexdigest()})  # fmt: skip
