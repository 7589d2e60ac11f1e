"""A run that survives being killed: its state as of the last save, and whose state it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rag.encoders.runtime import torch
from rag.errors import InputError

CARD = "README.md"  # written last: a model folder with its card is finished
_FOLDER = ".training"


class Saved(NamedTuple):
    """What was saved last: tensors by name, and whatever else is JSON."""

    tensors: dict[str, Any]
    facts: dict[str, Any]


class RunFolder:
    """Where an unfinished run keeps its cache and its state: inside the output folder, until it is done.

    Args:
        out: the folder of the model to be.
        identity: a text that is the same only for the same data and the same recipe.

    Raises:
        InputError: the folder holds a finished model, or an unfinished run of other data or another recipe.
    """

    def __init__(self, out: Path, identity: str) -> None:
        if (out / CARD).exists():
            raise InputError(f"{out} holds a model already; give another folder, or remove it first")
        self.out, self.path = out, out / _FOLDER
        self._state = self.path / "state.safetensors"
        mark = self.path / "run.json"
        if mark.exists() and mark.read_text("utf-8") != identity:
            raise InputError(
                f"{out} holds an unfinished training of other data or another recipe; give another folder, or remove it"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            aside = mark.with_suffix(".new")
            aside.write_text(identity, encoding="utf-8")
            aside.replace(mark)
        except OSError as error:
            raise InputError(f"the folder {out} cannot be written: {error.strerror or error}") from error

    def save(self, tensors: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Both in one safetensors file, under its name only when complete."""
        from safetensors.torch import save_file

        aside = self._state.with_suffix(".new")
        plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(plain, aside, {"facts": json.dumps(facts)})
        aside.replace(self._state)

    def load(self) -> Saved | None:
        """What was saved last, if anything.

        Raises:
            InputError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if not self._state.exists():
            return None
        try:
            with safe_open(self._state, "pt") as file:
                names = list(file.keys())
                return Saved({name: file.get_tensor(name) for name in names}, json.loads(file.metadata()["facts"]))
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"the saved training in {self.path} is damaged; remove that folder and start again"
            ) from error

    def remove(self) -> None:
        """The run is done. Only what a run writes is removed."""
        for file in self.path.iterdir():
            file.unlink()
        self.path.rmdir()


def optimizer_tensors(optimizer: Any) -> dict[str, Any]:
    """An optimiser's state by 'optimizer.<number of the parameter>.<name>', for :func:`restore_optimizer`."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{n}.{name}": torch().as_tensor(value) for n, some in state.items() for name, value in some.items()
    }


def restore_optimizer(optimizer: Any, tensors: Mapping[str, Any]) -> None:
    """The opposite; the optimiser must have been made for the same parameters in the same order."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, key = rest.partition(".")
            state.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def overwrite(parameters: Sequence[Any], values: Sequence[Any]) -> None:
    """Overwrite parameters by values of the same shapes."""
    with torch().no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(value)
