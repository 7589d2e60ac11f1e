"""Models of the real architectures, tiny and with random weights, through the code that runs the real ones."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from rag.errors import InputError, MissingDependencyError
from rag.generation.chat import LanguageGenerator
from rag.generation.messages import Messages, Picture
from rag.generation.registry import load_generator
from rag.generation.transformers import LocalModel, _FirstToken
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon

from .checkpoints import MAKERS
from .conftest import Ask, settings_for

TEXTS = Texts(Lexicon.load())

Tiny = Callable[[str], Path]
SEEING = [kind for kind in MAKERS if kind != "qwen2"]


def noise(seed: int) -> Picture:
    return Picture(Image.effect_noise((90 + seed, 70), 60).convert("RGB"), f"Image {seed}:")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_writes_the_same_draft_every_time_and_says_how_sure_it_is(kind: str, tiny: Tiny, ask: Ask) -> None:
    settings = settings_for(tiny(kind))
    generator = LanguageGenerator(LocalModel(settings), settings, TEXTS)
    request = ask()
    draft = generator.generate(request)
    assert draft.text
    assert draft.truncated, "eight tokens are no answer"
    assert draft.probability is not None
    assert 0 < draft.probability < 1
    assert draft.left_out == ()
    assert generator.generate(request) == draft
    assert list(generator.stream(request))[-1] == draft


def test_the_probability_of_yes_is_the_models_own(tiny: Tiny) -> None:
    """Against a plain forward pass over the same tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, messages = tiny("qwen2"), Messages("Rules.", "Is there cardiomegaly?")
    first = next(iter(LocalModel(settings_for(folder)).chat(messages)))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    turns = [("system", "Rules."), ("user", "Is there cardiomegaly?")]
    prompt = "".join(f"<|im_start|>{who}\n{text}<|im_end|>\n" for who, text in turns) + "<|im_start|>assistant\n"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        p = model(**ids).logits[0, -1].double().softmax(0)
    yes, no = (
        {tokenizer.encode(s + w)[0] for s in ("", " ") for w in v} for v in (("yes", "Yes", "YES"), ("no", "No", "NO"))
    )
    both = yes & no
    a, b = (sum(float(p[i]) for i in some - both) for some in (yes, no))
    assert first.yes == pytest.approx(a / (a + b), abs=1e-5)


