"""Suites that measure reading: labelled sentences, abstracts with their questions, another report beside one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion, read_yes_no
from rag.evaluation.suite import evaluate
from rag.evaluation.suites.abstracts import AbstractSuite
from rag.generation.base import Request
from rag.generation.chat import LanguageGenerator, Piece
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings, Settings, load_settings
from rag.types import Draft, Question


def labelled(study: str, text: str, answer: str) -> LabelledQuestion:
    return LabelledQuestion(f"{study}-{text}", Question(text=text, study=study), answer, study)


QUESTIONS = [
    labelled("CXR2814", "Does study CXR2814 show cardiomegaly?", "yes"),
    labelled("CXR1", "Is there a pleural effusion in study CXR1?", "no"),
    labelled("CXR1", "Does study CXR1 show a pneumothorax?", "no"),
]


class Gullible(ReaderGenerator):
    """A generator that believes the last passage it is given."""

    def __init__(self, settings: GenerationSettings, texts: Texts) -> None:
        super().__init__(texts)

    def generate(self, request: Request) -> Draft:
        last = request.evidence[-1].model_copy(update={"channel": "study"})
        return super().generate(Request(request.question, request.asked, (last,)))


class Talker:
    """A language model that always says the same, and is sure of it."""

    fingerprint, window, parallel, may_think = "talker", None, 1, False
    says = "Yes. Aspirin lowered mortality [1]."

    def count(self, messages: object) -> int:
        return 1

    def chat(self, messages: object) -> Iterator[Piece]:
        yield Piece(self.says, yes=0.97)


GIVEN: list[Texts] = []


def talk(settings: GenerationSettings, texts: Texts) -> LanguageGenerator:
    GIVEN.append(texts)
    return LanguageGenerator(Talker(), settings, texts)


def written_by(name: str) -> Settings:
    """Settings whose generator is one of this file, found by its dotted path."""
    return load_settings(generation={"kind": f"{__name__}:{name}"})


def test_the_reader_does_not_follow_another_report(engine: Engine) -> None:
    found = evaluate(engine, "reliance", QUESTIONS)
    row = found.row()
    assert row.counts["pairs"] + sum(found.left_out.values()) == len(QUESTIONS)
    assert row.counts["pairs"] >= 2
    assert row.metrics["followed"].value <= 0.1
    for first in (False, True):
        again = evaluate(engine, "reliance", QUESTIONS, first=first)
        assert again.row().counts["kept"] == again.row().counts["pairs"]


def test_reliance_measures_the_generator_of_the_settings(engine: Engine) -> None:
    gullible = Engine(engine.store, written_by("Gullible"))
    found = evaluate(gullible, "reliance", QUESTIONS)
    assert found.value("followed") == 1.0, "a generator that believes everything is seen to"
    assert set(found.details["following"]) <= {q.id for q in QUESTIONS}
    refuted = evaluate(gullible, "reliance", QUESTIONS, first=True)
    assert refuted.value("followed") == 0.0, "and one that believes the last passage believes the study's own"


def test_over_reliance_on_real_reports(data: Path, engine: Engine) -> None:
    rows, _ = read_yes_no(data / "iuxray" / "dev_qa.jsonl")
    mine = [r for r in rows if r.question.study and engine.has_study(r.question.study)][:60]
    found = evaluate(engine, "reliance", mine)
    assert found.row().counts["pairs"] >= 20
    assert found.value("followed") <= 0.1


ABSTRACTS = [
    {"question": "Does aspirin lower mortality?", "contexts": ["Aspirin lowered mortality."], "answer": "yes"},
    {"question": "Does aspirin cause fever?", "contexts": ["Aspirin was well tolerated."], "answer": "no"},
    {"question": "Does aspirin help?", "contexts": ["Results were mixed."], "answer": "maybe"},
]


@pytest.fixture
def abstracts(tmp_path: Path) -> Path:
    path = tmp_path / "abstracts.jsonl"
    path.write_text("\n".join(map(json.dumps, ABSTRACTS)))
    return path


def test_what_a_language_model_writes_is_read_verified_and_counted(abstracts: Path) -> None:
    """Its draft is text with markers; a suite that skips the parsing finds that nothing was ever answered."""
    found = evaluate(written_by("talk"), "abstracts", abstracts)
    assert found.details["label/answer"]["yes/yes"] == 1
    assert found.row().counts == {"questions": 3, "answered": 1}, "what no context says does not pass verification"
    assert found.value("accuracy") == pytest.approx(2 / 3)
    assert found.value("right_of_the_answered") == 1.0
    assert found.value("accuracy", **{"answered by": "a constant"}) == pytest.approx(1 / 3)
    assert found.value("right_of_the_answered", **{"answered by": "no retrieval"}) == 0.0
    assert "talker" in found.measured["generator"]


@pytest.mark.parametrize("suite", ["abstracts", "reliance"])
def test_suites_read_with_the_terms_of_the_index(suite: str, abstracts: Path, engine: Engine) -> None:
    """Whoever writes has the engine's own lexicon, with a term of the ontology that the index holds."""
    GIVEN.clear()
    evaluate(Engine(engine.store, written_by("talk")), suite, QUESTIONS if suite == "reliance" else abstracts)
    (texts,) = GIVEN
    assert "HP:0000568" in texts.lexicon.concepts


