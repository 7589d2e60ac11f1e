"""The reader against people: human codes of Open-i reports, and questions asked about them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from rag.corpus.source import read_source
from rag.errors import InputError
from rag.evaluation.questions import WITHHELD, LabelledQuestion, agreement, read_yes_no
from rag.evaluation.suite import evaluate
from rag.generation.reader import SILENCE
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.reading import read_passage as read_text
from rag.types import Document, Question


class Side(NamedTuple):
    right: int
    total: int


@pytest.fixture(scope="module")
def reports() -> dict[str, str]:
    return {d.id: d.text for d in read_source("openi") if isinstance(d, Document)}


def says_yes(question: str, study: str, text: str, texts: Texts) -> bool:
    reading = read_text(read_question(question, texts.lexicon, study), text, texts)
    return (reading.probability if reading.mentioned else SILENCE) >= 0.5


def test_agreement_with_human_codes(data: Path, reports: dict[str, str], texts: Texts) -> None:
    """F1 of at least 0.85, averaged over findings with at least 20 positives. A sample of every third report."""
    with (data / "iuxray" / "openi_labels.csv").open() as stream:
        rows = [r for r in csv.DictReader(stream) if r["filename"] in reports]
    scores = []
    for finding in (c for c in rows[0] if c not in ("filename", "normal")):
        if sum(r[finding] == "1" for r in rows) < 20:
            continue
        sample = [r for n, r in enumerate(rows) if n % 3 == 0 or r[finding] == "1"]
        weight = {True: 1, False: 3}  # negatives were sampled
        question = f"Does the study show {finding.replace('_', ' ').lower()}?"
        tp = fp = fn = 0
        for r in sample:
            gold, said = r[finding] == "1", says_yes(question, r["filename"], reports[r["filename"]], texts)
            tp += gold and said
            fn += gold and not said
            fp += weight[gold] * (said and not gold)
        scores.append(2 * tp / (2 * tp + fp + fn))
    assert len(scores) >= 10
    assert sum(scores) / len(scores) >= 0.85


def test_questions_about_studies(data: Path, reports: dict[str, str], texts: Texts) -> None:
    """Balanced accuracy of at least 0.90 on the questions whose right answer begins with yes or no."""
    counts = {True: [0, 0], False: [0, 0]}
    for line in (data / "iuxray" / "dev_qa.jsonl").read_text().splitlines():
        row = json.loads(line)
        answer = row["chosen"].lower().replace(",", " ").split()[0]
        if answer in ("yes", "no"):
            gold = answer == "yes"
            counts[gold][1] += 1
            counts[gold][0] += says_yes(row["question"], row["study"], reports[row["study"]], texts) == gold
    yes, no = (Side(*counts[side]) for side in (True, False))
    assert yes.total > 500
    assert no.total > 500
    assert (yes.right / yes.total + no.right / no.total) / 2 >= 0.90


def test_a_question_file_is_asked_and_counted(tmp_path: Path, engine) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "questions.jsonl"
    rows = [
        {"id": "1", "question": "Is there cardiomegaly?", "study": "CXR2814", "answer": "yes"},
        {"id": "2", "question": "Is there a pneumothorax?", "study": "CXR2814", "answer": "Yes, there is."},
        {"id": "3", "question": "Is there a pneumothorax?", "study": "CXR1", "chosen": "No, there is none."},
        {"id": "4", "question": "What is seen?", "study": "CXR1", "answer": "a heart"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    before = len(engine.ledger.entries(10_000))
    found = evaluate(engine, "questions", path)
    assert found.left_out == {"the answer is neither yes nor no": 1}
    assert found.row().counts == {"questions": 3, "yes": 2, "no": 1}
    assert (found.value("yes_recalled"), found.value("no_recalled"), found.value("balanced_accuracy")) == (0.5, 1, 0.75)
    assert found.details["wrong"] == ["2"]
    assert len(engine.ledger.entries(10_000)) == before, "measurements are not recorded as answers"


def test_a_withheld_answer_is_missed_by_its_side_and_claims_nothing() -> None:
    labels = ["yes"] * 4 + ["no"] * 6
    said = ["yes"] * 3 + [WITHHELD] + ["no"] * 4 + ["yes", WITHHELD]
    questions = [LabelledQuestion(str(n), Question(text="Is it?"), label, str(n)) for n, label in enumerate(labels)]
    row = agreement(questions, said, {})
    assert row.metrics["F1_of_yes"].value == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert (row.metrics["answered"].value, row.metrics["right"].value) == (0.8, pytest.approx(7 / 8))
    assert (row.metrics["yes_recalled"].value, row.metrics["no_recalled"].value) == (0.75, pytest.approx(4 / 6))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not json", "line 1: not JSON"),
        ('{"id": "1", "answer": "yes"}', "line 1: a question needs"),
        (
            '{"id": "1", "question": "a?", "answer": "no"}\n{"id": "1", "question": "b?", "answer": "no"}',
            "occurs twice",
        ),
    ],
)
def test_a_bad_question_file_names_the_line(line: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(line)
    with pytest.raises(InputError, match=words):
        read_yes_no(tmp_path / "q.jsonl")
