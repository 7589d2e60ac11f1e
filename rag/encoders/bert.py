"""BERT with mean pooling: MiniLM, and the text tower of the compact image-text model.

The libraries that usually run it cost more than the model does: a question from the shell took 8 seconds of processor
time, of which transformers and sentence-transformers took 6, and importing torch alone takes one. So a few texts are
computed by numpy, and torch is imported for many. ONNX Runtime would be a library for both: it wants the weights
converted first, and with the int8 conversion that is on the package index it was no quicker than torch in float32, and
half as quick as torch in bfloat16 (``benchmarks/results/speed-encoders.json``). Words are cut by the tokenizers library
and weights read by safetensors, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.encoders.protocols import Vectors
from rag.encoders.runtime import BatchSize, device, fast_dtype, torch
from rag.errors import InputError, MissingDependencyError

# Texts of together no more tokens than these are computed by numpy: some twenty questions. It decides by the texts
# alone, so that a question is computed alike in any process.
_FEW = 256
# More texts at once than these are a corpus being read, and may be computed in half precision. No batch of questions is
# as large (``serving.batch_size``), so a question's vector does not depend on who asks beside it.
_BULK = 256
_CHUNK = 32  # batches between two reports of progress
Tensors = Mapping[str, NDArray[Any]]


class Shape(NamedTuple):
    """What the configuration says that the weights do not."""

    heads: int
    epsilon: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape | None:
        """The shape that a ``config.json`` describes; None where it is not that of a BERT that is computed here."""
        usual = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
        if any(config.get(name, value) != value for name, value in usual.items()) or "model_type" not in config:
            return None
        return cls(int(config["num_attention_heads"]), float(config["layer_norm_eps"]))


class Layer(NamedTuple):
    """The weights of one transformer layer; each pair is (weight, bias)."""

    attention: tuple[Any, Any]
    """Of queries, keys and values, one above the other."""
    joined: tuple[Any, Any]
    attended: tuple[Any, Any]
    wide: tuple[Any, Any]
    narrow: tuple[Any, Any]
    output: tuple[Any, Any]


# Their names in transformers, after the attention's own.
_PARTS = (
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)


class Kernels(Protocol):
    """The operations of the network on arrays (n, tokens, width)."""

    def linear(self, x: Any, weights: tuple[Any, Any]) -> Any: ...

    def norm(self, x: Any, weights: tuple[Any, Any], epsilon: float) -> Any: ...

    def gelu(self, x: Any) -> Any: ...

    def largest(self, x: Any) -> Any:
        """Over the last axis."""
        ...

    def exp(self, x: Any) -> Any: ...

    def attend(self, x: Any, heads: int, mask: Any) -> Any:
        """Attention of (n, tokens, 3 width): queries, keys and values side by side.

        ``mask``, where there is one, is added to the scores (n, heads, tokens, tokens), or says which of them count.
        """
        ...


class Network(NamedTuple):
    """Weights, as arrays or as tensors, and what they compute of token ids; ``positions`` are of the first kind."""

    words: Any
    positions: Any
    first: tuple[Any, Any]
    layers: Sequence[Layer]
    shape: Shape

    @classmethod
    def of(cls, tensors: Tensors, shape: Shape, context: int) -> Network:
        """From tensors by their names in transformers' BertModel, for texts of at most ``context`` tokens.

        Raises:
            InputError: a tensor is missing.
        """
        try:
            words, positions, kinds = (
                tensors[f"embeddings.{name}_embeddings.weight"] for name in ("word", "position", "token_type")
            )
            first = _pair(tensors, "embeddings.LayerNorm")
            count = len({name.split(".")[2] for name in tensors if name.startswith("encoder.layer.")})
            layers = [_layer(tensors, f"encoder.layer.{n}.") for n in range(count)]
        except KeyError as error:
            raise InputError(f"the text tower lacks the tensor {error}; copy the model again") from error
        return cls(words, positions[:context] + kinds[0], first, layers, shape)

    @property
    def width(self) -> int:
        return int(self.words.shape[1])

    def embed(self, kernels: Kernels, ids: Any) -> Any:
        """(n, tokens, width) of (n, tokens) ids: what the first layer is given."""
        return kernels.norm(self.words[ids] + self.positions[: ids.shape[1]], self.first, self.shape.epsilon)

    def read(self, kernels: Kernels, x: Any, mask: Any = None) -> Any:
        """What the layers make of (n, tokens, width); see :meth:`Kernels.attend` for the mask."""
        heads, epsilon = self.shape
        for layer in self.layers:
            found = kernels.attend(kernels.linear(x, layer.attention), heads, mask)
            x = kernels.norm(x + kernels.linear(found, layer.joined), layer.attended, epsilon)
            wide = kernels.gelu(kernels.linear(x, layer.wide))
            x = kernels.norm(x + kernels.linear(wide, layer.narrow), layer.output, epsilon)
        return x

    def cut(self, depth: int) -> tuple[Network, Network]:
        """The layers below a depth, and those from it on."""
        return self._replace(layers=self.layers[:depth]), self._replace(layers=self.layers[depth:])

    def on(self, place: Any, precision: Any) -> Network:
        """The same as tensors of a device: matrices in this precision, the rest in float32."""

        def exact(array: Any) -> Any:
            return torch().as_tensor(array).to(place)

        def matrix(pair: tuple[Any, Any]) -> tuple[Any, Any]:
            weight, bias = map(exact, pair)
            return weight.to(precision), bias.to(precision)

        def place_layer(layer: Layer) -> Layer:
            norms = {name: tuple(map(exact, getattr(layer, name))) for name in ("attended", "output")}
            matrices = {name: matrix(getattr(layer, name)) for name in ("attention", "joined", "wide", "narrow")}
            return Layer(**norms, **matrices)

        first = (exact(self.first[0]), exact(self.first[1]))
        words, positions = exact(self.words), exact(self.positions)
        return Network(words, positions, first, [place_layer(layer) for layer in self.layers], self.shape)


class Bert:
    """Mean-pooled last hidden states of texts. Safe to use from several threads.

    >>> bert = Bert(tokenizer, read_tensors(file), Shape(12, 1e-12), context=256)         # doctest: +SKIP
    >>> bert.pooled(["The heart is enlarged."]).shape                                     # doctest: +SKIP
    (1, 384)

    Args:
        tokenizer: ``tokenizer.json``.
        tensors: by their names in transformers' BertModel.
        context: most tokens of a text, with the marks at both ends; the rest is cut.

    Raises:
        InputError: a tensor is missing, or the tokenizer cannot be read.
        MissingDependencyError: tokenizers is not installed.
    """

    def __init__(
        self, tokenizer: Path, tensors: Tensors, shape: Shape, context: int, batch: BatchSize | None = None
    ) -> None:
        self._tokenizer = read_tokenizer(tokenizer, context)
        self._batch = batch or BatchSize()
        self._network = Network.of(tensors, shape, context)
        self._made: dict[Any, Network] = {}

    @property
    def width(self) -> int:
        return self._network.width

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, with the marks at both ends."""
        return [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]

    def pooled(
        self, texts: Sequence[str], *, questions: bool = False, progress: Callable[[int], None] | None = None
    ) -> Vectors:
        """(n, width) float32, not normalised. Equal texts are computed once; batches hold like lengths.

        ``questions`` are computed in float32 on a processor however many they are.
        """
        out = np.empty((len(texts), self.width), np.float32)
        copies: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            copies.setdefault(text, []).append(i)
        unique = list(copies)
        ids = self.tokens(unique)
        few = sum(map(len, ids)) <= _FEW
        order = sorted(range(len(ids)), key=lambda n: -len(ids[n]))  # what does not fit in memory shows at once
        step = len(ids) if few else self._batch.size * _CHUNK
        for begin in range(0, len(order), max(1, step)):
            chunk = order[begin : begin + step]
            some = [ids[n] for n in chunk]
            found = self._few(some) if few else self._many(some, quick=len(texts) > _BULK and not questions)
            for n, vector in zip(chunk, found, strict=True):
                out[copies[unique[n]]] = vector
            if progress:
                progress(sum(len(copies[unique[n]]) for n in chunk))
        return out

    def _few(self, ids: Sequence[list[int]]) -> Vectors:
        """One text after the other, by numpy: no padding, no mask, no torch."""
        network, kernels = self._network, NumpyKernels()
        states = (network.read(kernels, network.embed(kernels, np.array([one]))) for one in ids)
        return np.stack([one[0].mean(axis=0) for one in states])

    def _many(self, ids: Sequence[list[int]], quick: bool) -> Vectors:
        """Batches, by torch; matrices in the precision that the device is ``quick`` in, sums in float32."""
        library = torch()
        network = self._placed(fast_dtype() if quick or device() == "cuda" else library.float32)
        kernels, where = TorchKernels(library), network.words.device
        parts, begin = list[Vectors](), 0

        def forward(size: int) -> Vectors:
            batch = ids[begin : begin + size]
            longest = max(map(len, batch))
            padded = library.zeros((len(batch), longest), dtype=library.long)
            lengths = library.tensor([len(one) for one in batch])
            for row, one in zip(padded, batch, strict=True):
                row[: len(one)] = library.tensor(one)
            mask = (library.arange(longest)[None] < lengths[:, None]).to(where)
            states = network.read(kernels, network.embed(kernels, padded.to(where)), mask[:, None, None]).float()
            sums = (states * mask[:, :, None]).sum(dim=1)
            vectors: Vectors = (sums / lengths[:, None].to(where)).cpu().numpy()
            return vectors

        with library.inference_mode():
            while begin < len(ids):
                parts.append(self._batch.fit(forward))
                begin += len(parts[-1])
        return np.concatenate(parts)

    def _placed(self, precision: Any) -> Network:
        """The weights as tensors where the model runs, made once."""
        if precision not in self._made:
            self._made.setdefault(precision, self._network.on(device(), precision))
        return self._made[precision]


