"""Every setting, in one model: described, bounded, and refused when misspelt.

Order of precedence: arguments, ``RAG_*`` environment variables (nested fields with ``__``, e.g.
``RAG_SELECTION__K_MAX=4``), the profile file, the defaults written here.
"""

from __future__ import annotations

from rag.settings.answering import (
    AnsweringSettings,
    GenerationSettings,
    MemoSettings,
    OpenAISettings,
    TransformersSettings,
    VerificationSettings,
)
from rag.settings.indexing import DeidentificationSettings, Deidentify, EncoderSettings, VectorSettings
from rag.settings.knowledge import knowledge_dir
from rag.settings.profile import Settings, load_settings, profile_text, shaping_settings
from rag.settings.searching import Channel, RetrievalSettings, RoutingSettings, SelectionSettings
from rag.settings.serving import OidcSettings, ServingSettings

__all__ = [
    "AnsweringSettings",
    "Channel",
    "DeidentificationSettings",
    "Deidentify",
    "EncoderSettings",
    "GenerationSettings",
    "MemoSettings",
    "OidcSettings",
    "OpenAISettings",
    "RetrievalSettings",
    "RoutingSettings",
    "SelectionSettings",
    "ServingSettings",
    "Settings",
    "TransformersSettings",
    "VectorSettings",
    "VerificationSettings",
    "knowledge_dir",
    "load_settings",
    "profile_text",
    "shaping_settings",
]
