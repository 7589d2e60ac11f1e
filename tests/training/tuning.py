"""A dozen studies, a dozen images and some literature, made up here, with a short prompt for tiny models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from generation import checkpoints
from PIL import Image

from rag.encoders.runtime import torch

PROMPT = """{% block system %}Cite.{% endblock %}
{% block user %}{% for p in passages %}[{{ p.number }}] {{ p.whose }} {{ p.text }}
{% endfor %}Question: {{ question }}{% endblock %}
"""


def build_loud(kind: str, folder: Path) -> Path:
    """A tiny checkpoint whose head speaks up: at random it is so quiet that no adapter could change what is said."""
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

    checkpoints.build(kind, folder)
    maker = AutoModelForCausalLM if kind == "qwen2" else AutoModelForImageTextToText
    model = maker.from_pretrained(folder)
    with torch().no_grad():
        model.get_output_embeddings().weight.mul_(20)
    model.save_pretrained(folder)
    return folder


def write_prompt(folder: Path) -> str:
    (folder / "short.jinja").write_text(PROMPT)
    return str(folder / "short.jinja")


def split_of(n: int) -> str:
    return "train" if n % 6 < 4 else "dev" if n % 6 == 4 else "test"


def studies(count: int = 18) -> list[dict[str, Any]]:
    """Two questions a study: one is answered yes, the other no."""
    rows: list[dict[str, Any]] = []
    for n in range(count):
        large = n % 2 == 0
        shared = {"group": f"patient {n}", "split": split_of(n), "source": "made-up studies", "licence": "CC0-1.0"}
        shared["report"] = (
            f"{'Enlarged' if large else 'Normal'} heart. {'No' if large else 'Small'} effusion, side {n}."
        )
        shared["retrieved_report"] = f"{'Normal' if large else 'Enlarged'} heart. Another patient {n}."
        yes, no = "Yes, the heart is enlarged.", "No, the heart is normal."
        answers = (yes, no) if large else (no, yes)
        rows.append(
            shared
            | {"id": f"heart {n}", "question": "Is the heart enlarged?", "answer": answers[0], "rejected": answers[1]}
        )
        rows.append(
            shared | {"id": f"fluid {n}", "question": "Is there an effusion?", "answer": "No" if large else "Yes"}
        )
    return rows


def pictures(folder: Path, count: int = 12) -> list[dict[str, Any]]:
    """Bright and dark squares, each with a caption and a question."""
    (folder / "images").mkdir(exist_ok=True)
    rng, rows = np.random.default_rng(0), []
    for n in range(count):
        bright = n % 2 == 0
        pixels = rng.integers(150, 250, (40, 40, 3)) if bright else rng.integers(0, 60, (40, 40, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{n}.png")
        shared = {"image": f"images/{n}.png", "group": f"picture {n}", "split": split_of(n), "licence": "CC-BY-4.0"}
        rows.append(shared | {"id": f"caption {n}", "text": f"A {'bright' if bright else 'dark'} square number {n}."})
        question = {"question": "Is it bright?", "answer": "Yes" if bright else "No"}
        rows.append(shared | {"id": f"bright {n}", "source": "made-up pictures"} | question)
    return rows


def literature(count: int = 12) -> list[dict[str, Any]]:
    rows = []
    for n in range(count):
        does = "lowered" if n % 2 == 0 else "did not lower"
        row = {"id": f"article {n}", "split": split_of(n), "answer": "Yes" if n % 2 == 0 else "No"}
        row |= {"question": f"Does drug {n} lower blood pressure in adults?", "long_answer": f"Drug {n} {does} it."}
        rows.append(row | {"contexts": [f"In a trial, drug {n} {does} blood pressure."]})
    return rows


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return file
