"""A tuned model in the form in which it is used: all of it, or the parts that its assembly asks for.

A base that is assembled from packages is not copied: adapter and projector are laid beside a ``parts.json``, some tens
of megabytes, and the folder is named where a model is (``generation.transformers.model``).
"""

from __future__ import annotations

import json
from pathlib import Path

from rag.encoders.runtime import torch
from rag.generation.compact_lvlm.parts import FILE, ModelParts
from rag.training.generator.adapting import Adapted
from rag.training.generator.bases import Base

MERGED = "merged"
_ADAPTER = "adapter.safetensors"


def write_parts(tuned: Adapted, parts: ModelParts, out: Path) -> None:
    """``parts.json``, adapter and projector: what :mod:`rag.generation.compact_lvlm.assembly` reads.

    Tensors are named as in the language model alone, which is what they are merged into.
    """
    from safetensors.torch import save_file

    library = torch()
    options = tuned.model.peft_config["default"]
    named = {"r": options.r, "lora_alpha": options.lora_alpha, "peft_type": "LORA"}
    adapter = {
        name.replace(".model.language_model.", ".model.").replace(".default.", "."): p.detach()
        .to(library.bfloat16)
        .cpu()
        for name, p in tuned.adapter.items()
    }
    save_file(adapter, out / _ADAPTER, {"format": "pt", "peft": json.dumps(named)})
    projector = {name.rpartition(".default.")[2]: p.detach().half().cpu() for name, p in tuned.projector.items()}
    save_file(projector, out / parts.projector, {"format": "pt"})
    values = json.loads((parts.folder / FILE).read_text("utf-8")) | {"adapter": [_ADAPTER]}
    (out / FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def write_merged(tuned: Adapted, base: Base, out: Path) -> None:
    """The whole model, adapters merged in, with its processor."""
    merged = tuned.model.merge_and_unload()
    merged.save_pretrained(out / MERGED)
    base.loaded.processor.save_pretrained(out / MERGED)
