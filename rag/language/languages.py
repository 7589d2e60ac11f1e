"""Which language a question or a document is in; English where nothing tells otherwise.

Detectors of languages need more than a word: they take "Cardiomegaly." for Italian. So words are looked up first. A
text in which only English little words stand, or whose words are English or terms of the lexicon, is English, and no
detector is loaded for it. Which language another one is in is asked of lingua, restricted to the languages below.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import tomli

from rag.errors import InputError
from rag.language.typed import english_words
from rag.settings import knowledge_dir
from rag.types import Document

ENGLISH = "en"
TEXT_LANGUAGE = "text_language"  # of a document's metadata
NAMES = {
    "en": "English", "es": "Spanish", "de": "German", "fr": "French", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "sv": "Swedish", "hr": "Croatian", "tr": "Turkish", "ru": "Russian",
    "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "ar": "Arabic",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_ABBREVIATION = re.compile(r"[A-Z]{2,6}$")
_MARKED = re.compile(r"[¿¡ñáéíóúàèìòùâêîôûçäöüßœãõåøæčćšžłęąśźżı]", re.I)
_OTHER_SCRIPT = re.compile(r"[\u0370-\u03ff\u0400-\u04ff\u0590-\u06ff\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2}")
_MARKUP = re.compile(r"\\[a-z]+-?\d*|<[^<>]{1,40}>")  # "\par" of RTF is no French word
_READ = 2_000  # characters that are looked at
_SURE = 0.6  # least probability of a language that little words do not show
_SURER = 0.95  # from which it is believed more than they are
_FEW = 0.08  # share of English little words, above which a text is English
_STRANGE = 0.6  # share of words that are no English ones, from which the detector is believed without little words


def language_of(text: str, known: Collection[str] = ()) -> str:
    """The ISO 639-1 code of a text's language, one of :data:`NAMES`.

    Args:
        text: a question or a document; only its beginning is looked at.
        known: words of the lexicon, in small letters, which are English here.

    >>> language_of("Is the heart enlarged?"), language_of("¿Hay derrame pleural?")
    ('en', 'es')
    """
    text = _MARKUP.sub(" ", text[:_READ])
    if _OTHER_SCRIPT.search(text):
        return _detected(text)
    words = [w.lower() for w in _WORD.findall(text) if not _ABBREVIATION.match(w)]
    little = little_words()
    english = sum(w in little[ENGLISH] for w in words)
    others = {code: sum(w in some for w in words) for code, some in little.items() if code != ENGLISH}
    foreign = max(others.values())

    def strange() -> int:  # the list of English words is long, and most texts are told apart without it
        return sum(w not in english_words() and w not in known for w in words)

    if foreign > english and (foreign > 1 or strange()):
        return _detected(text, others)
    if foreign and foreign == english and strange():
        return _detected(text)  # "was ist Aszites?"
    if english > _FEW * len(words) or (len(words) < 3 and not _MARKED.search(text)):
        return ENGLISH  # or a name, or a word that is misspelt
    return _detected(text) if strange() >= _STRANGE * len(words) else ENGLISH


def with_language(document: Document) -> Document:
    """The document with the language of its text in its metadata, unless its reader has said it.

    English ones stay as they are, and keep their hashes.

    ``language`` is what a source says of the whole work, whose abstract may be in another.
    """
    code = ENGLISH if TEXT_LANGUAGE in document.metadata else language_of(document.text)
    if code == ENGLISH:
        return document
    return document.model_copy(update={"metadata": document.metadata | {TEXT_LANGUAGE: code}})


def language_name(code: str) -> str:
    """ "Spanish" for "es"; the code itself where it has no name here."""
    return NAMES.get(code, code)


def _detected(text: str, little: Mapping[str, int] | None = None) -> str:
    """What the detector says where it is sure; else the language whose ``little`` words are most, if any are given."""
    detector = _detector()
    if detector is None:
        return max(little, key=lambda code: little[code]) if little else ENGLISH
    said: dict[str, float] = {
        v.language.iso_code_639_1.name.lower(): v.value for v in detector.compute_language_confidence_values(text)
    }
    best = max(said, key=lambda code: said[code])
    if little is None:
        return best if said[best] >= _SURE else ENGLISH
    if said[best] >= _SURER and best != ENGLISH and max(little.values()) < 2:
        return best
    return max(little, key=lambda code: (little[code], said.get(code, 0.0)))


@lru_cache(maxsize=1)
def _detector() -> Any:
    """Lingua, loaded when the first text needs it; None where it is not installed (extra languages)."""
    if find_spec("lingua") is None:
        return None
    lingua = import_module("lingua")
    wanted = [one for one in lingua.Language.all() if one.iso_code_639_1.name.lower() in NAMES]
    return lingua.LanguageDetectorBuilder.from_languages(*wanted).with_low_accuracy_mode().build()


@lru_cache(maxsize=1)
def little_words() -> Mapping[str, frozenset[str]]:
    """Of each language the words that stand in any text of it, and not in an English one."""
    path = knowledge_dir() / "languages.toml"
    try:
        rows = tomli.loads(path.read_text(encoding="utf-8"))["little"]
        own = frozenset(rows[ENGLISH])
        return {code: frozenset(words) - (own if code != ENGLISH else frozenset()) for code, words in rows.items()}
    except (OSError, tomli.TOMLDecodeError, KeyError) as error:
        raise InputError(f"the little words {path} cannot be used: {error}") from error
