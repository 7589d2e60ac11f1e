"""Two domains of pictures, each with its certificate; and the watch over what is asked afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from rag.answering.engine import Engine
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.calibration.calibrate import CalibrationPlan, calibrate
from rag.calibration.traces import trace
from rag.calibration.watch import watch
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.indexing import IndexStore
from rag.progress import Silent
from rag.risk_control.policy import SETTINGS
from rag.settings import Settings
from rag.types import Question

EACH = 32
KINDS = {
    "radiology": ("Is there cardiomegaly?", "There is cardiomegaly.", "There is no cardiomegaly."),
    "ophthalmology": ("Are there drusen?", "There are drusen.", "There are no drusen."),
}


def draw(domain: str, yes: bool, seed: int, path: Path) -> None:
    """A grey chest with a large or a small heart; a red fundus with or without yellow spots."""
    rng = np.random.default_rng(seed)
    base = (60, 60, 60) if domain == "radiology" else (150, 60, 30)
    picture = Image.fromarray(np.clip(rng.normal(base, 6, (96, 96, 3)), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    if domain == "radiology":
        half = rng.integers(30, 38) if yes else rng.integers(8, 16)
        pen.ellipse((48 - half, 48 - half, 48 + half, 48 + half), fill=(210, 210, 210))
    else:
        pen.ellipse((60, 40, 76, 56), fill=(250, 220, 150))
        for x, y in rng.integers(10, 80, (25, 2)) if yes else ():
            pen.ellipse((x, y, x + 6, y + 6), fill=(250, 240, 60))
    picture.save(path)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, list[LabelledQuestion]]]:
    folder = tmp_path_factory.mktemp("pictures")
    rows, labelled = [], []
    for domain, (question, yes, no) in KINDS.items():
        for i in range(EACH):
            name, present = f"{domain[0]}{i}", i % 2 == 0
            draw(domain, present, i, folder / f"{name}.png")
            group = f"patient-{name}"
            rows.append(
                {"id": name, "image": f"{name}.png", "text": yes if present else no, "domain": domain, "group": group}
            )
            asked = Question(text=question, image=str(folder / f"{name}.png"), exclude_groups=(group,))
            labelled.append(LabelledQuestion(name, asked, "yes" if present else "no", group))
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    # drawings are far from any photograph: an encoder without a trained router lets their neighbours name the domain
    settings = Settings()
    settings.encoders.image = "imagenet"
    store, encoders = IndexStore.create(folder / "index"), settings.encoders
    images = load_image_encoder(encoders)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "encode_images", remembering(images.encode_images))
        ingest([Source(folder / "cases.jsonl", "cases")], store, Encoders(load_text_encoder(encoders), images))
        yield Engine.open(folder / "index", settings), labelled


def remembering(encode: Any) -> Any:
    """The real encoder, which encodes a file once: the tests ask about the same pictures many times."""
    known: dict[str, np.ndarray] = {}

    def encode_images(files: Sequence[str | Path], **how: Any) -> np.ndarray:
        new = [str(f) for f in dict.fromkeys(files) if str(f) not in known]
        if new:
            known.update(zip(new, encode(new, **how), strict=True))
        return np.stack([known[str(f)] for f in files])

    return encode_images


def run(engine: Engine, labelled: list[LabelledQuestion], **how: object):  # type: ignore[no-untyped-def]
    return calibrate(engine, labelled, alpha=0.3, delta=0.2, plan=CalibrationPlan(allow_perfect=True, **how))  # type: ignore[arg-type]


def test_each_domain_has_its_own_certificate_and_they_share_delta(
    pictures: tuple[Engine, list[LabelledQuestion]],
) -> None:
    engine, labelled = pictures
    found = run(engine, labelled)
    assert {part.domains for part in found.certificate.parts} == {("radiology",), ("ophthalmology",)}
    assert [part.delta for part in found.certificate.parts] == [0.1, 0.1]
    assert "share delta = 0.2, 0.1 each" in found.report()
    for q, answer in zip(labelled, engine.ask_many([q.question for q in labelled], record=False), strict=True):
        assert answer.certificate.domains == ((answer.domain.name,)), q.id
        assert answer.certificate.delta == 0.1


def test_pooled_is_one_certificate_for_both_with_the_whole_delta(
    pictures: tuple[Engine, list[LabelledQuestion]],
) -> None:
    engine, labelled = pictures
    (part,) = run(engine, labelled, per="all").certificate.parts
    assert part.domains == ("ophthalmology", "radiology")
    assert part.delta == 0.2
    assert "on average over" in part.why


def test_a_domain_with_too_few_groups_is_uncertified_and_counted(
    pictures: tuple[Engine, list[LabelledQuestion]],
) -> None:
    engine, labelled = pictures
    found = run(engine, labelled[: EACH + 5])
    assert [part.domains for part in found.certificate.parts] == [("radiology",)]
    assert found.certificate.parts[0].delta == 0.2, "nothing is spent on what cannot be certified"
    ((domain, groups, needed),) = found.uncovered
    assert (domain, groups) == ("ophthalmology", 5)
    assert (
        f"ophthalmology: no certificate, 5 groups are too few; its own would need at least {needed}" in found.report()
    )
    enough = run(engine, labelled[: EACH + needed])
    assert len(enough.certificate.parts) == 2, "the number is the least that is enough"
    assert len(run(engine, labelled[: EACH + needed - 1]).certificate.parts) == 1
    answer = engine.ask_many([labelled[-1].question], record=False)[0]
    assert answer.certificate.status == "uncertified"
    assert "covers radiology" in answer.certificate.why


def test_the_certified_policy_is_applied_as_it_was_traced(pictures: tuple[Engine, list[LabelledQuestion]]) -> None:
    engine, labelled = pictures
    found = run(engine, labelled, combine=False)
    widest = (20, 100.0)
    parts = tuple(
        part.model_copy(update={"k": 20, "gamma": 100.0, "tau": 0.0, "rho": 0.0}) for part in found.certificate.parts
    )
    found.certificate.model_copy(update={"parts": parts}).save(engine.store.path)
    trials = trace(labelled, engine, Silent())
    for trial, answer in zip(trials, engine.ask_many([q.question for q in labelled], record=False), strict=True):
        said = trial.outcomes[SETTINGS.index(widest)]
        assert (said.verdict, said.confidence) == (answer.verdict, answer.confidence)
        assert len(answer.evidence) == 20, "more contexts than the settings' own k"


def test_a_question_that_the_router_is_unsure_of_is_withheld(pictures: tuple[Engine, list[LabelledQuestion]]) -> None:
    engine, labelled = pictures
    found = run(engine, labelled)
    parts = tuple(part.model_copy(update={"rho": 1.0}) for part in found.certificate.parts)
    found.certificate.model_copy(update={"parts": parts, "familiar": None}).save(engine.store.path)
    unsure = labelled[0].question.model_copy(update={"text": "Is there cardiomegaly beside the drusen of the retina?"})
    answer = engine.ask_many([unsure], record=False)[0]
    assert answer.domain.probability < 1
    assert answer.decision == "abstained"
    assert "router" in answer.reason


def test_the_watch_is_quiet_on_the_same_questions_and_flags_other_ones(
    pictures: tuple[Engine, list[LabelledQuestion]], tmp_path: Path
) -> None:
    engine, labelled = pictures
    certificate = run(engine, labelled).certificate.model_copy(update={"created": "2999-01-01T00:00:00+00:00"})
    certificate.save(engine.store.path)  # by a clock that has been set back since
    assert watch(engine.store).shifts == (), "nothing has been asked yet"
    engine.ask_many([q.question for q in labelled])
    quiet = watch(engine.store)
    assert (quiet.covered, quiet.drifted, len(quiet.shifts)) == (2 * EACH, False, 6)
    engine.ask_many([labelled[0].question] * 40)
    assert watch(engine.store).covered == 2 * EACH, "one picture asked about again and again is one"
    others = []
    for i in range(35):
        path = tmp_path / f"{i}.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (96, 96), dtype=np.uint8)).save(path)
        others.append(Question(text="Is there cardiomegaly?", image=str(path)))
    engine.ask_many(others)
    loud = watch(engine.store, last=35)
    assert loud.drifted
    shifted = {(s.domains, s.score) for s in loud.shifts if s.drifted}
    assert (("radiology",), "similarity") in shifted
    assert "calibrate" in loud.table()


def test_without_a_certificate_there_is_nothing_to_watch(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rag calibrate"):
        watch(IndexStore.create(tmp_path / "empty"))


def test_an_image_that_is_in_the_index_under_another_group_is_a_leak(
    pictures: tuple[Engine, list[LabelledQuestion]],
) -> None:
    engine, labelled = pictures
    other = labelled[0].question.model_copy(update={"exclude_groups": ("somebody",)})
    with pytest.raises(InputError, match="does not exclude"):
        run(engine, [labelled[0]._replace(question=other), *labelled[1:]])
