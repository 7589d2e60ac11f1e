"""A model in parts, tiny and with random weights: a GGUF base in a package, adapter, projector; the tower is ours."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from rag.indexing.storage import sha256_of_file
from rag.settings import knowledge_dir

from .checkpoints import tokenizer

HIDDEN, LAYERS, HEADS, INNER, RANK, ALPHA = 32, 2, 4, 64, 2, 6
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.v_proj": (HIDDEN // 2, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}


def base(folder: Path, seed: int = 0) -> Path:
    """A Llama as llama.cpp writes it, with a byte-level vocabulary, in ``folder``."""
    import gguf

    special = ["<|im_start|>", "<|im_end|>", "<jupyter_script>"]
    inner: dict[str, Any] = json.loads(tokenizer(special, "").backend_tokenizer.to_str())
    vocabulary = {**inner["model"]["vocab"], **{t["content"]: t["id"] for t in inner["added_tokens"]}}
    words = [w for w, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    marks = {t["content"] for t in inner["added_tokens"]}
    merges = [" ".join(m) if isinstance(m, list) else m for m in inner["model"]["merges"]]

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    importlib.invalidate_caches()
    path = folder / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(4096)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(words))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3 if w in marks else 1 for w in words])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(vocabulary["<|im_start|>"])
    writer.add_eos_token_id(vocabulary["<|im_end|>"])
    draw = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        weights = draw.normal(0, 0.2, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, weights.astype(np.float32))

    add("token_embd.weight", len(words), HIDDEN)
    add("output_norm.weight", HIDDEN)
    for n in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{n}.{name}.weight", HIDDEN)
        for name, rows in (
            ("attn_q", HIDDEN),
            ("attn_k", HIDDEN // 2),
            ("attn_v", HIDDEN // 2),
            ("attn_output", HIDDEN),
        ):
            add(f"blk.{n}.{name}.weight", rows, HIDDEN)
        add(f"blk.{n}.ffn_gate.weight", INNER, HIDDEN)
        add(f"blk.{n}.ffn_up.weight", INNER, HIDDEN)
        add(f"blk.{n}.ffn_down.weight", HIDDEN, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def adapter(hidden: int = HIDDEN) -> dict[str, np.ndarray]:
    """LoRA pairs under PEFT's names, for a base as wide as ``hidden``."""
    draw, made = np.random.default_rng(1), {}
    for n in range(LAYERS):
        for name, (rows, columns) in SHAPES.items():
            key = f"base_model.model.model.layers.{n}.{name}"
            wide = columns * hidden // HIDDEN
            made[f"{key}.lora_A.weight"] = draw.normal(0, 0.2, (RANK, wide)).astype(np.float32)
            made[f"{key}.lora_B.weight"] = draw.normal(0, 0.2, (rows, RANK)).astype(np.float32)
    return made


def write(folder: Path, gguf: Path, **changes: object) -> Path:
    """The folder with ``parts.json``; ``gguf`` lies in a folder that is the package."""
    folder.mkdir(parents=True, exist_ok=True)
    options = {"peft": json.dumps({"r": RANK, "lora_alpha": ALPHA})}
    save_file(adapter(), folder / "adapter.safetensors", options)
    draw = np.random.default_rng(2)
    save_file(
        {
            "linear_1.weight": draw.normal(0, 0.05, (HIDDEN, 1280)).astype(np.float16),
            "linear_1.bias": np.zeros(HIDDEN, np.float32),
            "linear_2.weight": draw.normal(0, 0.2, (HIDDEN, HIDDEN)).astype(np.float16),
            "linear_2.bias": np.zeros(HIDDEN, np.float32),
        },
        folder / "projector.safetensors",
    )
    tower = knowledge_dir() / "models" / "compact" / "open_clip_model.safetensors"
    values = {
        "base": {"package": gguf.parent.name, "version": "1", "file": gguf.name, "sha256": sha256_of_file(gguf)},
        "tower": {"model": "compact", "sha256": sha256_of_file(tower)},
        "adapter": ["adapter.safetensors"],
        "projector": "projector.safetensors",
        "image_token": "<jupyter_script>",
        "chat_template": "compact-lvlm",
        "licence": "none",
    }
    (folder / "parts.json").write_text(json.dumps({**values, **changes}))
    return folder
