"""A trained router on disk and in use: which domain an image belongs to, and whether it belongs to any.

Inference is plain numpy. The file is one safetensors file of arrays, with a description in its metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.encoders.protocols import Vectors
from rag.errors import InputError, MissingDependencyError

FILE = "router.safetensors"
Scores = npt.NDArray[np.float64]


def log_shares(logits: npt.ArrayLike) -> Scores:
    """log softmax over the last axis, as scipy.special has it; to import that takes longer than the search does."""
    x = np.asarray(logits, dtype=np.float64)
    below = x - x.max(axis=-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True)
class TrainedHead:
    """A logistic head and a distance, both over the unit features of one image encoder.

    Attributes:
        domains: one for each row of the head.
        encoder: fingerprint of the image encoder that the features come from.
        weights: (domains, width) float32.
        bias: (domains,) float32.
        temperature: > 0, divides the logits (Guo et al. 2017).
        prototypes: (m, width) float32 unit vectors: centres of clusters of the training images.
        threshold: images farther than this from every prototype are out of domain.
        about: JSON values: false-alarm rate, data, licences, metrics.
    """

    domains: tuple[str, ...]
    encoder: str
    weights: Vectors
    bias: Vectors
    temperature: float
    prototypes: Vectors
    threshold: float
    about: Mapping[str, Any] = field(default_factory=dict)

    def logits(self, features: Vectors) -> Scores:
        """(n, domains), before the temperature, of (n, width) unit features."""
        return np.asarray(features @ self.weights.T + self.bias, dtype=np.float64)

    def log_probabilities(self, features: Vectors) -> Scores:
        """(n, domains) calibrated log-probabilities."""
        return log_shares(self.logits(features) / self.temperature)

    def distances(self, features: Vectors) -> Scores:
        """(n,) cosine distance in [0, 2] to the nearest prototype.

        The nearest neighbour among training features (Sun et al. 2022), with the training images reduced to centres of
        their clusters: no single odd training image makes its surroundings familiar, and the file stays small.
        """
        return 1.0 - np.asarray((features @ self.prototypes.T).max(axis=1), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write it; a crash leaves the old file or the new one."""
        from safetensors.numpy import save

        described = {"domains": self.domains, "encoder": self.encoder, "temperature": self.temperature}
        described |= {"threshold": self.threshold, "about": dict(self.about)}
        # safetensors writes the memory of an array as it lies, whatever its strides
        arrays: dict[str, npt.NDArray[Any]] = {
            "weights": np.ascontiguousarray(self.weights, dtype=np.float32),
            "bias": np.ascontiguousarray(self.bias, dtype=np.float32),
            "prototypes": np.ascontiguousarray(self.prototypes, dtype=np.float16),
        }
        aside = path.with_name(f".{path.name}.new")
        # one key only: safetensors writes several in no fixed order, and equal routers shall be equal files
        aside.write_bytes(save(arrays, {"router": json.dumps(described, sort_keys=True)}))
        aside.replace(path)

    @classmethod
    def load(cls, path: Path) -> TrainedHead:
        """Read what ``save`` wrote.

        Raises:
            InputError: there is no such file, or it is damaged or no trained router; the message names it.
            MissingDependencyError: safetensors is not installed.
        """
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError as error:
            raise MissingDependencyError('safetensors is not installed: pip install "clincite[models]"') from error
        if not path.is_file():
            raise InputError(f"there is no trained router {str(path)!r}; make one with: rag train router CASES.jsonl")
        try:
            with safe_open(path, framework="numpy") as file:
                described = json.loads((file.metadata() or {})["router"])
                arrays = {name: file.get_tensor(name).astype(np.float32) for name in ("weights", "bias", "prototypes")}
            head = cls(
                domains=tuple(str(d) for d in described["domains"]),
                encoder=str(described["encoder"]),
                temperature=float(described["temperature"]),
                threshold=float(described["threshold"]),
                about=dict(described["about"]),
                **arrays,
            )
            rows, width = head.weights.shape
            fits = head.bias.shape == (rows,) == (len(head.domains),) and head.prototypes.shape[1:] == (width,)
            numbers = (head.temperature, head.threshold, *(float(a.sum()) for a in arrays.values()))
            if not fits or not len(head.prototypes) or head.temperature <= 0 or not np.isfinite(numbers).all():
                raise ValueError("its arrays do not fit each other")
        except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
            raise InputError(
                f"the trained router {path} is damaged or of another kind ({error}); make it again with: "
                "rag train router CASES.jsonl"
            ) from error
        return head
