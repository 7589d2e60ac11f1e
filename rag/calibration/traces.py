"""Traces: what the engine would say to labelled questions under every setting, asked once and kept.

A trace is one search at the widest setting and one run of the generator for each number of contexts that the settings
(k, gamma) lead to; thresholds of confidence and of the router's probability are derived from it without asking again.
They hold hashes of questions, verdicts, scores, domains and document ids, and no text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from rag.answering.confidence import Signals
from rag.answering.engine import Engine
from rag.calibration.trials import Said, Trial, try_settings
from rag.evaluation.questions import LabelledQuestion
from rag.progress import Progress
from rag.risk_control.policy import SETTINGS
from rag.types import Domain, sha256_of

TRACES = "traces"
_BATCH = 32
_FORMAT = 5


def trace(questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress) -> list[Trial]:
    """Every question under every setting, from the cache where it was asked before of the same system."""
    system = {name: value for name, value in engine.fingerprints.items() if name != "policy grid"}
    state = json.dumps([_FORMAT, system, SETTINGS], sort_keys=True)
    folder = engine.store.path / TRACES
    folder.mkdir(exist_ok=True)
    path = folder / f"{sha256_of(state)[:16]}.jsonl"
    known = _read_traces(path)
    keys = [sha256_of(q.question.model_dump_json()) for q in questions]
    missing = [(key, q) for key, q in zip(keys, questions, strict=True) if key not in known]
    advance = progress.stage("tracing", len(questions))
    advance(len(questions) - len(missing))
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with open(descriptor, "a", encoding="utf-8") as stream:  # noqa: PTH123 - with the mode of the descriptor
        for i in range(0, len(missing), _BATCH):
            batch = missing[i : i + _BATCH]
            trials = try_settings([q.question for _, q in batch], engine.pipeline(), SETTINGS)
            for (key, _), trial in zip(batch, trials, strict=True):
                known[key] = trial
                row = {"key": key, **trial._asdict(), "domain": trial.domain.model_dump()}
                row["features"] = sorted(trial.features)
                stream.write(json.dumps(row) + "\n")
            stream.flush()
            advance(len(batch))
    return [known[key] for key in keys]


def _read_traces(path: Path) -> dict[str, Trial]:
    """Complete lines of the cache; a line cut off by a crash is asked again."""
    known: dict[str, Trial] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
                outcomes = tuple(Said(verdict, c, Signals(*s), silent) for verdict, c, s, silent in row["outcomes"])
                domain = Domain.model_validate(row["domain"])
                known[row["key"]] = Trial(
                    row["scope"],
                    domain,
                    outcomes,
                    tuple(row["documents"]),
                    row["form"],
                    frozenset(row["features"]),
                    row["unread"],
                )
            except (ValueError, KeyError, TypeError):
                continue
    return known
