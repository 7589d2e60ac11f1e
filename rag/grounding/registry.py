"""From settings to a grounder. One plugs in as a function of the settings and of what reads texts."""

from __future__ import annotations

from rag.encoders.registry import load_image_encoder
from rag.grounding.base import Grounder
from rag.grounding.views import ViewGrounder
from rag.language.clinical_text import Texts
from rag.plugins import find
from rag.settings import Settings


def load_grounder(settings: Settings, texts: Texts, name: str | None = None) -> Grounder:
    """The grounder of this name, that of ``settings.grounder`` unless one is given.

    Raises:
        InputError: there is no such grounder, or its model does not tell places apart.
        MissingDependencyError: its model or a library is not on this machine.
    """
    made: Grounder = find("grounder", name or settings.grounder, setting="grounder")(settings, texts)
    return made


def make_similarity(settings: Settings, texts: Texts) -> Grounder:
    from rag.grounding.encoder import SimilarityLooker

    return ViewGrounder(SimilarityLooker(load_image_encoder(settings.encoders), texts))


def make_gradient(settings: Settings, texts: Texts) -> Grounder:
    from rag.grounding.encoder import GradientLooker

    return ViewGrounder(GradientLooker(load_image_encoder(settings.encoders), texts))


def make_attention(settings: Settings, texts: Texts) -> Grounder:
    from rag.grounding.attention import AttentionLooker

    return ViewGrounder(AttentionLooker(settings.generation, texts))
