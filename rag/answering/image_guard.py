"""The guard against answers about an image that do not depend on it.

A model may answer a question about an image from the question's words alone, and be right as often as the answer is
usual. So each kind of question (its domain and form) is also asked with a wrong image, and a kind whose answers are as
right with that one is *blind*: such a question is not answered from its image, and the answer says so.

What was measured lies beside the index (``image-effects.json``) and holds for whoever looked then. A shipped model
brings what was measured of it, which holds where nothing was measured here. A mark does not expire with the index's
version: new documents do not open a model's eyes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, ValidationError

from rag.answering.noted import NotedFile
from rag.errors import InputError
from rag.generation.compact_lvlm.parts import ModelParts
from rag.settings import GenerationSettings
from rag.types import ImageEffect, sha256_of

LOOKING = ("generator", "prompt", "image encoder", "router")  # the fingerprints of whoever looks


class ImageEffects(NotedFile):
    """Measured effects, one for each kind of question with any, and one for each domain as a whole."""

    FILE: ClassVar[str] = "image-effects.json"
    FORMAT: ClassVar[int] = 1
    COMMAND: ClassVar[str] = "rag evaluate sight"

    format: Literal[1] = 1
    created: str = Field("", description="UTC, ISO 8601.")
    measured_on: str = Field("", description="What was asked, in words.")
    fingerprints: dict[str, str] = Field(description="Of who looked; empty in what a shipped model brings.")
    effects: tuple[ImageEffect, ...]

    def of(self, domain: str, form: str) -> ImageEffect | None:
        """The effect of a kind; where that has too few patients, its domain's as a whole."""
        own = next((e for e in self.effects if (e.domain, e.form) == (domain, form)), None)
        whole = next((e for e in self.effects if (e.domain, e.form) == (domain, None)), None)
        return own if own is not None and own.status != "untested" else whole or own

    @property
    def fingerprint(self) -> str:
        """Of the marks: what an answer depends on."""
        marks = sorted((e.domain, e.form or "", e.status) for e in self.effects)
        return sha256_of(json.dumps(marks))[:16]

    def holds(self, fingerprints: Mapping[str, str]) -> bool:
        """Whether those who look now are those who were measured."""
        return all(self.fingerprints.get(name) == fingerprints.get(name) for name in LOOKING)

    def over(self, other: ImageEffects | None) -> ImageEffects:
        """These, and of the domains for which they show nothing what another measurement shows."""
        if other is None:
            return self
        tested = {e.domain for e in self.effects if e.form is None and e.status != "untested"}
        kept = [e for e in other.effects if e.domain not in tested]
        again = {e.domain for e in kept}
        return self.model_copy(update={"effects": (*(e for e in self.effects if e.domain not in again), *kept)})

    def edited(self) -> ImageEffects:
        return self.model_copy(update={"fingerprints": {"file": "edited since it was measured"}})


def refuse_blind(effect: ImageEffect | None) -> str | None:
    """Why a question of this kind is not answered from its image; None where it is."""
    if effect is None or effect.status != "blind":
        return None
    return (
        f"answers to such questions ({effect.kind}) do not depend on the image: with another patient's image they were "
        f"right in {effect.swapped:.0%}, with the right one in {effect.right:.0%}, of {effect.questions} questions "
        f"about {effect.groups} patients"
    )


def effects_that_hold(
    folder: Path, settings: GenerationSettings, fingerprints: Mapping[str, str]
) -> ImageEffects | None:
    """What was measured of those who look now: beside the index, or of the shipped model.

    Raises:
        IndexStateError: the file beside the index is damaged, or of a later format.
        InputError: the file that came with the model is damaged.
    """
    measured, shipped = ImageEffects.load(folder), _of_model(settings)
    return measured.over(shipped) if measured is not None and measured.holds(fingerprints) else shipped


def _of_model(settings: GenerationSettings) -> ImageEffects | None:
    """What a shipped model brings, where it is asked about images as it was when it was measured."""
    if settings.image_questions != "image" or settings.language_model != "transformers":
        return None
    model = settings.transformers.model
    parts = ModelParts.find(model) if model else None
    return shipped_effects(parts.folder) if parts is not None else None


@lru_cache(maxsize=16)
def shipped_effects(folder: Path) -> ImageEffects | None:
    """What was measured of a model, from the model's own folder; None where nobody measured.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / ImageEffects.FILE
    if not path.is_file():
        return None
    try:
        return ImageEffects.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} is damaged, so nobody can tell for what the model is blind; copy it again") from error
