"""A tuned model in the form in which it is used: all of it, or the parts that its assembly asks for.

A base that is assembled from packages is not copied: adapter and projector are laid beside a ``parts.json``, some tens
of megabytes, and the folder is named where a model is (``generation.transformers.model``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.compact_lvlm.parts import FILE, ModelParts
from rag.training.generator.adapting import Adapted
from rag.training.generator.bases import Base

MERGED = "merged"
_ADAPTER = "adapter.safetensors"
_TOWER = "tower.safetensors"


def write_parts(tuned: Adapted, parts: ModelParts, out: Path) -> None:
    """``parts.json``, adapter and projector: what :mod:`rag.generation.compact_lvlm.assembly` reads.

    Tensors are named as in the language model alone, which is what they are merged into.
    """
    from safetensors.torch import save_file

    library = torch()
    options = tuned.model.peft_config["default"]
    named = {"r": options.r, "lora_alpha": options.lora_alpha, "peft_type": "LORA"}
    adapter = {_in_adapter(name): p.detach().to(library.bfloat16).cpu() for name, p in tuned.adapter.items()}
    save_file(adapter, out / _ADAPTER, {"format": "pt", "peft": json.dumps(named)})
    projector = {_in_projector(name): p.detach().half().cpu() for name, p in tuned.projector.items()}
    save_file(projector, out / parts.projector, {"format": "pt"})
    values = json.loads((parts.folder / FILE).read_text("utf-8")) | {"adapter": [_ADAPTER]}
    values |= {"image_size": parts.image_size, "tower_changes": _TOWER if tuned.tower else None}
    if tuned.tower:
        tower = {_in_tower(name): p.detach().to(library.bfloat16).cpu() for name, p in tuned.tower.items()}
        save_file(tower, out / _TOWER, {"format": "pt"})
    (out / FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_parts(tuned: Adapted, parts: ModelParts) -> None:
    """Let what learns begin as it is in these parts: what :func:`write_parts` wrote, read again.

    Raises:
        InputError: a file is damaged, or the parts are of another form than what learns.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    library = torch()
    kinds = ((tuned.adapter, _in_adapter, parts.adapter), (tuned.projector, _in_projector, (parts.projector,)),
             (tuned.tower, _in_tower, filter(None, (parts.tower_changes,))))  # fmt: skip
    for parameters, named, files in kinds:
        found: dict[str, Any] = {}
        for file in files:
            try:
                found |= load_file(parts.folder / file)
            except (SafetensorError, OSError) as error:
                raise InputError(f"the weights {parts.folder / file} cannot be read; copy them again") from error
        own = {named(name): p for name, p in parameters.items()}
        for name in sorted(found.keys() | own.keys() if found else ()):  # a tower that has not learned yet has no file
            if name not in own or name not in found or own[name].shape != found[name].shape:
                raise InputError(
                    f"{str(parts.folder)!r} cannot be gone on from: its {name} is of another form; give the 'rank' and "
                    "'unfreeze' that it was trained with"
                )
            with library.no_grad():
                own[name].copy_(found[name])


def _in_adapter(name: str) -> str:
    return name.replace(".model.language_model.", ".model.").replace(".default.", ".")


def _in_projector(name: str) -> str:
    return name.rpartition(".default.")[2]


def _in_tower(name: str) -> str:
    return name.partition(".vision_tower.")[2].replace(".modules_to_save.default.", ".")


def write_merged(tuned: Adapted, base: Base, out: Path) -> None:
    """The whole model, adapters merged in, with its processor."""
    merged = tuned.model.merge_and_unload()
    merged.save_pretrained(out / MERGED)
    base.loaded.processor.save_pretrained(out / MERGED)