def test_what_is_not_answered_counts_as_maybe(abstracts: Path) -> None:
    rows = AbstractSuite().read(abstracts).rows
    silent = evaluate(Settings(), "abstracts", rows[2:])
    assert (silent.row().counts["answered"], silent.value("accuracy")) == (0, 1.0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"question": "Is it?", "contexts": [], "answer": "yes"}', "line 1: a row needs"),
        ('{"question": "Is it?", "contexts": ["a"], "answer": "perhaps"}', "line 1: a row needs"),
        ("", "holds no questions"),
    ],
)
def test_a_bad_file_of_abstracts_names_the_line(line: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line)
    with pytest.raises(InputError, match=words):
        AbstractSuite().read(tmp_path / "a.jsonl")


def rag(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rag.cli import main; main()", "evaluate", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_commands_print_a_table_or_json() -> None:
    sentences = str(Path(__file__).parent.parent / "data" / "assertion.jsonl")
    table = rag("assertion", sentences, "--where", "part=last", "--wrong")
    assert table.returncode == 0, table.stderr
    assert "| absent " in table.stdout
    assert "is absent, read as" in table.stdout
    found = json.loads(rag("assertion", sentences, "--where", "part=last", "--json").stdout)
    assert found["rows"][0]["metrics"]["absent_F1"]["value"] >= 0.93
    for args in (("assertion", sentences, "--where", "part"), ("assertion", "nowhere.jsonl"), ("abstracts", "nowhere")):
        refused = rag(*args)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


def test_abstracts_by_command(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "Is it so?", "contexts": ["Nothing of the kind."], "answer": "maybe"}\n')
    done = rag("abstracts", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"][0]["questions"] == 1


def test_claims_are_judged_beside_what_anybody_gets_without_reading(tmp_path: Path) -> None:
    from rag.evaluation.suites.claims import ClaimSuite

    rows = [
        {"claim": "Aspirin reduced mortality.", "evidence": "Aspirin reduced mortality.", "label": "supports"},
        {"claim": "Aspirin reduced mortality.", "evidence": "Aspirin did not reduce mortality.", "label": "refutes"},
        {"claim": "Aspirin reduced mortality.", "evidence": "Vitamin D is a hormone.", "label": "neutral"},
        {"claim": "Zinc helps.", "evidence": "Masks are worn.", "label": "neutral"},
    ]
    (tmp_path / "claims.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = evaluate(Settings(), ClaimSuite(), tmp_path / "claims.jsonl")
    by_judge = {row.of["judge"]: row.metrics for row in found.rows}
    assert by_judge["the rules"]["macro_F1"].value == 1.0
    assert by_judge["a constant"]["accuracy"].value == 0.5
    assert by_judge["no retrieval"]["accuracy"].value == 0.5, "nothing is neutral"
    (tmp_path / "claims.jsonl").write_text(json.dumps({"claim": "x", "evidence": "y", "label": "maybe"}))
    with pytest.raises(InputError, match="line 1"):
        ClaimSuite().read(tmp_path / "claims.jsonl")
