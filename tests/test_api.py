"""The Python interface: one journey from a corpus to a certificate and an audit, and what its rules promise."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import rag
from rag.errors import IndexStateError

FINDINGS = {
    "cardiomegaly": ("The heart is enlarged.", "The heart is not enlarged."),
    "pleural effusion": ("There is a pleural effusion.", "There is no pleural effusion."),
    "pneumothorax": ("There is a pneumothorax.", "There is no pneumothorax."),
}
ONTOLOGY = """format-version: 1.2
data-version: hp/releases/2025-01-16

[Term]
id: HP:1000001
name: Recurrent pneumothorax
def: "A made-up term for this test, in which a known finding is contained." []
"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up reports: each asserts one finding and denies two."""
    path = tmp_path_factory.mktemp("corpus") / "cases.jsonl"
    rows = []
    for n in range(90):
        said = [texts[0 if i == n % 3 else 1] for i, texts in enumerate(FINDINGS.values())]
        rows.append({"id": f"S{n}", "text": " ".join(said), "domain": "radiology", "group": f"patient-{n}"})
    path.write_text("\n".join([*map(json.dumps, rows), '{"id": "broken"}']))
    return path


@pytest.fixture(scope="module")
def index(reports: Path, tmp_path_factory: pytest.TempPathFactory) -> rag.Index:
    made = rag.Index.create(tmp_path_factory.mktemp("indexes") / "mine")
    report = made.ingest(reports, reader="cases")
    assert (report.added, made.version) == (90, 1)
    assert [q.record for q in report.quarantined] == ["line 91"], "a bad record is listed and stops nothing"
    return made


def test_a_corpus_becomes_a_certificate_and_an_answer_is_audited(index: rag.Index, tmp_path: Path) -> None:
    engine = rag.Engine.open(index)
    answer = engine.ask("Does study S0 show cardiomegaly?")
    assert (answer.decision, answer.verdict) == ("answered", "yes")
    assert answer.certificate.status == "uncertified"
    assert engine.search("pneumothorax", k=3)

    questions = rag.synthesize(index, count=80)
    assert {q.labels for q in questions} == {"clear assertions of the text, read by ClinCite"}
    rag.write_questions(tmp_path / "questions.jsonl", questions)
    plan = rag.CalibrationPlan(allow_perfect=True)
    result = rag.calibrate(engine, tmp_path / "questions.jsonl", alpha=0.15, delta=0.1, plan=plan)
    assert result.certificate.alpha == 0.15
    assert rag.calibrate(engine, questions, alpha=0.15, delta=0.1, plan=plan).certificate.parts == (
        result.certificate.parts
    ), "questions from Python and from a file are the same"
    covered = engine.ask("Does study S1 show a pleural effusion?")
    assert covered.certificate.status == "valid"

    measured = rag.evaluate(engine, "questions", questions)
    assert measured.value("balanced_accuracy") >= 0.9
    assert "mine, version 1" in measured.table()
    assert measured.json()["rows"][0]["questions"] == len(questions)
    assert measured.html().startswith("<!doctype html>")

    assert engine.ledger[covered.audit_id].answer == covered
    answers = [e.audit_id for e in engine.ledger if e.kind == "answer"]
    assert answers == [answer.audit_id, covered.audit_id], "measuring records nothing"
    assert engine.verify(covered.audit_id).ok
    assert engine.replay(covered.audit_id).outcome == "identical"
    judged = engine.feedback(covered.audit_id, "corrected", correction="No effusion.")
    assert engine.ledger[judged.audit_id].kind == "feedback"
    for question in (engine.verify, engine.replay):
        with pytest.raises(rag.InputError, match="no answer is recorded"):
            question("a-20260101-nothing0")
        with pytest.raises(rag.InputError, match="not an answer but a feedback"):
            question(judged.audit_id)


def test_an_index_is_changed_and_changed_back(reports: Path, tmp_path: Path) -> None:
    settings = rag.load_settings(indexes=tmp_path)
    with rag.Index.create("mine", settings) as index:
        assert (index.version, index.path) == (0, tmp_path / "mine")
        index.ingest([reports, rag.Source(reports, "cases")])
        assert index.ingest(reports).unchanged == 90
        assert index.remove(groups=["patient-0", "patient-1"]) == 2
        assert [(v.added, v.removed) for v in index.versions()] == [(90, 0), (0, 2)]
        with pytest.raises(rag.InputError, match="no study 'S0'"):
            rag.Engine.open(index).ask("Is there cardiomegaly?", study="S0")
        assert index.rollback(1) == 3
        assert rag.Engine.open("mine", settings).ask("Is there cardiomegaly?", study="S0").verdict == "yes"
        index.compact(forget=True)
        assert [v.number for v in index.versions()] == [3]
        assert index.verify().sound
        with pytest.raises(rag.InputError, match="what to remove"):
            index.remove()
        index.delete()
    with pytest.raises(rag.InputError, match="no such index 'mine'"):
        rag.Index.open("mine", settings)


