"""A generator that is to look: towers that learn, images near their captions, texts that mislead, and the test."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generation import parts as tiny_parts
from hypothesis import given
from hypothesis import strategies as st

from rag.encoders.runtime import torch
from rag.errors import InputError
from rag.generation.compact_lvlm.parts import ModelParts
from rag.generation.prompts import Prompt
from rag.generation.weights import Weights
from rag.language.lexicon import Lexicon
from rag.progress import Silent
from rag.training.generator.adapting import adapt
from rag.training.generator.examples import Asking, Shown, compose
from rag.training.generator.feeding import Feeder
from rag.training.generator.labelled import read_labelled
from rag.training.generator.losses import alignment_loss
from rag.training.generator.packing import read_parts, write_parts
from rag.training.generator.recipe import GeneratorRecipe
from rag.training.generator.sft import TuningJob, train_generator
from rag.training.generator.sight import LookingTest
from rag.training.generator.written import WrittenPrompts

from .tuning import build_loud, pictures, write_prompt, write_rows

SMALL = GeneratorRecipe(rank=4, rate=0.02, projector_rate=0.01, epochs=1, tokens=2048, longest=2048, unfreeze=1)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_loud("llava", tmp_path_factory.mktemp("bases") / "llava")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures.jsonl, bright and dark squares, and short.jinja."""
    folder = tmp_path_factory.mktemp("made")
    write_prompt(folder)
    write_rows(folder / "pictures.jsonl", pictures(folder, 24))
    return folder


@pytest.fixture
def read(llava: Path) -> Callable[[], Any]:
    return lambda: Weights.find(str(llava), None, "cpu", "float32").read()


def feeder(loaded: Any, made: Path, **more: Any) -> Feeder:
    return Feeder(loaded, Prompt(str(made / "short.jinja")), Lexicon.load(), SMALL, 512, **more)


def test_the_last_stage_of_the_tower_learns_and_no_other(read: Callable[[], Any], made: Path, tmp_path: Path) -> None:
    loaded = read()
    tuned = adapt(loaded, SMALL)
    assert tuned.tower
    assert all(".layers.1." in name for name in tuned.tower)
    assert not tuned.tower.keys() & (tuned.adapter.keys() | tuned.projector.keys())
    assert not adapt(read(), SMALL.model_copy(update={"unfreeze": 0})).tower
    with pytest.raises(InputError, match="'unfreeze' is 3, and the model 'llava' has 2 stages"):
        adapt(read(), SMALL.model_copy(update={"unfreeze": 3}))


