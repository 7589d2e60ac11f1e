"""From settings to the generator. Models load when they are first used and are shared by the whole process.

A generator plugs in as a function of the settings and the lexicon; its entry is in :mod:`rag.plugins`.
"""

from __future__ import annotations

from rag.generation.base import Generator
from rag.generation.reader import ReaderGenerator
from rag.language.lexicon import Lexicon
from rag.plugins import find
from rag.settings import GenerationSettings


def load_generator(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    """The generator that ``settings.kind`` names.

    Raises:
        InputError: there is no such generator, or what it needs is not set.
        MissingDependencyError: its libraries or its model are not on this machine.
    """
    made: Generator = find("generator", settings.kind, setting="generation.kind")(settings, lexicon)
    return made


def make_reader(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    return ReaderGenerator(lexicon)


def make_transformers(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    from rag.generation.chat import LanguageGenerator
    from rag.generation.transformers import LocalModel

    return LanguageGenerator(LocalModel(settings), settings, lexicon)


def make_openai(settings: GenerationSettings, lexicon: Lexicon) -> Generator:
    from rag.generation.chat import LanguageGenerator
    from rag.generation.openai import shared_model

    return LanguageGenerator(shared_model(settings), settings, lexicon)
