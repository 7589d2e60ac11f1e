"""Every image-text model, through open_clip: BiomedCLIP, other hub or local models, and our compact one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rag.corpus.images import load_image
from rag.encoders.bert import unit
from rag.encoders.checkpoint import Checkpoint
from rag.encoders.compact import CompactModel, Preprocessing
from rag.encoders.decoding import Pace, batches
from rag.encoders.places import dense, gradient
from rag.encoders.protocols import Vectors
from rag.encoders.runtime import BatchSize, device, mixed_precision, torch
from rag.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

_MAX_ASPECT = 16  # of longer strips the middle is seen: resized by the short side they would not fit in memory
# On an H100 the bare tower does 6,900 images/s in batches of 32, 11,300 of 128 and 12,200 of 1,024; with the copies of
# pixels around it 128 was the quickest.
_ON_CUDA = 128
_PREPROCESSING = "1"  # raise it when the code below changes what the model sees


class OpenClipEncoder:
    """An open_clip model: 'compact', 'local-dir:<folder>' or 'hf-hub:<owner>/<name>'; see :class:`Checkpoint`.

    Runs on the first CUDA device where there is one, in mixed precision, else on the processor in float32. A batch that
    does not fit into the device's memory is halved, and so are the later ones.

    Raises:
        MissingDependencyError: the model is not on this machine; it is looked for once, here.
        InputError: its files cannot be used.
    """

    def __init__(self, model: str = "compact", batch_size: int | None = None, workers: int | None = None) -> None:
        self._files = Checkpoint.find(model)
        self.name = self._files.name
        self.dim = int(self._files.config["model_cfg"]["embed_dim"])
        self._batch = BatchSize(batch_size, on_cuda=_ON_CUDA)
        self._workers = workers
        self._compact = CompactModel.of(self._files, self._batch)

    @property
    def folder(self) -> Path:
        """Where the model's files are; a router trained for it may lie beside them."""
        return self._files.config_file.parent

    @cached_property
    def fingerprint(self) -> str:
        """Name and hash of every file that decides a vector, known without loading the model."""
        return f"{self.name}:{self._files.sha256[:16]}:{_PREPROCESSING}"

    def encode_images(self, images: Sequence[str | Path], *, progress: Callable[[int], None] | None = None) -> Vectors:
        """See :class:`~rag.encoders.protocols.ImageEncoder`. Files are decoded in threads while the model runs."""
        none = np.empty((0, self.dim), np.float32)
        return np.concatenate([none, *self._seen(self._encode_pixels, images, progress)])

    def encode_images_and_features(
        self, images: Sequence[str | Path], *, progress: Callable[[int], None] | None = None
    ) -> tuple[Vectors, Vectors]:
        """See :class:`~rag.encoders.features.FeatureEncoder`; the features are timm's pooled ones.

        Where the image tower is not timm's, the vectors stand for the features.
        """
        visual = self._visual
        width = int(getattr(getattr(visual, "trunk", None), "num_features", 0))
        if not images or not width:
            vectors = self.encode_images(images, progress=progress)
            return vectors, vectors
        library = torch()

        def both(pixels: Any) -> Any:
            features = visual.trunk(self._normalised(pixels))
            parts = features, visual.head(features)
            return library.cat([library.nn.functional.normalize(part.float(), dim=-1) for part in parts], dim=-1)

        found = [
            part * np.float32(2**0.5) for part in self._seen(both, images, progress)
        ]  # two unit vectors side by side
        joined = np.concatenate(found)
        return joined[:, width:], joined[:, :width]

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """See :class:`~rag.encoders.protocols.ImageTextEncoder`.

        Equal texts are encoded once; batches hold like lengths; what is longer than the model's context is cut.
        """
        if self._compact is not None:
            return unit(self._compact.texts(texts))
        copies: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            copies.setdefault(text, []).append(i)
        unique = sorted(copies, key=len, reverse=True)  # the longest first: what does not fit in memory shows at once
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        begin = 0
        while batch := unique[begin : begin + self._batch.size]:
            for text, vector in zip(batch, self._encode(self._model.encode_text, self.tokens(batch)), strict=True):
                out[copies[text]] = vector
            begin += len(batch)
        return out

    def encode_places(self, images: Sequence[Image.Image]) -> tuple[npt.NDArray[np.float32], Vectors]:
        """See :func:`rag.encoders.places.dense`: places (n, rows, columns, dim) and whole images (n, dim) of squares.

        Raises:
            InputError: the image tower has no map of places.
        """
        tower, pixels = self._visual, self._squares(images)  # loaded outside: weights made in there have no gradient
        with torch().inference_mode():
            places, whole = dense(tower, pixels)
            return places.float().cpu().numpy(), whole.float().cpu().numpy()

    def trace_places(self, images: Sequence[Image.Image], texts: Vectors) -> npt.NDArray[np.float32]:
        """See :func:`rag.encoders.places.gradient`: (n, texts, rows, columns).

        Raises:
            InputError: the image tower has no map of places, or is not timm's.
        """
        seen = self._squares(images)
        traced: Vectors = gradient(self._visual, seen, torch().from_numpy(texts).to(seen.device)).cpu().numpy()
        return traced

    def _squares(self, images: Sequence[Image.Image]) -> Any:
        return self._normalised(self._stack([self._resized(image) for image in images]).to(self._device))

    def pixels(self, image: Image.Image) -> Any:
        """What the model sees of an RGB image: a (3, height, width) float tensor."""
        return self._normalised(torch().from_numpy(self._resized(image))[None])[0]

    def tokens(self, texts: Sequence[str]) -> Any:
        """(n, longest) token ids. Padding that no text needs is dropped: attention masks it, but its time is spent."""
        ids = self._tokenizer(list(texts))
        tower = getattr(getattr(self._model, "text", None), "config", None)
        if tower is None:
            return ids  # open_clip's own text transformers attend to the whole context
        used = (ids != tower.pad_token_id).any(dim=0).nonzero()
        return ids[:, : int(used.max()) + 1] if len(used) else ids[:, :1]

    def _decoded(self, images: Sequence[str | Path]) -> Iterator[Any]:
        """Batches of pixels, in order, pinned where they go to a CUDA device; the next ones are made meanwhile."""
        if not images:
            return
        _ = self._visual, self._preprocessing  # the model is loaded once, before the threads ask for it
        yield from batches(images, self._decode, self._stack, self._batch.size, self.pace.threads)

    def _seen(
        self, see: Callable[[Any], Any], images: Sequence[str | Path], progress: Callable[[int], None] | None
    ) -> Iterator[Vectors]:
        """The unit vectors of parts of the images, in order. A device is given the next batch before one is fetched."""
        waiting = list[Any]()
        for pixels in self._decoded(images):
            with self.pace.encodes(len(pixels)):
                begun = self._begin(see, pixels)
                ready = [part.cpu().numpy() for part in waiting]
                waiting = begun
            if progress:
                progress(len(pixels))
            yield from ready
        with self.pace.encodes(0):
            ready = [part.cpu().numpy() for part in waiting]
        yield from ready

    def _decode(self, path: str | Path) -> npt.NDArray[np.uint8]:
        with self.pace.decodes():
            return self._resized(load_image(Path(path)))

    def _resized(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """(height, width, 3): no torch here, whose threads would fight those of the model in every decoding thread."""
        short, long = min(image.size), max(image.size)
        if long > short * _MAX_ASPECT:
            cut = (long - short * _MAX_ASPECT) / 2
            box = (cut, 0, long - cut, short) if image.width == long else (0, cut, short, long - cut)
            image = image.crop(tuple(round(x) for x in box))  # type: ignore[arg-type]
        for step in self._preprocessing.steps:
            image = step(image)
        return np.array(image)

    def _encode_pixels(self, pixels: Any) -> Any:
        see = self._model.encode_image if self._compact is None else self._visual
        return see(self._normalised(pixels))

    def _normalised(self, pixels: Any) -> Any:
        """Bytes, (n, height, width, 3), as the floats of the model, (n, 3, height, width), channels last in memory."""
        _, *scale = self._preprocessing
        mean, std = (torch().tensor(some, device=pixels.device).view(1, -1, 1, 1) for some in scale)
        return pixels.permute(0, 3, 1, 2).float().div_(255).sub_(mean).div_(std)

    def _stack(self, decoded: Sequence[npt.NDArray[np.uint8]]) -> Any:
        shape = (len(decoded), *decoded[0].shape)
        pixels = torch().empty(shape, dtype=torch().uint8, pin_memory=self._device == "cuda")
        np.stack(decoded, out=pixels.numpy())
        return pixels

    def _encode(self, encode: Callable[[Any], Any], inputs: Any) -> Vectors:
        """Unit vectors of one batch."""
        return np.concatenate([part.cpu().numpy() for part in self._begin(encode, inputs)])

    def _begin(self, encode: Callable[[Any], Any], inputs: Any) -> list[Any]:
        """Unit vectors of one batch where the model runs, in as many parts as its memory asks for; a CUDA device may
        still be at them.
        """
        library, parts, begin = torch(), list[Any](), 0

        def forward(size: int) -> Any:
            features = encode(inputs[begin : begin + size].to(self._device, non_blocking=True)).float()
            return library.nn.functional.normalize(features, dim=-1)

        with library.inference_mode(), mixed_precision():
            while begin < len(inputs):
                parts.append(self._batch.fit(forward))
                begin += len(parts[-1])
        return parts

    @cached_property
    def pace(self) -> Pace:
        """Counted since the encoder was made. A device outruns two threads of decoders, so there all that are this
        process's share decode. JPEG decoders hold Python's lock: 16 threads did three times as much as one.
        """
        usual = max(2, torch().get_num_threads()) if self._device == "cuda" else 2
        return Pace(self._workers or usual)

    @cached_property
    def _device(self) -> str:
        return device()

    @cached_property
    def _visual(self) -> Any:
        """The image tower. Convolutions of bytes as decoders write them, channels last, are a good deal faster."""
        if self._compact is None:
            return self._model.visual
        return self._compact.visual.to(self._device, memory_format=torch().channels_last)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        model, tokenizer = self._files.load()
        return model.to(self._device, memory_format=torch().channels_last), tokenizer

    @property
    def _model(self) -> Any:
        return self._loaded[0]

    @property
    def _tokenizer(self) -> Any:
        return self._loaded[1]

    @cached_property
    def _preprocessing(self) -> Preprocessing:
        if self._compact is not None:
            return self._compact.preprocessing
        torch()  # before open_clip is imported
        from open_clip.transform import PreprocessCfg, image_transform_v2
        from PIL.Image import new

        try:
            transform = image_transform_v2(PreprocessCfg(**self._model.visual.preprocess_cfg), is_train=False)
            transform(new("RGB", (8, 8)))
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, AssertionError) as error:
            file = self._files.config_file
            raise InputError(f"{file}: the field 'preprocess_cfg' cannot be used ({error}); correct it") from error
        *steps, _, scale = transform.transforms
        return Preprocessing(steps, scale.mean, scale.std)
