"""A cross-encoder for natural language inference as a second opinion on what words and findings do not decide."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from rag.encoders.runtime import files_sha256
from rag.encoders.sentence_transformers import load_model
from rag.errors import InputError
from rag.types import Verdict
from rag.verification.rules.judgement import Judgement

_DECISIVE = {".safetensors", ".bin", ".json", ".txt", ".model"}
_VERDICTS: tuple[tuple[str, Verdict], ...] = (
    ("not_entail", "unsupported"),
    ("non_entail", "unsupported"),
    ("contradict", "contradicted"),
    ("entail", "supported"),
    ("neutral", "unsupported"),
)


class CrossEncoderEntailment:
    """A sentence-transformers ``CrossEncoder`` by folder or hub id, loaded at the first question.

    Which output means what is read from the model's own configuration (``id2label``), because models differ. A verdict
    other than *unsupported* needs a probability of at least ``sure``.

    Raises:
        MissingDependencyError: the model or its library is not on this machine.
        InputError: its labels do not name entailment.
    """

    def __init__(self, model: str, batch_size: int = 32, sure: float = 0.6) -> None:
        self.name = model
        self._batch_size = batch_size
        self._sure = sure

    @cached_property
    def fingerprint(self) -> str:
        folder = Path(self.name)
        files = sorted(f for f in folder.rglob("*") if f.suffix in _DECISIVE) if folder.is_dir() else []
        return f"{self.name}:{files_sha256(files)[:16]}:{self._sure}" if files else f"{self.name}:{self._sure}"

    def judge_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]:
        """A judgement for each (evidence, sentence); the score is the probability of entailment."""
        if not pairs:
            return []
        labels = self._labels
        rows = self._model.predict(
            list(pairs), batch_size=self._batch_size, apply_softmax=True, show_progress_bar=False, convert_to_numpy=True
        )
        found = []
        for row in rows:
            of: dict[Verdict, float] = {"supported": 0.0, "contradicted": 0.0, "unsupported": 0.0}
            for p, verdict in zip(row.tolist(), labels, strict=True):
                of[verdict] += p
            best = max(of, key=lambda v: of[v])
            verdict = best if of[best] >= self._sure else "unsupported"
            found.append(
                Judgement(verdict, round(min(1.0, of["supported"]), 4), f"cross-encoder: {best} {of[best]:.2f}")
            )
        return found

    @cached_property
    def _labels(self) -> list[Verdict]:
        """The meaning of each output."""
        named = {int(i): str(label).lower().replace("-", "_") for i, label in self._model.config.id2label.items()}
        labels = [next((v for word, v in _VERDICTS if word in named[i]), None) for i in sorted(named)]
        if "supported" not in labels or any(label is None for label in labels):
            raise InputError(
                f"the outputs of {self.name!r} are called {', '.join(named[i] for i in sorted(named))}; a model for "
                f"inference calls them entailment, neutral and contradiction (id2label of its config.json)"
            )
        return [label for label in labels if label is not None]

    @cached_property
    def _model(self) -> Any:
        def make(library: Any, source: str) -> Any:
            return library.CrossEncoder(source, trust_remote_code=False)

        what, folder = "inference model", Path(self.name)
        return load_model(make, what=what, name=self.name, folder=folder, instead="verify without one")
