"""What an image tower knows before it is projected into a joint space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from rag.encoders.protocols import ImageEncoder, Vectors


@runtime_checkable
class FeatureEncoder(Protocol):
    """An image encoder that also gives the features from which its vectors are projected."""

    def encode_images_and_features(
        self, images: Sequence[str | Path], *, progress: Callable[[int], None] | None = None
    ) -> tuple[Vectors, Vectors]:
        """Vectors as ``encode_images`` gives them and features (n, width), both float32, L2-normalised; in one pass."""
        ...


def encode_with_features(
    encoder: ImageEncoder, images: Sequence[str | Path], progress: Callable[[int], None] | None = None
) -> tuple[Vectors, Vectors]:
    """Vectors and features of images; for an encoder that projects nothing the features are its vectors.

    Training a joint space pulls images towards their captions and forgets what captions do not tell, which is what
    shows that an image is of another kind. So the router reads the features, and the search reads the vectors.

    Raises:
        InputError: a file cannot be decoded; the message names it.
    """
    if isinstance(encoder, FeatureEncoder):
        return encoder.encode_images_and_features(images, progress=progress)
    vectors = encoder.encode_images(images, progress=progress)
    return vectors, vectors
