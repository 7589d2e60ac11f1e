"""The examples do what they say: each is one file, found by its dotted path."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.answering.engine import Engine
from rag.answering.replay import replay
from rag.calibration.calibrate import CalibrationPlan, calibrate
from rag.calibration.synthesis import synthesize
from rag.calibration.traces import trace
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.language.lexicon import Lexicon
from rag.plugins import find
from rag.progress import Silent
from rag.settings import load_settings

FOLDER = Path(__file__).parent.parent / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """A module of the examples, as ``PYTHONPATH=examples`` finds it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for file in FOLDER.glob("*.py"):
        monkeypatch.delitem(sys.modules, file.stem, raising=False)
    return importlib.import_module


def test_every_example_names_the_dotted_path_that_uses_it() -> None:
    for file in FOLDER.glob("add_*.py"):
        text = file.read_text()
        assert re.search(rf"\b{file.stem}:(\w+)", text), file.name
        for name in re.findall(rf"\b{file.stem}:(\w+)", text):
            assert f"class {name}" in text or f"def {name}" in text, f"{file.name} names {name}, which it lacks"


def test_a_generator_is_added_and_its_sentence_verified(
    example: Callable[[str], Any], copy_index: Callable[[Path], None], tmp_path: Path
) -> None:
    answer = example("add_generator").main()
    assert answer.answer == "Drusen are small yellow deposits under the retina. [1]"
    assert [c.verdict for c in answer.citations] == ["supported"]
    copy_index(tmp_path / "small")
    engine = Engine.open(tmp_path / "small", load_settings(generation={"kind": "add_generator:FirstSentence"}))
    assert engine.fingerprints["generator"] == "first-sentence-1"
    refused = engine.ask("Is there cardiomegaly?", study="CXR1")
    assert refused.reason == "it answers open questions only"
    assert replay(engine, engine.ledger.get(refused.audit_id)).outcome == "identical"


def test_an_encoder_is_added_and_an_index_of_it_is_not_asked_with_another(example: Callable[[str], Any]) -> None:
    first, *_ = example("add_encoder").main()
    assert first.document.id == "a1"
    assert first.similarities["text"] > 0.2


def test_a_risk_is_added_and_governs_answers(
    example: Callable[[str], Any], copy_index: Callable[[Path], None], tmp_path: Path, lexicon: Lexicon
) -> None:
    example("add_risk")
    copy_index(tmp_path / "small")
    engine = Engine.open(tmp_path / "small")
    made = synthesize(engine.store.snapshot().documents("report"), lexicon, count=120)
    labelled: list[LabelledQuestion] = [q.labelled() for q in made]
    plan = CalibrationPlan(allow_perfect=True, risk="add_risk:MissedFinding")
    result = calibrate(engine, labelled, alpha=0.2, delta=0.2, plan=plan)
    assert (result.certificate.risk, result.certificate.format) == ("missed-finding", 4)
    answer = engine.ask_many([labelled[0].question], record=False)[0]
    assert (answer.certificate.status, answer.certificate.risk) == ("valid", "missed-finding")
    trials = trace(labelled, engine, Silent())
    answered = np.array([[said.verdict is not None for said in t.outcomes] for t in trials])
    denied, wrong = find("risk", plan.risk)(), find("risk", "wrong-answer")()
    for rows in (labelled, [q._replace(answer="no") for q in labelled]):
        lost, mistaken = (~risk.losses(rows, trials).correct & answered for risk in (denied, wrong))
        assert not (lost & ~mistaken).any(), "a finding that was denied was answered wrongly"
    assert mistaken.any()
    assert not lost.any(), "where no finding is there, none can be denied"
    with pytest.raises(InputError, match="there is no risk 'missing'; choose one of: wrong-answer, missed-evidence"):
        calibrate(engine, labelled, alpha=0.2, delta=0.2, plan=CalibrationPlan(risk="missing"))
