"""Training in stages: rows in batches of like lengths, a rate that rises and falls, a state that survives being killed.

The loop is our own, and transformers' and TRL's trainers are not used, for four reasons: they fill batches by examples
and not by tokens; their schedules count steps and cannot be told a number of minutes; they keep their state in pickles,
which we never read; and TRL formats prompts itself and refuses to compute the reference's opinion of a pair with an
image beforehand, so that what is learned would not be what the generator is asked, at twice the work. PEFT carries the
adapters, and TRL's loss is what ours is tested against.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from rag.encoders.runtime import device, torch
from rag.errors import RagError, StorageError
from rag.progress import Progress
from rag.training.generator.batches import length_batches
from rag.training.generator.recipe import Schedule
from rag.training.run_folder import RunFolder, optimizer_tensors, overwrite, restore_optimizer

_AHEAD = 4  # batches
_RISING = 10  # steps at least in which the rate rises


@dataclass(frozen=True)
class Stage:
    """One part of a training.

    ``groups`` are parameters with their highest rates; ``lengths`` the tokens of each row. ``feed`` maps rows and a
    seed to a batch, ahead of time and in a thread of its own; ``loss`` maps rows and their batch to a scalar.
    ``epochs`` passes at most, and at most ``share`` of the schedule's minutes.
    """

    name: str
    groups: Sequence[tuple[Mapping[str, Any], float]]
    lengths: Sequence[int]
    feed: Callable[[Sequence[int], Sequence[int]], Any]
    loss: Callable[[Sequence[int], Any], Any]
    epochs: float
    share: float = 1.0


@dataclass
class Trace:
    """How a stage went: the loss of each step, rows seen, seconds."""

    losses: list[float] = field(default_factory=list)
    rows: int = 0
    seconds: float = 0.0
    done: bool = False

    @property
    def first(self) -> float | None:
        """Mean loss of the first tenth of the steps."""
        return self._mean(self.losses[: self._tenth])

    @property
    def last(self) -> float | None:
        """Mean loss of the last tenth of the steps."""
        return self._mean(self.losses[-self._tenth :])

    @property
    def _tenth(self) -> int:
        return max(1, len(self.losses) // 10)

    @staticmethod
    def _mean(some: Sequence[float]) -> float | None:
        return sum(some) / len(some) if some else None


def run_stages(
    stages: Sequence[Stage], parameters: Mapping[str, Any], schedule: Schedule, run: RunFolder, progress: Progress
) -> dict[str, Trace]:
    """Train stage after stage; what every stage came to, by its name.

    A killed run goes on from its last save. Where no minutes are set it ends with the same weights as one that was
    not killed; by the clock it has the minutes that were left.

    Raises:
        RagError: the loss is not a number any more.
        StorageError: a batch does not fit into the device's memory.
    """
    traces = {stage.name: Trace() for stage in stages}
    saved = run.load()
    if saved is not None:
        traces |= {name: Trace(**facts) for name, facts in saved.facts.items()}
        overwrite(list(parameters.values()), [saved.tensors[f"weights.{name}"] for name in parameters])
    for stage in stages:
        trace = traces[stage.name]
        if trace.done or not stage.lengths:
            continue
        learner = _Learner(stage, parameters, schedule)
        if trace.losses and saved is not None:
            restore_optimizer(learner.optimizer, saved.tensors)

        def keep(learner: _Learner = learner) -> None:
            weights = {f"weights.{name}": p for name, p in parameters.items()}
            run.save(weights | optimizer_tensors(learner.optimizer), {name: asdict(t) for name, t in traces.items()})

        learner.learn(trace, keep, progress)
        trace.done = True
        keep()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    return traces


def mixed(precision: str) -> AbstractContextManager[Any]:
    """A context that computes in bfloat16 where that is the precision; parameters keep theirs."""
    library = torch()
    context: AbstractContextManager[Any] = library.autocast(
        device(), dtype=library.bfloat16, enabled=dtype_of(precision) == "bfloat16"
    )
    return context


def dtype_of(precision: str) -> str:
    """'bfloat16' or 'float32'; 'auto' is the first on CUDA."""
    if precision != "auto":
        return precision
    return "bfloat16" if device() == "cuda" else "float32"


class _Learner:
    """The optimiser of one stage; every random draw follows from the seed and the step alone."""

    def __init__(self, stage: Stage, parameters: Mapping[str, Any], schedule: Schedule) -> None:
        self._stage, self._schedule = stage, schedule
        learns = {name for group, _ in stage.groups for name in group}
        for name, parameter in parameters.items():
            parameter.requires_grad_(name in learns)
        self._parameters = [p for group, _ in stage.groups for p in group.values()]
        self._rates = [rate for _, rate in stage.groups]
        self.optimizer = torch().optim.AdamW(
            [{"params": list(group.values()), "lr": rate} for group, rate in stage.groups],
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=device() == "cuda",
        )

    def learn(self, trace: Trace, keep: Callable[[], None], progress: Progress) -> None:
        """Until the passes or the minutes are over."""
        stage, n = self._stage, len(self._stage.lengths)
        total = stage.epochs * n
        tell = progress.stage(stage.name, math.ceil(total))
        tell(trace.rows)
        began, saved = time.monotonic() - trace.seconds, time.monotonic()
        with ThreadPoolExecutor(1, "batches") as reader:
            for rows, batch in self._batches(trace, reader):
                done = max(trace.rows / total, self._clock(time.monotonic() - began))
                if done >= 1:
                    return
                trace.losses.append(self._step(rows, batch, len(trace.losses), done))
                trace.rows += len(rows)
                trace.seconds = time.monotonic() - began
                tell(len(rows))
                if time.monotonic() - saved >= self._schedule.save_minutes * 60:
                    keep()
                    saved = time.monotonic()

    def _batches(self, trace: Trace, reader: ThreadPoolExecutor) -> Iterator[tuple[Sequence[int], Any]]:
        """The rows that are left with their batches; a few are read ahead, so that a step waits for none."""
        stage, n, schedule = self._stage, len(self._stage.lengths), self._schedule
        step, skip = len(trace.losses), trace.rows % n
        ahead: deque[tuple[Sequence[int], Future[Any]]] = deque()
        try:
            for epoch in range(trace.rows // n, math.ceil(stage.epochs)):
                for rows in length_batches(stage.lengths, schedule.tokens, schedule.seed, epoch):
                    if skip > 0:
                        skip -= len(rows)
                        continue
                    ahead.append((rows, reader.submit(stage.feed, rows, (schedule.seed, step))))
                    step += 1
                    if len(ahead) > _AHEAD:
                        first, batch = ahead.popleft()
                        yield first, batch.result()
            while ahead:
                first, batch = ahead.popleft()
                yield first, batch.result()
        finally:
            for _, batch in ahead:
                batch.cancel()

    def _clock(self, seconds: float) -> float:
        minutes = self._schedule.minutes
        return seconds / (60 * minutes * self._stage.share) if minutes else 0.0

    def _step(self, rows: Sequence[int], batch: Any, step: int, done: float) -> float:
        library, schedule = torch(), self._schedule
        rising = min(1.0, (step + 1) / _RISING, done / schedule.warmup + 0.01 if schedule.warmup else 1.0)
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * rising * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * done)))
        library.manual_seed(schedule.seed * 1_000_003 + step)
        self.optimizer.zero_grad(set_to_none=True)
        try:
            with mixed(schedule.precision):
                loss = self._stage.loss(rows, batch)
            loss.backward()
        except library.OutOfMemoryError as error:
            raise StorageError(
                f"the memory of the {device()} is too small for batches of {schedule.tokens} tokens; lower 'tokens' "
                "in the recipe, and the run goes on from its last save"
            ) from error
        library.nn.utils.clip_grad_norm_(self._parameters, schedule.clip)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise RagError(f"the loss of {self._stage.name!r} is not a number at step {step + 1}; lower the rate")
        self.optimizer.step()
        return value
