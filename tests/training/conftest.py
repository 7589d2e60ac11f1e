"""A tiny image-caption set: coloured shapes, drawn here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 220), "yellow": (230, 220, 40)}
SHAPES = ("circle", "square", "triangle")


def draw(colour: str, shape: str, rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (96, 96), tuple(rng.integers(0, 60, 3).tolist()))
    x, y = rng.integers(8, 30, 2).tolist()
    size = int(rng.integers(40, 58))
    pen, box = ImageDraw.Draw(image), (x, y, x + size, y + size)
    if shape == "circle":
        pen.ellipse(box, fill=COLOURS[colour])
    elif shape == "square":
        pen.rectangle(box, fill=COLOURS[colour])
    else:
        pen.polygon([(x, y + size), (x + size, y + size), (x + size / 2, y)], fill=COLOURS[colour])
    return image


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 drawings of 12 kinds in two domains, two of a group, with captions that only the kinds have."""
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for n in range(240):
        colour, shape = list(COLOURS)[n % 4], SHAPES[n // 4 % 3]
        draw(colour, shape, rng).save(folder / "images" / f"{n}.png")
        row = {"id": f"c{n}", "image": f"images/{n}.png", "text": f"A {colour} {shape}.", "group": f"g{n // 2}"}
        licence = "CC0-1.0" if n % 2 else "CC-BY-4.0"
        domain = "radiology" if n // 2 % 2 else "pathology"
        rows.append(row | {"domain": domain, "source": f"drawn {n % 2}", "licence": licence, "cuis": [colour, shape]})
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder
