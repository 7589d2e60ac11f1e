"""Models of the real architectures with random weights, written to disk and loaded as a user's own would be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WORDS = """[PAD] [UNK] [CLS] [SEP] [MASK] the a no is are of and in with heart lungs chest effusion clear enlarged
normal pneumonia fundus retina tissue image shows acute left right . ,"""


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer of a few words and all letters, as BERT's folders have it."""
    from transformers import BertTokenizerFast

    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789" for prefix in ("", "##")]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = dict.fromkeys([*WORDS.split(), *letters])
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(vocab={word: n for n, word in enumerate(vocabulary)}).save_pretrained(folder)


def write_bert(folder: Path, seed: int, hidden: int = 32) -> Path:
    """A small random BERT: a folder like MedCPT's encoders, with no word on how tokens become one vector."""
    from rag.encoders.runtime import torch

    library = torch()
    from transformers import BertConfig, BertModel

    library.manual_seed(seed)
    write_tokenizer(folder)
    config = BertConfig(
        vocab_size=128,
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def write_model(folder: Path, config: dict[str, Any], *, half: bool = False, binary: bool = False) -> Path:
    """An open_clip checkpoint: configuration, tokenizer, random weights of a fixed seed."""
    from rag.encoders.checkpoint import CONFIG, WEIGHTS, build
    from rag.encoders.runtime import torch

    library = torch()
    from safetensors.torch import save_file

    write_tokenizer(folder)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    tower = folder if (folder / "config.json").is_file() else None
    library.manual_seed(0)
    model, _ = build(config, tower, folder)
    state = {k: v.half() if half and v.is_floating_point() else v for k, v in model.state_dict().items()}
    if binary:
        library.save(state, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(state, folder / WEIGHTS)
    return folder


def tiny_config() -> dict[str, Any]:
    """The smallest model with a timm image tower and a BERT text tower."""
    return {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64},
            "text_cfg": {
                "hf_model_name": "somebody/tiny-bert",
                "hf_tokenizer_name": "somebody/tiny-bert",
                "hf_proj_type": "mlp",
                "hf_pooler_type": "cls_last_hidden_state_pooler",
                "context_length": 32,
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a few thousand weights; never change it, copy it."""
    folder = write_bert(tmp_path_factory.mktemp("models") / "tiny", seed=0)
    (folder / "model.safetensors").unlink()
    return write_model(folder, tiny_config())


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Seven real pictures of several sizes."""
    from rag.corpus.packaged import packaged_file

    folder = tmp_path_factory.mktemp("pictures")
    names = ("retina.jpg", "ihc.png", "coffee.png", "chelsea.png", "rocket.jpg", "camera.png", "moon.png")
    found = []
    for n, name in enumerate(names):
        with Image.open(packaged_file("skimage", "data", name)) as image:
            image.thumbnail((300 - 20 * n, 300))
            image.save(folder / f"{n}.png")
        found.append(folder / f"{n}.png")
    return found


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))
