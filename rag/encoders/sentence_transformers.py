"""Loading models of the sentence-transformers library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rag.encoders.runtime import torch
from rag.errors import InputError, MissingDependencyError


def load_model(make: Callable[[Any, str], Any], *, what: str, name: str, folder: Path, instead: str) -> Any:
    """What ``make`` makes of the library and a model's folder, or of its hub id where there is no such folder.

    Args:
        make: (sentence_transformers, folder or id) -> model.
        what: the kind of model, in the words of messages.
        name: the model as the settings name it.
        folder: where it is, if it is a folder.
        instead: what else can be done where the model is not on this machine.

    Raises:
        InputError: the folder's files are damaged or incomplete.
        MissingDependencyError: the model or the library is not on this machine.
    """
    torch()
    try:
        import sentence_transformers
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        raise MissingDependencyError(
            'sentence-transformers is not installed: pip install "clincite[models]"'
        ) from error
    disable_progress_bar()  # one for a hundred small tensors tells nobody anything
    try:
        return make(sentence_transformers, str(folder) if folder.is_dir() else name)
    except Exception as error:  # every reader of a file in it has exceptions of its own
        if folder.is_dir():
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"the {what} in {folder} is damaged or incomplete ({reason}); copy it again") from error
        if not isinstance(error, OSError | ValueError):
            raise
        raise MissingDependencyError(
            f"the {what} {name!r} is not on this machine (looked for a folder of that name, then in the model cache); "
            f"give the path of a downloaded model, or {instead}"
        ) from error
