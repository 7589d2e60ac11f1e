"""Text encoders, through sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rag.encoders.protocols import TextEncoder, Vectors
from rag.encoders.runtime import BatchSize, folder_sha256, mixed_precision
from rag.encoders.sentence_transformers import load_model
from rag.errors import InputError
from rag.plugins import names
from rag.types import sha256_of

_CHUNK = 32  # batches between two reports of progress


class SentenceEncoder:
    """A sentence-transformers model by folder or hub id.

    ``pooling`` ('cls', 'mean', 'max') is for models that do not say themselves how tokens become one vector.

    Raises:
        MissingDependencyError: the model or its library is not on this machine.
    """

    def __init__(self, model: str, batch_size: int | None = None, pooling: str | None = None) -> None:
        self.name = model
        self._pooling = pooling
        self._batch = BatchSize(batch_size)
        self._folder = Path(model)

    @property
    def dim(self) -> int:
        return _dim(self._model)

    @cached_property
    def fingerprint(self) -> str:
        """Name and hash of every file that decides a vector, so that it is known without loading the model."""
        if sha256 := folder_sha256(self._folder):
            return f"{self.name}:{sha256[:16]}" + (f":{self._pooling}" if self._pooling else "")
        state = sorted(self._model.state_dict().items())  # a model of the hub's cache
        sums = [f"{name}{tuple(v.shape)}{float(v.double().sum()):.9e}" for name, v in state]
        ends = f"{self._model.max_seq_length}" + (f":{self._pooling}" if self._pooling else "")
        return f"{self.name}:{sha256_of(''.join(sums))[:16]}:{ends}"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """See :class:`~rag.encoders.protocols.TextEncoder`. Equal texts are encoded once; batches hold like lengths."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        copies: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            copies.setdefault(text, []).append(i)
        unique = sorted(copies, key=len, reverse=True)
        out = np.empty((len(texts), self.dim), dtype=np.float32)
        prompt = "query" if kind == "query" and "query" in (self._model.prompts or {}) else None
        step = self._batch.size * _CHUNK
        for begin in range(0, len(unique), step):
            chunk = unique[begin : begin + step]

            def forward(size: int, chunk: Sequence[str] = chunk) -> Any:
                return self._model.encode(chunk, batch_size=size, prompt_name=prompt, show_progress_bar=False)

            with mixed_precision():
                vectors = np.asarray(self._batch.fit(forward), dtype=np.float32)
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # in full precision
            for text, vector in zip(chunk, vectors, strict=True):
                out[copies[text]] = vector
            if progress:
                progress(sum(len(copies[text]) for text in chunk))
        return out

    @cached_property
    def _model(self) -> Any:
        def make(library: Any, source: str) -> Any:
            model = library.SentenceTransformer(source, trust_remote_code=False)
            if self._pooling:
                model[1] = type(model[1])(_dim(model), self._pooling)  # a Pooling by itself
            return model.eval()

        instead = f"use {' or '.join(names('text-encoder'))}"
        return load_model(make, what="text model", name=self.name, folder=self._folder, instead=instead)


class AsymmetricEncoder:
    """One model for questions and another for passages, in one space, as MedCPT's query and article encoders.

    Raises:
        InputError: their vectors differ in width.
        MissingDependencyError: one of them is not on this machine.
    """

    def __init__(self, queries: TextEncoder, passages: TextEncoder) -> None:
        self._queries = queries
        self._passages = passages

    @cached_property
    def dim(self) -> int:
        queries, passages = self._queries.dim, self._passages.dim
        if queries != passages:
            raise InputError(
                f"{self._queries.fingerprint} gives vectors of {queries} numbers and {self._passages.fingerprint} of "
                f"{passages}; questions and passages need one space"
            )
        return passages

    @property
    def fingerprint(self) -> str:
        return f"{self._passages.fingerprint} asked with {self._queries.fingerprint}"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """See :class:`~rag.encoders.protocols.TextEncoder`."""
        return (self._queries if kind == "query" else self._passages).encode(texts, kind=kind, progress=progress)


def _dim(model: Any) -> int:
    return int(getattr(model, "get_embedding_dimension", model.get_sentence_embedding_dimension)())
