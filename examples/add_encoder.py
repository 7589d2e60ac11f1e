"""A text encoder of one's own: words by hashing, without a model to download.

    python examples/add_encoder.py
    RAG_ENCODERS__TEXT=add_encoder:HashedWords PYTHONPATH=examples rag ingest notes --index mine

An encoder turns texts into unit vectors. Which encoder made a vector is stored with it, as its fingerprint, and vectors
of different fingerprints never meet in one search: an index is asked with the encoder that it was built with.
For images it is the same with ``encode_images``; see ``rag/encoders/protocols.py``.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import numpy.typing as npt

import rag
from rag.settings import EncoderSettings
from rag.types import Hit


class HashedWords:
    """Each word, and each three letters of it, counts in one of 512 places; words that look alike lie near each other.

    Weinberger et al., "Feature hashing for large scale multitask learning" (ICML 2009).
    """

    dim = 512
    fingerprint = "hashed-words-1"  # change it whenever the same text would get another vector

    def __init__(self, settings: EncoderSettings) -> None:
        pass

    def encode(
        self,
        texts: Sequence[str],
        *,
        kind: Literal["query", "passage"] = "passage",
        progress: Callable[[int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in text.casefold().split():
                for piece in (word, *(word[i : i + 3] for i in range(len(word) - 2))):
                    place = zlib.crc32(piece.encode())
                    vector[place % self.dim] += 1 if place & 1 << 31 else -1  # signs, so that collisions cancel out
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[norms[:, 0] == 0, 0] = 1  # a text without words must have a direction, too
        if progress:
            progress(len(texts))
        vectors /= np.where(norms == 0, 1, norms)
        return vectors


CASES = [
    {"id": "a1", "kind": "literature", "domain": "ophthalmology", "text": "Drusen are yellow deposits in the retina."},
    {"id": "a2", "kind": "literature", "domain": "radiology", "text": "Atelectasis is a collapse of lung tissue."},
]


def main() -> list[Hit]:
    """A small index, built and searched with the new encoder."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "cases.jsonl"
        source.write_text("\n".join(map(json.dumps, CASES)))
        settings = rag.load_settings(encoders={"text": "add_encoder:HashedWords"})
        index = rag.Index.create(Path(folder) / "index", settings)
        index.ingest(source)
        return rag.Engine.open(index.path, settings).search("retinal drusen")


if __name__ == "__main__":
    for hit in main():
        print(f"{hit.similarities.get('text', 0):.2f}  {hit.passage.text}")
