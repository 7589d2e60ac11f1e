"""Verdicts on pairs of sentence and evidence that were written for this project."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from rag.evaluation.metrics import score_classes
from rag.language.clinical_text import Texts
from rag.verification.rules.entailment import judge

PAIRS = [json.loads(line) for line in (Path(__file__).parent.parent / "data" / "verdicts.jsonl").open(encoding="utf-8")]
VERDICTS = ("supported", "contradicted", "unsupported")


@pytest.fixture(scope="module")
def counts(texts: Texts) -> Counter[tuple[str, str]]:
    return Counter((p["verdict"], judge(p["sentence"], p["evidence"], texts).verdict) for p in PAIRS)


def test_there_are_enough_of_every_verdict_and_topic() -> None:
    assert len({(p["sentence"], p["evidence"]) for p in PAIRS}) == len(PAIRS) >= 300
    assert min(Counter(p["verdict"] for p in PAIRS).values()) >= 100
    assert set(Counter(p["topic"] for p in PAIRS)) >= {"radiology", "ophthalmology", "pathology", "literature", "notes"}


def test_verdicts_agree(counts: Counter[tuple[str, str]]) -> None:
    assert sum(score.f1 for score in score_classes(counts, VERDICTS).values()) / 3 >= 0.9


def test_contradictions_are_seen(counts: Counter[tuple[str, str]]) -> None:
    labelled = sum(n for (label, _), n in counts.items() if label == "contradicted")
    assert counts["contradicted", "contradicted"] / labelled >= 0.95


def test_hardly_any_contradiction_passes_as_support(counts: Counter[tuple[str, str]]) -> None:
    assert counts["contradicted", "supported"] + counts["unsupported", "supported"] <= 0.01 * len(PAIRS)


@pytest.mark.parametrize(
    ("sentence", "evidence", "verdict"),
    [
        ("The nodule measures 3 cm.", "The nodule measures 30 mm.", "supported"),
        ("The nodule measures 3 cm.", "The nodule measures 5 cm.", "contradicted"),
        ("There are two nodules.", "There is one nodule.", "contradicted"),
        ("There is a nodule of 3 cm.", "There is a nodule.", "unsupported"),
        ("The effusion is large.", "There is an effusion.", "unsupported"),
        ("The mean age was 54 years.", "Mean age was 54.", "supported"),
        ("Mortality fell by 12%.", "Mortality fell by 1.2 percent.", "contradicted"),
        ("The kidney is enlarged.", "The heart is enlarged.", "unsupported"),
        ("", "The heart is enlarged.", "unsupported"),
        ("It is.", "The heart is enlarged.", "unsupported"),
    ],
)
def test_numbers_and_near_misses(sentence: str, evidence: str, verdict: str, texts: Texts) -> None:
    assert judge(sentence, evidence, texts).verdict == verdict


def test_every_sentence_supports_itself_or_says_nothing(texts: Texts) -> None:
    for text in {p["evidence"] for p in PAIRS}:
        assert judge(text, text, texts).verdict != "contradicted", text


def test_a_word_may_stand_for_one_of_nearly_the_same_meaning(texts: Texts) -> None:
    from rag.encoders.registry import load_text_encoder
    from rag.settings import Settings

    encoder = load_text_encoder(Settings().encoders)
    sentence, evidence = "The physician examined the abdomen.", "The doctor examined the abdomen."
    assert judge(sentence, evidence, texts).verdict == "unsupported"
    assert judge(sentence, evidence, texts, encoder.encode).verdict == "supported"
    assert judge("The plumber examined the abdomen.", evidence, texts, encoder.encode).verdict == "unsupported"
