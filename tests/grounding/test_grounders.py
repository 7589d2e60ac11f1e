"""Every grounder keeps one contract; what the ways add is held against sums that can be done by hand."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes import Colours, Spots
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from rag.encoders.openclip import OpenClipEncoder
from rag.errors import InputError
from rag.grounding.base import Grounder
from rag.grounding.boxes import HOT, boxes_in
from rag.grounding.encoder import SimilarityLooker
from rag.grounding.prompts import load_appearances, prompts_of
from rag.grounding.region import Grounding
from rag.grounding.views import ViewGrounder, join, mirror, views_of
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon

WAYS = (
    "spots",
    "attention",
    *(f"similarity {tower}" for tower in ("clip-vit", "vit", "efficientnet", "convnext")),
    *(f"gradient {tower}" for tower in ("vit", "efficientnet", "convnext")),
)
EncoderOf = Callable[[str], OpenClipEncoder]
PHRASES = ["red nodule", "left pleural effusion"]


def centre(grounding: Grounding) -> tuple[float, float]:
    box = grounding.region.boxes[0]
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


@pytest.mark.parametrize("way", WAYS)
def test_a_grounder_keeps_the_contract(way: str, grounder_of: Callable[[str], Grounder], spotted: Image.Image) -> None:
    grounder = grounder_of(way)
    found = grounder.ground(spotted, PHRASES)
    again = grounder.ground(spotted, PHRASES)
    assert grounder.ground(spotted, []) == []
    assert [g.region.phrase for g in found] == PHRASES
    for one, same in zip(found, again, strict=True):
        region = one.region
        assert region == same.region
        assert (region.method, region.model) == (grounder.method, grounder.fingerprint)
        assert one.heat.dtype == np.float32 and one.heat.shape == (32, 96)  # the image's proportions
        assert np.isfinite(one.heat).all() and one.heat.min() == 0 and one.heat.max() in (0, 1)
        assert (region.cannot_say is None) == bool(region.boxes)
        assert all(0 <= b.x0 < b.x1 <= 1 and 0 <= b.y0 < b.y1 <= 1 for b in region.boxes)
        with Image.open(io.BytesIO(one.png(*spotted.size))) as drawn:
            assert drawn.size == (512, 171) and drawn.mode == "RGBA"
    # what is mirrored is found where the mirror has it
    mirrored = grounder.ground(ImageOps.mirror(spotted), [mirror(p) for p in PHRASES])
    for one, other in zip(found, mirrored, strict=True):
        assert np.allclose(one.heat[:, ::-1], other.heat, atol=0.1)
        assert one.region.uncertainty == pytest.approx(other.region.uncertainty, abs=0.1)


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (2000, 90), (640, 480)])
def test_images_of_any_shape_are_looked_at(size: tuple[int, int]) -> None:
    (found,) = ViewGrounder(Spots()).ground(Image.new("RGB", size, "red"), ["red"])
    assert found.region.cannot_say is not None  # the same everywhere: there is no place to point to
    assert found.region.boxes == ()


def test_a_spot_is_found_where_it_is_and_views_agree(spotted: Image.Image) -> None:
    red, blue, green = ViewGrounder(Spots()).ground(spotted, ["red spot", "blue spot", "green spot"])
    assert centre(red) == pytest.approx((0.15, 0.45), abs=0.05)
    assert centre(blue) == pytest.approx((0.85, 0.55), abs=0.05)
    assert max(red.region.uncertainty, blue.region.uncertainty) < 0.2
    assert red.region.score > 0.5
    assert green.region.boxes and red.heat[15, 15] > 0.9  # grey is greener than red and blue: the map says just that


def test_views_that_disagree_cannot_say_where(spotted: Image.Image) -> None:
    class Restless(Spots):
        def look(self, squares: list[Image.Image], phrases: list[str]) -> np.ndarray:
            shape = len(squares), len(phrases), 16, 16
            return np.random.default_rng(len(squares)).random(shape, dtype=np.float32)

    (found,) = ViewGrounder(Restless()).ground(spotted, ["red"])
    assert found.region.uncertainty > 0.5
    assert found.region.cannot_say == "views of the image (mirrored, closer) disagree about the place"


def test_a_side_changes_with_the_mirror(spotted: Image.Image) -> None:
    class Sided(Spots):
        def look(self, squares: list[Image.Image], phrases: list[str]) -> np.ndarray:
            """Believes the words: what is called left is on the left of what it sees."""
            ramp = np.linspace(1, 0, 16, dtype=np.float32)[None, :].repeat(16, axis=0)
            maps = [ramp if "left" in p else ramp[:, ::-1] for p in phrases]
            return np.stack([maps] * len(squares))

    left, right = ViewGrounder(Sided()).ground(spotted.resize((100, 100)), ["left side", "right side"])
    assert centre(left)[0] < 0.5 < centre(right)[0]
    assert left.region.uncertainty < 0.1


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(2, 20))
def test_views_cover_the_image_and_are_square(width: int, height: int, most: int) -> None:
    views = views_of(width, height, most)
    assert {v.mirrored for v in views} == {True, False}
    for v in views:
        assert -1e-9 <= v.x0 < v.x1 <= 1 + 1e-9 and -1e-9 <= v.y0 < v.y1 <= 1 + 1e-9
        across, down = (v.x1 - v.x0) * width, (v.y1 - v.y0) * height
        assert max(across, down) / min(across, down) <= 1.16
    if max(width, height) <= 16 * min(width, height):
        for mirrored in (False, True):
            ones = [(v, np.ones((2, 2), np.float32)) for v in views if v.mirrored == mirrored]
            assert (join(ones, (width, height))[0] == 1).all()


@given(st.integers(0, 2**32 - 1))
def test_boxes_hold_what_is_hot(seed: int) -> None:
    random = np.random.default_rng(seed)
    heat = random.random((12, 20)).astype(np.float32) ** 4
    heat = (heat - heat.min()) / (heat.max() - heat.min())
    boxes, score = boxes_in(heat)
    assert 1 <= len(boxes) <= 3 and 0 <= score <= 1
    for b in boxes:  # as small as it can be: something hot touches each edge
        part = heat[round(b.y0 * 12) : round(b.y1 * 12), round(b.x0 * 20) : round(b.x1 * 20)]
        assert b.heat == pytest.approx(float(part.mean()), abs=1e-3)
        assert all(edge.max() >= HOT for edge in (part[0], part[-1], part[:, 0], part[:, -1]))


@pytest.mark.parametrize("tower", ["efficientnet", "clip-vit", "vit"])
def test_places_are_in_the_space_of_whole_images(
    tower: str, encoder_of: EncoderOf, spotted: Image.Image, tmp_path: Path
) -> None:
    """Whole images are the encoder's own; where a tower averages its map, they are the mean of their places."""
    encoder = encoder_of(tower)
    square = spotted.resize((64, 64))
    square.save(tmp_path / "square.png")
    places, whole = encoder.encode_places([square])
    assert places.shape[:1] + places.shape[3:] == whole.shape
    assert np.allclose(whole / np.linalg.norm(whole), encoder.encode_images([tmp_path / "square.png"]), atol=1e-5)
    if tower == "efficientnet":
        assert np.allclose(places.mean(axis=(1, 2)), whole, atol=1e-4)


