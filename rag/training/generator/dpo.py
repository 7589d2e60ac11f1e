"""Pairs become a preference-tuned generator: direct preference optimisation of the adapters (Rafailov et al. 2023).

The reference is the model as it comes; its opinion of every pair is computed once, before the first step.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.prompts import Prompt
from rag.generation.seen import Seen, SeenData, hash_of_file, hash_of_name, hashes_of_texts
from rag.language.lexicon import Lexicon
from rag.progress import Progress
from rag.training.generator.adapting import resume_adapter
from rag.training.generator.bases import open_base
from rag.training.generator.batches import length_batches
from rag.training.generator.card import TuningFacts, tally, write_card
from rag.training.generator.feeding import Conversations, Feeder
from rag.training.generator.loop import Stage, mixed, run_stages
from rag.training.generator.losses import answer_log_probs, answer_loss, preference_loss, token_log_probs
from rag.training.generator.preferences import Preference, read_pairs
from rag.training.generator.recipe import PreferenceRecipe
from rag.training.generator.sft import TuningJob, TuningReport, report, save
from rag.training.run_folder import RunFolder
from rag.training.splits import TRAIN, assign_splits

_PURPOSE = "Answers questions from numbered evidence and an image; tuned to prefer what the evidence and the image say."
_HOW = (
    "Before and after: the share of pairs whose chosen answer is likelier than the rejected one. Margin: how much "
    "likelier than before, in nats, averaged. Held-out pairs are of groups that no pair was learned from."
)


class MeasuredPairs(BaseModel):
    """One kind of pair: (share in [0, 1]) before and after, and the mean margin in nats."""

    kind: str
    n: int
    before: float
    after: float
    margin: float


def tune_preferences(
    pairs_file: Path, model: Path, job: TuningJob, recipe: PreferenceRecipe, progress: Progress
) -> TuningReport:
    """Tune the adapters in ``model`` further, and write them to the job's folder.

    Args:
        pairs_file: what ``rag tune mine`` wrote.
        model: a folder that ``rag train generator`` or this wrote.
        job: the base that those adapters belong to, the prompt, and the new folder.
        recipe: everything else that decides the outcome.
        progress: told of pairs judged and learned from.

    Raises:
        InputError: pairs, adapters, base or folder do not do; the message names what.
        MissingDependencyError: a library or the base is not installed.
    """
    pairs = read_pairs(pairs_file)
    before = Seen.read(model)
    if before is None:
        raise InputError(f"{model} has no seen.json, so nobody can tell what it has learned from; tune from another")
    base = open_base(job.base, job.vision, recipe.precision)
    run = RunFolder(job.out, _identity(pairs, base.name, model, recipe, job.prompt))
    tuned = resume_adapter(base.loaded, model, base.name)
    base.loaded.model.eval()
    feeder = Feeder(base.loaded, Prompt(job.prompt), Lexicon.load(), recipe, recipe.image_side)
    lengths = [feeder.length(p.asking, p.chosen, p.rejected) for p in pairs]
    short = [(p, n) for p, n in zip(pairs, lengths, strict=True) if n <= recipe.longest]
    parts = assign_splits([_Member(p.group) for p, _ in short], needed=(TRAIN,))
    judges = {
        name: _Judge([x for x, part in zip(short, parts, strict=True) if (part == TRAIN) == (name == "train")], feeder)
        for name in ("train", "held out")
    }
    reference = {name: judge.opinions(tuned.model, recipe, progress) for name, judge in judges.items()}
    stage = judges["train"].stage(tuned.model, tuned.adapter, reference["train"], recipe)
    traces = run_stages([stage], tuned.parameters, recipe, run, progress)
    measured = {
        name: _measured(judge.pairs, reference[name], judge.opinions(tuned.model, recipe, progress))
        for name, judge in judges.items()
        if judge.pairs
    }
    save(tuned, base, job)
    longer = len(pairs) - len(short)
    left_out = [f"{longer} pairs with more than {recipe.longest} tokens"] if longer else []
    counts = [c for name, judge in judges.items() for c in tally((p.kind for p in judge.pairs), name)]
    facts = TuningFacts(
        job.out.resolve().name, _PURPOSE, job.command, base.name, job.prompt, recipe, before.joined(_seen(pairs)),
        counts, left_out, traces, measured, _HOW,
    )  # fmt: skip
    write_card(facts, job.out)
    run.remove()
    return report(facts, job.out, ())


@dataclass(frozen=True)
class _Member:
    """Of a group; the rule that divides everything needs no more."""

    group: str
    split: str = ""


class _Judge:
    """The pairs of one part, and what a model thinks of them."""

    def __init__(self, some: Sequence[tuple[Preference, int]], feeder: Feeder) -> None:
        self.pairs = [p for p, _ in some]
        self._lengths = [2 * n for _, n in some]  # both answers are in the batch
        self._feeder = feeder

    def opinions(self, model: Any, recipe: PreferenceRecipe, progress: Progress) -> list[tuple[float, float]]:
        """Log-probabilities of each pair's chosen and rejected answer."""
        found: dict[int, tuple[float, float]] = {}
        tell = progress.stage("judging pairs", len(self.pairs))
        with torch().inference_mode(), mixed(recipe.precision):
            for rows in length_batches(self._lengths, recipe.tokens, 0, 0) if self.pairs else ():
                chosen, rejected, _ = self._log_probs(model, rows, self._feed(rows))
                found |= {r: (float(c), float(j)) for r, c, j in zip(rows, chosen, rejected, strict=True)}
                tell(len(rows))
        return [found[row] for row in range(len(self.pairs))]

    def stage(
        self, model: Any, adapter: dict[str, Any], reference: Sequence[tuple[float, float]], recipe: PreferenceRecipe
    ) -> Stage:
        """Learning to prefer; the loss is DPO's, and a share of the chosen answers' own."""
        if not self.pairs:
            raise InputError(f"no pair is left to learn from: all are longer than {recipe.longest} tokens")

        def loss(rows: Sequence[int], batch: Conversations) -> Any:
            chosen, rejected, own = self._log_probs(model, rows, batch)
            before = chosen.new_tensor([reference[r] for r in rows])
            margin = (chosen - before[:, 0]) - (rejected - before[:, 1])
            return preference_loss(margin, recipe.beta) + recipe.chosen_weight * own

        return Stage("preferences", [(adapter, recipe.rate)], self._lengths, self._feed, loss, recipe.epochs)

    def _feed(self, rows: Sequence[int], _: Sequence[int] = ()) -> Conversations:
        some = [self.pairs[r] for r in rows]
        return self._feeder.pairs([(p.asking, p.chosen, p.rejected) for p in some], (0,))

    def _log_probs(self, model: Any, rows: Sequence[int], batch: Conversations) -> tuple[Any, Any, Any]:
        """(n,) of the chosen answers, (n,) of the rejected ones, and the chosen ones' mean loss of a token."""
        tokens = token_log_probs(model, batch)
        chosen, rejected = answer_log_probs(tokens, batch).split(len(rows))
        liked = batch.rows < len(rows)
        return chosen, rejected, answer_loss(tokens[liked], batch.first[liked], 1.0)


