"""A trained router on disk and in use: which domain an image belongs to, and whether it belongs to any.

Inference is plain numpy. The file is one safetensors file of arrays, with a description in its metadata.
"""

from __future__ import annotations

import hashlib
import json
from binascii import hexlify
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.encoders.protocols import Vectors
from rag.errors import InputError, MissingDependencyError

FILE = "router.safetensors"
_ARRAYS = ("weights", "bias", "prototypes", "thresholds")
Scores = npt.NDArray[np.float64]


def log_shares(logits: npt.ArrayLike) -> Scores:
    """log softmax over the last axis, as scipy.special has it; to import that takes longer than the search does."""
    x = np.asarray(logits, dtype=np.float64)
    below = x - x.max(axis=-1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=-1, keepdims=True)))


def rooted(features: Vectors) -> Vectors:
    """(n, width) unit vectors of the signed square roots of features, between which distances are taken.

    A few strong features otherwise decide every cosine (Hellinger kernel; Perronnin et al. 2010, Arandjelovic and
    Zisserman 2012). Of the scores that were compared this one tells sources never seen from what is out of domain best.
    """
    roots = np.sign(features) * np.sqrt(np.abs(features))
    return np.asarray(roots / np.linalg.norm(roots, axis=1, keepdims=True), dtype=np.float32)


@dataclass(frozen=True)
class TrainedHead:
    """A logistic head and the distance to each domain, both over the unit features of one image encoder.

    Attributes:
        domains: one for each row of the head.
        encoder: fingerprint of the image encoder that the features come from.
        weights: (domains, width) float32.
        bias: (domains,) float32.
        temperature: > 0, divides the logits (Guo et al. 2017).
        prototypes: (m, width) float32 unit vectors: centres of clusters of the ``rooted`` training images; each domain
            has one.
        owners: (m,) int64, the place of each prototype's domain in ``domains``.
        thresholds: (domains,) float32 > 0: an image farther than this from every prototype of a domain is not of it.
        about: JSON values: false-alarm rate, data, licences, metrics.
    """

    domains: tuple[str, ...]
    encoder: str
    weights: Vectors
    bias: Vectors
    temperature: float
    prototypes: Vectors
    owners: npt.NDArray[np.int64]
    thresholds: Vectors
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Of everything that decides a domain; what the file says about itself is left out."""
        # as ``repr`` would write them; most of its time, and of a text of all, would go into making room
        hashed = hashlib.sha256(f"({self.domains!r}, {self.temperature!r}, [".encode())
        before = b"'"
        for name in (*_ARRAYS, "owners"):
            hashed.update(before)
            hashed.update(hexlify(np.ascontiguousarray(getattr(self, name)).data))
            before = b"', '"
        hashed.update(b"'])")
        return hashed.hexdigest()

    def logits(self, features: Vectors) -> Scores:
        """(n, domains), before the temperature, of (n, width) unit features."""
        return np.asarray(features @ self.weights.T + self.bias, dtype=np.float64)

    def log_probabilities(self, features: Vectors) -> Scores:
        """(n, domains) calibrated log-probabilities."""
        return log_shares(self.logits(features) / self.temperature)

    def distances(self, features: Vectors) -> Scores:
        """(n, domains) cosine distance in [0, 2] to the nearest prototype of each domain.

        The nearest neighbour among training features (Sun et al. 2022), with the training images reduced to centres of
        their clusters: no single odd training image makes its surroundings familiar, and the file stays small.
        """
        alike = np.asarray(rooted(features) @ self.prototypes.T, dtype=np.float64)
        nearest = [alike[:, self.owners == place].max(axis=1) for place in range(len(self.domains))]
        return 1.0 - np.stack(nearest, axis=1)

    def strangeness(self, features: Vectors) -> Scores:
        """(n,) distance to the domain that is nearest, in units of that domain's threshold; above 1: out of domain.

        Each domain has its own threshold (Mondrian conformal prediction, Vovk et al. 2005), so that one whose images
        vary little does not decide what is odd in another.
        """
        return np.asarray((self.distances(features) / self.thresholds).min(axis=1))

    def save(self, path: Path) -> None:
        """Write it; a crash leaves the old file or the new one."""
        from safetensors.numpy import save

        described = {"domains": self.domains, "encoder": self.encoder, "temperature": self.temperature}
        described["about"] = dict(self.about)
        # safetensors writes the memory of an array as it lies, whatever its strides
        arrays: dict[str, npt.NDArray[Any]] = {
            "weights": np.ascontiguousarray(self.weights, dtype=np.float32),
            "bias": np.ascontiguousarray(self.bias, dtype=np.float32),
            "prototypes": np.ascontiguousarray(self.prototypes, dtype=np.float16),
            "owners": np.ascontiguousarray(self.owners, dtype=np.int64),
            "thresholds": np.ascontiguousarray(self.thresholds, dtype=np.float32),
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
                if "thresholds" not in file.keys():  # noqa: SIM118 - no mapping
                    raise ValueError("it was made by an earlier version")
                arrays = {name: file.get_tensor(name).astype(np.float32) for name in _ARRAYS}
                owners = file.get_tensor("owners").astype(np.int64)
            head = cls(
                domains=tuple(str(d) for d in described["domains"]),
                encoder=str(described["encoder"]),
                temperature=float(described["temperature"]),
                owners=owners,
                about=dict(described["about"]),
                **arrays,
            )
            head._check()
        except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
            raise InputError(
                f"the trained router {path} is damaged or of another kind ({error}); make it again with: "
                "rag train router CASES.jsonl"
            ) from error
        return head

    def _check(self) -> None:
        """Raises ValueError where the parts do not fit each other."""
        rows, width = self.weights.shape
        shapes = self.bias.shape == self.thresholds.shape == (rows,) == (len(self.domains),)
        owned = self.prototypes.shape == (len(self.owners), width) and set(self.owners.tolist()) == set(range(rows))
        numbers = (self.temperature, *(float(getattr(self, name).sum()) for name in _ARRAYS))
        positive = self.temperature > 0 and bool((self.thresholds > 0).all())
        if not (shapes and owned and positive and np.isfinite(numbers).all()):
            raise ValueError("its arrays do not fit each other")
