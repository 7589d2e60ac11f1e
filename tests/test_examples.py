"""The examples do what they say: each is one file, found by its dotted path."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rag
from rag.answering.engine import Engine
from rag.answering.replay import replay
from rag.building.index import Index
from rag.calibration.calibrate import CalibrationPlan, calibrate
from rag.calibration.synthesis import synthesize
from rag.calibration.traces import trace
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.plugins import Kind, find
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


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("reader", "add_reader:READER"),
        ("generator", "add_generator:FirstSentence"),
        ("text-encoder", "add_encoder:HashedWords"),
        ("risk", "add_risk:MissedFinding"),
        ("suite", "add_suite:Wordings"),
    ],
)
def test_every_example_says_by_which_path_it_is_used(kind: Kind, path: str, example: Callable[[str], Any]) -> None:
    module, _, attribute = path.partition(":")
    assert find(kind, path) is getattr(example(module), attribute)
    assert path in example(module).__doc__


def test_a_reader_is_added_and_names_what_it_cannot_use(example: Callable[[str], Any], tmp_path: Path) -> None:
    example("add_reader")
    source = tmp_path / "dictations.txt"
    source.write_text(
        "=== d1 group p1\nThe heart is enlarged.\n=== nonsense\nText.\n=== d3 group p3\n\n=== d4 group p1\nNo effusion."
    )
    index = rag.Index.create(tmp_path / "index")
    report = index.ingest(source, reader="add_reader:READER")
    assert report.added == 2
    assert [(q.record, q.reason) for q in report.quarantined] == [
        ("dictation 2", "Its first line is not of the form '=== ID group PATIENT'."),
        ("dictation 3", "It has no text."),
    ]
    assert {d.group_id for d in index.store.snapshot().documents("report")} == {"p1"}


def test_a_suite_is_added_and_measures(example: Callable[[str], Any], engine: Engine, tmp_path: Path) -> None:
    example("add_suite")
    rows = [
        ("Is there cardiomegaly?", "Is the heart enlarged?"),
        ("Is there cardiomegaly?", "Is the heart normal in size?"),
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps({"one": a, "other": b}) + "\n" for a, b in rows) + "not json\n")
    report = rag.evaluate(engine, "add_suite:Wordings", path, about="study CXR2814")
    assert report.rows[0].counts == {"pairs": 2, "both_answered": 2}
    assert report.value("same_verdict") == 0.5
    assert report.left_out == {"not a JSON object with one and other": 1}


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
    example: Callable[[str], Any], copy_index: Callable[[Path], None], tmp_path: Path
) -> None:
    example("add_risk")
    copy_index(tmp_path / "small")
    engine = Engine.open(tmp_path / "small")
    made = synthesize(Index(engine.store, engine.settings), count=120)
    labelled: list[LabelledQuestion] = [q.labelled() for q in made]
    plan = CalibrationPlan(allow_perfect=True, risk="add_risk:MissedFinding")
    result = calibrate(engine, labelled, alpha=0.2, delta=0.2, plan=plan)
    assert (result.certificate.risk, result.certificate.format) == ("missed-finding", 5)
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