def test_normalisations_that_learn_are_whole_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights in one precision and statistics in another are refused on a GPU."""
    pytest.importorskip("gguf")
    monkeypatch.syspath_prepend(tmp_path / "site")
    folder = tiny_parts.write(tmp_path / "tiny", tiny_parts.base(tmp_path / "site" / "tinybase16"))
    loaded = Weights.find(str(folder), None, "cpu", "bfloat16", tmp_path / "cache").read()
    library, tuned = torch(), adapt(loaded, SMALL)
    norms = [m for m in tuned.model.modules() if isinstance(m, library.nn.BatchNorm2d) and m.weight.requires_grad]
    assert len(norms) == 4  # three of the last stage, and the one that follows it
    assert {t.dtype for m in norms for t in (m.weight, m.bias, m.running_mean, m.running_var)} == {library.float32}
    assert tuned.model.dtype == library.bfloat16


def test_what_was_written_can_be_gone_on_from(read: Callable[[], Any], tmp_path: Path) -> None:
    tuned, shipped = adapt(read(), SMALL), ModelParts.find("compact-lvlm")
    assert shipped is not None
    with torch().no_grad():
        for parameter in tuned.parameters.values():
            parameter.normal_(std=0.05)
    write_parts(tuned, shipped, tmp_path)
    parts = ModelParts.find(str(tmp_path))
    assert parts is not None
    assert parts.tower_changes in parts.files
    again = adapt(read(), SMALL)
    read_parts(again, parts)
    for name, parameter in tuned.parameters.items():
        np.testing.assert_allclose(again.parameters[name].detach(), parameter.detach(), atol=1e-3)
    with pytest.raises(InputError, match="is of another form; give the 'rank' and 'unfreeze'"):
        read_parts(adapt(read(), SMALL.model_copy(update={"rank": 8})), parts)
    with pytest.raises(InputError, match="is of another form"):
        read_parts(adapt(read(), SMALL.model_copy(update={"unfreeze": 0})), parts)
    (tmp_path / parts.projector).write_bytes(b"no tensors")
    with pytest.raises(InputError, match="cannot be read; copy them again"):
        read_parts(adapt(read(), SMALL), parts)


def test_images_near_their_own_captions_lose_little() -> None:
    library = torch()
    texts = library.randn(6, 16, generator=library.Generator().manual_seed(0))
    own = library.eye(6, dtype=library.bool)
    near, exchanged = alignment_loss(texts * 3, texts, own), alignment_loss(texts.roll(1, 0), texts, own)
    assert near < 0.1 < exchanged
    every = library.ones(6, 6, dtype=library.bool)  # one caption of all: no image is nearer to it than another
    assert alignment_loss(texts, texts, every) == pytest.approx(float(alignment_loss(texts.roll(1, 0), texts, every)))
    assert alignment_loss(texts, texts, every) > np.log(6)


@given(st.dictionaries(st.tuples(st.text(max_size=9), st.booleans(), st.text(max_size=5)),
                       st.lists(st.integers(0, 49_151), min_size=1, max_size=9), max_size=5))  # fmt: skip
def test_written_prompts_come_back(tmp_path_factory: pytest.TempPathFactory, some: dict[Any, list[int]]) -> None:
    folder, written, again = tmp_path_factory.mktemp("run"), WrittenPrompts(), WrittenPrompts()
    asked = {Asking(q, (Shown(t, "similar"),), "x.png" if image else None): ids for (q, image, t), ids in some.items()}
    for asking, ids in asked.items():
        written.put(asking, ids)
    written.save(folder)
    again.load(folder)
    assert {asking: again.get(asking) for asking in asked} == asked
    assert again.get(Asking("never asked, and longer than nine")) is None
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[:-1])
    damaged = WrittenPrompts()
    damaged.load(folder)  # written again, and nobody is told
    assert not any(damaged.get(asking) for asking in asked)


def test_a_prompt_that_is_written_once_is_the_one_that_is_asked(read: Callable[[], Any], made: Path) -> None:
    loaded = read()
    fed = feeder(loaded, made)
    asking = Asking("Is it bright?", (Shown("A dark square.", "similar"),), str(made / "images" / "0.png"))
    request = asking.request(Lexicon.load())
    fresh = feeder(loaded, made)
    whole = loaded.inputs(Prompt(str(made / "short.jinja")).render(request, request.evidence, fresh._pictures(
        asking, np.random.default_rng(0))))  # fmt: skip
    ours = fed.prompt(asking)
    assert ours.keys() == dict(whole).keys()
    assert ours["input_ids"].tolist() == whole["input_ids"].tolist()
    np.testing.assert_allclose(ours["pixel_values"].float(), whole["pixel_values"], atol=2e-3)
    assert fed.length(asking, "Yes.") == whole["input_ids"].shape[-1] + len(fed.tokens("Yes."))


def test_an_image_has_as_many_views_as_are_wanted(read: Callable[[], Any], made: Path) -> None:
    asking = Asking("Is it bright?", (), str(made / "images" / "1.png"), "varied")

    def views(some: int | None) -> int:
        fed = feeder(read(), made, views=some)
        return len({fed.pixels([asking], (step,)).numpy().tobytes() for step in range(24)})

    assert (views(2), views(None)) == (2, 24)


def test_texts_beside_an_image_contradict_as_often_as_is_wanted(made: Path) -> None:
    items, _ = read_labelled([made / "pictures.jsonl"])
    train = [i for i in items if i.split == "train"]
    bright = {" ".join(i.words) for i in train if i.side is None and "bright" in " ".join(i.words)}

    def led(misleading: float, similar: float) -> tuple[int, int]:
        recipe = SMALL.model_copy(update={"misleading": misleading, "similar": similar, "refusals": 0.0, "versions": 8})
        asked = [e for e in compose(train, recipe) if e.of.side]
        beside = [e for e in asked if e.asking.passages]
        wrong = sum((e.asking.passages[0].text in bright) == (e.of.side == "No") for e in beside)
        return len(asked) - len(beside), len(beside) - wrong

    asked = 8 * sum(i.side is not None for i in train)
    assert led(1.0, 1.0) == (0, 0)
    assert led(0.0, 0.0)[0] == asked
    assert led(0.0, 1.0) == (0, asked)
    assert led(0.5, 1.0)[1] == pytest.approx(asked / 2, rel=0.3)


def test_the_test_exchanges_what_should_change_the_answer_and_adds_what_should_not(made: Path) -> None:
    items, _ = read_labelled([made / "pictures.jsonl"])
    sides: dict[str | None, set[str | None]] = defaultdict(set)
    for i in items:
        if i.side:
            sides[i.side].add(i.image)
    askings = LookingTest(items, SMALL).askings
    assert len(askings) == 5 * 24
    for alone, agreed, contradicted, exchanged, noised in (askings[n : n + 5] for n in range(0, len(askings), 5)):
        own = "Yes" if alone.image in sides["Yes"] else "No"
        other = "No" if own == "Yes" else "Yes"
        assert (alone.passages, exchanged.passages, noised.passages) == ((), (), ())
        assert exchanged.image in sides[other]
        assert (agreed.image, contradicted.image, noised.image) == (alone.image,) * 3
        assert noised.view == "noise"
        for asking, side in ((agreed, own), (contradicted, other)):
            assert all(("bright" in p.text) == (side == "Yes") and p.whose == "similar" for p in asking.passages)
            assert asking.passages


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("looks", (1, 1, 1, 0, 0.5)),
        ("reads", (0.5, 1, 0, 0.5, 0.5)),
        ("reads to contradict", (0.5, 0, 1, 0.5, 0.5)),
        ("is blind", (0.5, 0.5, 0.5, 0.5, 0.5)),
    ],
)
def test_who_looks_is_told_from_who_reads_and_who_is_blind(
    read: Callable[[], Any], made: Path, monkeypatch: pytest.MonkeyPatch, who: str, expected: tuple[float, ...]
) -> None:
    class Answerer:
        """One that looks answers by the image, one that reads by the texts, one that is blind says yes."""

        told = True

        def __init__(self, _: Feeder) -> None:
            pass

        def scores(self, _: Any, turns: Any) -> list[dict[str, float]]:
            return [{self.said(asking): 0.0} for asking, _ in turns]

        def said(self, asking: Asking) -> str:
            if who == "looks":
                return "refusal" if asking.view == "noise" else "No" if int(Path(str(asking.image)).stem) % 2 else "Yes"
            if who.startswith("reads") and asking.passages:
                agrees = "bright" in asking.passages[0].text
                return "Yes" if agrees == (who == "reads") else "No"
            return "Yes"

    monkeypatch.setattr("rag.training.generator.sight.Beginnings", Answerer)
    items, _ = read_labelled([made / "pictures.jsonl"])
    (row,) = LookingTest(items, SMALL).measure(None, feeder(read(), made))
    assert (row.kind, row.n, row.groups) == ("made-up pictures", 24, 24)
    assert (row.alone, row.agreed, row.contradicted, row.exchanged, row.noised) == expected
    assert row.image_effect == pytest.approx(row.alone - row.exchanged)
    assert row.low <= row.image_effect <= row.high


def test_a_tuning_that_aligns_and_unfreezes_tells_whether_the_model_looks(
    llava: Path, made: Path, tmp_path: Path
) -> None:
    recipe = SMALL.model_copy(update={"align_epochs": 2.0, "epochs": 12.0, "projector_epochs": 2.0, "views": 2})
    job = TuningJob(f"local-dir:{llava}", str(made / "short.jinja"), tmp_path / "tuned")
    report = train_generator([made / "pictures.jsonl"], job, recipe, Silent())
    assert report.measured["test"]
    card = (tmp_path / "tuned" / "README.md").read_text()
    for words in ("### test", "Alignment: ", "unfreeze 1"):
        assert words in card


def test_what_cannot_be_gone_on_from_is_one_sentence(llava: Path, made: Path, tmp_path: Path) -> None:
    job = TuningJob(f"local-dir:{llava}", str(made / "short.jinja"), tmp_path / "tuned", start=str(tmp_path))
    with pytest.raises(InputError, match="no model in parts to go on from"):
        train_generator([made / "pictures.jsonl"], job, SMALL, Silent())
    job = TuningJob(f"local-dir:{llava}", str(made / "short.jinja"), tmp_path / "tuned", start="compact-lvlm")
    with pytest.raises(InputError, match="was tuned on another base"):
        train_generator([made / "pictures.jsonl"], job, SMALL, Silent())
    sized = SMALL.model_copy(update={"image_size": 64})
    with pytest.raises(InputError, match="'image_size' goes with a language model of a package"):
        train_generator([made / "pictures.jsonl"], job, sized, Silent())