def test_the_gradient_is_that_of_the_similarity(encoder_of: EncoderOf, spotted: Image.Image) -> None:
    """Grad-CAM of a tower that averages and projects, done by hand: its weights are the same at every place."""
    from rag.encoders.runtime import torch

    library, encoder = torch(), encoder_of("efficientnet")
    square, texts = [spotted.resize((64, 64))], encoder.encode_texts(["heart", "lungs"])
    traced = encoder.trace_places(square, texts)
    visual = encoder._visual
    with library.no_grad():
        features = visual.trunk.forward_features(encoder.pixels(square[0])[None])
        weights = visual.head(features.mean(dim=(2, 3)))
    vector = weights[0].double().numpy()
    projection = visual.head.proj.weight.detach().double().numpy()
    length, unit = np.linalg.norm(vector), vector / np.linalg.norm(vector)
    for text, map_ in zip(texts.astype(np.float64), traced[0], strict=True):
        slope = (text - (text @ unit) * unit) / length @ projection / map_.size
        expected = np.einsum("c,chw->hw", slope, features[0].double().numpy()).clip(min=0)
        assert np.allclose(map_, expected, atol=1e-6)


def test_looking_leaves_the_encoder_as_it_was(encoder_of: EncoderOf, spotted: Image.Image) -> None:
    encoder = encoder_of("vit")
    fused = [block.attn.fused_attn for block in encoder._visual.trunk.blocks]
    before = encoder.encode_places([spotted])[1]
    encoder.trace_places([spotted], encoder.encode_texts(["heart"]))
    assert [block.attn.fused_attn for block in encoder._visual.trunk.blocks] == fused
    assert not any(block.attn.attn_drop._forward_hooks for block in encoder._visual.trunk.blocks)
    assert (encoder.encode_places([spotted])[1] == before).all()


def test_what_cannot_tell_places_apart_says_so(encoder_of: EncoderOf, texts: Texts, spotted: Image.Image) -> None:
    with pytest.raises(InputError, match="'colours' does not compare texts with places"):
        SimilarityLooker(Colours(), texts)
    with pytest.raises(InputError, match="no map of places"):
        encoder_of("clip-vit").trace_places([spotted], encoder_of("clip-vit").encode_texts(["heart"]))


def test_phrases_are_encoded_once(encoder_of: EncoderOf, texts: Texts, spotted: Image.Image) -> None:
    encoder, asked = encoder_of("efficientnet"), []

    class Counting:
        fingerprint = encoder.fingerprint
        dim = encoder.dim
        encode_images = encoder.encode_images
        encode_places = staticmethod(encoder.encode_places)
        trace_places = staticmethod(encoder.trace_places)

        def encode_texts(self, given: list[str]) -> np.ndarray:
            asked.extend(given)
            return encoder.encode_texts(given)

    grounder = ViewGrounder(SimilarityLooker(Counting(), texts))
    for _ in range(3):
        grounder.ground(spotted, ["drusen", "consolidation"])
    assert len(asked) == len(set(asked))


def test_descriptions_are_of_findings_that_there_are(lexicon: Lexicon, texts: Texts) -> None:
    known = load_appearances()
    assert known.keys() <= lexicon.concepts.keys()
    assert all(4 <= len(look.split()) <= 25 for looks in known.values() for look in looks)
    assert prompts_of("left lower lobe consolidation", texts)[0] == "left lower lobe consolidation"
    assert known["consolidation"][0] in prompts_of("left lower lobe consolidation", texts)
    assert prompts_of("purple zebra", texts) == ("purple zebra", "There is purple zebra.")
    # one without descriptions of its own is looked for as the next broader finding
    assert "lobar_pneumonia" not in known
    assert set(known["pneumonia"]) <= set(prompts_of("lobar pneumonia", texts))
