"""What decides a training run besides its data, from defaults, a TOML file and options."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import tomli
from pydantic import BaseModel, ConfigDict, ValidationError

from rag.errors import InputError


class Hyperparameters(BaseModel):
    """Base of the recipes: frozen, and an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def load(cls, file: Path | None = None, **changes: object) -> Self:
        """The defaults, changed by a TOML file and then by ``changes``.

        Raises:
            InputError: the file cannot be read, or a field is unknown or out of range; the message names it.
        """
        try:
            values = tomli.loads(file.read_text("utf-8")) if file else {}
        except (OSError, ValueError) as error:
            raise InputError(f"the recipe {file} cannot be read as TOML: {error}") from error
        try:
            return cls.model_validate(values | changes)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"recipe field {where!r}: {first['msg']} (got {first['input']!r})") from error
