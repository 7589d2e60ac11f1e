"""A yes or no about literature rests on the relation that is asked about, between the things that are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.generation.base import Request
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.language.initials import in_full
from rag.language.question import read_question
from rag.types import Draft, DraftSentence, Evidence, Question, Quote
from rag.verification.rules.efficacy import works
from rag.verification.rules.relation import why_beside
from rag.verification.verify import verify

ROWS = [json.loads(line) for line in (Path(__file__).parents[1] / "data" / "relations.jsonl").open(encoding="utf-8")]


def literature(text: str, title: str = "") -> Evidence:
    return Evidence(
        number=1, document_id="d", passage_id="d#0", kind="literature", domain="general", title=title, source="s",
        licence="l", case_id="d", group_id="d", channel="text", score=1.0, text=text, start=0, sha256="0",
        relevance=0.99,
    )  # fmt: skip


def read(question: str, text: str, texts: Texts, title: str = "") -> str:
    """What the reader says to it, after verification; empty where it is silent."""
    asked, e = read_question(question, texts.lexicon), literature(text, title)
    draft = ReaderGenerator(texts).generate(Request(Question(text=question), asked, (e,), 4, lambda *_: None))
    return draft.verdict or "" if verify(draft, asked, [e], texts).sentences else ""


@pytest.mark.parametrize("row", [r for r in ROWS if not r["answers"]], ids=lambda r: r["id"])
def test_what_is_said_of_something_else_is_no_answer(row: dict[str, str], texts: Texts) -> None:
    assert read(row["question"], row["sentence"], texts) == ""


def test_what_answers_is_still_read(texts: Texts) -> None:
    telling = [r for r in ROWS if r["answers"]]
    said = [read(r["question"], r["sentence"], texts) for r in telling]
    assert all(s in ("", r["answers"]) for s, r in zip(said, telling, strict=True)), "never the opposite"
    assert sum(map(bool, said)) >= 0.95 * len(telling)


@pytest.mark.parametrize("row", [r for r in ROWS if r["answers"] != "yes"], ids=lambda r: r["id"])
@pytest.mark.parametrize("own_words", [False, True], ids=["quoted", "in its own words"])
def test_a_models_yes_is_not_supported_by_another_relation(row: dict[str, str], own_words: bool, texts: Texts) -> None:
    asked, e = read_question(row["question"], texts.lexicon), literature(row["sentence"])
    statement = row["question"].split(maxsplit=1)[1].rstrip("?")
    text = f"Yes, {statement}." if own_words else f"Yes: “{row['sentence']}”"
    quote = Quote(number=1, start=0, end=len(row["sentence"]))
    said = (DraftSentence(text=text, quotes=(quote,)),)
    found = verify(Draft(sentences=said, text=text, verdict="yes", confidence=0.9), asked, [e], texts)
    assert all(c.verdict != "supported" for c in found.citations)


def test_a_model_reads_no_yes_from_what_is_said_of_another_gene(texts: Texts) -> None:
    question, text = (
        "Is MYC a tumour suppressor gene?",
        "HUWE1 is a tumour suppressor gene that prevents MYC signalling.",
    )
    asked, e = read_question(question, texts.lexicon), literature(text)
    said = (DraftSentence(text="Yes, it is.", quotes=(Quote(number=1, start=0, end=len(text)),)),)
    found = verify(Draft(sentences=said, text="Yes, it is.", verdict="yes", confidence=0.9), asked, [e], texts)
    assert (found.sentences, found.citations) == ((), ())


def test_a_model_reads_no_yes_from_a_trial_that_failed(texts: Texts) -> None:
    question, text = (
        "Is celecoxib effective for amyotrophic lateral sclerosis?",
        "Celecoxib did not slow the course of ALS.",
    )
    asked, e = read_question(question, texts.lexicon), literature(text, "Celecoxib in amyotrophic lateral sclerosis")
    said = (DraftSentence(text="Yes, it is.", quotes=(Quote(number=1, start=0, end=len(text)),)),)
    found = verify(Draft(sentences=said, text="Yes, it is.", verdict="yes", confidence=0.9), asked, [e], texts)
    assert (found.sentences, found.citations) == ((), ())


def test_a_title_names_what_a_pronoun_stands_for(texts: Texts) -> None:
    asked = read_question("Is colistin nephrotoxic?", texts.lexicon)
    assert not why_beside(asked, "yes", "It is nephrotoxic.", "Colistin", texts)
    assert why_beside(asked, "yes", "It is nephrotoxic.", "Gentamicin", texts)


@pytest.mark.parametrize(
    ("question", "sentence", "title"),
    [
        ("Is drusen a sign of macular degeneration?", "Drusen are yellow deposits.", "Drusen and macular degeneration"),
        ("Is papilledema bilateral?", "Papilledema is swelling of the optic disc.", "Papilledema"),
        ("Can a radiograph show glaucoma?", "Glaucoma refers to loss of retinal ganglion cells.", "Glaucoma"),
        ("Is cardiomegaly a disease?", "Cardiomegaly means that the heart is enlarged.", "Cardiomegaly"),
        ("Can CT exclude pneumonia?", "Organizing pneumonia shows as consolidation on CT.", ""),
        ("Can a radiograph exclude pneumothorax?", "Sliding of the pleura excludes a pneumothorax.", ""),
        ("Does sliding of the pleura exclude pneumothorax?", "Sliding of the pleura excludes a pneumothorax.", ""),
    ],
)
def test_what_only_the_title_or_nothing_says_is_no_yes(question: str, sentence: str, title: str, texts: Texts) -> None:
    assert read(question, sentence, texts, title) == ""


def test_a_side_that_is_said_is_a_yes(texts: Texts) -> None:
    assert read("Is papilledema bilateral?", "Papilledema is bilateral.", texts, "Papilledema") == "yes"


@pytest.mark.parametrize(
    ("sentence", "side"),
    [
        ("Celecoxib did not slow the progression of ALS.", "no"),
        ("Celecoxib failed to show benefit in amyotrophic lateral sclerosis.", "no"),
        ("Celecoxib is approved for amyotrophic lateral sclerosis.", "yes"),
        ("Celecoxib had no effect on death in ALS but improved strength.", None),
        ("We assessed the efficacy of celecoxib in amyotrophic lateral sclerosis.", None),
        ("Riluzole, unlike celecoxib, is effective in amyotrophic lateral sclerosis.", None),
        ("Celecoxib is effective in osteoarthritis.", None),
    ],
)
def test_results_of_trials_tell_whether_a_treatment_works(sentence: str, side: str | None, texts: Texts) -> None:
    asked = read_question("Is celecoxib effective for amyotrophic lateral sclerosis?", texts.lexicon)
    assert works(asked, sentence, "", texts) == side


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("It did not slow PD.", "It did not slow Parkinson's disease."),
        ("Panic disorder (PD) did not improve.", "Panic disorder (PD) did not improve."),
        ("It did not slow AD.", "It did not slow AD."),
    ],
)
def test_initials_stand_for_what_is_asked_about(text: str, full: str) -> None:
    assert in_full(text, "Is isradipine effective for Parkinson's disease?") == full
