"""The compact model that ships: that it loads, what it weighs, and that its card tells the truth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.encoders.checkpoint import WEIGHTS
from rag.encoders.openclip import OpenClipEncoder
from rag.settings import knowledge_dir
from rag.training.retriever.examples import Example, divide
from rag.training.retriever.measure import measure

FOLDER = knowledge_dir() / "models" / "compact"


def rows(cases: Path) -> list[dict]:
    return [json.loads(line) for line in (cases / "cases.jsonl").read_text("utf-8").splitlines()]


def test_it_loads_and_is_small() -> None:
    encoder = OpenClipEncoder("compact")
    vectors = encoder.encode_texts(["Chest X-ray with pleural effusion.", "colour fundus, drusen", "colon, H&E"])
    assert vectors.shape == (3, encoder.dim)
    assert (FOLDER / WEIGHTS).stat().st_size <= 25_000_000


def test_its_card_names_every_licence(data: Path) -> None:
    card = (FOLDER / "README.md").read_text("utf-8")
    learned = [row for row in rows(data / "cases") if row["split"] == "train" and row.get("text")]
    assert {row["licence"] for row in learned if row["licence"] not in card} == set()
    assert "Research use only" in card
    assert "rag train retriever" in card


def test_its_recall_is_what_its_card_says(data: Path) -> None:
    """The test part, from the image files on. Texts are encoded in bfloat16 here, and many are nearly alike."""
    cases = data / "cases"
    examples = [
        Example(
            case=row["id"],
            image=str(cases / row["image"]),
            image_sha256="",
            text=row["text"].strip(),
            domain=row["domain"],
            group=row["group"],
            split=row["split"],
            source=row["source"],
            licence=row["licence"],
            concepts=frozenset(),
        )
        for row in rows(cases)
        if row.get("text", "").strip()
    ]
    test = divide(examples).test
    card = (FOLDER / "README.md").read_text("utf-8").partition("### test")[2].partition("###")[0]
    stated = {tuple(cells[:2]): float(cells[5]) for cells in _cells(card)}
    found = {(r.direction, r.queries): r for r in measure("compact", test, lambda n: None)}
    assert found["image to text", "all"].n == 498
    for key, result in found.items():
        assert result.at[10] == pytest.approx(stated[key], abs=0.02), key


def _cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
