"""Looking by an image-text encoder: our compact model, BiomedCLIP, any open_clip model with a map of places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rag.encoders.protocols import ImageEncoder, PlaceEncoder, Vectors
from rag.errors import InputError
from rag.grounding.prompts import prompts_of
from rag.grounding.region import Method
from rag.language.clinical_text import Texts

_REMEMBERED = 1024  # phrases whose vectors are kept


class _EncoderLooker:
    """What both ways share: the encoder, and phrases that are encoded once, whatever the images."""

    views = 8

    def __init__(self, encoder: ImageEncoder, texts: Texts) -> None:
        """Raises InputError for an encoder that has no texts in its space, or does not tell places apart."""
        if not isinstance(encoder, PlaceEncoder):
            raise InputError(
                f"the image encoder {encoder.fingerprint.partition(':')[0]!r} does not compare texts with places, so "
                "it cannot say where something is; set 'encoders.image' to an open_clip model, as 'compact'"
            )
        self._encoder, self._texts = encoder, texts
        self._known: dict[str, Vectors] = {}

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    def _vectors(self, phrases: Sequence[str]) -> Vectors:
        """(phrases, dim): the mean of each phrase's prompts, L2-normalised."""
        new = {p: prompts_of(p, self._texts) for p in dict.fromkeys(phrases) if p not in self._known}
        if new:
            if len(self._known) + len(new) > _REMEMBERED:
                self._known = {}
                return self._vectors(phrases)
            encoded: Vectors = self._encoder.encode_texts([text for prompts in new.values() for text in prompts])
            begin = 0
            for phrase, prompts in new.items():
                mean = encoded[begin : begin + len(prompts)].mean(axis=0)
                self._known[phrase] = mean / max(float(np.linalg.norm(mean)), 1e-12)
                begin += len(prompts)
        return np.stack([self._known[p] for p in phrases])


class SimilarityLooker(_EncoderLooker):
    """Each place's share of the similarity between image and phrase: its vector · phrase, by the image's length."""

    method: Method = "similarity"

    def look(self, squares: Sequence[Image.Image], phrases: Sequence[str]) -> NDArray[np.float32]:
        """See :class:`~rag.grounding.base.Looker`."""
        places, whole = self._encoder.encode_places(squares)
        length = np.linalg.norm(whole, axis=1)[:, None, None, None]
        shares = np.einsum("nhwd,pd->nphw", places, self._vectors(phrases)) / np.maximum(length, 1e-12)
        return np.asarray(shares, dtype=np.float32)


class GradientLooker(_EncoderLooker):
    """What the similarity depends on, by its gradient; see :func:`rag.encoders.places.gradient`."""

    method: Method = "gradient"

    def look(self, squares: Sequence[Image.Image], phrases: Sequence[str]) -> NDArray[np.float32]:
        """See :class:`~rag.grounding.base.Looker`."""
        traced: NDArray[np.float32] = self._encoder.trace_places(squares, self._vectors(phrases))
        return traced
