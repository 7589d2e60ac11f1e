"""Suites that measure reading: labelled sentences, abstracts with their questions, another report beside one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.evaluation.suites.abstracts import evaluate_abstracts, read_abstracts
from rag.evaluation.suites.reliance import evaluate_reliance
from rag.generation.base import Request
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.progress import Silent
from rag.types import Draft, DraftSentence, Question, Quote


def labelled(study: str, text: str, answer: str) -> LabelledQuestion:
    return LabelledQuestion(f"{study}-{text}", Question(text=text, study=study), answer, study)


QUESTIONS = [
    labelled("CXR2814", "Does study CXR2814 show cardiomegaly?", "yes"),
    labelled("CXR1", "Is there a pleural effusion in study CXR1?", "no"),
    labelled("CXR1", "Does study CXR1 show a pneumothorax?", "no"),
]


class Gullible:
    """A generator that believes the last passage it is given."""

    fingerprint = "gullible"

    def __init__(self, texts: Texts) -> None:
        self._reader = ReaderGenerator(texts)

    def generate(self, request: Request) -> Draft:
        last = request.evidence[-1].model_copy(update={"channel": "study"})
        return self._reader.generate(Request(request.question, request.asked, (last,)))


def test_the_reader_does_not_follow_another_report(engine: Engine, texts: Texts) -> None:
    with engine.store.snapshot() as snapshot:
        outcome = evaluate_reliance(QUESTIONS, snapshot, ReaderGenerator(texts), texts, Silent())
        gullible = evaluate_reliance(QUESTIONS, snapshot, Gullible(texts), texts, Silent())
    assert outcome.pairs + outcome.own_wrong + outcome.no_other == len(QUESTIONS)
    assert outcome.pairs >= 2
    assert outcome.rate <= 0.1
    assert outcome.kept + outcome.abstained + outcome.followed == outcome.pairs
    assert gullible.rate == 1.0, "a generator that believes everything is seen to"


def test_over_reliance_on_real_reports(data: Path, engine: Engine, texts: Texts) -> None:
    from rag.evaluation.questions import read_questions

    rows, _ = read_questions(data / "iuxray" / "dev_qa.jsonl")
    with engine.store.snapshot() as snapshot:
        mine = [r for r in rows if r.question.study and snapshot.has_case(r.question.study)][:60]
        outcome = evaluate_reliance(mine, snapshot, ReaderGenerator(texts), texts, Silent())
    assert outcome.pairs >= 20
    assert outcome.rate <= 0.1


class AlwaysYes:
    """Says yes, and quotes the first words of the abstract."""

    fingerprint = "yes"

    def generate(self, request: Request) -> Draft:
        e = request.evidence[0]
        sentence = DraftSentence(text=f"Yes: “{e.text}”", quotes=(Quote(number=1, start=0, end=len(e.text)),))
        return Draft(sentences=(sentence,), verdict="yes", probability=0.9, confidence=0.9)


def test_abstracts_are_counted_by_label_and_answer(tmp_path: Path, texts: Texts) -> None:
    path = tmp_path / "abstracts.jsonl"
    rows = [
        {"question": "Does aspirin lower mortality?", "contexts": ["Aspirin lowered mortality."], "answer": "yes"},
        {"question": "Does aspirin cause fever?", "contexts": ["Aspirin was well tolerated."], "answer": "no"},
        {"question": "Does aspirin help?", "contexts": ["Results were mixed."], "answer": "maybe"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    outcome = evaluate_abstracts(read_abstracts(path), AlwaysYes(), texts, Silent())
    assert outcome.n == 3
    assert outcome.majority == pytest.approx(1 / 3)
    assert outcome.counts["yes", "yes"] == 1
    assert outcome.accuracy >= outcome.majority
    silent = evaluate_abstracts(read_abstracts(path)[2:], ReaderGenerator(texts), texts, Silent())
    assert (silent.answered, silent.accuracy) == (0, 1.0), "what is not answered counts as maybe"


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
        read_abstracts(tmp_path / "a.jsonl")


def rag(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rag.cli import main; main()", "evaluate", *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_commands_print_a_table_or_json() -> None:
    sentences = str(Path(__file__).parent.parent / "data" / "assertion.jsonl")
    table = rag("assertion", sentences, "--where", "part=last", "--wrong")
    assert table.returncode == 0, table.stderr
    assert "| absent |" in table.stdout
    found = json.loads(rag("assertion", sentences, "--where", "part=last", "--json").stdout)
    assert found["statuses"]["absent"]["f1"] >= 0.93
    for args in (("assertion", sentences, "--where", "part"), ("assertion", "nowhere.jsonl"), ("abstracts", "nowhere")):
        refused = rag(*args)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


def test_abstracts_by_command(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "Is it so?", "contexts": ["Nothing of the kind."], "answer": "maybe"}\n')
    done = rag("abstracts", str(path), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n"] == 1
