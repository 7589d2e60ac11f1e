"""Whatever is edited, removed or moved in a ledger is found, and the first place is named."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rag.audit.chain import ChainReport
from rag.audit.feedback import give_feedback
from rag.audit.ledger import Ledger
from rag.audit.redaction import redact
from rag.errors import InputError

from .samples import WORKING, make_answer, tamper

ENTRIES = 7
COLUMNS = ("number", "kind", "audit_id", "created", "record", "previous", "sha256")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A ledger with every kind of entry: answers, one of them with an image, a judgement, a redaction."""
    folder = tmp_path_factory.mktemp("whole")
    Image.new("RGB", (8, 8), "red").save(folder / "red.png")
    ledger = Ledger(folder / "ledger.sqlite")
    answers = [make_answer(f"question {n}?") for n in range(4)]
    for answer in answers:
        ledger.append(answer, WORKING)
    give_feedback(ledger, answers[0].audit_id, "wrong", reason="not enlarged")
    redact(ledger, answers[1].audit_id, "asked by mistake", what="texts")
    ledger.append(make_answer(image=str(folder / "red.png")), WORKING)
    ledger.close()
    yield folder


def changed(whole: Path, *statements: str, values: tuple[Any, ...] = (), expect: str | None = None) -> ChainReport:
    """What a check says of a copy of the ledger after the statements."""
    with TemporaryDirectory() as folder:
        copy = shutil.copytree(whole, Path(folder) / "copy")
        tamper(copy / "ledger.sqlite", *statements, values=values)
        return Ledger(copy / "ledger.sqlite").verify_chain(expect=expect)


def cell(whole: Path, query: str, *values: Any) -> Any:
    with closing(sqlite3.connect(whole / "ledger.sqlite")) as connection:
        row = connection.execute(query, values).fetchone()
        return row[0] if row else None


def test_an_untouched_ledger_verifies(whole: Path) -> None:
    report = Ledger(whole / "ledger.sqlite").verify_chain()
    assert report.ok and report.entries == ENTRIES and report.redacted > 0
    assert report.head == cell(whole, "SELECT sha256 FROM entries WHERE number = ?", ENTRIES)


@settings(max_examples=60)
@given(number=st.integers(1, ENTRIES), column=st.sampled_from(COLUMNS), data=st.data())
def test_any_edit_of_any_column_is_found_and_named(whole: Path, number: int, column: str, data: st.DataObject) -> None:
    before = cell(whole, f"SELECT {column} FROM entries WHERE number = ?", number)
    if column == "number":
        after: Any = data.draw(st.integers(-5, 100).filter(lambda n: not 1 <= n <= ENTRIES))
    else:
        at = data.draw(st.integers(0, len(before) - 1))
        letter = data.draw(st.characters(codec="ascii", exclude_characters=before[at]))
        after = before[:at] + letter + before[at + 1 :]
    report = changed(whole, f"UPDATE entries SET {column} = ? WHERE number = ?", values=(after, number))
    moved_to_the_end = column == "number" and number == ENTRIES and after > number
    first = 1 if column == "number" and after < 1 else number
    assert (report.ok, report.broken) == (False, ENTRIES if moved_to_the_end else first)
    assert report.problem


@settings(max_examples=40)
@given(data=st.data(), column=st.sampled_from(["text", "salt", "name"]))
def test_any_edit_of_any_text_is_found_and_named(whole: Path, data: st.DataObject, column: str) -> None:
    with closing(sqlite3.connect(whole / "ledger.sqlite")) as connection:
        parts = connection.execute(f"SELECT rowid, entry, {column} FROM parts ORDER BY rowid").fetchall()
    row, number, before = data.draw(st.sampled_from(parts))
    at = data.draw(st.integers(0, len(before) - 1))
    letter = data.draw(st.characters(codec="ascii", exclude_characters=before[at]))
    values = (before[:at] + letter + before[at + 1 :], row)
    report = changed(whole, f"UPDATE parts SET {column} = ? WHERE rowid = ?", values=values)
    assert (report.ok, report.broken) == (False, number)


@pytest.mark.parametrize("number", range(1, ENTRIES))
def test_a_removed_entry_is_named(whole: Path, number: int) -> None:
    report = changed(whole, "DELETE FROM entries WHERE number = ?", values=(number,))
    assert (report.broken, report.broken_at) == (number, f"entry {number}")
    assert "removed" in report.problem
    closed = changed(
        whole,
        f"DELETE FROM entries WHERE number = {number}",
        "UPDATE entries SET number = -number",
        f"UPDATE entries SET number = -number - (number < -{number})",
    )  # somebody closes the gap
    assert closed.broken == number


@settings(max_examples=30)
@given(st.permutations(range(1, ENTRIES + 1)).filter(lambda order: list(order) != sorted(order)))
def test_entries_in_another_order_are_found_and_the_first_is_named(whole: Path, order: list[int]) -> None:
    moves = [f"UPDATE entries SET number = {new + 1000} WHERE number = {old}" for new, old in enumerate(order, start=1)]
    report = changed(whole, *moves, "UPDATE entries SET number = number - 1000")
    assert (report.ok, report.broken) == (False, next(n for n, old in enumerate(order, start=1) if n != old))


def test_a_text_that_is_missing_without_a_recorded_redaction_is_found(whole: Path) -> None:
    report = changed(whole, "DELETE FROM parts WHERE entry = 3 AND name = 'evidence:1'")
    assert report.broken == 3
    assert "evidence:1" in report.problem


def test_a_text_added_to_an_entry_is_found(whole: Path) -> None:
    assert changed(whole, "INSERT INTO parts VALUES (3, 'note', '', 'forged')").broken == 3


@pytest.mark.parametrize("left", range(ENTRIES))
def test_an_end_that_was_cut_off_shows_to_who_kept_the_head(whole: Path, left: int) -> None:
    head = cell(whole, "SELECT sha256 FROM entries WHERE number = ?", ENTRIES)
    cut = f"DELETE FROM entries WHERE number > {left}"
    report = changed(whole, cut, expect=head)
    assert not report.ok and "cut off" in report.problem
    assert changed(whole, "INSERT INTO entries SELECT * FROM entries WHERE 0", expect=head).ok


def test_an_earlier_head_still_holds_when_the_ledger_has_grown(whole: Path) -> None:
    for number in range(1, ENTRIES + 1):
        noted = cell(whole, "SELECT sha256 FROM entries WHERE number = ?", number)
        assert Ledger(whole / "ledger.sqlite").verify_chain(expect=noted).ok


def test_an_image_that_was_exchanged_is_found(whole: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(whole, tmp_path / "copy")
    (kept,) = (copy / "images").iterdir()
    kept.write_bytes(b"another image")
    ledger = Ledger(copy / "ledger.sqlite")
    assert ledger.verify_chain().broken == ENTRIES
    assert ledger.verify_chain(images=False).ok
    kept.unlink()
    assert "image" in ledger.verify_chain().problem


def test_nothing_recorded_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing is recorded"):
        Ledger(tmp_path / "ledger.sqlite").verify_chain()
