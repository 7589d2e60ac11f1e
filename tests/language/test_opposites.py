"""A question and its opposite never get the same answer, and what is asked beyond presence is met or refused."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from rag.answering.engine import Engine
from rag.generation.base import Request
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.types import Draft, Evidence, Question, sha256_of

ABSENT = tuple(
    (opposite.format(thing), f"Is there {article} {thing}?".replace("  ", " "))
    for (article, thing), opposite in product(
        (
            ("a", "pleural effusion"),
            ("a", "pneumothorax"),
            ("", "cardiomegaly"),
            ("", "consolidation"),
            ("", "atelectasis"),
        ),
        ("Is there no {}?", "Is {} absent?", "Is {} excluded?", "Is {} ruled out?", "Has the {} resolved?"),
    )
)
STATES = tuple(
    pair
    for verb, structure in (("Is", "heart"), ("Are", "lungs"), ("Is", "spine"), ("Are", "bones"), ("Is", "mediastinum"))
    for pair in (
        (f"{verb} the {structure} normal?", f"{verb} the {structure} abnormal?"),
        (f"{verb} the {structure} free of any abnormality?", f"Is there any abnormality of the {structure}?"),
    )
)
OPPOSITES = (
    *ABSENT,
    *STATES,
    ("Is the heart larger than normal?", "Is the heart size normal?"),
    ("Is the heart bigger than it should be?", "Is the heart size normal?"),
    ("Is the cardiac silhouette enlarged?", "Is the cardiac silhouette normal?"),
    ("Are the lungs overinflated?", "Are the lungs normally inflated?"),
    ("Are the lungs clear?", "Are the lungs opaque?"),
    ("Are the bones intact?", "Are the bones damaged?"),
    ("Is the trachea midline?", "Is the trachea deviated?"),
    ("Are the costophrenic angles sharp?", "Are the costophrenic angles blunted?"),
    ("Is the chest tube removed?", "Is there a chest tube?"),
    ("Are the lungs free of infiltrates?", "Is there an infiltrate?"),
)


def evidence(text: str) -> Evidence:
    return Evidence(
        number=1, document_id="d", passage_id="d#0", kind="report", domain="radiology", title="", source="s",
        licence="l", case_id="d", group_id="d", channel="study", score=1.0, text=text, start=0, sha256=sha256_of(text),
    )  # fmt: skip


def ask(question: str, text: str, texts: Texts) -> Draft:
    asked = read_question(question, texts.lexicon)
    return ReaderGenerator(texts).generate(Request(Question(text=question), asked, (evidence(text),)))


def test_opposites_never_agree(engine: Engine, texts: Texts) -> None:
    assert len(set(OPPOSITES)) >= 40
    reports = [d.text for d in engine.store.snapshot().documents("report")]
    agreed: Counter[tuple[str, str]] = Counter()
    answered = 0
    for pair, text in product(OPPOSITES, reports):
        a, b = (ask(question, text, texts).verdict for question in pair)
        answered += a is not None and b is not None
        agreed[pair] += a is not None and a == b
    assert answered >= 0.5 * len(OPPOSITES) * len(reports)
    assert agreed.total() <= 0.01 * len(OPPOSITES) * len(reports), agreed.most_common(10)


@pytest.mark.parametrize(("size", "other"), product(("4", "8", "12", "25"), repeat=2))
def test_a_size_that_is_asked_for_is_met_by_the_report(size: str, other: str, texts: Texts) -> None:
    text = f"FINDINGS: There is a nodule of {size} mm in the right upper lobe."
    assert ask(f"Is there a nodule of {other} mm?", text, texts).verdict == ("yes" if size == other else "no")
    larger = ask(f"Is there a nodule larger than {other} mm?", text, texts).verdict
    assert larger == ("yes" if int(size) > int(other) else "no")
    smaller = ask(f"Is there a nodule smaller than {int(other) / 10} cm?", text, texts).verdict
    assert smaller == ("yes" if int(size) < int(other) else "no")


@pytest.mark.parametrize("level", ["L1", "L4", "T12"])
def test_levels_and_categories_are_met(level: str, texts: Texts) -> None:
    text = "There is a compression fracture of L1. BI-RADS 5."
    assert ask(f"Is there a compression fracture of {level}?", text, texts).verdict == (
        "yes" if level == "L1" else "no"
    )
    for category in "1245":
        assert ask(f"Is it BI-RADS {category}?", text, texts).verdict == ("yes" if category == "5" else "no")


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("Is there a nodule larger than 5 mm?", "the number"),
        ("Is the effusion new?", "whether it is new"),
        ("Is the effusion caused by heart failure?", "what it comes from"),
        ("Is there an effusion and a fracture?", "whether both are there"),
        ("Is the trachea narrower than normal?", "narrower than normal"),
        ("Has the pneumothorax resolved?", "does not mention it"),
    ],
)
def test_what_the_report_does_not_tell_is_named_and_not_answered(question: str, why: str, texts: Texts) -> None:
    draft = ask(question, "There is a nodule. There is a pleural effusion. The heart is normal.", texts)
    assert draft.verdict is None
    assert why in (draft.refusal or "")


def test_several_things_are_all_or_any(texts: Texts) -> None:
    text = "There is a pleural effusion. No pneumothorax. Atelectasis is seen."
    for question, verdict in (
        ("Is there an effusion and atelectasis?", "yes"),
        ("Is there an effusion and a pneumothorax?", "no"),
        ("Is there a pneumothorax or an effusion?", "yes"),
        ("Is there a pneumothorax and atelectasis?", "no"),
        ("Does it show no pneumothorax or effusion?", "no"),
        ("Is the chest free of effusion or pneumothorax?", "no"),
        ("Is there no pneumothorax or no effusion?", "yes"),
    ):
        assert ask(question, text, texts).verdict == verdict, question


def test_a_choice_is_no_yes_or_no_question(texts: Texts) -> None:
    for question in ("Is the effusion on the left or the right?", "Is the heart normal or enlarged?"):
        asked = read_question(question, texts.lexicon)
        assert not asked.yes_no
        assert asked.form == "choice"
