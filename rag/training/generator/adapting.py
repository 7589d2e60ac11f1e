"""A small part of a large model that learns: low-rank adapters of its language model, and its projector.

Adapters are PEFT's (LoRA, Hu et al. 2022), the projector is the module between image tower and language model as
LLaVA, Qwen-VL and Gemma name it. Of the image tower the last stages learn if the recipe says so; their normalisation
keeps its statistics. Everything else stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError, MissingDependencyError
from rag.generation.weights import Loaded
from rag.training.generator.recipe import GeneratorRecipe

ADAPTER = "adapter"  # the folder, inside a model's, in PEFT's own format
_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_PROJECTORS = ("multi_modal_projector", "merger", "projector", "connector")
_TOWERS = ("vision", "visual", "image")


@dataclass(frozen=True)
class Adapted:
    """A model with what learns of it. ``projector`` is empty where the model sees nothing, ``tower`` where it rests."""

    model: Any
    adapter: dict[str, Any]
    projector: dict[str, Any]
    tower: dict[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything that learns, by name."""
        return self.adapter | self.projector | self.tower

    def save(self, folder: Path, base: str) -> None:
        """In PEFT's format; ``base`` is how the base is named, never its path on this machine."""
        self.model.peft_config["default"].base_model_name_or_path = base
        self.model.save_pretrained(folder / ADAPTER, save_embedding_layers=False)
        (folder / ADAPTER / "README.md").unlink(missing_ok=True)  # PEFT's empty form of a card


def adapt(loaded: Loaded, recipe: GeneratorRecipe) -> Adapted:
    """New adapters on every linear layer of the language model; they change nothing before they have learned.

    Raises:
        InputError: the model has no layers that are named as those of known language models are, or its image tower
            has fewer stages than are to learn.
    """
    peft = _peft()
    projector = projector_of(loaded.model)
    targets = [name for name, _ in _layers(loaded.model)]
    if not targets:
        raise InputError(f"the model {loaded.name!r} has no layers {', '.join(_LINEAR)} to adapt")
    config = peft.LoraConfig(
        r=recipe.rank,
        lora_alpha=round(recipe.rank * recipe.scale),
        target_modules=targets,
        modules_to_save=[*([projector] if projector else []), *_last_stages(loaded, recipe.unfreeze)] or None,
    )
    torch().manual_seed(recipe.seed)
    return _adapted(peft.get_peft_model(loaded.model, config))


def resume_adapter(loaded: Loaded, folder: Path, base: str) -> Adapted:
    """The adapters that lie in a model's folder, to learn further.

    Raises:
        InputError: there are none, they are damaged, or they belong to another base.
    """
    peft, own = _peft(), folder / ADAPTER
    try:
        named = json.loads((own / "adapter_config.json").read_text("utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} holds no adapter; give a folder that `rag train generator` has written") from error
    if named.rpartition(":")[2] != base.rpartition(":")[2]:  # the hash of the files; a folder may be renamed
        raise InputError(f"the adapter in {folder} belongs to the base {named!r}, not to {base!r}; name that base")
    try:
        return _adapted(peft.PeftModel.from_pretrained(loaded.model, own, is_trainable=True, local_files_only=True))
    except Exception as error:  # PEFT, torch and safetensors each have exceptions of their own for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the adapter in {folder} does not fit its base or is damaged ({reason})") from error


def _adapted(model: Any) -> Adapted:
    """With what learns in float32, whatever the base is in: small steps are lost in bfloat16."""
    adapter: dict[str, Any] = {}
    projector: dict[str, Any] = {}
    tower: dict[str, Any] = {}
    for module in model.modules():
        if any(p.requires_grad for p in module.parameters(recurse=False)):
            module.float()  # the statistics of a normalisation as well
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            between = any(part in _PROJECTORS for part in name.split("."))
            (adapter if "lora_" in name else projector if between else tower)[name] = parameter
    return Adapted(model, adapter, projector, tower)


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    for name, module in model.named_modules():
        parts = name.split(".")
        if parts[-1] in _LINEAR and not any(tower in part for part in parts for tower in _TOWERS):
            yield name, module


def projector_of(model: Any) -> str | None:
    """The full name of the projector; None where there is none."""
    found = [name for name, _ in model.named_modules() if name.split(".")[-1] in _PROJECTORS]
    return min(found, key=len, default=None)


def _last_stages(loaded: Loaded, count: int) -> list[str]:
    """Full names of the last stages of the image tower, and of what follows them in the same module.

    The stages are the parts of the tower's largest sequence, as towers of every kind have one.
    """
    if not count:
        return []
    nn, modules = torch().nn, dict(loaded.model.named_modules())
    sequences = [
        name
        for name, module in modules.items()
        if isinstance(module, nn.ModuleList | nn.Sequential)
        and any(tower in part for part in name.split(".") for tower in _TOWERS)
    ]
    largest = max(sequences, key=lambda name: sum(p.numel() for p in modules[name].parameters()), default=None)
    stages = list(modules[largest].named_children()) if largest else []
    if largest is None or len(stages) < count:
        raise InputError(
            f"'unfreeze' is {count}, and the model {loaded.name!r} has {len(stages)} stages of an image tower; lower it"
        )
    parent, _, own = largest.rpartition(".")
    beside = [name for name, module in modules[parent].named_children() if [*module.parameters()]]
    after = beside[beside.index(own) + 1 :]
    return [f"{largest}.{name}" for name, _ in stages[-count:]] + [f"{parent}.{name}" for name in after]


def _peft() -> Any:
    torch()
    try:
        import peft
    except ImportError as error:
        raise MissingDependencyError('peft is not installed: pip install "clincite[train]"') from error
    return peft