class NumpyKernels:
    """In float32 by numpy, for one text at a time; a mask is added."""

    def linear(self, x: Any, weights: tuple[Any, Any]) -> Any:
        return x @ weights[0].T + weights[1]

    def norm(self, x: Any, weights: tuple[Any, Any], epsilon: float) -> Any:
        away = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((away * away).mean(axis=-1, keepdims=True) + np.float32(epsilon))
        return away / spread * weights[0] + weights[1]

    def gelu(self, x: Any) -> Any:
        """By the error function to 1.5e-7 (Abramowitz and Stegun 7.1.26); scipy's takes longer to import."""
        size = np.abs(x) * np.float32(0.5**0.5)
        t = 1 / (1 + np.float32(0.3275911) * size)
        sum_ = np.float32(1.061405429)
        for a in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
            sum_ = sum_ * t + np.float32(a)
        error = np.copysign(1 - sum_ * t * np.exp(-size * size), x)
        return np.float32(0.5) * x * (1 + error)

    def largest(self, x: Any) -> Any:
        return x.max(axis=-1)

    def exp(self, x: Any) -> Any:
        return np.exp(x)

    def attend(self, x: Any, heads: int, mask: Any) -> Any:
        n, tokens, width = x.shape
        queries, keys, values = x.reshape(n, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        scores = queries @ keys.swapaxes(-1, -2) * np.float32((width // 3 // heads) ** -0.5)
        if mask is not None:
            scores += mask
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ values).transpose(0, 2, 1, 3).reshape(n, tokens, width // 3)


class TorchKernels:
    """By torch: matrices in the precision that their weights have, sums of layers and their norms in float32."""

    def __init__(self, library: Any) -> None:
        self._f = library.nn.functional

    def linear(self, x: Any, weights: tuple[Any, Any]) -> Any:
        return self._f.linear(x.to(weights[0].dtype), *weights)

    def norm(self, x: Any, weights: tuple[Any, Any], epsilon: float) -> Any:
        return self._f.layer_norm(x.float(), weights[0].shape, *weights, epsilon)

    def gelu(self, x: Any) -> Any:
        return self._f.gelu(x)

    def largest(self, x: Any) -> Any:
        return x.amax(dim=-1)

    def exp(self, x: Any) -> Any:
        return x.exp()

    def attend(self, x: Any, heads: int, mask: Any) -> Any:
        n, tokens, width = x.shape
        queries, keys, values = x.view(n, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        found = self._f.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        return found.transpose(1, 2).reshape(n, tokens, width // 3)


def unit(vectors: Vectors) -> Vectors:
    """Rows divided by their lengths."""
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.float32(1e-12)), np.float32)


def read_tensors(file: Path, prefix: str = "") -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file whose names begin with ``prefix``, without it, in float32.

    Raises:
        InputError: the file is damaged or holds numbers that are not finite.
        MissingDependencyError: safetensors is not installed.
    """
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise MissingDependencyError('safetensors is not installed: pip install "clincite[models]"') from error
    try:
        with safe_open(file, "np") as tensors:
            names = [name for name in tensors.keys() if name.startswith(prefix)]  # noqa: SIM118 - no mapping
            found = {name.removeprefix(prefix): tensors.get_tensor(name) for name in names}
    except Exception as error:  # safetensors raises several kinds on a truncated or hostile file
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the weights {file} are damaged or not tensors; copy them again ({reason})") from error
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise InputError(
                f"the weights {file} hold numbers that are not finite, in {name!r}; copy or train them again"
            )
    return {name: array.astype(np.float32, copy=False) for name, array in found.items() if array.dtype.kind == "f"}


def _layer(tensors: Tensors, at: str) -> Layer:
    parts = [_pair(tensors, f"{at}attention.self.{name}") for name in ("query", "key", "value")]
    attention = (np.concatenate([weight for weight, _ in parts]), np.concatenate([bias for _, bias in parts]))
    return Layer(attention, *(_pair(tensors, at + name) for name in _PARTS))


def layer_tensors(layer: Layer, at: str) -> dict[str, NDArray[Any]]:
    """The opposite: a layer's arrays by their names in transformers' BertModel, which begin with ``at``."""
    found = {}
    for kind, *parts in zip(("weight", "bias"), *layer, strict=True):
        attention, *rest = parts
        for name, part in zip(("query", "key", "value"), np.split(attention, 3), strict=True):
            found[f"{at}attention.self.{name}.{kind}"] = part
        for name, part in zip(_PARTS, rest, strict=True):
            found[f"{at}{name}.{kind}"] = part
    return found


def _pair(tensors: Tensors, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def read_tokenizer(file: Path, context: int) -> Any:
    """A ``tokenizer.json`` that cuts texts at ``context`` tokens.

    Raises:
        InputError: it cannot be read.
        MissingDependencyError: tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingDependencyError('tokenizers is not installed: pip install "clincite[models]"') from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"the tokenizer {file} cannot be read ({error}); copy the model again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(context)
    return tokenizer
