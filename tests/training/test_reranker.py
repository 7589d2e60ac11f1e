"""`rag train reranker` as a user runs it, on a tiny random model, and the model that is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from encoders.conftest import write_bert
from typer.testing import CliRunner

import rag
from rag.answering.engine import Engine
from rag.calibration.leaks import refuse_seen
from rag.cli import app
from rag.encoders import minilm
from rag.encoders.cross import CONFIG, HEAD, WEIGHTS, CrossEncoder, PairReading, save_cross_encoder
from rag.encoders.minilm import MiniLmEncoder
from rag.errors import InputError, MissingDependencyError
from rag.evaluation.questions import LabelledQuestion
from rag.settings import Settings, knowledge_dir
from rag.training.reranker.recipe import RerankerRecipe
from rag.types import Question

from .test_retriever import Killed, Killer

TOPICS = [f"{a}{b}{c}{d}" for a in "ab" for b in "cd" for c in "efg" for d in "hijkl"]  # sixty
SMALL = RerankerRecipe(
    reading=PairReading(apart=1, passage=24, question=16),
    depth=2,
    candidates=2,
    wrong=1,
    epochs=10,
    rate=3e-3,
    dev=6,
    weight=5,
)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MiniLM's package holds a random BERT of two layers."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    write_bert(tmp_path / "package" / "model", seed=0)
    (tmp_path / "package" / "model" / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    monkeypatch.setattr(minilm, "package_folder", lambda package: tmp_path / "package")
    minilm.minilm_tensors.cache_clear()
    yield
    minilm.minilm_tensors.cache_clear()


def settings_in(tmp_path: Path, **retrieval: object) -> Settings:
    fakes = {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}
    return Settings.model_validate({"indexes": tmp_path, "encoders": fakes, "retrieval": retrieval})


@pytest.fixture
def asked(tiny: None, tmp_path: Path) -> Path:
    """The index ``mine`` and questions about it: of two passages on a topic, the one that says "acute" is relevant."""
    rows, questions = [], []
    for n, topic in enumerate(TOPICS):
        for word in ("clear", "acute"):  # the wrong one is found first
            text = f"The {topic} is {word} in the chest."
            row = {"id": f"{topic}-{word}", "text": text, "kind": "literature", "licence": "CC0-1.0"}
            rows.append(row | {"group": f"{topic}-{word}"})
        split = ("train", "train", "train", "dev", "test")[n % 5]
        asked_of = {"id": topic, "question": f"Is the {topic} enlarged?", "evidence": {f"{topic}-acute": 2}}
        questions.append(asked_of | {"split": split})
    docs, file = tmp_path / "docs.jsonl", tmp_path / "asked.jsonl"
    docs.write_text("\n".join(map(json.dumps, rows)))
    file.write_text("\n".join(map(json.dumps, questions)))
    rag.Index.create("mine", settings_in(tmp_path)).ingest(docs)
    return file


def test_it_learns_what_is_relevant_and_search_uses_it(asked: Path, tmp_path: Path) -> None:
    out = tmp_path / "reranker"
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"reading = {{apart = 1, passage = 24, question = 16}}\ndepth = 2\ncandidates = 2\nwrong = 1\n"
        f"epochs = {SMALL.epochs}\nrate = {SMALL.rate}\ndev = 6\nweight = 5\n"
    )
    words = ["train", "reranker", str(asked), "--index", "mine", "--out", str(out), "--recipe", str(recipe)]
    environment = {
        "RAG_INDEXES": str(tmp_path),
        "RAG_ENCODERS__TEXT": "fakes:make_word_bags",
        "RAG_ENCODERS__IMAGE": "fakes:make_colours",
    }
    done = CliRunner().invoke(app, [*words, "--json"], env=environment)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["questions"] == {"train": 36, "dev": 12, "test": 12}
    test = next(m for m in report["measured"] if m["split"] == "test")
    assert test["alone"][0] > 0.95 > test["fused"][0]
    assert test["gain"][1] > 0
    card = (out / "README.md").read_text()
    for fact in ("CC0-1.0", "Not a medical device", "rag train reranker", "| asked | 36 | 12 | 12 |"):
        assert fact in card
    assert json.loads((out / "seen.json").read_text())["data"][0]["examples"] == 36
    assert sorted(p.name for p in out.iterdir()) == sorted(["README.md", "seen.json", CONFIG, WEIGHTS])

    topic = TOPICS[4]  # of the test part
    right, wrong = CrossEncoder(out).score(f"Is the {topic} enlarged?", [f"{topic} acute", f"{topic} clear"])
    assert right > wrong
    settings = settings_in(tmp_path, reranker=str(out), rerank=2, weights={"rerank": 5})
    engine = Engine(rag.Index.open("mine", settings).store, settings)
    hits = engine.search(f"Is the {topic} enlarged?", k=4)
    assert hits[0].document.id == f"{topic}-acute"
    assert [h.ranks["rerank"] for h in hits[:2]] == [1, 2]
    learned, unseen = (
        LabelledQuestion(id=TOPICS[n], question=Question(text="Is it so?"), answer="yes", group=TOPICS[n])
        for n in (0, 4)
    )
    refuse_seen([unseen], engine)
    with pytest.raises(InputError, match=f"void.*{TOPICS[0]}"):
        refuse_seen([unseen, learned], engine)
    assert CliRunner().invoke(app, words, env=environment).exit_code != 0  # the folder is taken


def test_a_killed_training_ends_with_the_same_bytes(
    asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.training.reranker.journey._SAVE", 4)
    index = rag.Index.open("mine", settings_in(tmp_path))
    small = SMALL.model_copy(update={"epochs": 2})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    rag.train.reranker([asked], [index], whole, small)
    for stage, after in (("epoch 1", 25), ("measuring on dev", 5), ("epoch 2", 20)):
        with pytest.raises(Killed):
            rag.train.reranker([asked], [index], killed, small, progress=Killer(stage, after))
    other = small.model_copy(update={"rate": 1e-3})
    with pytest.raises(InputError, match="another recipe"):
        rag.train.reranker([asked], [index], killed, other)
    rag.train.reranker([asked], [index], killed, small)
    for name in (WEIGHTS, CONFIG, "seen.json"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes()


def test_what_cannot_be_learned_from_is_one_sentence(asked: Path, tmp_path: Path) -> None:
    index = rag.Index.open("mine", settings_in(tmp_path))
    with pytest.raises(InputError, match="1 files and 2 indexes"):
        rag.train.reranker([asked], [index, index], tmp_path / "out", SMALL)
    with pytest.raises(InputError, match=r"reading\.apart.*2 layers"):
        deep = SMALL.model_copy(update={"reading": PairReading(apart=3)})
        rag.train.reranker([asked], [index], tmp_path / "out", deep)
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_text(json.dumps({"id": "q", "question": "Is it?", "evidence": ["nowhere"]}))
    with pytest.raises(InputError, match="no question has a relevant document"):
        rag.train.reranker([foreign], [index], tmp_path / "out2", SMALL)


class TestFiles:
    @pytest.fixture
    def folder(self, tiny: None, tmp_path: Path) -> Path:
        """A model that reads apart alone, and scores by the likeness of the means."""
        made = tmp_path / "apart"
        made.mkdir()
        head = {"heed": np.zeros(32), "turn": np.eye(32), "means": np.array(4.0), "words": np.array(0.0)}
        save_cross_encoder(made, PairReading(apart=2), {HEAD + name: value for name, value in head.items()})
        return made

    def test_read_apart_it_is_minilm(self, folder: Path) -> None:
        texts = ["The heart is enlarged.", "lungs clear", "a normal fundus"]
        question, *passages = MiniLmEncoder().encode([texts[0], *texts])
        expected = 4 * (np.array(passages) @ question)
        np.testing.assert_allclose(CrossEncoder(folder).score(texts[0], texts), expected, atol=1e-4)

    def test_damaged_files_are_one_sentence(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="there is no reranker in"):
            CrossEncoder.find(str(tmp_path / "nowhere"))
        good, weights = (folder / CONFIG).read_text(), (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(weights[:100])
        with pytest.raises(InputError, match="damaged"):
            CrossEncoder(folder).score("a", ["b"])
        (folder / WEIGHTS).write_bytes(weights)
        for text, words in (
            ("{", "JSON"),
            (good.replace('"apart":2', '"apart":-1').replace('"apart": 2', '"apart": -1'), "apart"),
            (good.replace('"base": "', '"base": "0'), "other weights"),
        ):
            (folder / CONFIG).write_text(text)
            with pytest.raises(InputError, match=words):
                CrossEncoder(folder)
        wide = {HEAD + name: np.zeros(()) for name in ("means", "words", "turn")} | {f"{HEAD}heed": np.zeros(3)}
        save_cross_encoder(folder, PairReading(apart=2), wide)
        with pytest.raises(InputError, match="do not fit MiniLM"):
            CrossEncoder(folder).score("a", ["b"])


def test_the_shipped_model_knows_an_answer() -> None:
    try:
        shipped = CrossEncoder.find("compact")
    except (InputError, MissingDependencyError) as error:
        pytest.skip(str(error))
    assert sum(file.stat().st_size for file in (knowledge_dir() / "models" / "reranker").iterdir()) < 25e6
    question = "Which drugs lower blood glucose in type 2 diabetes?"
    answer, near, far = shipped.score(
        question,
        [
            "Metformin reduces hepatic glucose production and is first-line treatment of type 2 diabetes.",
            "The prevalence of type 2 diabetes has doubled in two decades.",
            "Drusen are yellow deposits under the retina.",
        ],
    )
    assert answer > near > far
