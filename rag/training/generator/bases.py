"""What a tuning starts from: a model's folder, or a language model of a package joined to an image tower."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.compact_lvlm.assembly import assemble, cache_folder
from rag.generation.compact_lvlm.parts import FILE, ModelParts
from rag.generation.weights import Loaded, Weights
from rag.training.generator.loop import dtype_of

_LOCAL, _PACKAGE = "local-dir:", "package:"
_MODEL = "compact-lvlm"  # the shipped model whose language model and image tower are joined anew


@dataclass(frozen=True)
class Base:
    """A model to tune, read anew; ``name`` says which, with a hash of its files and without their place.

    ``parts`` are those of a model that is assembled; adapter and projector of such a base have learned nothing.
    """

    loaded: Loaded
    name: str
    parts: ModelParts | None = None


def open_base(base: str, vision: str | None = None, precision: str = "auto", image_size: int | None = None) -> Base:
    """The base that is named.

    Args:
        base: 'local-dir:<folder>', any transformers checkpoint in safetensors; or 'package:<package>', the language
            model of an installed package.
        vision: the image tower for the latter, by its name in ``knowledge/models``.
        precision: 'float32', 'bfloat16' or 'auto'.
        image_size: side in pixels of what the tower of a package's language model sees; None: as it is shipped.

    Raises:
        InputError: it is of no known form, or its files cannot be used.
        MissingDependencyError: a library or the base is not installed.
        StorageError: there is no room for the assembled model.
    """
    parts: ModelParts | None = None
    if base.startswith(_LOCAL):
        folder = Path(base.removeprefix(_LOCAL))
        if not folder.is_dir():
            raise InputError(f"there is no folder {str(folder)!r} with a model to start from")
        if vision is not None:
            raise InputError("--vision goes with a language model of a package; a model's folder has eyes of its own")
        if image_size is not None:
            raise InputError("'image_size' goes with a language model of a package; a model's folder has its own")
    elif base.startswith(_PACKAGE):
        folder, parts = _joined(base.removeprefix(_PACKAGE), vision, image_size)
    else:
        raise InputError(f"there is no base {base!r}; give 'local-dir:<folder>', or 'package:<name>' with --vision")
    weights = Weights.find(str(folder), None, None, dtype_of(precision))
    name = weights.fingerprint.rsplit(":", 1)[0]  # without the precision
    return Base(weights.read(), name, parts)


def _joined(package: str, vision: str | None, image_size: int | None) -> tuple[Path, ModelParts]:
    """The assembled checkpoint of language model and tower, with a projector that has learned nothing."""
    shipped = ModelParts.find(_MODEL)
    assert shipped is not None
    if (package, vision) != (shipped.base.package, shipped.tower.model):
        raise InputError(
            f"'package:{package}' with the image tower {vision!r} is not known; the one that is: "
            f"--base package:{shipped.base.package} --vision {shipped.tower.model}"
        )
    with tempfile.TemporaryDirectory() as place:
        sized = f"-{image_size}" if image_size else ""  # the cache keeps one model of a name
        folder = Path(place) / f"{package}-{vision}{sized}"
        folder.mkdir()
        _blank_projector(shipped.folder / shipped.projector, folder / shipped.projector)
        values = json.loads((shipped.folder / FILE).read_text("utf-8")) | {"adapter": []}
        values.pop("tower_changes", None)
        values["image_size"] = image_size or shipped.image_size
        (folder / FILE).write_text(json.dumps(values), encoding="utf-8")
        parts = ModelParts.find(str(folder))
        assert parts is not None
        return assemble(parts, cache_folder(None)), shipped.model_copy(update={"image_size": parts.image_size})


def _blank_projector(like: Path, to: Path) -> None:
    """Of the same shapes, with the values that linear layers have before they learn; the same ones every time."""
    from safetensors.torch import load_file, save_file

    library = torch()
    draw = library.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in sorted(load_file(like).items()):
        spread = load_file(like)[name.replace(".bias", ".weight")].shape[1] ** -0.5
        tensors[name] = (library.rand(tensor.shape, generator=draw) * 2 - 1) * spread
    save_file(tensors, to)
