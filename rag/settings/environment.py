"""Settings of the environment, such as ``RAG_SELECTION__K_MAX=4``: read by pydantic-settings, where there are any."""

from __future__ import annotations

import os
from typing import Any, cast

from pydantic import BaseModel

from rag.errors import InputError

PREFIX = "RAG_"


def told_by_environment(model: type[BaseModel]) -> dict[str, Any]:
    """Values of the fields of ``model`` that ``RAG_*`` variables give; ``__`` leads into a group.

    >>> os.environ["RAG_SELECTION__K_MAX"] = "4"; told_by_environment(Settings)    # doctest: +SKIP
    {'selection': {'k_max': '4'}}

    Raises:
        InputError: a table or a list is not written as JSON.
    """
    if not any(name.upper().startswith(PREFIX) for name in os.environ):
        return {}
    from pydantic_settings import EnvSettingsSource, SettingsError  # a tenth of the time in which a command starts

    try:
        return EnvSettingsSource(cast(Any, model), env_prefix=PREFIX, env_nested_delimiter="__")()
    except SettingsError as error:
        raise InputError(f"a {PREFIX} variable of the environment, a table or a list, is not JSON: {error}") from error
