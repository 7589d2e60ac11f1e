"""Labelled questions become a certificate, and the engine lives by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.answering.certificate import load_certificate
from rag.answering.confidence import Combiner
from rag.answering.engine import Engine
from rag.calibration.calibrate import CalibrationPlan, calibrate, calibrate_contexts
from rag.calibration.outcome import plot
from rag.calibration.synthesis import propose_questions
from rag.calibration.traces import TRACES, trace
from rag.calibration.trials import try_settings
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.language.lexicon import Lexicon
from rag.progress import Silent
from rag.risk_control.procedure import learning_rows
from rag.settings import AnsweringSettings, Settings
from rag.types import Question


@pytest.fixture
def own(copy_index: Callable[[Path], None], tmp_path: Path) -> Engine:
    """An engine on a copy of the small index: certificates are written beside the index."""
    copy_index(tmp_path / "small")
    return Engine.open(tmp_path / "small")


@pytest.fixture(scope="module")
def labelled(engine: Engine, lexicon: Lexicon) -> list[LabelledQuestion]:
    made = propose_questions(engine.store.snapshot().documents("report"), lexicon, count=200)
    return [q.labelled() for q in made]


def test_a_certificate_is_computed_saved_and_attached_to_answers(own: Engine, labelled: list[LabelledQuestion]) -> None:
    result = calibrate(own, labelled, alpha=0.15, delta=0.1)
    (part,) = result.parts
    assert part.domains == ("radiology",)
    assert part.certification.policy is not None
    covered = own.ask("Does study CXR2814 show cardiomegaly?")
    assert covered.certificate.status == "valid"
    assert covered.certificate.policy == part.certification.policy.as_dict()
    assert covered.certificate.domains == ("radiology",)
    given = own.ask("Is there cardiomegaly?", study="CXR1", domain="radiology").certificate
    assert given.status == "uncertified", "the asker's domain is not the router's"
    assert own.ask("What is drusen?").certificate.status == "uncertified"
    assert Engine.open(own.store.path).ask("Is there cardiomegaly?", study="CXR1").certificate.status == "valid"
    for part in ("groups", "risk", "coverage", "study"):
        assert part in result.report()


def test_answers_below_the_certified_confidence_are_withheld(own: Engine, labelled: list[LabelledQuestion]) -> None:
    result = calibrate(own, labelled, alpha=0.15, delta=0.1)
    (part,) = result.certificate.parts
    strict = part.model_copy(update={"tau": 0.9})
    result.certificate.model_copy(update={"parts": (strict,)}).save(own.store.path)
    answers = own.ask_many([q.question for q in labelled[:60]], record=False)
    assert all(a.confidence >= 0.9 for a in answers if a.decision == "answered")
    assert any(a.decision == "abstained" for a in answers)


def test_signals_are_weighed_by_the_ordering_groups_alone(own: Engine, labelled: list[LabelledQuestion]) -> None:
    def combiner(rows: list[LabelledQuestion]) -> Combiner | None:
        return (
            calibrate(own, rows, alpha=0.15, delta=0.1, plan=CalibrationPlan(combine=True))
            .certificate.parts[0]
            .combiner
        )

    honest = combiner(labelled)
    trials = trace(labelled, own, Silent())
    groups = [q.group for q, t in zip(labelled, trials, strict=True) if t.domain.name == "radiology"]
    ordering = {groups[row] for row in learning_rows(groups)}

    def flipped(inside: bool) -> list[LabelledQuestion]:
        other = {"yes": "no", "no": "yes"}
        return [q._replace(answer=other[q.answer]) if (q.group in ordering) == inside else q for q in labelled]

    assert honest is not None
    assert combiner(flipped(inside=False)) == honest, "labels that are tested on teach nothing"
    assert combiner(flipped(inside=True)) != honest
    with pytest.raises(InputError, match="'holm' has none"):
        calibrate(own, labelled, alpha=0.15, delta=0.1, plan=CalibrationPlan(combine=True, control="holm"))


def test_answers_under_a_certificate_with_weighed_signals_are_as_sure_as_these_say(
    own: Engine, labelled: list[LabelledQuestion]
) -> None:
    question = labelled[0].question
    (plain,) = own.ask_many([question], record=False)
    result = calibrate(own, labelled, alpha=0.15, delta=0.1, plan=CalibrationPlan(combine=True))
    (part,) = result.certificate.parts
    assert part.combiner is not None
    assert part.tau is not None
    answers = own.ask_many([q.question for q in labelled[:40]], record=False)
    trials = try_settings([q.question for q in labelled[:40]], own.pipeline(), [(part.k or 1, part.gamma or 1.0)])
    for answer, trial in zip(answers, trials, strict=True):
        assert answer.confidence == pytest.approx(part.combiner(trial.outcomes[0].signals), abs=1e-4)
        assert (answer.decision == "answered") == (answer.confidence >= part.tau)
    assert load_certificate(own.store.path) == result.certificate
    with own.store.writer() as writer:
        writer.remove(document_ids=["CXR1"])
        writer.publish("remove one")
    (stale,) = own.ask_many([question], record=False)
    assert stale.certificate.status == "stale"
    assert stale.confidence == plain.confidence, "no certificate, no weights of it"


def test_a_change_of_the_index_makes_the_certificate_stale(own: Engine, labelled: list[LabelledQuestion]) -> None:
    calibrate(own, labelled, alpha=0.15, delta=0.1)
    with own.store.writer() as writer:
        writer.remove(document_ids=["CXR1"])
        writer.publish("remove one")
    certificate = own.ask("Does study CXR2814 show cardiomegaly?").certificate
    assert certificate.status == "stale"
    assert "index version" in certificate.why
    cautious = Settings(answering=AnsweringSettings.model_validate({"when_uncertified": "abstain"}))
    assert Engine.open(own.store.path, cautious).ask("Is there cardiomegaly?", study="CXR2814").decision == "abstained"


def test_an_interrupted_trace_goes_on_where_it_stopped(
    own: Engine, labelled: list[LabelledQuestion], monkeypatch: pytest.MonkeyPatch
) -> None:
    some = labelled[:80]
    whole = trace(some, own, Silent())
    (cache,) = (own.store.path / TRACES).glob("*.jsonl")
    lines = cache.read_text().splitlines()
    cache.write_text("\n".join(lines[:50]) + "\n" + lines[50][:20])  # killed while writing line 51
    asked: list[int] = []
    monkeypatch.setattr(
        "rag.calibration.traces.try_settings", lambda qs, p, s: asked.append(len(qs)) or try_settings(qs, p, s)
    )
    assert trace(some, own, Silent()) == whole
    assert sum(asked) == 30


def test_traces_hold_no_text(own: Engine, labelled: list[LabelledQuestion]) -> None:
    trace(labelled[:20], own, Silent())
    (cache,) = (own.store.path / TRACES).glob("*.jsonl")
    for line in cache.read_text().splitlines():
        assert set(json.loads(line)) == {"key", "scope", "domain", "outcomes", "documents"}
    assert not any(q.question.text in cache.read_text() for q in labelled)


def test_the_plot_comes_with_its_numbers(own: Engine, labelled: list[LabelledQuestion], tmp_path: Path) -> None:
    plot(calibrate(own, labelled, alpha=0.15, delta=0.1), tmp_path / "risk.png")
    assert (tmp_path / "risk.png").read_bytes().startswith(b"\x89PNG")
    head, *rows = (tmp_path / "risk.csv").read_text().splitlines()
    assert head == "domains,tau,coverage,risk"
    coverages = [float(row.split(",")[2]) for row in rows]
    assert coverages == sorted(coverages, reverse=True)


def test_contexts_are_certified_where_evidence_is_labelled(own: Engine, labelled: list[LabelledQuestion]) -> None:
    assert calibrate_contexts(own, labelled, alpha=0.1, delta=0.05).k == 1, "a study's report comes first"
    with pytest.raises(InputError, match="evidence"):
        calibrate_contexts(own, [q._replace(evidence=()) for q in labelled], alpha=0.1, delta=0.05)


@pytest.mark.parametrize(
    ("alpha", "delta", "count", "words"),
    [(0.0, 0.05, 100, "alpha"), (0.1, 1.0, 100, "delta"), (0.01, 0.01, 100, "at least"), (0.1, 0.05, 5, "at least")],
)
def test_what_can_never_be_certified_is_refused_with_the_number_needed(
    alpha: float, delta: float, count: int, words: str, own: Engine, labelled: list[LabelledQuestion]
) -> None:
    with pytest.raises(InputError, match=words):
        calibrate(own, labelled[:count], alpha=alpha, delta=delta)


def test_all_wrong_labels_open_questions_and_leaks_are_refused(own: Engine, labelled: list[LabelledQuestion]) -> None:
    flipped = [q._replace(answer="no" if q.answer == "yes" else "yes") for q in labelled]
    right = {
        q.id
        for q, a in zip(labelled, own.ask_many([q.question for q in labelled], record=False), strict=True)
        if a.verdict == q.answer
    }
    with pytest.raises(InputError, match="is wrong"):
        calibrate(own, [q for q in flipped if q.id in right], alpha=0.15, delta=0.1)
    perfect = [q for q in labelled if q.id in right]
    with pytest.raises(InputError, match="not taken from the answers"):
        calibrate(own, perfect, alpha=0.15, delta=0.1)
    assert (
        calibrate(own, perfect, alpha=0.15, delta=0.1, plan=CalibrationPlan(allow_perfect=True))
        .parts[0]
        .certification.policy
    )
    opened = labelled[0]._replace(question=Question(text="What does it show?", study=labelled[0].question.study))
    with pytest.raises(InputError, match="not a yes/no question"):
        calibrate(own, [opened, *labelled[1:]], alpha=0.15, delta=0.1)
    image = labelled[0]._replace(question=Question(text="Is there an effusion?", image="x.png"))
    with pytest.raises(InputError, match="its own patient"):
        calibrate(own, [image, *labelled[1:]], alpha=0.15, delta=0.1)


def test_a_calibration_that_fails_takes_no_certificate_away(own: Engine, labelled: list[LabelledQuestion]) -> None:
    good = calibrate(own, labelled, alpha=0.25, delta=0.2)
    assert good.certificate.promises
    stored = load_certificate(own.store.path)
    turned = [q._replace(answer="no" if q.answer == "yes" else "yes") if n % 2 else q for n, q in enumerate(labelled)]
    failed = calibrate(own, turned, alpha=0.05, delta=0.2)
    assert not failed.certificate.promises
    assert not failed.saved
    assert "keeps the certificate" in failed.report()
    assert load_certificate(own.store.path) == stored
