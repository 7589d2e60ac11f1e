"""What decides a router besides its images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from rag.retrieval.domains import DomainSpec
from rag.training.hyperparameters import Hyperparameters


class RouterRecipe(Hyperparameters):
    """What decides a router besides its images.

    >>> RouterRecipe(false_alarms=0.01).seed
    0
    """

    domains: Path | None = Field(None, description="The list of domains; knowledge/domains.toml unless given.")
    false_alarms: float = Field(
        0.05, gt=0, lt=1, description="Share of images like the training images that may be found out of domain."
    )
    unseen_alarms: float = Field(
        0.09, gt=0, lt=1, description="The same of images of sources never seen; where there are sources to leave out."
    )
    looks: int = Field(1, ge=0, le=16, description="Other looks of a training image; four times as many of a stained.")
    seed: int = Field(0, ge=0, lt=2**31, description="The same data and seed give the same router.")

    def looks_of(self, specs: Sequence[DomainSpec]) -> dict[str, int]:
        """Looks of each image, by domain: dyes differ more between laboratories than scanners do."""
        return {spec.id: self.looks * (4 if spec.stained else 1) for spec in specs}
