"""By what words a phrase is looked for: itself, a sentence, and what its finding looks like (``appearances.toml``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import tomli

from rag.errors import InputError
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.settings import knowledge_dir


def prompts_of(phrase: str, texts: Texts) -> tuple[str, ...]:
    """Texts that stand for a phrase in an image-text space, the phrase first.

    >>> prompts_of("drusen", Texts(Lexicon.load()))[0]
    'drusen'
    """
    seen = _looks_of(phrase, texts)
    return (phrase, f"There is {phrase}.", *seen)


def _looks_of(phrase: str, texts: Texts) -> tuple[str, ...]:
    """Descriptions of the finding that the phrase names, or of the nearest broader one that has any."""
    known, lexicon = load_appearances(), texts.lexicon
    for mention in texts.sentence(phrase).mentions:
        broader = [mention.concept]
        for concept in broader:  # it grows while it is walked: nearest first
            if concept in known:
                return known[concept]
            broader += [p for p in _wider(concept, lexicon) if p not in broader]
    return ()


def _wider(concept: str, lexicon: Lexicon) -> tuple[str, ...]:
    found = lexicon.concepts.get(concept)
    return found.parents if found is not None else ()


@lru_cache(maxsize=4)
def load_appearances(path: Path | None = None) -> Mapping[str, tuple[str, ...]]:
    """Descriptions by concept.

    Raises:
        InputError: the file is missing, is not TOML, or an entry lacks a field.
    """
    path = path or knowledge_dir() / "appearances.toml"
    try:
        rows = tomli.loads(path.read_text(encoding="utf-8"))["appearance"]
        return {row["finding"]: tuple(row["looks"]) for row in rows}
    except (OSError, tomli.TOMLDecodeError, KeyError, TypeError) as error:
        raise InputError(f"the descriptions {path} cannot be read ({type(error).__name__}: {error})") from error