def test_identifiers_are_taken_out_and_what_left_the_source_leaves_the_index(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    rows = [{"id": f"n{n}", "text": f"Call +1 617 555 01{n}0. The heart is enlarged."} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)))
    index = rag.Index.create(tmp_path / "private")
    index.ingest(path, deidentify="mask", workers=1)
    with index.store.snapshot() as snapshot:
        assert not any("555" in d.text for d in snapshot.documents("report"))
    path.write_text(json.dumps(rows[0]))
    assert index.ingest(path, deidentify="mask", sync=True).removed == 2


def test_an_index_of_other_encoders_is_refused_and_can_be_encoded_anew(index: rag.Index, reports: Path) -> None:
    other = rag.load_settings(encoders={"joint": False, "image": "imagenet"})
    with rag.Index.open(index.path, other) as same:
        with pytest.raises(IndexStateError, match="reencode"):
            same.ingest(reports)
        with pytest.raises(rag.InputError, match="--workers"):
            same.reencode(workers="many")


def test_questions_are_made_with_the_terms_of_the_index(tmp_path: Path) -> None:
    """Whoever has read the ontology of this index takes its term for itself, and not for the finding inside its name:
    so does the engine that will answer, and so must whoever labels."""
    (tmp_path / "small.obo").write_text(ONTOLOGY)
    row = {"id": "E1", "text": "There is a recurrent pneumothorax.", "domain": "radiology", "group": "p"}
    (tmp_path / "reports.jsonl").write_text(json.dumps(row))
    index = rag.Index.create(tmp_path / "termed")
    index.ingest(tmp_path / "reports.jsonl")
    assert [q.finding for q in rag.synthesize(index)] == ["pneumothorax"]
    with pytest.raises(rag.InputError, match="no kind 'essay'"):
        rag.synthesize(index, kind="essay")  # type: ignore[arg-type]
    index.ingest(tmp_path / "small.obo")
    assert "HP:1000001" in rag.Engine.open(index).pipeline().lexicon.concepts
    with pytest.raises(rag.InputError, match="nothing to ask"):
        rag.synthesize(index)


# ------------------------------------------------------------------ what the interface promises


def test_importing_is_quick() -> None:
    """Of five starts the quickest, for a machine that is busy with other things; a start of Python itself included."""
    code = "import time; t = time.perf_counter(); import rag; print(time.perf_counter() - t)"
    times = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(5)
    ]
    assert min(times) < 0.3


def test_every_public_name_is_there_and_shows_how_it_is_used() -> None:
    assert set(rag.__all__) <= set(dir(rag))
    for name in rag.__all__:
        thing = getattr(rag, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert ">>>" in (inspect.getdoc(thing) or ""), f"rag.{name} shows no use"
    for function in (rag.train.retriever, rag.train.router):
        assert ">>>" in (inspect.getdoc(function) or "")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        rag.nothing  # noqa: B018


def test_nothing_public_takes_more_than_six_arguments() -> None:
    for name in rag.__all__:
        thing = getattr(rag, name)
        methods = inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else []
        functions = [thing] if inspect.isfunction(thing) else [f for _, f in methods if f.__module__.startswith("rag.")]
        for function in functions:
            given = [p for p in inspect.signature(function).parameters if p != "self"]
            assert len(given) <= 6, f"{function.__qualname__} takes {given}"


def test_types_of_the_interface_can_be_read_by_tools() -> None:
    for function in (rag.calibrate, rag.evaluate, rag.synthesize, rag.Index.ingest, rag.Engine.replay):
        assert typing.get_type_hints(function)


def shows_examples(path: Path) -> bool:
    lines = path.read_text(encoding="utf-8").splitlines()
    return any(line.lstrip().startswith(">>> ") and "+SKIP" not in line for line in lines)


PACKAGE = Path(rag.__file__).parent
SHOWN = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if shows_examples(path))


@pytest.mark.parametrize("file", SHOWN)
def test_what_the_documentation_shows_is_true(file: str) -> None:
    name = ".".join(("rag", *Path(file).with_suffix("").parts)).removesuffix(".__init__")
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed
