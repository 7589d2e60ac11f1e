"""How many contexts are enough: stored beside the index, applied to every answer, and stale when the search changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rag.answering.certificate import CertificatePart, StoredCertificate
from rag.answering.engine import Engine
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.replay import replay
from rag.audit.report import certificate_in_words
from rag.calibration.calibrate import CalibrationPlan, calibrate_contexts
from rag.errors import IndexStateError, InputError
from rag.evaluation.questions import LabelledQuestion
from rag.settings import GenerationSettings, RetrievalSettings, SelectionSettings, Settings
from rag.types import Domain, Question

NOW = {"index version": "3", "text encoder": "minilm"}
HERE = Domain(name="general", probability=1.0, out_of_domain=False)
STORED = EvidenceCertificate(
    alpha=0.1, delta=0.05, k=4, n=90, why="so", scope=("literature",), domains=("general", "radiology"),
    fingerprints=NOW,
)  # fmt: skip
QUESTION = "Does drusen lie in Bruch's membrane of the eye?"
NARROW = Settings(selection=SelectionSettings(k_max=1))  # without a floor, one context


@pytest.fixture
def own(copy_index: Callable[[Path], None], tmp_path: Path) -> Engine:
    copy_index(tmp_path / "small")
    return Engine.open(tmp_path / "small", NARROW)


def certified(engine: Engine, k: int) -> EvidenceCertificate:
    now = engine.pipeline().finding_fingerprints
    stored = STORED.model_copy(update={"k": k, "fingerprints": now, "domains": ("general", "ophthalmology")})
    stored.save(engine.store.path)
    return stored


@pytest.mark.parametrize(
    ("stored", "fingerprints", "least"),
    [
        (STORED, NOW, 4),
        (STORED, NOW | {"index version": "4"}, 0),
        (STORED, NOW | {"router": "new"}, 0),
        (STORED.model_copy(update={"k": None}), NOW, 0),
        (STORED.model_copy(update={"k": 1}), NOW, 0),
    ],
)
def test_it_is_a_floor_while_nothing_that_finds_passages_changes(
    stored: EvidenceCertificate, fingerprints: dict[str, str], least: int
) -> None:
    assert stored.least(fingerprints) == least


def test_it_promises_only_what_it_was_computed_for() -> None:
    promise = STORED.promise(NOW, "literature", HERE)
    assert (promise.status, promise.risk, promise.policy, promise.n) == ("valid", "missed-evidence", {"least": 4}, 90)
    for scope, domain, routed, why in (
        ("study", HERE, True, "literature only"),
        (None, HERE, True, "literature only"),
        ("literature", HERE.model_copy(update={"name": "pathology"}), True, "assigns to general, radiology"),
        ("literature", HERE.model_copy(update={"out_of_domain": True}), True, "assigns to"),
        ("literature", HERE, False, "assigns to"),
    ):
        refused = STORED.promise(NOW, scope, domain, routed)  # type: ignore[arg-type]
        assert refused.status == "uncertified"
        assert why in refused.why
    stale = STORED.promise(NOW | {"text encoder": "other"}, "literature", HERE)
    assert (stale.status, "text encoder" in stale.why, "index version" in stale.why) == ("stale", True, False)


def test_it_comes_back_from_disk_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert EvidenceCertificate.load(tmp_path) is None
    STORED.save(tmp_path)
    assert EvidenceCertificate.load(tmp_path) == STORED
    for damaged in ('{"alpha": 2}', "[]", "not json", '{"format": 2}'):
        (tmp_path / EvidenceCertificate.FILE).write_text(damaged)
        with pytest.raises(IndexStateError, match="missed-evidence"):
            EvidenceCertificate.load(tmp_path)


def test_every_answer_has_at_least_so_many_contexts_and_says_why(own: Engine) -> None:
    before = own.ask(QUESTION)
    assert before.selection is not None
    assert before.selection.kept == 1
    assert "promise" not in before.model_dump(mode="json")["selection"], "as it was written before there was any"
    certified(own, 3)
    after = own.ask(QUESTION)
    assert after.selection is not None
    assert (after.selection.kept, after.selection.rule, len(after.evidence)) == (3, "floor", 3)
    assert after.selection.promise is not None
    assert (after.selection.promise.status, after.selection.promise.alpha) == ("valid", 0.1)
    again = replay(own, own.ledger.get(after.audit_id))
    assert again.outcome == "identical", again
    (own.store.path / EvidenceCertificate.FILE).unlink()
    assert replay(own, own.ledger.get(after.audit_id)).outcome == "identical", "the floor is replayed as recorded"
    assert own.ask(QUESTION).selection == before.selection


def test_another_search_makes_it_stale_and_another_generator_does_not(own: Engine) -> None:
    certified(own, 3)
    other = Engine.open(own.store.path, NARROW.model_copy(update={"generation": GenerationSettings(seed=5)}))
    assert other.pipeline().least == 3
    deeper = Engine.open(own.store.path, NARROW.model_copy(update={"retrieval": RetrievalSettings(depth=10)}))
    assert deeper.pipeline().least == 0
    (answer,) = deeper.ask_many([Question(text=QUESTION)], record=False)
    assert answer.selection is not None
    assert answer.selection.kept == 1
    assert answer.selection.promise is not None
    assert answer.selection.promise.status == "stale"
    assert "retrieval settings" in answer.selection.promise.why


def test_a_certificate_about_answers_knows_the_floor_it_was_computed_with(own: Engine) -> None:
    part = CertificatePart(
        domains=("general", "ophthalmology"), delta=0.05, k=1, gamma=0.35, tau=0.1, n=90, coverage=1.0,
        observed_risk=0.0, risk_interval=(0.0, 0.1), why="certified",
    )  # fmt: skip
    stored = StoredCertificate(
        alpha=0.1, delta=0.05, scope=("literature",), fingerprints=own.fingerprints, parts=(part,)
    )
    stored.save(own.store.path)
    assert (own.store.path / StoredCertificate.FILE).is_file()
    assert own.ask(QUESTION).certificate.status == "valid"
    certified(own, 3)
    stale = own.ask(QUESTION).certificate
    assert stale.status == "stale"
    assert "least contexts" in stale.why
    stored.model_copy(update={"fingerprints": own.fingerprints}).save(own.store.path)
    both = own.ask(QUESTION)
    assert both.selection is not None
    assert (both.certificate.status, both.selection.kept) == ("valid", 3), "a policy of one context keeps the floor"


def test_a_number_that_labels_ask_for_is_certified_saved_and_applied(own: Engine) -> None:
    """Each question is labelled with what the search finds second, so two contexts are enough and one is not."""
    labelled = []
    for n, name in enumerate(d.title for d in own.store.snapshot().documents("literature")):
        question = Question(text=f"Is {name} seen in adults?")
        (turn,) = own.pipeline().begin([question], depth=20)
        found = list(dict.fromkeys(hit.document.id for hit in turn.found.hits))
        if len(found) > 1:
            labelled.append(LabelledQuestion(f"q{n}", question, "yes", f"g{n}", (found[1],)))
    assert len(labelled) >= 15
    kept = calibrate_contexts(own, labelled, alpha=0.2, delta=None)
    assert kept.k is not None
    assert kept.k >= 2
    assert EvidenceCertificate.load(own.store.path) == kept
    assert f"at least {kept.k} contexts" in kept.report()
    seen = 0
    for answer in own.ask_many([q.question for q in labelled], record=False):
        assert answer.selection is not None
        assert answer.selection.kept >= min(kept.k, len(answer.selection.candidates))
        seen += answer.selection.promise is not None and answer.selection.promise.status == "valid"
    assert seen >= kept.n
    with pytest.raises(InputError, match="'wrong-answer' is about answers"):
        calibrate_contexts(own, labelled, alpha=0.2, plan=CalibrationPlan(risk="wrong-answer"))


def test_another_risk_is_not_called_wrong() -> None:
    words = certificate_in_words(STORED.promise(NOW, "literature", HERE))
    assert "are wrong" not in words
    assert "missed-evidence" in words
