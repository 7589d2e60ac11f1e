"""Answers are judged right, wrong or corrected, in the chain, and judged answers become labelled questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.audit.feedback import feedback_on, give_feedback, labelled_questions
from rag.audit.ledger import Ledger
from rag.audit.redaction import redact
from rag.errors import InputError
from rag.evaluation.questions import read_yes_no

from .samples import make_answer


def test_judgements_join_the_chain_and_none_replaces_another(ledger: Ledger) -> None:
    given = make_answer()
    ledger.append(given)
    give_feedback(ledger, given.audit_id, "right", caller="key-1")
    give_feedback(ledger, given.audit_id, "corrected", correction=" No, it is normal. ", reason="seen the film")
    first, second = feedback_on(ledger, given.audit_id)
    assert (first.mark, first.caller, first.correction) == ("right", "key-1", None)
    assert (second.mark, second.correction, second.reason) == ("corrected", "No, it is normal.", "seen the film")
    chain = ledger.verify_chain()
    assert (chain.ok, chain.entries) == (True, 3)
    assert [e.audit_id for e in ledger.entries()] == [given.audit_id], "answers are listed, judgements apart"


@pytest.mark.parametrize(
    ("mark", "more", "words"),
    [
        ("perhaps", {}, "right, wrong, corrected"),
        ("corrected", {}, "correction"),
        ("right", {"correction": "no"}, "correction"),
        ("wrong", {"reason": "x" * 10_001}, "10,001"),
    ],
)
def test_a_judgement_that_says_nothing_is_refused(ledger: Ledger, mark: str, more: dict[str, str], words: str) -> None:
    given = make_answer()
    ledger.append(given)
    with pytest.raises(InputError, match=words):
        give_feedback(ledger, given.audit_id, mark, **more)  # type: ignore[arg-type]
    assert ledger.count() == 1


def test_only_answers_are_judged(ledger: Ledger) -> None:
    given = make_answer()
    ledger.append(given)
    made = give_feedback(ledger, given.audit_id, "right")
    for wrong in ("a-unknown", made.audit_id):
        with pytest.raises(InputError, match=wrong):
            give_feedback(ledger, wrong, "right")


def test_judged_answers_are_questions_that_calibration_reads(
    ledger: Ledger, image: Callable[[str], str], tmp_path: Path
) -> None:
    right = make_answer("Is it large?", study="CXR1")
    wrong = make_answer("Is it large there?", image=image("red"))
    corrected = make_answer("Does it float?").model_copy(update={"verdict": None, "decision": "abstained"})
    changed = make_answer("Twice judged?")
    useless, silent, open_one = make_answer(), make_answer(), make_answer("What is it?")
    open_one = open_one.model_copy(update={"verdict": None})
    gone = make_answer("Redacted?")
    for answer in (right, wrong, corrected, changed, useless, silent, open_one, gone):
        ledger.append(answer)
    for answer, mark in ((right, "right"), (wrong, "wrong"), (changed, "right"), (open_one, "right"), (gone, "right")):
        give_feedback(ledger, answer.audit_id, mark)  # type: ignore[arg-type]
    give_feedback(ledger, corrected.audit_id, "corrected", correction="Yes, it does.")
    give_feedback(ledger, changed.audit_id, "wrong")
    give_feedback(ledger, useless.audit_id, "corrected", correction="Rather large.")
    redact(ledger, gone.audit_id, "by mistake", what="texts")
    labels = labelled_questions(ledger)
    assert labels.skipped == {"no yes or no follows from the judgement": 2, "its question was redacted": 1}
    path = tmp_path / "judged.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in labels.rows))
    questions, skipped = read_yes_no(path)
    assert skipped == 0
    assert {q.id: q.answer for q in questions} == {
        right.audit_id: "yes",
        wrong.audit_id: "no",
        corrected.audit_id: "yes",
        changed.audit_id: "no",
    }
    by_id = {q.id: q for q in questions}
    assert by_id[right.audit_id].question.study == "CXR1"
    kept = by_id[wrong.audit_id].question.image
    assert kept is not None and Path(kept).read_bytes() == Path(image("red")).read_bytes()


def test_questions_that_are_not_independent_share_a_group(ledger: Ledger, image: Callable[[str], str]) -> None:
    answers = [
        make_answer("Is it large?", image=image("red")),
        make_answer("Is it wide?", image=image("red")),
        make_answer("Is it wide?", image=image("blue"), exclude_groups=("P1",)),
        make_answer("What is it?"),
        make_answer("what is  it?"),
    ]
    for answer in answers:
        ledger.append(answer)
        give_feedback(ledger, answer.audit_id, "right")
    groups = [row["group"] for row in labelled_questions(ledger).rows]
    assert groups[0] == groups[1] and groups[2] == "P1" and groups[3] == groups[4]
    assert len(set(groups)) == 3