def _measured(
    pairs: Sequence[Preference], before: Sequence[tuple[float, float]], after: Sequence[tuple[float, float]]
) -> list[MeasuredPairs]:
    kinds: dict[str, list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        kinds[pair.kind].append(row)
    results = []
    for kind, rows in [*sorted(kinds.items()), ("all", list(range(len(pairs))))]:
        gained = [(after[r][0] - before[r][0]) - (after[r][1] - before[r][1]) for r in rows]
        results.append(
            MeasuredPairs(
                kind=kind,
                n=len(rows),
                before=sum(before[r][0] > before[r][1] for r in rows) / len(rows),
                after=sum(after[r][0] > after[r][1] for r in rows) / len(rows),
                margin=sum(gained) / len(gained),
            )
        )
    return results


def _seen(pairs: Sequence[Preference]) -> Seen:
    sources = sorted({(p.source, p.licence) for p in pairs})
    return Seen(
        data=tuple(
            SeenData(
                source=f"{source} (pairs)",
                licence=licence,
                examples=sum((p.source, p.licence) == (source, licence) for p in pairs),
                groups=len({p.group for p in pairs if (p.source, p.licence) == (source, licence)}),
            )
            for source, licence in sources
        ),
        groups=frozenset(hash_of_name(p.group) for p in pairs),
        texts=hashes_of_texts(s.text for p in pairs for s in p.asking.passages),
        images=frozenset(hash_of_file(path) for path in {p.asking.image for p in pairs if p.asking.image}),
    )


def _identity(pairs: Sequence[Preference], base: str, model: Path, recipe: PreferenceRecipe, prompt: str) -> str:
    digest = hashlib.sha256("".join(p.key for p in pairs).encode())
    for file in sorted((model / "adapter").glob("*.safetensors")):
        digest.update(hash_of_file(str(file)).encode())
    return json.dumps({"recipe": recipe.model_dump(), "base": base, "prompt": prompt, "pairs": digest.hexdigest()})
