"""What an open question about a study asks for, and which sentences of its report tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.verification.rules.wanted import Telling, needs_telling, tell

FOLDER = Path(__file__).parents[1] / "data" / "questions"
REPORTS = {r["id"]: r["text"] for r in map(json.loads, (FOLDER / "open-reports.jsonl").read_text().splitlines())}


def ask(question: str, report: str, texts: Texts) -> tuple[list[str], str]:
    told = tell(read_question(question, texts.lexicon), [report], "Chest X-ray report", texts)
    return [report[at.start : at.end] for at in told.sentences], told.missing


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("How large is the nodule?", "FINDINGS: A 5 mm nodule is seen."),
        ("Where is the effusion?", "Small left pleural effusion."),
        ("Where is the pneumothorax?", "No pneumothorax."),
        ("How is the heart?", "The heart is enlarged."),
        ("Is the heart normal or enlarged?", "The heart is enlarged."),
        ("Why was the film taken?", "INDICATION: Fever."),
        ("What was it compared with?", "COMPARISON: Film of May 2, 2020."),
        ("What is recommended?", "IMPRESSION: Repeat CT is recommended in six months."),
        ("When should the CT be repeated?", "IMPRESSION: Repeat CT is recommended in six months."),
    ],
)
def test_only_what_tells_it_is_quoted(question: str, quoted: str, texts: Texts) -> None:
    report = (
        "INDICATION: Fever.\nCOMPARISON: Film of May 2, 2020.\nFINDINGS: A 5 mm nodule is seen. "
        "Small left pleural effusion. No pneumothorax. The heart is enlarged.\n"
        "IMPRESSION: Repeat CT is recommended in six months."
    )
    assert ask(question, report, texts) == ([quoted], "")


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("Which dose of warfarin should this patient take?", "nothing in it speaks of “warfarin”"),
        ("How large is the effusion?", "it speaks of “effusion”, and does not say how large it is"),
        ("What is recommended?", "it has no recommendation"),
        ("How old is the patient?", "it does not say how old the patient is"),
        ("What did the MRI show?", "nothing in it speaks of “mri”"),
        ("What is pneumonia?", "a report does not explain what a word means"),
        ("How large is it?", "it does not say how large it is"),
    ],
)
def test_what_is_not_told_is_named(question: str, missing: str, texts: Texts) -> None:
    quoted, why = ask(question, "FINDINGS: Left pleural effusion. The heart is normal.", texts)
    assert quoted == []
    assert missing in why


def test_a_size_that_the_next_sentence_tells_is_of_what_this_one_names(texts: Texts) -> None:
    report = "A nodule is seen in the right upper lobe. It measures 5 mm. No pleural effusion."
    assert ask("How large is the nodule?", report, texts)[0] == ["It measures 5 mm."]


def test_the_degree_of_a_finding_is_no_size_of_its_organ(texts: Texts) -> None:
    assert ask("How large is the spine?", "Mild scoliosis of the spine.", texts)[0] != []
    assert ask("How thick is the retina?", "Moderate diabetic retinopathy.", texts)[0] == []


def test_silence_answers_whether_it_is_there_and_not_what_to_do(texts: Texts) -> None:
    assert not needs_telling(read_question("Is there an effusion?", texts.lexicon))
    assert needs_telling(read_question("Should the effusion be drained?", texts.lexicon))
    assert needs_telling(read_question("Where is the effusion?", texts.lexicon))


@given(st.sampled_from(sorted(REPORTS)), st.text(max_size=60))
def test_whatever_is_asked_sentences_of_the_report_or_a_reason_come_back(texts: Texts, study: str, text: str) -> None:
    report = REPORTS[study]
    told = tell(read_question(f"What {text}", texts.lexicon), [report], study, texts)
    assert isinstance(told, Telling)
    assert told.sentences or told.missing
    assert all(0 <= at.start < at.end <= len(report) for at in told.sentences)
