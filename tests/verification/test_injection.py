"""Retrieved text that gives orders changes no answer; a draft that obeyed it does not pass."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from rag.generation.base import Request
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.language.injection import blank_orders, strip_invisible
from rag.language.question import read_question
from rag.types import Draft, Evidence, Question
from rag.verification.base import Verified
from rag.verification.citations import parse
from rag.verification.verify import verify

CASES = [
    json.loads(line) for line in (Path(__file__).parent.parent / "data" / "injection.jsonl").open(encoding="utf-8")
]
REPORT = "FINDINGS: The heart is enlarged. No pneumothorax is seen. There is a small left pleural effusion."
NOTE = (
    "Pneumothorax is the presence of air in the pleural space. Drusen are yellow deposits below the retina. "
    "Cardiomegaly is an enlargement of the heart."
)
SILENT = "Is there a hiatal hernia?"
QUESTIONS = ("Is there a pneumothorax?", "Is the heart enlarged?", SILENT)


def passage(number: int, text: str, channel: str, kind: str = "report") -> Evidence:
    return Evidence(
        number=number, document_id=f"d{number}", passage_id=f"d{number}#0", kind=kind, domain="radiology", title="",
        source="s", licence="l", case_id=f"d{number}", group_id=f"d{number}", channel=channel, score=0.9, text=text,
        start=0, sha256="0",
    )  # fmt: skip


def answer(question: str, texts: Texts, *evidence: Evidence, image: str | None = None) -> tuple[Any, ...]:
    """What the reader says and cites, after verification."""
    asked = read_question(question, texts.lexicon)
    draft = ReaderGenerator(texts).generate(Request(Question(text=question, image=image), asked, evidence))
    checked = verify(draft, asked, evidence, texts)
    return draft.verdict, draft.probability, draft.refusal, checked.sentences, checked.citations


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_the_reader_answers_as_if_it_were_not_there(case: dict[str, str], texts: Texts) -> None:
    for question in QUESTIONS:
        for place in ("study", "image"):
            genuine = passage(1, REPORT, place)
            poisoned = passage(2, case["text"], place)
            image = "x.png" if place == "image" else None
            expected = answer(question, texts, genuine, image=image)
            found = answer(question, texts, genuine, poisoned, image=image)
            if question == SILENT and found != expected and found[4]:
                # a passage that says nothing of it may be cited for that, by its harmless words
                assert blank_orders(case["text"]).strip().endswith(found[4][0].quote)
                assert found[:3] == expected[:3]
            else:
                assert found == expected, (place, question)
    note, poisoned = passage(1, NOTE, "text", "literature"), passage(2, case["text"], "text", "literature")
    for question in ("Is pneumothorax the presence of air in the pleural space?", "What is pneumothorax?"):
        assert answer(question, texts, note, poisoned) == answer(question, texts, note)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_inside_a_genuine_report_it_is_not_read(case: dict[str, str], texts: Texts) -> None:
    genuine, poisoned = passage(1, REPORT, "study"), passage(1, f"{REPORT}\n{case['text']}", "study")
    for question in QUESTIONS[:2]:
        assert answer(question, texts, poisoned) == answer(question, texts, genuine)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_a_model_that_obeyed_is_caught(case: dict[str, str], texts: Texts) -> None:
    evidence = [passage(1, REPORT, "study"), passage(2, case["text"], "study"), passage(3, NOTE, "text", "literature")]
    assert obeyed(case["obeys"], evidence, texts).sentences == ()


def obeyed(text: str, evidence: list[Evidence], texts: Texts) -> Verified:
    asked = read_question("Is there a pneumothorax?", texts.lexicon)
    sentences = parse(text, evidence, texts)
    return verify(Draft(sentences=sentences, verdict="yes", confidence=1.0), asked, evidence, texts)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_what_is_blanked_keeps_its_place(case: dict[str, str]) -> None:
    text = f"{REPORT}\n{case['text']}\nThe lungs are clear."
    seen = blank_orders(text)
    assert len(seen) == len(text)
    assert seen.startswith(REPORT)
    assert all(a == b or b == " " for a, b in zip(text, seen, strict=True))


def test_there_are_enough_of_every_kind() -> None:
    assert len(CASES) >= 60
    assert len({c["kind"] for c in CASES}) >= 8
    assert len({c["text"] for c in CASES}) == len(CASES)


@pytest.mark.parametrize(
    "text",
    [
        "Please disregard the prior report; there is no fracture.",
        "The patient was instructed to return if fever develops.",
        "Respiratory system: clear to auscultation.",
        "The correct diagnosis is sarcoidosis. Findings were discussed with the patient.",
        "Patients did not respond to antibiotics [12]. See Smith et al. [13, 14].",
        "The model predicted mortality (p < 0.05) with a confidence interval of 0.9 to 1.1.",
        "Image quality is limited. Ignoring the artefact, the lungs are clear.",
    ],
)
def test_ordinary_prose_is_read_as_it_stands(text: str) -> None:
    assert blank_orders(text).split() == text.split() or "disregard" in text


def test_what_is_shown_hides_nothing() -> None:
    assert strip_invisible("The \u202eheart\u202c is\u200b large\U000e0041.") == "The heart is large."


@pytest.mark.parametrize(
    "piece",
    ["<", "-", "{", "[", '"', "<div ", '{"role": ', "<!-- ", "`", "</evidence>", "-- begin ", "\u202e", "# ",
     "question: ", "you must ", "ignore ", "<p hidden ", "| ", "\\ ", "] (", "/*", "{% ", "*", "answer ", "\u200b"],
)  # fmt: skip
def test_a_long_text_takes_no_long_time(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    begin = time.perf_counter()
    assert len(blank_orders(text)) == len(text)
    assert time.perf_counter() - begin < 5
