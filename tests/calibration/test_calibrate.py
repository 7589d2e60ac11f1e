"""Labelled questions become a certificate, and the engine lives by it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rag.answering.certificate import StoredCertificate
from rag.answering.confidence import Combiner
from rag.answering.engine import Engine
from rag.calibration.calibrate import CalibrationPlan, calibrate, calibrate_contexts
from rag.calibration.outcome import plot
from rag.calibration.synthesis import QuestionPlan, propose_questions
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
    made = propose_questions(engine.store.snapshot().documents("report"), lexicon, QuestionPlan(count=200))
    return [q.labelled() for q in made]


def test_a_certificate_is_computed_saved_and_attached_to_answers(own: Engine, labelled: list[LabelledQuestion]) -> None:
    result = calibrate(own, labelled, alpha=0.15, delta=0.1)
    (part,) = result.parts
    assert part.about == ("radiology",)
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
    strict = part.model_copy(update={"tau": 0.96})
    result.certificate.model_copy(update={"parts": (strict,)}).save(own.store.path)
    answers = own.ask_many([q.question for q in labelled[:60]], record=False)
    covered = [a for a in answers if a.certificate.status == "valid"]
    assert len(covered) > len(answers) / 2
    assert all(a.confidence >= 0.96 for a in covered if a.decision == "answered")
    assert {"abstained", "answered"} == {a.decision for a in covered}


def test_signals_are_weighed_by_the_ordering_groups_alone(own: Engine, labelled: list[LabelledQuestion]) -> None:
    def combiner(rows: list[LabelledQuestion]) -> Combiner | None:
        return (
            calibrate(own, rows, alpha=0.15, delta=0.1, plan=CalibrationPlan(combine=True))
            .certificate.parts[0]
            .combiner
        )

    honest = combiner(labelled)
    groups = [q.group for q in labelled]
    ordering = {groups[row] for row in learning_rows(groups)}

    def flipped(inside: bool) -> list[LabelledQuestion]:
        other = {"yes": "no", "no": "yes"}
        return [q._replace(answer=other[q.answer]) if (q.group in ordering) == inside else q for q in labelled]

    assert honest is not None
    assert combiner(flipped(inside=False)) == honest, "labels that are tested on teach nothing"
    assert combiner(flipped(inside=True)) != honest
    holm = calibrate(own, labelled, alpha=0.25, delta=0.1, plan=CalibrationPlan(control="holm"))
    assert holm.certificate.parts[0].combiner is None, "it has no ordering groups to learn from"


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
        if answer.certificate.status == "valid":
            said = trial.outcomes[0]
            confidence = part.combiner.at(trial.form)(said.signals) if said.verdict else said.confidence
            assert answer.confidence == pytest.approx(confidence, abs=1e-4)
            assert (answer.decision == "answered") == (answer.confidence >= part.tau)
    assert StoredCertificate.load(own.store.path) == result.certificate
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
        assert set(json.loads(line)) == {
            "key",
            "scope",
            "domain",
            "outcomes",
            "documents",
            "form",
            "features",
            "unread",
        }
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
        if a.side == q.answer
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
    stored = StoredCertificate.load(own.store.path)
    turned = [q._replace(answer="no" if q.answer == "yes" else "yes") if n % 2 else q for n, q in enumerate(labelled)]
    failed = calibrate(own, turned, alpha=0.05, delta=0.2)
    assert not failed.certificate.promises
    assert not failed.saved
    assert "keeps the certificate" in failed.report()
    assert StoredCertificate.load(own.store.path) == stored


@pytest.fixture(scope="module")
def several(engine: Engine, lexicon: Lexicon) -> list[LabelledQuestion]:
    made = propose_questions(engine.store.snapshot().documents("report"), lexicon, QuestionPlan(count=600, each=4))
    return [q.labelled() for q in made]


def test_several_questions_a_patient_are_tested_by_patient_and_described_by_form(
    own: Engine, several: list[LabelledQuestion]
) -> None:
    result = calibrate(own, several, alpha=0.2, delta=0.1)
    (part,), (stored,) = result.parts, result.certificate.parts
    assert part.certification.bound == "betting"
    assert part.certification.questions > 2 * part.certification.groups
    assert {"presence", "normality", "conjunction"} <= set(stored.by_form) <= set(result.certificate.forms)
    assert sum(t.questions for t in stored.by_form.values()) == part.certification.questions
    assert stored.silence is not None
    assert stored.silence.coverage == 1.0, "it is about answers"
    for words in ("presence: ", "does not mention it: ", "lost (95% interval"):
        assert words in result.report()
    answers = own.ask_many([q.question for q in several[:150]], record=False)
    (silent, *_) = [a for a in answers if a.verdict == "not_mentioned" and a.certificate.status == "valid"]
    assert f"of {stored.silence.questions} tested answers like it" in silent.reason


def test_a_certificate_for_each_form_shares_delta_and_covers_no_other_form(
    own: Engine, several: list[LabelledQuestion]
) -> None:
    result = calibrate(own, several, alpha=0.25, delta=0.2, plan=CalibrationPlan(per="form"))
    parts = result.certificate.parts
    assert len(parts) > 1
    assert {p.forms for p in parts} <= {(f,) for f in result.certificate.forms}
    assert sum(p.delta for p in parts) == pytest.approx(0.2)
    assert len({p.combiner.model_dump_json() for p in parts if p.combiner}) == 1, "learned once, from all forms"
    covered = {p.forms[0]: p for p in parts}
    for q, answer in zip(several[:80], own.ask_many([q.question for q in several[:80]], record=False), strict=True):
        if answer.certificate.status == "valid":
            (form,) = answer.certificate.forms
            assert covered[form].n == answer.certificate.n, q.question.text


def test_confidence_means_what_it_says_on_patients_it_was_not_learned_from(
    own: Engine, several: list[LabelledQuestion]
) -> None:
    result = calibrate(own, several, alpha=0.2, delta=0.1)
    (part,) = result.certificate.parts
    assert part.combiner is not None
    groups = sorted({q.group for q in several})
    ordering = {groups[i] for i in learning_rows(groups)}
    others = [q for q in several if q.group not in ordering]
    trials = try_settings([q.question for q in others], own.pipeline(), [(1, 1.0)])
    spoken = [(t.outcomes[0], t.form, q.answer) for t, q in zip(trials, others, strict=True) if t.outcomes[0].verdict]
    said = part.combiner.all(np.array([s.signals for s, _, _ in spoken]), [form for _, form, _ in spoken]).round(4)
    right = np.array([s.verdict == answer for s, _, answer in spoken])
    assert len(set(said)) >= 20
    assert abs(said.mean() - right.mean()) < 0.05