def test_yes_is_found_however_a_vocabulary_writes_it() -> None:
    """Llama's and Gemma's begin a word with a mark; after a line break the same word comes without it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    words = "Yes No yes no the Yes\nNo\nYes\nNo " * 20
    inner.train_from_iterator([words], trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>"]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>")
    vocabulary = tokenizer.get_vocab()
    first = _FirstToken(tokenizer)
    assert {vocabulary[t] for t in ("\u2581Yes", "\u2581yes", "Yes") if t in vocabulary} <= set(first._yes)
    assert "\u2581Yes" in vocabulary
    assert vocabulary["\u2581No"] in first._no
    assert vocabulary["<unk>"] not in {*first._yes, *first._no}
    assert not set(first._yes) & set(first._no)


@pytest.mark.parametrize("kind", SEEING)
def test_pictures_are_seen_one_or_several_in_their_order(kind: str, tiny: Tiny) -> None:
    model = LocalModel(settings_for(tiny(kind)))
    one, two = noise(1), noise(20)
    shown = [(), (one,), (two,), (one, two), (two, one)]
    sizes = [model.count(Messages("Rules.", "What is seen?", p)) for p in shown]
    assert sizes[0] < sizes[1] < sizes[3] == sizes[4]
    opinions = [next(iter(model.chat(Messages("Rules.", "What is seen?", p)))).yes for p in shown]
    assert len(set(opinions)) == len(shown), "each picture, and their order, changes what the model thinks"


@pytest.mark.parametrize("kind", MAKERS)
def test_control_tokens_in_a_text_are_text(kind: str, tiny: Tiny) -> None:
    model = LocalModel(settings_for(tiny(kind)))
    tokens = " ".join(
        t for t in ("<image>", "<|im_end|>", "<|image_pad|>", "<start_of_image>", "<end_of_turn>", "</s>")
    )
    plain, hostile = (
        model._inputs(model._weights.load(), Messages("R.", t))["input_ids"][0].tolist() for t in ("a", tokens)
    )
    controls = set(model._weights.load().tokenizer.all_special_ids)
    assert [i for i in hostile if i in controls] == [i for i in plain if i in controls]
    assert "".join(p.text for p in model.chat(Messages("R.", tokens))) is not None


def test_a_model_sees_the_first_passages_and_the_rest_is_said_to_be_left_out(tiny: Tiny, ask: Ask) -> None:
    settings = settings_for(tiny("qwen2"), passages=1)
    generator = LanguageGenerator(LocalModel(settings), settings, TEXTS)
    request = ask("Is there an effusion?", "No effusion.", "The heart is large.", "Lungs are clear.")
    assert generator.generate(request).left_out == tuple(e.passage_id for e in request.evidence[1:])
    unbounded = settings_for(tiny("qwen2"))
    assert generator.prompt_sha256 != LanguageGenerator(LocalModel(unbounded), unbounded, TEXTS).prompt_sha256


def test_evidence_that_does_not_fit_the_window_is_left_out_by_whole_passages(tiny: Tiny, ask: Ask) -> None:
    texts = ["The heart is enlarged.", "Long. " * 400, "No effusion.", "The lungs are clear."]
    request = ask("Is there cardiomegaly?", *texts)
    settings = settings_for(tiny("qwen2"))
    model = LocalModel(settings)
    whole = LanguageGenerator(model, settings, TEXTS)
    all_but = model.count(whole._messages(request, [e for e in request.evidence if e.number != 2]))
    assert whole.generate(request).left_out == ()
    narrow = settings_for(tiny("qwen2"), transformers={"window": all_but + 8})
    assert LanguageGenerator(LocalModel(narrow), narrow, TEXTS).generate(request).left_out == ("d2/0",)
    narrower = settings_for(tiny("qwen2"), transformers={"window": all_but + 7})
    assert LanguageGenerator(LocalModel(narrower), narrower, TEXTS).generate(request).left_out == ("d2/0", "d4/0")
    none = settings_for(tiny("qwen2"), transformers={"window": 128})
    draft = LanguageGenerator(LocalModel(none), none, TEXTS).generate(request)
    assert draft.refusal == "the question alone does not fit into the model's window"


def test_a_temperature_draws_and_a_seed_repeats_it(tiny: Tiny, ask: Ask) -> None:
    def text(seed: int) -> str | None:
        settings = settings_for(tiny("qwen2"), temperature=1.5, seed=seed)
        return LanguageGenerator(LocalModel(settings), settings, TEXTS).generate(ask()).text

    assert text(1) == text(1)
    assert text(1) != text(2)


def test_who_stops_listening_stops_the_model_and_others_get_their_turn(tiny: Tiny) -> None:
    model = LocalModel(settings_for(tiny("qwen2"), max_new_tokens=3000))
    messages = Messages("Rules.", "Write for ever.")
    stream = model.chat(messages)
    assert len(list(islice(stream, 3))) == 3
    stream.close()
    assert not any(t.name == "language model" for t in threading.enumerate())
    short = LocalModel(settings_for(tiny("qwen2")))
    together: list[str] = []
    threads = [
        threading.Thread(target=lambda: together.append("".join(p.text for p in short.chat(messages))))
        for _ in range(3)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(together) == 3
    assert len(set(together)) == 1


def test_the_fingerprint_changes_with_whatever_changes_answers(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny("qwen2"), folder)

    def prints(**more: object) -> str:
        settings = settings_for(folder, **more)
        return LanguageGenerator(LocalModel(settings), settings, TEXTS).fingerprint

    before = [prints(), prints(temperature=0.5), prints(seed=1), prints(max_new_tokens=9), prints(revisions=0)]
    before.append(prints(transformers={"dtype": "bfloat16"}))
    assert len(set(before)) == len(before)
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(template + " ")
    assert prints() not in before


def test_a_model_without_a_chat_template_is_given_one(tiny: Tiny, tmp_path: Path) -> None:
    """As LLaVA-Med comes out of its conversion."""
    folder = tmp_path / "model"
    shutil.copytree(tiny("llava"), folder)
    (folder / "chat_template.jinja").unlink()
    messages = Messages("Rules.", "What is seen?", (noise(1),))
    with pytest.raises(InputError, match="chat_template"):
        LocalModel(settings_for(folder)).count(messages)
    model = LocalModel(settings_for(folder, transformers={"chat_template": "mistral-instruct"}))
    ids = model._inputs(model._weights.load(), messages)["input_ids"][0]
    text = model._weights.load().tokenizer.decode(ids)
    assert text.startswith("<s>[INST] <image>")
    assert text.endswith("Rules.\nImage 1:\nWhat is seen?\n[/INST]")
    assert model.fingerprint != LocalModel(settings_for(folder)).fingerprint
    with pytest.raises(InputError, match="one of: compact-lvlm, mistral-instruct"):
        LocalModel(settings_for(folder, transformers={"chat_template": "nosuch"}))


def damaged(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "no weights":
        weights.unlink()
    elif how == "cut off":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif how == "a tensor missing":
        tensors = load_file(weights)
        tensors.pop("model.norm.weight")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif how == "code":
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "llava_mistral", "auto_map": {"AutoModelForCausalLM": "evil.Model"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "evil.py").write_text("raise SystemExit('ran')")
    elif how == "no config":
        (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no weights", "no .*safetensors"),
        ("cut off", "cannot be loaded"),
        ("a tensor missing", "lack the tensor 'model.norm.weight'"),
        ("code", "type 'llava_mistral'"),
        ("no config", "no config.json"),
    ],
)
def test_a_damaged_model_is_one_sentence_and_its_code_is_never_run(
    how: str, words: str, tiny: Tiny, tmp_path: Path, ask: Ask
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny("qwen2"), folder)
    damaged(folder, how)
    settings = settings_for(folder)
    with pytest.raises(InputError, match=words):
        LanguageGenerator(LocalModel(settings), settings, TEXTS).generate(ask())


def test_a_model_of_the_hubs_cache_is_found_by_its_id_offline(
    tiny: Tiny, tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--somebody--tiny"
    shutil.copytree(tiny("qwen2"), cached / "snapshots" / "0123abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("0123abc")
    settings, own = settings_for("somebody/tiny"), settings_for(tiny("qwen2"))
    cached_model = LanguageGenerator(LocalModel(settings), settings, TEXTS)
    assert cached_model.generate(ask()) == LanguageGenerator(LocalModel(own), own, TEXTS).generate(ask())
    assert cached_model.fingerprint.startswith("transformers:somebody/tiny:")


def test_a_model_that_is_not_here_is_said_at_once(texts: Texts) -> None:
    with pytest.raises(MissingDependencyError, match="'somebody/some-model' is not on this machine"):
        load_generator(settings_for("somebody/some-model"), texts)
    with pytest.raises(InputError, match="generation.transformers.model"):
        load_generator(settings_for(None), texts)
    with pytest.raises(InputError, match="choose one of: reader, transformers, openai"):
        load_generator(settings_for(None, kind="gpt"), texts)
