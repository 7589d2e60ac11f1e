"""Questions about an image are answered from the image: never from what lies beside it, and said to be seen only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import rag.generation.looking
from rag.answering.image_guard import effects_that_hold
from rag.errors import InputError
from rag.generation.base import Request
from rag.generation.chat import Piece
from rag.generation.describing import FILE, ImageDescription, descriptions_of
from rag.generation.looking import LookingGenerator
from rag.generation.messages import Messages
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.settings import GenerationSettings, load_settings
from rag.types import Domain, Question

from .conftest import evidence

YES = "Pneumothorax on the left."
NO = "No pneumothorax."


class Fake:
    """A model that says what it is told to, and keeps what it was sent."""

    fingerprint = "fake:1"
    window = 2048
    parallel = 1
    may_think = False

    def __init__(self, word: str, yes: float | None) -> None:
        self.word, self.yes, self.sent = word, yes, list[Messages]()

    def count(self, messages: Messages) -> int:
        return len(messages.user.split())

    def chat(self, messages: Messages) -> Iterator[Piece]:
        self.sent.append(messages)
        yield Piece(f"{self.word} ", self.yes)
        yield Piece("and whatever follows. [1]", self.yes)


def looking(model: Fake, texts: Texts, weight: float = 0.0) -> LookingGenerator:
    chosen: GenerationSettings = load_settings("compact-lvlm").generation
    return LookingGenerator(model, chosen.model_copy(update={"similar_cases": weight}), texts)


@pytest.fixture
def about(tmp_path: Path, texts: Texts) -> Request:
    Image.new("RGB", (40, 40), "grey").save(tmp_path / "asked.png")
    question = Question(text="Is there a pneumothorax?", image=str(tmp_path / "asked.png"))
    others = tuple(evidence(n, text, "image") for n, text in enumerate([NO, NO, NO], start=1))
    return Request(question, read_question(question.text, texts.lexicon), others)


def test_the_model_is_shown_the_image_and_no_text_of_similar_cases(about: Request, texts: Texts) -> None:
    model = Fake("Yes.", 0.9)
    draft = looking(model, texts).generate(about)
    (sent,) = model.sent
    assert len(sent.pictures) == 1
    assert "pneumothorax?" in sent.user
    assert "No pneumothorax" not in sent.user
    assert (draft.verdict, draft.probability) == ("yes", 0.9)
    assert draft.sentences[0].seen_by == "compact-lvlm"
    assert draft.sentences[0].quotes == ()
    assert [s.text[:24] for s in draft.sentences[1:]] == ["No in a similar case: “N"] * 2, "as what they are"


def test_similar_cases_count_as_much_as_they_were_weighed(about: Request, texts: Texts) -> None:
    said = [looking(Fake("Yes.", 0.55), texts, weight).generate(about) for weight in (0.0, 0.1, 1.0)]
    assert [d.verdict for d in said] == ["yes", "yes", "no"]
    assert said[0].probability > said[1].probability > said[2].probability  # type: ignore[operator]
    assert "leans the other way" in said[2].sentences[0].text


@pytest.mark.parametrize(("word", "yes"), [("Not", 0.6), ("Maybe.", 0.5), ("Maybe.", None)])
def test_what_it_does_not_see_is_refused(about: Request, texts: Texts, word: str, yes: float | None) -> None:
    draft = looking(Fake(word, yes), texts).generate(about)
    assert draft.refusal == "the model does not see it in the image"
    assert draft.sentences == ()


def test_a_server_that_tells_no_probabilities_is_believed_by_its_word(about: Request, texts: Texts) -> None:
    draft = looking(Fake("No,", None), texts).generate(about)
    assert (draft.verdict, draft.probability) == ("no", 0.2)


@pytest.mark.parametrize(("answer", "told"), [("Cardiopulmonary.", 1), ("A large mass.", 0), ("Brain and lungs.", 0)])
def test_an_open_question_begins_with_the_kind_of_image_and_quotes_similar_cases_as_such(
    about: Request, texts: Texts, monkeypatch: pytest.MonkeyPatch, answer: str, told: int
) -> None:
    region = ImageDescription(
        domain="radiology",
        question="What organ system is imaged?",
        text="It looks like an image of {}",
        means={"cardio": "the chest", "lung": "the chest", "brain": "the head"},
        right=0.9,
        images=50,
        measured_on="nothing",
    )
    monkeypatch.setattr(rag.generation.looking, "descriptions_of", lambda _: (region,))
    model = Fake(answer, None)
    asked = Question(text="What does this image show?", image=about.question.image)
    domain = Domain(name="radiology", probability=0.97, out_of_domain=False, basis="trained router")
    request = replace(about, question=asked, asked=read_question(asked.text, texts.lexicon), domain=domain)
    draft = looking(model, texts).generate(request)
    assert [m.user.splitlines()[-1] for m in model.sent] == ["Question: What organ system is imaged?"], "no caption"
    assert draft.sentences[0].text == "This looks like an image of radiology (probability 0.97)."
    assert draft.sentences[0].seen_by == "trained router"
    seen = [s.text for s in draft.sentences[1:] if s.seen_by == "compact-lvlm"]
    assert seen == ["It looks like an image of the chest (which was right for 90% of 50 images)."] * told
    assert all(s.text.startswith("A similar case") for s in draft.sentences[1 + told :])


def test_a_study_is_answered_from_its_report(about: Request, texts: Texts) -> None:
    model = Fake("No.", 0.1)
    draft = looking(model, texts).generate(replace(about, evidence=(evidence(1, NO, "study"),)))
    assert "No pneumothorax" in model.sent[0].user
    assert all(s.seen_by is None for s in draft.sentences)


def test_who_was_not_measured_tells_nothing_and_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    assert descriptions_of(None) == descriptions_of(str(tmp_path)) == ()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / FILE).write_text('{"format": 1, "of": [{"domain": "radiology"}]}')
    with pytest.raises(InputError, match="what the model can describe"):
        descriptions_of(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("domain", "form", "status"),
    [("radiology", "presence", "blind"), ("radiology", "side", "blind"), ("pathology", "presence", "sees"),
     ("ophthalmology", "presence", "sees"), ("ophthalmology", "normality", "sees")],
)  # fmt: skip
def test_the_shipped_model_brings_what_was_measured_of_it(tmp_path: Path, domain: str, form: str, status: str) -> None:
    profile = load_settings("compact-lvlm").generation
    measured = effects_that_hold(tmp_path, profile, {"generator": "whoever"})
    assert measured is not None
    effect = measured.of(domain, form)
    assert effect is not None
    assert effect.status == status
    assert effects_that_hold(tmp_path, load_settings().generation, {}) is None, "the reader was not measured"
