"""What was measured of a model in a domain, and whether its regions are shown there (``knowledge/grounding.toml``).

A heat map persuades whether it is right or not. So a place is only told where the model was measured in that domain and
was better than every guess; elsewhere the answer is "cannot say where", with what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tomli
from pydantic import BaseModel, ConfigDict, ValidationError

from rag.errors import InputError
from rag.grounding.base import Grounder
from rag.grounding.region import Grounding, Method, Region
from rag.settings import knowledge_dir

if TYPE_CHECKING:
    from PIL import Image

UNLIKE = "unlike any"  # the domain of an image that is like none that was measured
_UNMEASURED = "this model's regions were never measured in this domain"


class Standing(BaseModel):
    """What was measured of one model, by one method, in one domain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    method: Method
    domain: str
    shown: bool
    why: str

    def nowhere(self, phrase: str) -> Grounding:
        """What is said of a phrase that nobody looks for: nothing, and why."""
        region = Region(phrase=phrase, score=0, uncertainty=1, method=self.method, model=self.model)
        told = region.withheld(self.why).model_copy(update={"standing": self.why})
        return Grounding(told, np.zeros((1, 1), dtype=np.float32))


def standing_of(grounder: Grounder, domain: str) -> Standing:
    """The standing of a grounder in a domain; where it was not measured there, regions are not shown.

    >>> standing_of(grounder, "radiology").shown                                  # doctest: +SKIP
    False
    """
    key = grounder.fingerprint, grounder.method, domain
    found = next((s for s in load_standings() if (s.model, s.method, s.domain) == key), None)
    model, method, _ = key
    return found or Standing(model=model, method=method, domain=domain, shown=False, why=_UNMEASURED)


def ground_in(domain: str, grounder: Grounder, image: Image.Image, phrases: Sequence[str]) -> list[Grounding]:
    """Groundings that may be shown: of a domain where the model does not do, none is worked out."""
    standing = standing_of(grounder, domain)
    if not standing.shown:
        return [standing.nowhere(phrase) for phrase in phrases]
    return [told(g, standing) for g in grounder.ground(image, phrases)]


def told(grounding: Grounding, standing: Standing) -> Grounding:
    """With what was measured beside it."""
    return grounding.with_region(grounding.region.model_copy(update={"standing": standing.why}))


@lru_cache(maxsize=4)
def load_standings(path: Path | None = None) -> tuple[Standing, ...]:
    """What ``benchmarks/grounding.py`` measured.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = path or knowledge_dir() / "grounding.toml"
    try:
        rows = tomli.loads(path.read_text(encoding="utf-8")).get("standing", [])
        return tuple(Standing.model_validate(row) for row in rows)
    except (OSError, tomli.TOMLDecodeError, ValidationError) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__}: {error}); copy it again") from error
