"""From settings to the generator. Models load when they are first used and are shared by the whole process."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rag.errors import InputError
from rag.generation.base import Generator
from rag.generation.reader import ReaderGenerator
from rag.language.lexicon import Lexicon
from rag.settings import GenerationSettings

Maker = Callable[[GenerationSettings, Lexicon], Generator]


def _reader(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    return ReaderGenerator(lexicon)


def _transformers(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    from rag.generation.chat import LanguageGenerator
    from rag.generation.transformers import LocalModel

    return LanguageGenerator(LocalModel(settings), settings, lexicon)


def _openai(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    from rag.generation.chat import LanguageGenerator
    from rag.generation.openai import shared_model

    return LanguageGenerator(shared_model(settings), settings, lexicon)


GENERATORS: Mapping[str, Maker] = {"reader": _reader, "transformers": _transformers, "openai": _openai}


def load_generator(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    """The generator that ``settings.kind`` names.

    Raises:
        InputError: there is no such kind, or what it needs is not set.
        MissingDependencyError: its libraries or its model are not on this machine.
    """
    if settings.kind not in GENERATORS:
        known = ", ".join(GENERATORS)
        raise InputError(f"setting 'generation.kind': there is no generator {settings.kind!r}; choose one of: {known}")
    return GENERATORS[settings.kind](settings, lexicon)
