"""Prompts in tokens, each written once: rendering and encoding take longer than a step of a small model.

They are kept in the folder of an unfinished run, so one that goes on begins at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.training.generator.examples import Asking

_FILE = "prompts.safetensors"


class WrittenPrompts:
    """Token ids by what is asked: question, passages, and whether an image stands beside them.

    >>> written = WrittenPrompts()
    >>> written.put(Asking("Is there a mass?"), [1, 2, 3])
    >>> written.get(Asking("Is there a mass?"))
    [1, 2, 3]
    """

    def __init__(self) -> None:
        self._ids: dict[str, list[int]] = {}

    def get(self, asking: Asking) -> list[int] | None:
        return self._ids.get(_key(asking))

    def put(self, asking: Asking, ids: Sequence[int]) -> None:
        self._ids[_key(asking)] = list(ids)

    def load(self, folder: Path) -> None:
        """Those of the folder; one that holds none, or a damaged file, gives none: they are written again."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            found = load_file(folder / _FILE)
            parts = np.split(found["ids"], found["ends"][:-1])
            self._ids |= {bytes(k).hex(): ids.tolist() for k, ids in zip(found["keys"], parts, strict=True)}
        except (OSError, SafetensorError, KeyError, ValueError):
            return

    def save(self, folder: Path) -> None:
        """All of them, under the file's name only when complete."""
        from safetensors.numpy import save_file

        if not self._ids:
            return
        keys = np.array([list(bytes.fromhex(k)) for k in self._ids], dtype=np.uint8)
        ids = [np.array(v, dtype=np.int32) for v in self._ids.values()]
        aside = folder / f"{_FILE}.new"
        save_file({"keys": keys, "ids": np.concatenate(ids), "ends": np.cumsum([len(i) for i in ids])}, aside)
        aside.replace(folder / _FILE)


def _key(asking: Asking) -> str:
    passages = [[p.text, p.whose] for p in asking.passages]
    whole = json.dumps([asking.question, passages, asking.image is not None])
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
