"""All settings in one model, and how they are read from profiles and written to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli
import tomli_w
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from rag.errors import InputError
from rag.settings.answering import AnsweringSettings, GenerationSettings, VerificationSettings
from rag.settings.environment import told_by_environment
from rag.settings.indexing import DeidentificationSettings, EncoderSettings, VectorSettings
from rag.settings.knowledge import knowledge_dir
from rag.settings.searching import RetrievalSettings, RoutingSettings, SelectionSettings
from rag.settings.serving import ServingSettings


class Settings(BaseModel):
    """All settings of ClinCite: as they are given, else as the environment says, else their defaults.

    >>> settings = load_settings("compact", selection={"k_max": 4})
    >>> settings.selection.k_max, settings.encoders.image
    (4, 'compact')
    """

    model_config = ConfigDict(extra="forbid", defer_build=True)

    _profile: str | None = PrivateAttr(None)

    indexes: Path = Field(Path("indexes"), description="Folder that holds the indexes.")
    deidentification: DeidentificationSettings = Field(
        default_factory=lambda: DeidentificationSettings.model_validate({})
    )
    encoders: EncoderSettings = Field(default_factory=lambda: EncoderSettings.model_validate({}))
    vectors: VectorSettings = Field(default_factory=lambda: VectorSettings.model_validate({}))
    retrieval: RetrievalSettings = Field(default_factory=lambda: RetrievalSettings.model_validate({}))
    routing: RoutingSettings = Field(default_factory=lambda: RoutingSettings.model_validate({}))
    selection: SelectionSettings = Field(default_factory=lambda: SelectionSettings.model_validate({}))
    generation: GenerationSettings = Field(default_factory=lambda: GenerationSettings.model_validate({}))
    verification: VerificationSettings = Field(default_factory=lambda: VerificationSettings.model_validate({}))
    answering: AnsweringSettings = Field(default_factory=lambda: AnsweringSettings.model_validate({}))
    grounder: str = Field(
        "similarity",
        description="Who says where in an image a finding is: similarity, gradient, attention.",
    )
    serving: ServingSettings = Field(default_factory=lambda: ServingSettings.model_validate({}))

    def __init__(self, **given: Any) -> None:
        super().__init__(**_laid_over(given, told_by_environment(type(self))))

    @property
    def profile(self) -> str | None:
        """The profile that they were loaded from, as it was named."""
        return self._profile


def load_settings(profile: str | None = None, *, environment: bool = True, **overrides: Any) -> Settings:
    """Settings from a profile (a TOML file, or the name of one in ``knowledge/profiles``), environment and arguments.

    ``environment=False`` leaves the environment out: what is set there is meant for whoever answers, and not for a
    second model beside it.

    >>> load_settings("compact", answering={"min_confidence": 0.8}).profile
    'compact'

    Raises:
        InputError: no such profile, a misspelt field, or a value out of range; the message names the field.
    """
    path = _profile_path(profile) if profile else None
    try:
        told = told_by_environment(Settings) if environment else {}
        below = tomli.loads(path.read_text(encoding="utf-8")) if path else {}
        settings = Settings.__new__(Settings)  # which would look into the environment in any case
        BaseModel.__init__(settings, **_laid_over(overrides, _laid_over(told, below)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(x) for x in first["loc"])
        raise InputError(f"setting {where!r}: {first['msg']} (got {first.get('input')!r})") from error
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"profile {path} is not TOML: {error}") from error
    settings._profile = profile
    return settings


def profile_text(settings: Settings, note: str) -> str:
    """The settings that were given as a profile in TOML, ``note`` in a comment above; folders and secrets stay out."""
    kept_out: Any = {
        "indexes": True,
        "serving": True,
        "vectors": {"milvus_token"},
        "generation": {"openai": {"api_key", "proxy"}, "memo": True},
    }
    kept = settings.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude=kept_out)
    return "".join(f"# {line}\n" for line in note.splitlines()) + tomli_w.dumps(kept)


def shaping_settings(settings: Settings) -> dict[str, Any]:
    """The settings that shape an answer, by group, as the ledger keeps them: no secret is among them."""
    return settings.model_dump(
        mode="json",
        include={"retrieval", "routing", "answering", "generation", "verification"},
        exclude={"generation": {"openai": {"api_key", "proxy"}, "memo": True}},
    )


def _laid_over(above: Mapping[str, Any], below: Mapping[str, Any]) -> dict[str, Any]:
    """Both; where they differ ``above`` counts, field by field of a group."""
    both = dict(below)
    for name, value in above.items():
        under = below.get(name)
        both[name] = _laid_over(value, under) if isinstance(value, dict) and isinstance(under, dict) else value
    return both


def _profile_path(profile: str) -> Path:
    folder = knowledge_dir() / "profiles"
    for path in (folder / f"{profile}.toml", Path(profile)):
        if path.is_file():
            return path
    names = ", ".join(sorted(p.stem for p in folder.glob("*.toml"))) or "none"
    raise InputError(f"there is no profile {profile!r}; give a TOML file, or one of: {names}")
