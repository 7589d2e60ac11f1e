"""From settings to the generator. Models load when they are first used and are shared by the whole process.

A generator plugs in as a function of the settings and of what reads texts; its entry is in :mod:`rag.plugins`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.errors import InputError
from rag.generation.base import Generator
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.plugins import find
from rag.settings import GenerationSettings

if TYPE_CHECKING:
    from rag.generation.chat import ChatModel, LanguageGenerator


def load_generator(settings: GenerationSettings, texts: Texts) -> Generator:
    """The generator that ``settings.kind`` names.

    Raises:
        InputError: there is no such generator, or what it needs is not set.
        MissingDependencyError: its libraries or its model are not on this machine.
    """
    made: Generator = find("generator", settings.kind, setting="generation.kind")(settings, texts)
    return made


def make_reader(settings: GenerationSettings, texts: Texts) -> Generator:
    return ReaderGenerator(texts)


def make_transformers(settings: GenerationSettings, texts: Texts) -> Generator:
    from rag.generation.transformers import LocalModel

    return _around(LocalModel(settings), settings, texts)


def make_openai(settings: GenerationSettings, texts: Texts) -> Generator:
    from rag.generation.openai import shared_model

    return _around(shared_model(settings), settings, texts)


def make_by_question(settings: GenerationSettings, texts: Texts) -> Generator:
    from rag.generation.by_question import ByQuestion

    if settings.writer == settings.kind:
        raise InputError("setting 'generation.writer' is 'by-question', which does not write; name a language model")
    writer = find("generator", settings.writer, setting="generation.writer")(settings, texts)
    return ByQuestion(make_reader(settings, texts), writer, settings.written)


def _around(model: ChatModel, settings: GenerationSettings, texts: Texts) -> LanguageGenerator:
    """The generator around a model, as it is to be asked about images."""
    from rag.generation.chat import LanguageGenerator
    from rag.generation.looking import LookingGenerator

    made = LookingGenerator if settings.image_questions == "image" else LanguageGenerator
    return made(_remembered(model, settings), settings, texts)


def _remembered(model: ChatModel, settings: GenerationSettings) -> ChatModel:
    """The model, behind the memo where the settings name one."""
    if settings.memo.folder is None:
        return model
    from rag.generation.collecting import CollectingModel
    from rag.generation.memo import Memo, RememberingModel

    folder, memo = settings.memo.folder, Memo(settings.memo.folder, settings.memo.most)
    if settings.memo.misses == "collect":
        return CollectingModel(model, memo, folder, settings)
    return RememberingModel(model, memo, settings)
