"""What stands beside a figure: baselines of the suite of questions, and two reports compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.engine import Engine
from rag.cli import main
from rag.errors import InputError
from rag.evaluation.baselines import ConstantAnswer, ShuffledEvidence, Trials, WordsAlone, beside
from rag.evaluation.compare import compare_reports, read_report
from rag.evaluation.questions import LabelledQuestion
from rag.evaluation.suite import evaluate
from rag.evaluation.suites.questions import QuestionTrials
from rag.progress import Silent
from rag.types import Question


def asked(n: int, text: str, answer: str, study: str | None = None, evidence: tuple[str, ...] = ()) -> LabelledQuestion:
    return LabelledQuestion(f"q{n}", Question(text=text, study=study), answer, f"g{n}", evidence)


def test_a_reader_says_nothing_without_evidence_and_nothing_from_another_patients(own: Engine) -> None:
    questions = [asked(n, "Is there cardiomegaly?", a, s) for n, (s, a) in enumerate([("r1", "yes"), ("r4", "no")])]
    report = evaluate(own, "questions", questions)
    assert report.value("right", **{"answered by": "as asked"}) == 1
    assert report.value("answered", **{"answered by": "no retrieval"}) == 0
    assert report.value("answered", **{"answered by": "shuffled evidence"}) == 0
    assert report.value("right", **{"answered by": "a constant"}) == 0.5
    assert {o["said"] for o in report.details["outcomes"]} == {"yes", "no"}


def test_the_evidence_of_the_labels_is_what_is_answered_from(own: Engine) -> None:
    with own.store.snapshot() as snapshot:
        (report,) = [d for d in snapshot.documents("report") if d.case_id == "r1"]
    questions = [asked(0, "Is there cardiomegaly?", "yes", "r1", (report.id,))]
    found = evaluate(own, "questions", questions)
    assert found.value("right", **{"answered by": "oracle evidence"}) == 1
    assert len(evaluate(own, "questions", questions, baselines=False).rows) == 1


def words_alone(questions: list[LabelledQuestion], own: Engine) -> list[str] | None:
    return WordsAlone().answers(QuestionTrials(questions, own.pipeline(), Silent()))


def test_words_alone_answer_where_words_give_the_answer_away(own: Engine) -> None:
    telling = [asked(n, "Is it large?" if n % 2 else "Is it small?", "yes" if n % 2 else "no") for n in range(40)]
    assert words_alone(telling, own) == [q.answer for q in telling]
    assert words_alone(telling[:4], own) is None
    trials = QuestionTrials([*telling, telling[1]], own.pipeline(), Silent())
    assert ConstantAnswer().answers(trials) == ["yes"] * 41


def test_the_name_of_a_study_gives_nothing_away(own: Engine) -> None:
    """Each study has its label twice; words that name it would be right always."""
    rows = [asked(n, f"Is it large in S{n}?", "yes" if n % 2 else "no", f"S{n}") for n in range(40)]
    said = words_alone(rows, own)
    assert said is not None and len(set(said)) == 1


def test_a_baseline_that_does_not_apply_has_no_row() -> None:
    trials = Trials(["Is it large?"] * 3, ["yes", "yes", "no"], ["a", "b", "c"])
    assert [name for name, _ in beside(trials)] == ["a constant"], "there is nothing to ask again"


def test_a_baseline_of_another_package_stands_in_every_table(own: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rag.plugins._offered", lambda kind: {"sure": [f"{__name__}:Sure"]} if kind == "baseline" else {}
    )
    report = evaluate(own, "questions", [asked(0, "Is there cardiomegaly?", "yes", "r1")])
    assert report.value("right", **{"answered by": "always sure"}) == 1


class Sure:
    name = "always sure"

    def answers(self, trials: Trials) -> list[str]:
        return ["yes"] * len(trials.labels)


class Echo(Trials):
    """Says whose evidence it was shown."""

    def holds_evidence(self, row: int) -> bool:
        return row != 2

    def from_evidence_of(self, rows: Sequence[int | None]) -> list[str]:
        return [str(row) for row in rows]


@given(groups=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12))
def test_shuffled_evidence_is_never_of_the_own_group_and_always_of_some_that_has_any(groups: list[str]) -> None:
    said = ShuffledEvidence().answers(Echo(["?"] * len(groups), ["yes"] * len(groups), groups))
    some = [n for n in range(len(groups)) if n != 2]
    possible = [[n for n in some if groups[n] != group] for group in groups]
    assert (said is None) == (not any(possible))
    for answer, could in zip(said or [], possible, strict=bool(said)):
        assert int(answer) in could if could else answer == "None"


def report(values: list[tuple[str, str, str]], accuracy: float) -> dict[str, Any]:
    outcomes = [{"id": i, "group": i, "answer": a, "said": s, "confidence": 1.0} for i, a, s in values]
    metrics = {"accuracy": {"value": accuracy, "low": None, "high": None}}
    return {"suite": "questions", "measured": {"index": "x"}, "rows": [{"metrics": metrics}], "outcomes": outcomes}


def test_reports_of_the_same_questions_are_paired() -> None:
    before = report([(str(n), "yes", "no" if n < 12 else "yes") for n in range(60)], 0.8)
    after = report([(str(n), "yes", "yes") for n in range(60)], 1.0)
    found = compare_reports(before, after)
    assert found.rows[0].counts == {"questions": 60, "groups_better": 12, "groups_worse": 0}
    assert found.rows[0].metrics["p"].value == pytest.approx(2 * 0.5**12)
    assert found.rows[0].metrics["difference"].low > 0
    assert found.rows[1].metrics["difference"].value == pytest.approx(0.2)
    assert compare_reports(before, before).rows[0].metrics["p"].value == 1
    assert not found.notes
    some = report([(str(n), "yes", "yes") for n in range(20)], 1.0)
    assert "60 questions before, 20 after, 20 in both" in compare_reports(before, some).table()


def test_what_cannot_be_compared_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="two suites"):
        compare_reports(report([], 1.0), {"suite": "labels", "rows": []})
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(report([], 0.5)))
    for content in ("nothing", "[]", '{"suite": 1}', '{"suite": "questions", "rows": [{}]}'):
        bad.write_text(content)
        with pytest.raises(InputError, match=r"bad.json is not a report"):
            read_report(bad)
    monkeypatch.setattr("sys.argv", ["rag", "evaluate", "compare", str(good), str(good)])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    assert "difference" in capsys.readouterr().out


def test_no_baselines_is_an_option_of_the_plain_command(
    own: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": "1", "question": "Is there cardiomegaly?", "answer": "yes", "study": "r1"}]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setattr("rag.cli.measuring.engine_of", lambda settings, index: own)
    monkeypatch.setattr("sys.argv", ["rag", "evaluate", str(tmp_path / "q.jsonl"), "--no-baselines"])
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    said = capsys.readouterr().out
    assert "baselines were not measured" in said
    assert "a constant" not in said
