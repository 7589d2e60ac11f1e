"""How alike cases are by the concept codes of their records: a softer truth than 'the same case or not' (MedCLIP)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from rag.encoders.runtime import torch
from rag.training.retriever.examples import Example


class Concepts:
    """Cosines between the examples' concept codes, rare codes weighing more (inverse document frequency).

    An example without codes is like no other. Codes that one example alone has say nothing and are left out.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        counts = Counter(code for example in examples for code in example.concepts)
        known = sorted(code for code, n in counts.items() if n > 1)
        column = {code: i for i, code in enumerate(known)}
        weights = np.zeros((len(examples), len(known)), dtype=np.float32)
        for row, example in enumerate(examples):
            for code in example.concepts & column.keys():
                weights[row, column[code]] = np.sqrt(np.log(len(examples) / counts[code]))
        norms = np.linalg.norm(weights, axis=1, keepdims=True)
        self._weights = weights / np.where(norms > 0, norms, 1)

    @property
    def any(self) -> bool:
        return bool(self._weights.size)

    def cosines(self, rows: np.ndarray, columns: np.ndarray) -> Any:
        """(n, m) in [0, 1], as a tensor."""
        return torch().from_numpy(self._weights[rows] @ self._weights[columns].T)
