"""Who does not look at the image does not answer about it, and what is only seen is said to be only seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import rag
from rag import Engine, Settings
from rag.answering.image_guard import ImageEffects
from rag.audit.checks import documents_in
from rag.audit.report import html_report
from rag.calibration.blind import silence_blind
from rag.calibration.calibrate import CalibrationPlan, calibrate
from rag.calibration.trials import try_settings
from rag.errors import IndexStateError, InputError
from rag.evaluation.questions import LabelledQuestion
from rag.risk_control.policy import SETTINGS
from rag.types import SEEN, Question

PATIENTS = 36

Open = Callable[[str], Engine]


@pytest.fixture
def opened(built: Path, settings: Settings, tmp_path: Path) -> Open:
    """An engine on a copy of the ten documents, whose generator is named."""
    folder = shutil.copytree(built, tmp_path / "ten")

    def opened(generator: str) -> Engine:
        chosen = settings.model_copy(
            update={"generation": settings.generation.model_copy(update={"kind": f"fakes:make_{generator}"})}
        )
        return Engine.open(folder, chosen)

    return opened


@pytest.fixture
def questions(tmp_path: Path) -> list[LabelledQuestion]:
    return asked_about(PATIENTS, tmp_path)


@pytest.fixture
def many(tmp_path: Path) -> list[LabelledQuestion]:
    """Enough for a calibration to set some apart; the router says where they belong."""
    return [
        q._replace(question=q.question.model_copy(update={"domain": None})) for q in asked_about(4 * PATIENTS, tmp_path)
    ]


def asked_about(patients: int, tmp_path: Path) -> list[LabelledQuestion]:
    """Is a haemorrhage seen? It is where the picture is red: two patients in three."""
    made = []
    for n in range(patients):
        red = n % 3 > 0
        Image.new("RGB", (24 + n % 5, 24), "red" if red else "blue").save(tmp_path / f"q{n}.png")
        asked = Question(
            text="Is there a retinal haemorrhage?",
            image=str(tmp_path / f"q{n}.png"),
            exclude_groups=(f"q{n}",),
            domain="ophthalmology",
        )
        made.append(LabelledQuestion(f"q{n}", asked, "yes" if red else "no", f"q{n}"))
    return made


def test_who_looks_is_found_to_see_and_answers(opened: Open, questions: list[LabelledQuestion]) -> None:
    engine = opened("seeing")
    report = rag.evaluate(engine, "sight", questions, save=True)
    assert report.row(domain="ophthalmology", form="presence").of["status"] == "sees"
    assert report.value("right", form="presence") == 1.0
    assert report.value("exchanged", form="presence") == 0.0, "each is exchanged for one of the other answer"
    answer = engine.ask(questions[1].question)
    assert (answer.decision, answer.verdict) == ("answered", "yes")
    assert answer.certificate.image_effect is not None
    assert answer.certificate.image_effect.status == "sees"


def test_who_is_right_without_looking_is_blind_and_is_not_believed(
    opened: Open, questions: list[LabelledQuestion]
) -> None:
    engine = opened("blind")
    assert engine.ask(questions[1].question).decision == "answered", "nobody has looked at who looks"
    report = rag.evaluate(engine, "sight", questions, save=True)
    assert report.value("right", form="presence") == pytest.approx(2 / 3, abs=1e-3)
    assert report.row(form="presence").of["status"] == "blind"
    answer = engine.ask(questions[1].question)
    assert answer.decision == "abstained"
    assert answer.verdict is None
    assert "do not depend on the image" in answer.reason
    assert "36 patients" in answer.reason
    assert engine.replay(answer.audit_id).outcome == "identical"


def test_a_mark_is_of_who_looked(opened: Open, questions: list[LabelledQuestion]) -> None:
    rag.evaluate(opened("blind"), "sight", questions, save=True)
    other = opened("seeing").ask(questions[1].question)
    assert other.decision == "answered"
    assert other.certificate.image_effect is None


def test_too_few_patients_show_nothing(opened: Open, questions: list[LabelledQuestion]) -> None:
    engine = opened("blind")
    report = rag.evaluate(engine, "sight", questions[:12], save=True)
    assert {row.of["status"] for row in report.rows} == {"untested"}
    assert engine.ask(questions[1].question).decision == "answered"


def test_what_is_blind_counts_as_silence_in_a_calibration(opened: Open, questions: list[LabelledQuestion]) -> None:
    engine = opened("blind")
    rag.evaluate(engine, "sight", questions, save=True)
    pipeline = engine.pipeline()
    trials = try_settings([q.question for q in questions[:3]], pipeline, SETTINGS[:2])
    assert all(said.verdict == "yes" for t in trials for said in t.outcomes), "trials know no guard"
    plain = LabelledQuestion("s", Question(text="Is there cardiomegaly?", study="r1"), "yes", "r1")
    heard = silence_blind([*questions[:3], plain], [*trials, trials[0]], pipeline.lexicon, pipeline.image_effects)[:3]
    assert all(said.verdict is None for t in heard for said in t.outcomes)
    assert silence_blind(questions[:3], trials, pipeline.lexicon, None) == trials


def test_what_was_seen_cites_the_image_and_is_checked(opened: Open, questions: list[LabelledQuestion]) -> None:
    engine = opened("seeing")
    answer = engine.ask(questions[1].question)
    (cited,) = answer.image_citations
    assert (cited.sentence, cited.seen_by, cited.label) == (0, "eyes", SEEN)
    assert answer.citations == ()
    assert answer.answer == "Yes. [image]"
    assert "verified by a text" in answer.reason
    assert "is cited and verified" not in answer.reason
    assert json.loads(answer.model_dump_json())["image_citations"][0]["label"] == SEEN
    audit = engine.verify(answer.audit_id)
    assert audit.ok
    assert any(check.name.startswith("what was seen in the image") for check in audit.checks)
    assert engine.replay(answer.audit_id).outcome == "identical"


def test_nothing_is_seen_without_an_image(opened: Open) -> None:
    class Liar(type(opened("seeing").pipeline().drafting.generator)):  # type: ignore[misc]
        def generate(self, request: object) -> object:
            from rag.types import Draft, DraftSentence

            return Draft(sentences=(DraftSentence(text="Yes.", seen_by="liar"),), verdict="yes", confidence=0.9)

    from dataclasses import replace

    pipeline = opened("seeing").pipeline()
    lying = replace(pipeline, drafting=replace(pipeline.drafting, generator=Liar(False)))
    (turn,) = lying.begin([Question(text="Is there cardiomegaly?", study="r1")])
    answer = lying.finish(turn)
    assert answer.decision == "abstained"
    assert answer.image_citations == ()


def test_a_damaged_file_is_one_sentence(opened: Open, questions: list[LabelledQuestion]) -> None:
    engine = opened("seeing")
    rag.evaluate(engine, "sight", questions, save=True)
    path = engine.store.path / ImageEffects.FILE
    whole = path.read_text()
    path.write_text(whole.replace('"sees"', '"blind"'))
    edited = ImageEffects.load(engine.store.path)
    assert edited is not None
    assert not edited.holds(engine.fingerprints)
    path.write_text("{}")
    with pytest.raises(IndexStateError, match="rag evaluate sight"):
        ImageEffects.load(engine.store.path)


def test_questions_without_images_are_told_so(opened: Open) -> None:
    plain = LabelledQuestion("q", Question(text="Is there cardiomegaly?", study="r1"), "yes", "r1")
    with pytest.raises(InputError, match="names an image"):
        rag.evaluate(opened("seeing"), "sight", [plain])


def test_an_open_question_says_the_kind_of_image_first_and_quotes_no_case_that_is_unlike(
    own: Engine, settings: Settings, tmp_path: Path
) -> None:
    Image.new("RGB", (24, 24), "blue").save(tmp_path / "asked.png")
    question = Question(text="What does this fundus photograph show of the retina?", image=str(tmp_path / "asked.png"))
    answer = own.ask(question)
    first, *others = answer.sentences
    assert first.text.startswith("This looks like an image of ")
    assert first.seen_by == answer.domain.basis == "zero-shot prompts"
    assert [s.text for s in others] == ["A similar case, i2: “Normal retina.”"], "as what it is; the red one is unlike"
    careful = settings.retrieval.model_copy(update={"min_quoted_similarity": 1.0})
    stricter = Engine.open(own.store.path, settings.model_copy(update={"retrieval": careful}))
    Image.new("RGB", (24, 24), (90, 60, 255)).save(tmp_path / "asked.png")
    (only,) = stricter.ask(question).sentences
    assert only.seen_by is not None


def test_what_was_found_stands_beside_answers_in_measurements_and_in_the_audit(
    opened: Open, questions: list[LabelledQuestion], tmp_path: Path
) -> None:
    engine = opened("seeing")
    rag.evaluate(engine, "sight", questions, save=True)
    answer = engine.ask(questions[1].question)
    page = engine.ledger.answered(answer.audit_id)
    shown = html_report(page, documents_in(engine.store), engine.verify(answer.audit_id), engine.ledger.images)
    assert "Whether such answers depend on the image: presence in ophthalmology: sees" in shown
    assert SEEN in shown
    report = rag.evaluate(engine, "questions", questions[:3])
    assert any("presence in ophthalmology: sees" in note for note in report.notes)


def test_a_calibration_asks_with_wrong_images(opened: Open, many: list[LabelledQuestion]) -> None:
    engine = opened("seeing")
    result = calibrate(engine, many, alpha=0.4, delta=0.1, plan=CalibrationPlan(allow_perfect=True))
    assert {e.status for e in result.image_effects} == {"sees"}
    assert "presence in ophthalmology: sees" in result.report()
    assert result.certificate.promises
    assert engine.ask(many[1].question).certificate.image_effect is not None


def test_a_calibration_certifies_nothing_blind(opened: Open, many: list[LabelledQuestion]) -> None:
    engine = opened("blind")
    with pytest.raises(InputError, match="do not depend on the image"):
        calibrate(engine, many, alpha=0.4, delta=0.1, plan=CalibrationPlan(allow_perfect=True))
    assert engine.ask(many[1].question).decision == "abstained"


def test_a_small_measurement_takes_no_mark_away(opened: Open, questions: list[LabelledQuestion]) -> None:
    engine = opened("blind")
    rag.evaluate(engine, "sight", questions, save=True)
    rag.evaluate(engine, "sight", questions[:6], save=True)
    assert engine.ask(questions[1].question).decision == "abstained"
