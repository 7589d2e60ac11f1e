"""What a tuning starts from: a model's folder, or a language model of a package joined to an image tower."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rag.errors import InputError
from rag.generation.weights import Loaded, Weights
from rag.training.generator.loop import dtype_of

_LOCAL = "local-dir:"


@dataclass(frozen=True)
class Base:
    """A model to tune, read anew; ``name`` says which, with a hash of its files and without their place."""

    loaded: Loaded
    name: str


def open_base(base: str, precision: str = "auto") -> Base:
    """The base that ``base`` names: 'local-dir:<folder>', any transformers checkpoint in safetensors.

    Raises:
        InputError: it is of no known form, or its files cannot be used.
        MissingDependencyError: a library or the base is not installed.
    """
    if not base.startswith(_LOCAL):
        raise InputError(f"there is no base {base!r}; give 'local-dir:<folder of a model>'")
    folder = Path(base.removeprefix(_LOCAL))
    if not folder.is_dir():
        raise InputError(f"there is no folder {str(folder)!r} with a model to start from")
    weights = Weights.find(str(folder), None, None, dtype_of(precision))
    name = weights.fingerprint.rsplit(":", 1)[0]  # without the precision
    return Base(weights.read(), name)
