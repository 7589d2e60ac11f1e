"""What a grounder is; it plugs in by a name of :mod:`rag.plugins`, an entry point or a dotted path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.grounding.region import Grounding, Method

if TYPE_CHECKING:
    from PIL import Image


class Grounder(Protocol):
    """Says where phrases are in an image.

    >>> (found,) = grounder.ground(load_image("fundus.jpg"), ["drusen"])          # doctest: +SKIP
    >>> found.region.boxes, found.region.uncertainty, found.heat.shape           # doctest: +SKIP
    """

    @property
    def method(self) -> Method: ...

    @property
    def fingerprint(self) -> str:
        """Of the model that looks: what was measured of another one does not hold for it."""
        ...

    def ground(self, image: Image.Image, phrases: Sequence[str]) -> list[Grounding]:
        """One grounding for each phrase, in order.

        Args:
            image: upright RGB of any size.
            phrases: findings or structures, as ``pleural effusion``.
        """
        ...


class Looker(Protocol):
    """A model that gives a map of a square; :class:`~rag.grounding.views.ViewGrounder` makes a grounder of it."""

    @property
    def method(self) -> Method: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def views(self) -> int:
        """About how many looks at one image are affordable; the whole image is seen twice in any case."""
        ...

    def look(self, squares: Sequence[Image.Image], phrases: Sequence[str]) -> NDArray[np.float32]:
        """(squares, phrases, rows, columns): higher where a phrase is more likely; comparable between squares."""
        ...
