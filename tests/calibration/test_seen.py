"""A certificate is not computed on what a model has learned from."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from rag.answering.engine import Engine
from rag.calibration.leaks import refuse_seen
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.generation.seen import Seen, hash_of_file, hash_of_name, hashes_of_texts, seen_of
from rag.settings import load_settings
from rag.types import Question

ASKED = "Does aspirin lower the risk of a second stroke?"


def asked(text: str = "Is there cardiomegaly?", group: str = "g", **more: object) -> LabelledQuestion:
    return LabelledQuestion("q1", Question.model_validate({"text": text, **more}), "yes", group)


@pytest.fixture
def learned(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The small index's engine, whose settings name a model that has seen some of everything."""
    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "seen.png")
    Image.new("RGB", (8, 8), (7, 7, 7)).save(tmp_path / "new.png")
    report = engine.pipeline().snapshot.case("CXR2814")[0].text
    seen = Seen(
        data=(),
        groups=frozenset({hash_of_name("patient 7"), hash_of_name("CXR227")}),
        texts=hashes_of_texts([ASKED.upper(), " ".join(report.split()), "No effusion."]),
        images=frozenset({hash_of_file(tmp_path / "seen.png")}),
    )
    seen.write(tmp_path)
    assert Seen.read(tmp_path) == seen
    settings = load_settings(generation={"kind": "transformers", "transformers": {"model": str(tmp_path)}})
    monkeypatch.setattr(engine, "settings", settings)
    return engine


def test_what_was_learned_is_refused_and_what_was_not_is_asked(learned: Engine, tmp_path: Path) -> None:
    void = {
        "its group 'patient 7'": asked(group="patient 7"),
        "its group 'a'": asked(group="a", study="CXR227"),
        "its image": asked(image=str(tmp_path / "seen.png"), exclude_groups=("g",)),
        "the report of 'CXR2814', or one with the same words": asked(study="CXR2814"),
        "the same question": asked(ASKED),
    }
    for why, question in void.items():
        with pytest.raises(InputError, match=why) as error:
            refuse_seen([asked(study="CXR1"), question, question], learned)
        assert "2 of 3 questions are such" in str(error.value)
        assert str(error.value).count(".") <= 1
    fine = [asked(study="CXR1"), asked(), asked("Is there an effusion?"), asked(image=str(tmp_path / "new.png"))]
    refuse_seen(fine, learned)


def test_a_model_that_does_not_say_is_asked(engine: Engine) -> None:
    refuse_seen([asked(group="patient 7")], engine)


def test_a_damaged_list_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "seen.json").write_text('{"data": [], "groups": [')
    with pytest.raises(InputError, match="nobody can tell what the model has seen"):
        seen_of(str(tmp_path))


def test_the_shipped_model_says_what_it_has_seen() -> None:
    seen = seen_of("compact-lvlm")
    assert seen is not None
    assert len(seen.groups) > 1000
    assert hash_of_name("CXR1") in seen.groups
    assert hash_of_name("CXR12") not in seen.groups  # one of the 300 that are kept for calibration
