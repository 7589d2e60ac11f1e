"""Free texts of other systems are read as a careful person would read them; what answers nothing is no side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.evaluation.free_text import FreeAnswer, read_answer
from rag.language.clinical_text import Texts

GOLD = [json.loads(line) for line in (Path(__file__).parents[1] / "data" / "answers.jsonl").open(encoding="utf-8")]


def read(row: dict[str, object], texts: Texts) -> str:
    said = read_answer(str(row["text"]), question=str(row.get("question", "")), options=row.get("options"), texts=texts)
    return f"{said.meaning}:{said.option}" if said.option else said.meaning


def test_there_are_lines_of_every_meaning() -> None:
    assert len(GOLD) >= 150
    assert {row["expect"].split(":")[0] for row in GOLD} == {"yes", "no", "maybe", "refused", "none", "option"}


@pytest.mark.parametrize("row", GOLD, ids=lambda row: repr(row["text"])[:50])
def test_each_line_is_read_as_a_person_reads_it(row: dict[str, object], texts: Texts) -> None:
    assert read(row, texts) == row["expect"]


@given(text=st.text(max_size=300))
def test_any_text_is_read_without_failing(text: str, texts: Texts) -> None:
    assert isinstance(read_answer(text, texts=texts), FreeAnswer)
    assert read_answer(text, options={"A": "left", "B": "right"}, texts=texts).option in (None, "A", "B")


@given(side=st.sampled_from(["yes", "no", "maybe"]), before=st.sampled_from(["", "- ", "**", "> ", "Answer: ", "\n "]))
def test_what_is_written_around_a_word_changes_nothing(side: str, before: str, texts: Texts) -> None:
    for word in (side, side.upper(), side.capitalize()):
        assert read_answer(f"{before}{word}.", texts=texts).meaning == side
