"""A run that survives being killed: its state after every epoch, and whose state it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.training.retriever.examples import Example
from rag.training.retriever.recipe import Recipe

CARD = "README.md"  # written last: a model folder with its card is finished
_FOLDER = ".training"


class RunFolder:
    """Where an unfinished run keeps its cache and its state: inside the output folder, until it is done.

    Raises:
        InputError: the folder holds a finished model, or an unfinished run of other data or another recipe.
    """

    def __init__(self, out: Path, recipe: Recipe, examples: Sequence[Example]) -> None:
        if (out / CARD).exists():
            raise InputError(f"{out} holds a model already; give another folder, or remove it first")
        self.out, self.path = out, out / _FOLDER
        self._state = self.path / "state.pt"
        identity = self.path / "run.json"
        mine = _identity(recipe, examples)
        if identity.exists() and identity.read_text("utf-8") != mine:
            raise InputError(
                f"{out} holds an unfinished training of other data or another recipe; give another folder, or remove it"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            aside = identity.with_suffix(".new")
            aside.write_text(mine, encoding="utf-8")
            aside.replace(identity)
        except OSError as error:
            raise InputError(f"the folder {out} cannot be written: {error.strerror or error}") from error

    def save(self, state: dict[str, Any]) -> None:
        """Tensors, numbers, text and containers of them; under its name only when complete."""
        aside = self._state.with_suffix(".new")
        torch().save(state, aside)
        aside.replace(self._state)

    def load(self) -> dict[str, Any] | None:
        """What was saved last, if anything."""
        if not self._state.exists():
            return None
        return dict(torch().load(self._state, map_location="cpu", weights_only=True))

    def remove(self) -> None:
        """The run is done. Only what a run writes is removed."""
        for file in self.path.iterdir():
            file.unlink()
        self.path.rmdir()


def _identity(recipe: Recipe, examples: Sequence[Example]) -> str:
    digest = hashlib.sha256()
    for e in examples:
        digest.update(json.dumps([e.case, e.image_sha256, e.text, e.group, e.split, sorted(e.concepts)]).encode())
    return json.dumps({"recipe": recipe.model_dump(), "examples": digest.hexdigest()})
