"""What all groups of settings have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SettingsGroup(BaseModel):
    """A table of a profile: a field that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
