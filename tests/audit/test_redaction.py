"""Texts and images leave the ledger for good, on record, and every hash still verifies."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rag.audit.checks import check_entry
from rag.audit.feedback import feedback_on, give_feedback
from rag.audit.ledger import Given, Ledger
from rag.audit.redaction import age, redact, redact_before, redact_documents
from rag.errors import InputError
from rag.types import Evidence

from .samples import DOCUMENT, QUOTE, TEXT, WORKING, bytes_on_disk, make_answer


def holds(ledger: Ledger, audit_id: str) -> bool:
    """Whether a recorded answer verifies, with its document as it was."""
    chain = ledger.verify_chain()
    return check_entry(ledger.get(audit_id), lambda _id, _version: DOCUMENT, chain).ok


def test_images_are_kept_once_by_their_hash_and_for_their_owner_alone(
    ledger: Ledger, image: Callable[[str], str]
) -> None:
    for _ in range(2):
        ledger.append(make_answer(image=image("red")))
    ledger.append(make_answer(image=image("blue")))
    kept = list(ledger.images.folder.iterdir())
    assert {file.name for file in kept} == {e.image_sha256 for e in ledger.entries()}
    assert {file.stat().st_mode & 0o777 for file in kept} == {0o600}
    assert ledger.images.folder.stat().st_mode & 0o777 == 0o700


def test_an_image_that_vanished_before_it_was_recorded_is_told(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.png"):
        ledger.append(make_answer(image=str(tmp_path / "gone.png")))
    assert ledger.entries() == []


def test_the_bytes_of_an_image_go_and_its_hash_stays(
    ledger: Ledger, image: Callable[[str], str], tmp_path: Path
) -> None:
    given = make_answer(image=image("red"))
    ledger.append(given)
    sha256 = ledger.get(given.audit_id).image_sha256
    done = redact(ledger, given.audit_id, "asked by mistake", "key-1")
    assert (done.entries, done.parts, done.images) == ((given.audit_id,), 1, 1)
    assert not list(ledger.images.folder.iterdir())
    entry = ledger.get(given.audit_id)
    assert (entry.image_sha256, entry.answer) == (sha256, given)
    assert holds(ledger, given.audit_id)
    (record,) = ledger.entries(kind="redaction")
    assert (record.audit_id, record.caller, record.fields["why"]) == (done.audit_id, "key-1", "asked by mistake")


def test_an_image_stays_while_another_answer_holds_it(ledger: Ledger, image: Callable[[str], str]) -> None:
    first, second = make_answer(image=image("red")), make_answer(image=image("red"))
    ledger.extend([Given(first), Given(second)])
    assert redact(ledger, first.audit_id, "no longer needed").images == 0
    assert ledger.verify_chain().ok
    assert redact(ledger, second.audit_id, "no longer needed").images == 1
    assert ledger.verify_chain().ok


def test_old_images_go_and_new_ones_stay(ledger: Ledger, image: Callable[[str], str]) -> None:
    ledger.append(make_answer(image=image("red")))
    time.sleep(0.005)
    middle = datetime.now(UTC)
    time.sleep(0.005)
    ledger.append(make_answer(image=image("blue")))
    assert redact_before(ledger, middle, "retention").images == 1
    new, old = ledger.entries()
    assert ("image" in old.redacted, "image" in new.redacted) == (True, False)
    again = redact_before(ledger, middle, "retention")
    assert (again.audit_id, again.parts) == (None, 0), "nothing to do is not worth an entry"


def test_what_a_crash_left_among_the_images_is_swept(ledger: Ledger, image: Callable[[str], str]) -> None:
    ledger.append(make_answer(image=image("red")))
    (ledger.images.folder / ("0" * 64)).write_bytes(b"kept for an answer that was never recorded")
    redact_before(ledger, datetime(2000, 1, 1, tzinfo=UTC), "retention")
    assert [file.name for file in ledger.images.folder.iterdir()] == [ledger.entries()[0].image_sha256]


def test_all_texts_of_an_answer_go(ledger: Ledger, tmp_path: Path) -> None:
    given, other = make_answer("Is Mr Smith's heart enlarged?"), make_answer("another", document="e", group="e")
    ledger.append(given, WORKING)
    give_feedback(ledger, given.audit_id, "wrong", reason="Mr Smith is healthy")
    redact(ledger, given.audit_id, "asked by mistake", what="texts")
    left = bytes_on_disk(tmp_path)
    assert b"Smith" not in left and QUOTE.encode() not in left and b"aorta" not in left
    ledger.append(other, WORKING)
    assert holds(ledger, given.audit_id) and ledger.get(other.audit_id).answer == other
    shown = ledger.get(given.audit_id).answer
    assert (shown.question.text, shown.answer, shown.evidence[0].text) == ("[redacted]",) * 3
    assert (shown.decision, shown.confidence, shown.evidence[0].document_id) == ("answered", 0.9, "d")
    assert [f.mark for f in feedback_on(ledger, given.audit_id)] == ["wrong"]


def test_a_withdrawn_patient_leaves_the_ledger_and_others_stay(
    ledger: Ledger, image: Callable[[str], str], tmp_path: Path
) -> None:
    quoted = make_answer("quotes her", document="hers", group="P7")
    second = make_answer("shows her beside him", document="his", group="P8")
    hers = quoted.evidence[0].model_copy(update={"number": 2, "text": "Her secret finding."})
    shown = second.model_copy(update={"evidence": (*second.evidence, Evidence.model_validate(hers.model_dump()))})
    asked = make_answer("Mrs Jones?", document="his", group="P8", image=image("red"), exclude_groups=("P7",))
    apart = make_answer("of another", document="his", group="P8")
    for answer in (quoted, shown, asked, apart):
        ledger.append(answer, WORKING)
    give_feedback(ledger, asked.audit_id, "corrected", correction="Mrs Jones has it")
    done = redact_documents(ledger, "withdrawal", groups=["P7"])
    assert done.images == 1
    entries = {e.audit_id: e for e in ledger.entries()}
    assert set(entries[quoted.audit_id].redacted) == {"evidence:1", "answer", "draft"}
    assert set(entries[shown.audit_id].redacted) == {"evidence:2", "draft"}
    assert set(entries[asked.audit_id].redacted) == {"question", "image", "answer", "draft"}
    assert entries[apart.audit_id].redacted == ()
    left = bytes_on_disk(tmp_path / "ledger.sqlite") + bytes_on_disk(tmp_path)
    assert b"Her secret finding" not in left and b"Jones" not in left
    assert entries[shown.audit_id].answer.evidence[0].text == TEXT
    chain = ledger.verify_chain()
    assert chain.ok and chain.redacted == done.parts


def test_a_document_leaves_the_ledger(ledger: Ledger) -> None:
    one, other = make_answer(document="d1", group="g"), make_answer(document="d2", group="g")
    ledger.extend([Given(one), Given(other)])
    assert redact_documents(ledger, "retracted", documents=["d1"]).entries == (one.audit_id,)


@pytest.mark.parametrize(("text", "days"), [("30d", 30), ("1 day", 1), ("8w", 56), ("2 Years", 730), ("0d", 0)])
def test_ages_are_read(text: str, days: int) -> None:
    assert age(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "30 minutes", "9" * 12 + "y"])
def test_an_age_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="30d|2y"):
        age(text)


def test_a_redaction_needs_a_reason_and_an_entry(ledger: Ledger) -> None:
    given = make_answer()
    ledger.append(given)
    with pytest.raises(InputError, match="why"):
        redact(ledger, given.audit_id, "  ")
    with pytest.raises(InputError, match="a-unknown"):
        redact(ledger, "a-unknown", "why not")
