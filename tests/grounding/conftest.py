"""Grounders of every kind on small models of the real architectures, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from encoders.conftest import tiny_config, write_bert, write_model
from fakes import Spots
from generation.checkpoints import llava
from PIL import Image, ImageDraw
from server.conftest import refused as refused

from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.runtime import torch
from rag.grounding import standing
from rag.grounding.attention import AttentionLooker
from rag.grounding.base import Grounder
from rag.grounding.encoder import GradientLooker, SimilarityLooker
from rag.grounding.views import ViewGrounder
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings

_TIMM = {"timm_model_pretrained": False, "timm_proj": "linear", "image_size": 64}
TOWERS = {
    "clip-vit": {},
    "vit": {"timm_model_name": "test_vit", "timm_pool": "", **_TIMM},  # BiomedCLIP's: a class token
    "efficientnet": {"timm_model_name": "test_efficientnet", "timm_pool": "avg", **_TIMM},  # the compact model's
    "convnext": {"timm_model_name": "test_convnext", "timm_pool": "avg", **_TIMM},
}


@pytest.fixture(scope="session")
def encoder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], OpenClipEncoder]:
    """An open_clip model with a small tower of this kind, loaded from its folder as a user's own is."""
    made: dict[str, OpenClipEncoder] = {}

    def make(tower: str) -> OpenClipEncoder:
        if tower not in made:
            folder = write_bert(tmp_path_factory.mktemp("towers") / tower, seed=0)
            (folder / "model.safetensors").unlink()
            config = tiny_config()
            config["model_cfg"]["vision_cfg"] = TOWERS[tower] or config["model_cfg"]["vision_cfg"]
            made[tower] = OpenClipEncoder(f"local-dir:{write_model(folder, config)}")
        return made[tower]

    return make


@pytest.fixture(scope="session")
def grounder_of(
    encoder_of: Callable[[str], OpenClipEncoder], texts: Texts, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Grounder]:
    """A grounder by 'way' or 'way tower'."""

    def make(name: str) -> Grounder:
        way, _, tower = name.partition(" ")
        if way == "similarity":
            return ViewGrounder(SimilarityLooker(encoder_of(tower), texts))
        if way == "gradient":
            return ViewGrounder(GradientLooker(encoder_of(tower), texts))
        if way == "attention":
            folder = tmp_path_factory.mktemp("lvlm") / "llava"
            torch().manual_seed(0)
            llava(folder)
            named = {"transformers": {"model": str(folder), "dtype": "float32"}}
            return ViewGrounder(AttentionLooker(GenerationSettings.model_validate(named), texts))
        return ViewGrounder(Spots())

    return make


@pytest.fixture
def spotted() -> Image.Image:
    """Grey, three times as wide as high, with a red spot on the left and a blue one on the right."""
    image = Image.new("RGB", (300, 100), (90, 90, 90))
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 30, 60, 60), fill=(255, 0, 0))
    draw.ellipse((240, 40, 270, 70), fill=(0, 0, 255))
    return image


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Says that the coloured spots were measured in a domain: shown or not."""
    load = standing.load_standings

    def say(domain: str, *, shown: bool) -> None:
        file = tmp_path / "grounding.toml"
        file.write_text(
            f'[[standing]]\nmodel = "{Spots.fingerprint}"\nmethod = "{Spots.method}"\ndomain = "{domain}"\n'
            f'shown = {str(shown).lower()}\nwhy = "as measured on coloured spots"\n',
            encoding="utf-8",
        )
        load.cache_clear()
        monkeypatch.setattr(standing, "load_standings", lambda: load(file))

    yield say
    load.cache_clear()
