"""A cross-encoder of the real architecture with random weights, saved, loaded and asked as a user's own would be."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from rag.errors import InputError, MissingDependencyError
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.types import Draft, DraftSentence, Evidence, Quote
from rag.verification.nli import CrossEncoderEntailment
from rag.verification.rules.judgement import Judgement
from rag.verification.verify import verify

WORDS = """[PAD] [UNK] [CLS] [SEP] [MASK] the heart is enlarged normal no effusion seen present lungs are clear of"""
PAIRS = [
    ("the heart is enlarged", "the heart is normal"),
    ("no effusion is seen", "effusion is present"),
    ("the lungs are clear", "the lungs are clear of pneumonia"),
    ("acute pneumonia", "fundus image"),
]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _models()
    from rag.encoders.runtime import torch

    library = torch()
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    path = tmp_path_factory.mktemp("nli")
    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    BertTokenizerFast(vocab={w: n for n, w in enumerate(dict.fromkeys([*WORDS.split(), *letters]))}).save_pretrained(
        path
    )
    library.manual_seed(3)
    config = BertConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128, initializer_range=0.8, num_labels=3,
        id2label={0: "contradiction", 1: "entailment", 2: "neutral"},
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(path)
    return path


def _models() -> None:
    if find_spec("sentence_transformers") is None:
        pytest.skip("the extra 'models' is not installed")


def relabelled(folder: Path, to: Path, labels: dict[int, str]) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    config = json.loads((to / "config.json").read_text())
    config["id2label"] = {str(i): label for i, label in labels.items()}
    config["label2id"] = {label: i for i, label in labels.items()}
    (to / "config.json").write_text(json.dumps(config))
    return to


def test_every_pair_gets_a_judgement_and_always_the_same(folder: Path) -> None:
    model = CrossEncoderEntailment(str(folder), sure=0.0)
    found = model.judge_pairs(PAIRS)
    assert len(found) == len(PAIRS)
    assert all(0 <= j.score <= 1 for j in found)
    assert {j.verdict for j in found} <= {"supported", "contradicted", "unsupported"}
    assert CrossEncoderEntailment(str(folder), sure=0.0).judge_pairs(PAIRS) == found
    assert model.judge_pairs([]) == []


def test_what_an_output_means_is_read_from_the_model(folder: Path, tmp_path: Path) -> None:
    swapped = relabelled(folder, tmp_path / "swapped", {0: "ENTAILMENT", 1: "CONTRADICTION", 2: "NEUTRAL"})
    one = CrossEncoderEntailment(str(folder), sure=0.0).judge_pairs(PAIRS)
    other = CrossEncoderEntailment(str(swapped), sure=0.0).judge_pairs(PAIRS)
    exchanged = {"supported": "contradicted", "contradicted": "supported", "unsupported": "unsupported"}
    assert [exchanged[j.verdict] for j in one] == [j.verdict for j in other]
    assert {j.verdict for j in one} != {"unsupported"}
    assert CrossEncoderEntailment(str(folder)).fingerprint != CrossEncoderEntailment(str(swapped)).fingerprint


def test_an_unsure_model_decides_nothing(folder: Path) -> None:
    assert {j.verdict for j in CrossEncoderEntailment(str(folder), sure=1.1).judge_pairs(PAIRS)} == {"unsupported"}


def test_a_model_for_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    other = relabelled(folder, tmp_path / "other", {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"})
    with pytest.raises(InputError, match="label_0, label_1, label_2"):
        CrossEncoderEntailment(str(other)).judge_pairs(PAIRS)


def test_a_model_that_is_not_here_is_one_clear_sentence(tmp_path: Path) -> None:
    _models()
    with pytest.raises(MissingDependencyError, match="not on this machine"):
        CrossEncoderEntailment("nobody/no-such-model").judge_pairs(PAIRS)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="damaged or incomplete"):
        CrossEncoderEntailment(str(tmp_path)).judge_pairs(PAIRS)


class Says:
    """An opinion given beforehand: what follows from it is tested, not the model."""

    fingerprint = "says"

    def __init__(self, verdict: str) -> None:
        self.verdict = verdict
        self.asked = 0

    def judge_pairs(self, pairs: list[tuple[str, str]]) -> list[Judgement]:
        self.asked += len(pairs)
        return [Judgement(self.verdict, 0.9, "model") for _ in pairs]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "opinion", "passes", "asked"),
    [
        ("Cardiac output may be impaired.", "supported", True, 1),  # words decide nothing: the model does
        ("Cardiac output may be impaired.", "unsupported", False, 1),
        ("The heart is enlarged.", "contradicted", False, 1),  # the model sees a contradiction
        ("The heart is enlarged.", "unsupported", True, 1),
        ("The heart is normal.", "supported", False, 0),  # a contradiction is never talked away
        ("“The heart is enlarged.”", "contradicted", True, 0),  # a quotation needs no opinion
    ],
)
def test_two_opinions(text: str, opinion: str, passes: bool, asked: int, texts: Texts) -> None:
    passage = "The heart is enlarged."
    e = Evidence(
        number=1, document_id="d", passage_id="d#0", kind="report", domain="radiology", title="", source="s",
        licence="l", case_id="d", group_id="d", channel="text", score=1.0, text=passage, start=0, sha256="0",
    )  # fmt: skip
    sentence = DraftSentence(text=text, quotes=(Quote(number=1, start=0, end=len(passage)),))
    model = Says(opinion)
    question = read_question("What is seen?", texts.lexicon)
    result = verify(Draft(sentences=(sentence,), confidence=1), question, [e], texts, entailment=model)
    assert bool(result.sentences) == passes
    assert model.asked == asked
