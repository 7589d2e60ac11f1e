"""Every combination of retrieval, contexts and model, of three kinds of questions, by models that follow or do not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import rag
from rag import Engine
from rag.errors import InputError
from rag.evaluation.suite import named_suite
from rag.evaluation.suites import ablation
from rag.generation.chat import LanguageGenerator, Piece
from rag.generation.messages import Messages


class Parrot:
    """Says yes where the last passage that it is shown, or else the image, says so; never looks at both."""

    fingerprint = "parrot:1"
    window = None
    parallel = 1
    may_think = False

    def __init__(self, follows: bool) -> None:
        self.follows = follows

    def count(self, messages: Messages) -> int:
        return 0

    def chat(self, messages: Messages) -> Iterator[Piece]:
        passages = [line for line in messages.user.splitlines() if line.startswith("[")]
        own = [p for p in passages if "this patient's report" in p] or passages
        read = passages[-1:] if self.follows else own[:1]
        if read:
            yes = any(w in read[0] for w in ("is enlarged", "ardiomegaly", "haemorrhage"))
        else:
            yes = bool(messages.pictures) and messages.pictures[0].image.getpixel((0, 0))[0] > 128
        yield Piece("Yes." if yes else "No.", 0.95 if yes else 0.05)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    rows: list[dict[str, Any]] = [
        {"id": s, "question": "Is the heart enlarged?", "study": s, "answer": "yes" if s in ("r1", "r5") else "no"}
        for s in ("r1", "r4", "r5", "r6")
    ]
    for name, colour, answer in (("a", "red", "yes"), ("b", "blue", "no"), ("c", "red", "yes"), ("d", "blue", "no")):
        Image.new("RGB", (24, 24), colour).save(tmp_path / f"{name}.png")
        question = "Is there a retinal haemorrhage?"
        rows.append({"id": name, "question": question, "image": f"{name}.png", "group": name, "answer": answer})
    rows.append({"id": "l", "question": "Does cardiomegaly mean an enlargement of the heart?", "answer": "yes"})
    file = tmp_path / "asked.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture
def parrots(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(settings: Any, texts: Any) -> LanguageGenerator:
        plain = settings.model_copy(update={"prompt": "compact-lvlm", "evidence_images": False})
        return LanguageGenerator(Parrot(settings.transformers.model == "follower"), plain, texts)

    monkeypatch.setattr(ablation, "load_generator", made)


@pytest.mark.usefixtures("parrots")
def test_who_follows_what_lies_beside_the_report_relies_on_it_too_much(own: Engine, asked: Path) -> None:
    report = rag.evaluate(own, "ablation", asked, models="follower=follower, steady=steady", k=3)
    about = {"questions about": "report", "contexts": "fixed", "retrieval": "all domains"}
    assert report.value("accuracy", model="steady", **{**about, "retrieval": "none", "contexts": "-"}) == 1.0
    assert report.value("over_reliance", model="steady", **about) == 0.0
    assert report.value("over_reliance", model="follower", **about) > 0.0
    image = {"questions about": "image", "retrieval": "none"}
    assert report.value("image_effect", model="steady", **image) > 0.5
    assert report.value("accuracy", model="steady", **image) == 1.0
    kinds = {row.of["questions about"] for row in report.rows}
    assert kinds == {"report", "image", "literature"}
    ways = {(r.of["retrieval"], r.of["contexts"]) for r in report.rows}
    assert ways == {("none", "-"), *((r, c) for r in ("all domains", "router") for c in ("fixed", "gap"))}
    assert "accuracy" in report.table()


@pytest.mark.usefixtures("parrots")
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot_is_a_picture(own: Engine, asked: Path, tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"plot.{suffix}"
    rag.evaluate(own, "ablation", asked, models="steady=steady", each=4, plot=file)
    assert file.stat().st_size > 1000


def test_options_that_make_no_sense_are_one_sentence(own: Engine, asked: Path) -> None:
    with pytest.raises(InputError, match="at least 2 questions"):
        named_suite("ablation", each="1")
    with pytest.raises(InputError, match="NAME=MODEL"):
        rag.evaluate(own, "ablation", asked, models="sft")
