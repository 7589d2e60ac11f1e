"""Collections of questions are read as they were published, and measured beside what costs little."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rag.answering.pipeline import Pipeline
from rag.cli import app
from rag.errors import InputError
from rag.evaluation.baselines import others_of
from rag.evaluation.citing import JUDGED
from rag.evaluation.published.asking import Asker
from rag.evaluation.published.choice import ChoiceSuite, figures_of
from rag.evaluation.published.folder import Folder, rows_of, sample_of
from rag.evaluation.published.items import SIDES, WITHHELD, Item
from rag.evaluation.published.trials import in_noise, shown_with
from rag.evaluation.report import NO_BASELINES
from rag.evaluation.suite import Sample, evaluate, named_suite
from rag.evaluation.suites.pathvqa import PathVqaSuite
from rag.generation.chat import LanguageGenerator, Piece
from rag.generation.messages import Messages
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings, Settings, load_settings

# By collection: answers in their order, and what is left out.
READ: dict[str, tuple[list[str], dict[str, int]]] = {
    "vqa-rad": (["yes", "no", "no", "Brain", "1"], {"its image is not in the folder": 1}),
    "slake": (["no", "Lung", "yes"], {"its language is not en": 1}),
    "pathvqa": (["yes", "no", "kidney"], {"its image is not in the folder": 1}),
    "pubmedqa": (["yes", "no", "maybe"], {"not in the published test split": 1}),
    "bioasq": (["yes", "no", "GENE1", "drug A"], {"its type is summary": 1}),
    "mirage": (["A", "B", "yes", "no"], {}),
    "mediconfusion": (["A", "B", "B", "A"], {}),
    "harvard-fairvlmed": (["yes", "no", "yes"], {}),
}


def read(name: str, folder: Path, **options: Any) -> Sample:
    suite = named_suite(name, **options)
    assert isinstance(suite, ChoiceSuite)
    return suite.read(folder)


@pytest.mark.parametrize("name", READ)
def test_a_collection_is_read_as_it_was_published(name: str, published: Path) -> None:
    sample = read(name, published / name)
    answers, left_out = READ[name]
    assert ([item.answer for item in sample.rows], dict(sample.left_out)) == (answers, left_out)
    assert all(item.answer in item.options or item.open for item in sample.rows)


@pytest.mark.parametrize("name", READ)
def test_another_folder_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not look like"):
        read(name, tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        read(name, tmp_path / "nowhere")


def test_what_a_row_lacks_is_named_with_its_place(published: Path, tmp_path: Path) -> None:
    for name, old, new, words in (
        ("vqa-rad", '"question":', '"qestion":', r"entry 1: a row needs the field 'question'"),
        ("pubmedqa", '"final_decision": "yes"', '"final_decision": "oui"', "entry 1: the answer is 'oui'"),
        ("mirage", '"answer": "A"', '"answer": "E"', "medqa, question 1: a question needs 'options'"),
        ("mediconfusion", "A,B,", "A,C,", "row 2: im_2_correct is 'C'"),
        ("bioasq", '"questions"', '"question"', "holds no list 'questions'"),
    ):
        folder = Path(shutil.copytree(published / name, tmp_path / name))
        for file in (*folder.rglob("*.json"), *folder.rglob("*.csv")):
            file.write_text(file.read_text().replace(old, new))
        with pytest.raises(InputError, match=words):
            read(name, folder)


def test_pickled_files_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "qas").mkdir()
    (tmp_path / "qas" / "test_vqa.pkl").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(InputError, match="not read"):
        read("pathvqa", tmp_path)
    (tmp_path / "Testing").mkdir()
    np.savez(tmp_path / "Testing" / "data_1.npz", slo_fundus=np.array([object()]), glaucoma=np.array(1))
    with pytest.raises(InputError, match="plain arrays"):
        read("harvard-fairvlmed", tmp_path)


def test_images_inside_parquet_are_groups_by_their_bytes(published: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    content = (published / "pathvqa" / "images" / "a.png").read_bytes()
    image = [{"bytes": content, "path": None}] * 2
    rows = pa.table({"image": image, "question": ["Is it red?", "Is it blue?"], "answer": ["yes", "no"]})
    (tmp_path / "data").mkdir()
    pq.write_table(rows, tmp_path / "data" / "test-00000-of-00001.parquet")
    first, second = PathVqaSuite().read(tmp_path).rows
    assert first.group == second.group
    assert Path(first.image).read_bytes() == content


def test_a_sample_is_of_whole_groups_and_the_same_every_time() -> None:
    items = [Item(str(n), f"g{n // 3}", "?", "yes", SIDES) for n in range(30)]
    some = sample_of(items, 9, 1)
    assert some == sample_of(items, 9, 1)
    assert len(some) == 9
    assert len({item.group for item in some}) == 3
    assert some != sample_of(items, 9, 2)
    assert sample_of(items, 0, 1) == items


# ---------------------------------------------------------------- measuring


def test_abstracts_are_measured_beside_everything_that_costs_little(published: Path, quick: Settings) -> None:
    report = evaluate(quick, "pubmedqa", published / "pubmedqa")
    by = {row.of["answered by"]: row for row in report.rows if "answered by" in row.of}
    wanted = {"ours", "a constant", "no retrieval", "shuffled evidence", "oracle evidence", "RULE's k", "gap rule"}
    assert wanted | {"fixed k = 5"} <= set(by)
    assert by["oracle evidence"].metrics["accuracy"].value == 1.0, "yes, no, and what is mixed is withheld"
    assert by["no retrieval"].metrics["answered"].value == 0.0
    assert by["a constant"].metrics["accuracy"].value == pytest.approx(1 / 3)
    assert sum(report.row(**{"quadrants of": "ours"}).counts.values()) == 3
    assert report.value("citation_exact", **{"citations of": "ours"}) == 1.0
    assert 0.5 < report.value("citation_words", **{"citations of": "ours"}) <= 1.0
    assert JUDGED in report.table()
    assert evaluate(quick, "pubmedqa", published / "pubmedqa").json() == report.json(), "two runs, the same figures"


def test_without_baselines_the_report_says_so(published: Path, quick: Settings) -> None:
    report = evaluate(quick, "pubmedqa", published / "pubmedqa", baselines=False)
    assert NO_BASELINES in report.table()
    assert [row.of["answered by"] for row in report.rows if "answered by" in row.of] == ["ours"]


def test_texts_of_another_system_are_read_and_compared(published: Path, quick: Settings, tmp_path: Path) -> None:
    said = tmp_path / "theirs.jsonl"
    texts = {
        "1": "**Yes**, it is.",
        "2": "No evidence of a pneumothorax.",
        "3": "I cannot view images.",
        "4": "The brain.",
    }
    said.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in texts.items()))
    report = evaluate(quick, "vqa-rad", published / "vqa-rad", said=said)
    assert {o["id"]: o["said"] for o in report.details["outcomes"]} == {
        "1": "yes", "2": "no", "3": WITHHELD, "4": "The brain.", "6": "",
    }  # fmt: skip
    closed = report.row(**{"answered by": "the texts of theirs.jsonl", "questions": "closed"}).metrics
    assert (closed["accuracy"].value, closed["answered"].value) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert closed["right"].value == 1.0
    said.write_text('{"id": "strange", "text": "yes"}\n')
    with pytest.raises(InputError, match="answers none of the questions"):
        evaluate(quick, "vqa-rad", published / "vqa-rad", said=said)


class Sighted:
    """A language model that answers by what it is shown: option B for a blue image, yes where evidence says so."""

    fingerprint, window, parallel, may_think = "sighted", None, 1, False

    def count(self, messages: Messages) -> int:
        return 1

    def chat(self, messages: Messages) -> Iterator[Piece]:
        if messages.pictures:
            red, _, blue = messages.pictures[0].image.getpixel((2, 2))
            yield Piece("The answer is (B)." if blue > red else "The answer is (A).")
        else:
            yield Piece("Yes." if "lowered" in messages.user else "I don't know.")


def sighted(settings: GenerationSettings, texts: Texts) -> LanguageGenerator:
    return LanguageGenerator(Sighted(), settings, texts)


@pytest.fixture
def model(quick: Settings) -> Settings:
    encoders = quick.encoders.model_dump()
    return load_settings(generation={"kind": f"{__name__}:sighted"}, encoders=encoders)


def test_a_model_is_asked_directly_and_shown_wrong_images(published: Path, model: Settings) -> None:
    report = evaluate(model, "mediconfusion", published / "mediconfusion", ask="model")
    by = {row.of["answered by"]: row.metrics for row in report.rows if "answered by" in row.of}
    assert by["the model alone"]["accuracy"].value == 0.75, "red A, blue B, red A, white A"
    assert by["another's image"]["accuracy"].value < 0.75
    assert by["without the image"]["answered"].value == 0.0
    assert by["its image in noise"]["accuracy"].value == 0.5, "noise is never bluer than a blue image, nor redder"
    pairs = report.row(**{"pairs of": "the model alone"})
    assert pairs.counts == {"pairs": 2}
    assert pairs.metrics["both_right"].value == 0.5
    assert pairs.metrics["confused"].value == 0.5


def test_a_model_is_shown_the_oracles_evidence(published: Path, model: Settings) -> None:
    report = evaluate(model, "pubmedqa", published / "pubmedqa", ask="model")
    assert report.value("answered", **{"answered by": "the model alone"}) == 0.0
    assert report.value("accuracy", **{"answered by": "oracle evidence"}) == pytest.approx(2 / 3)


def test_a_server_that_speaks_openai_is_measured_by_the_same_command(published: Path, tmp_path: Path) -> None:
    """What it streams over HTTP is read as any free text is; nothing of ours stands between."""
    servers = pytest.importorskip("generation.servers")
    with servers.serving(servers.saying("**No**, it does not.")) as server:
        profile = tmp_path / "mine.toml"
        profile.write_text(
            '[generation]\nkind = "openai"\n[generation.openai]\n'
            f'base_url = "{server.url}"\nmodel = "m"\nattempts = 1\n[encoders]\ntext = "fakes:make_word_bags"\n'
        )
        arguments = ["evaluate", "pubmedqa", "--data", str(published / "pubmedqa"), "--ask", "model"]
        done = CliRunner().invoke(app, [*arguments, "--profile", str(profile), "--json"])
        assert done.exit_code == 0, done.output
        asked = [request["body"]["messages"] for request in server.requests]
    found = json.loads(done.stdout)
    assert {o["said"] for o in found["outcomes"]} == {"no"}
    assert len(asked) == 6, "three questions, alone and with the oracle's evidence"
    assert any("Drug A lowered blood pressure." in json.dumps(messages) for messages in asked)


def test_without_a_language_model_nobody_can_be_asked_directly(published: Path, quick: Settings) -> None:
    with pytest.raises(InputError, match="needs a language model"):
        evaluate(quick, "pubmedqa", published / "pubmedqa", ask="model")


def test_options_are_never_searched_with(published: Path, quick: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from rag.evaluation.published.items import GoldText

    searched: list[str] = []
    begin = Pipeline.begin

    def noted(self: Pipeline, questions: Any, **more: Any) -> Any:
        searched.extend(q.text for q in questions)
        return begin(self, questions, **more)

    monkeypatch.setattr(Pipeline, "begin", noted)
    items = [
        Item(i.id, i.group, i.text, i.answer, i.options, given=(GoldText("t", "The heart pumps blood."),))
        for i in read("mirage", published / "mirage", sets="medqa").rows
    ]
    report = evaluate(quick, "mirage", items, sets="medqa")
    assert searched
    assert not any("Kidney" in text for text in searched)
    outcomes = {o["id"]: o["said"] for o in report.details["outcomes"]}
    assert outcomes["medqa/0001"] == "B", "the option whose words the evidence holds"
    assert report.value("accuracy", **{"answered by": "the longest option"}) == 0.0


def test_fairness_is_broken_down(published: Path, quick: Settings) -> None:
    items = read("harvard-fairvlmed", published / "harvard-fairvlmed").rows * 12
    report = evaluate(quick, "harvard-fairvlmed", items)
    assert {row.of["of"] for row in report.rows if row.of.get("by") == "race"} == {"Asian", "Black", "White"}
    assert report.value("macro_F1", **{"answered by": "a constant"}) < 0.5


def test_withheld_answers_are_wrong_and_beside_the_balanced_accuracy() -> None:
    from rag.evaluation.published.asking import HeardAnswer

    items = [Item(str(n), str(n), "?", "yes" if n % 2 else "no", SIDES) for n in range(8)]
    heard = [HeardAnswer(i.answer if n < 4 else WITHHELD) for n, i in enumerate(items)]
    found = figures_of(items, heard)
    assert (found["accuracy"].value, found["answered"].value) == (0.5, 0.5)
    assert (found["right"].value, found["balanced_accuracy"].value) == (1.0, 1.0)
    silent = figures_of(items, [HeardAnswer(WITHHELD)] * 8)
    assert (silent["accuracy"].value, silent["balanced_accuracy"].value) == (0.0, 0.0)


def test_no_one_is_given_an_image_of_the_own_group() -> None:
    items = [Item(str(n), f"g{n // 2}", "?", "yes", SIDES, image=f"{n // 2}.png") for n in range(6)]
    others = others_of([item.group for item in items])
    assert all(a.image != b.image for a, b in zip(items, shown_with(items, others), strict=True))
    assert others_of(["g", "g"]) == [None, None]


def test_rows_come_from_every_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "a.tsv").write_text("x\ty\n1\t2\n")
    (tmp_path / "a.json").write_text('{"k": {"x": 1}}')
    assert [row.text("x") for suffix in ("csv", "tsv", "json") for row in rows_of(tmp_path / f"a.{suffix}")] == [
        "1"
    ] * 3
    for name, content in (("b.json", "[1]"), ("c.json", "nothing"), ("d.pkl", ""), ("e.csv", "x\n\xff")):
        (tmp_path / name).write_bytes(content.encode("latin-1"))
        with pytest.raises(InputError, match=name):
            list(rows_of(tmp_path / name))
    folder = Folder(tmp_path, "X")
    assert folder.image("../outside.png") is None
    assert Asker.__doc__


@pytest.mark.parametrize("name", [*READ, "healthver", "negation", "nubes", "medec", "nfcorpus", "medquad", "iuxray"])
def test_two_runs_give_the_same_bytes(name: str, published: Path, quick: Settings) -> None:
    first, second = (json.dumps(evaluate(quick, name, published / name).json()) for _ in range(2))
    assert first == second


def test_an_image_question_is_asked_with_its_own_another_and_noise(published: Path, model: Settings) -> None:
    report = evaluate(model, "vqa-rad", published / "vqa-rad")
    of = [row.of["answered by"] for row in report.rows if row.of.get("questions") == "closed"]
    assert {"ours", "another's image", "its image in noise", "without the image"} <= set(of)
    items = read("vqa-rad", published / "vqa-rad").rows
    noise = [Path(item.image).read_bytes() for some in (in_noise(items), in_noise(items)) for item in some]
    assert noise[: len(items)] == noise[len(items) :], "a memo of what was said of it finds it again"
