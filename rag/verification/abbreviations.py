"""Abbreviations that a text defines itself ("pulmonary embolism (PE)"), found by scispaCy where it is installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from rag.errors import MissingDependencyError

Abbreviations = Callable[[str], Mapping[str, str]]  # text -> {short form: long form}


def defined_in(text: str) -> Mapping[str, str]:
    """Short forms that ``text`` defines, with their long forms (Schwartz and Hearst 2003, as scispaCy implements it).

    No model is needed: the pipeline is a blank English one.

    Raises:
        MissingDependencyError: scispaCy is not installed.
    """
    return _defined_in(text)


def expanded(text: str, table: Mapping[str, str]) -> str:
    """``text`` with every short form of ``table`` written out; "pulmonary embolism (PE)" is written once."""
    for short, long in table.items():
        verbatim = long.replace("\\", r"\\")
        text = re.sub(rf"{re.escape(long)}\s*\(\s*{re.escape(short)}\s*\)", verbatim, text, flags=re.I)
        text = re.sub(rf"(?<!\w){re.escape(short)}(?!\w)", verbatim, text)
    return text


@lru_cache(maxsize=2048)
def _defined_in(text: str) -> Mapping[str, str]:
    return {str(short): str(short._.long_form) for short in _pipeline()(text)._.abbreviations}


@lru_cache(maxsize=1)
def _pipeline() -> Any:
    try:
        import spacy
        from scispacy.abbreviation import AbbreviationDetector  # noqa: F401 - registers the component
    except ImportError as error:
        raise MissingDependencyError(
            'scispaCy is not installed: pip install "clincite[nlp]" (it needs numpy below 2, so give it an environment '
            "of its own); without it abbreviations are those of the lexicon"
        ) from error
    pipeline = spacy.blank("en")
    pipeline.add_pipe("abbreviation_detector")
    return pipeline
