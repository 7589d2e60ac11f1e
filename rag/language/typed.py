"""Words as people type them: misspelt, abbreviated, British, or not a physician's.

What is read instead is said with the answer. A word is mended only where nothing knows it, neither English nor the
lexicon nor the index, and where one clinical word alone is nearest: a wrong guess would answer another question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

import tomli

from rag.errors import InputError
from rag.language.cues import load_cues
from rag.language.lexicon import Lexicon
from rag.language.tokens import lemma, tokens_of
from rag.settings import knowledge_dir

_LEAST = 5  # letters of a word that is mended
_LONG = 8  # letters from which on two mistakes are allowed
_NEAR = 12  # words on each side that tell which meaning an abbreviation has
_PHRASE, _OFTEN = 12, 4  # words of a phrase, and how often it must stand in a row to be read once
_SPOKEN = re.compile(r"\S+")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@dataclass(frozen=True)
class Mended:
    """A text with its words as they were read, and what was read for what."""

    text: str
    notes: tuple[str, ...]


class TypedWords:
    """Reads what people type in the vocabulary of one index. Safe for many threads.

    >>> TypedWords(Lexicon.load(), lambda word: False).mend("Is there cardiomegally?").text
    'Is there cardiomegaly?'
    """

    def __init__(self, lexicon: Lexicon, in_index: Callable[[str], bool]) -> None:
        """``in_index`` says whether a word is one of the index's own, and no slip in one report."""
        self._lexicon = lexicon
        self._in_index = in_index

    def mend(self, text: str) -> Mended:
        """The text with what is not known replaced by what is meant, as far as that is sure."""
        notes: list[str] = []
        mended = self._spelled(self._expanded(self._plain(_said_once(text, notes), notes), notes), notes)
        return Mended(mended, tuple(notes))

    # ---------------------------------------------------------------- lay words and abbreviations

    def _plain(self, text: str, notes: list[str]) -> str:
        for said, meant in _knowledge()["lay"].items():
            if said.lower() not in text.lower():
                continue
            pattern = re.compile(rf"\b{re.escape(said)}\b", re.I)
            if pattern.search(text) and not self._reads(said):
                text = pattern.sub(meant, text)
                notes.append(f"“{said}” was read as “{meant}”")
        return text

    def _expanded(self, text: str, notes: list[str]) -> str:
        """Abbreviations in capitals, unless the whole text is."""
        if text.upper() == text:
            return text
        tokens = tokens_of(text)
        for i, token in reversed(list(enumerate(tokens))):
            meanings = _knowledge()["abbreviations"].get(token.text)
            if meanings is None or _identifies(text, token.start, token.end):
                continue
            near = {t.word for t in tokens[max(0, i - _NEAR) : i + _NEAR]}
            meant = next((words[0] for words in meanings[1:] if near & set(words[1:])), meanings[0][0])
            text = f"{text[: token.start]}{meant}{text[token.end :]}"
            notes.append(f"“{token.text}” was read as “{meant}”")
        return text

    def _reads(self, words: str) -> bool:
        """Whether the lexicon finds more in them than a structure."""
        return any(m.kind != "structure" for m in self._lexicon.mentions(tokens_of(words)))

    # ---------------------------------------------------------------- spelling

    def _spelled(self, text: str, notes: list[str]) -> str:
        for match in reversed(list(_WORD.finditer(text))):
            word = match[0]
            if (
                len(word) < _LEAST
                or any(c.isupper() for c in word[1:])
                or _identifies(text, *match.span())
                or self._known(word)
            ):
                continue
            meant = self._american(word.lower()) or self._nearest(word.lower(), named=_is_name(match))
            if meant is not None:
                text = f"{text[: match.start()]}{meant}{text[match.end() :]}"
                notes.append(f"“{word}” was read as “{meant}”")
        return text

    def _known(self, word: str) -> bool:
        plain = word.lower().removesuffix("'s")
        forms = {plain, lemma(plain)}
        return (
            not forms.isdisjoint(load_cues().stop_words)
            or not forms.isdisjoint(self._lexicon.vocabulary)
            or not forms.isdisjoint(self._vocabulary)
            or not forms.isdisjoint(english_words())
            or self._in_index(plain)
            or not forms.isdisjoint(medical_words())
        )

    def _american(self, word: str) -> str | None:
        """The spelling that the vocabulary has of a British one: "haemothorax"."""
        for british, american in _knowledge()["british"]["pairs"]:
            changed = word.replace(british, american)
            if changed != word and {changed, lemma(changed)} & self._vocabulary.keys():
                return changed
        return None

    def _nearest(self, word: str, *, named: bool) -> str | None:
        """The one clinical word that is nearest, where it is near enough and begins alike; nearer for a name."""
        from symspellpy import Verbosity  # type: ignore[import-untyped]

        most = 2 if len(word) >= _LONG and not named else 1
        found = self._speller.lookup(word, Verbosity.CLOSEST, max_edit_distance=most, include_unknown=False)
        alike = {s.term for s in found if s.term[0] == word[0]}
        stems = {lemma(term) for term in alike}
        return min(alike, key=len) if len(stems) == 1 else None

    @cached_property
    def _vocabulary(self) -> Mapping[str, int]:
        """The words of findings, structures and ontology terms, and in how many of their phrases each stands."""
        counts: dict[str, int] = {}
        for _, words in self._lexicon.phrases():
            for word in words:
                for part in _WORD.findall(word.lower()):
                    counts[part] = counts.get(part, 0) + 1
        return counts

    @cached_property
    def _speller(self) -> Any:
        from symspellpy import SymSpell

        speller = SymSpell(max_dictionary_edit_distance=2, prefix_length=7)
        for word, count in self._vocabulary.items():
            if len(word) >= _LEAST:
                speller.create_dictionary_entry(word, count)
        return speller


def _is_name(word: re.Match[str]) -> bool:
    """Whether it has a capital where no sentence begins: "Fraumeni"."""
    return word[0][0].isupper() and word.string[: word.start()].rstrip()[-1:].isalnum()


def _said_once(text: str, notes: list[str]) -> str:
    """A text in which a phrase stands again and again, with it once: no question is longer for being repeated."""
    words = list(_SPOKEN.finditer(text))
    said = [w[0].lower() for w in words]
    for size in range(1, min(_PHRASE, len(said) // _OFTEN) + 1):
        first = 0
        while first + size * _OFTEN <= len(said):
            last = first + size
            while last < len(said) and said[last] == said[last - size]:
                last += 1
            if last - first >= size * _OFTEN:
                phrase = text[words[first].start() : words[first + size - 1].end()]
                notes.append(f"“{phrase}” is repeated, and was read once")
                rest = text[words[last - 1].end() :]
                return _said_once(f"{text[: words[first].start()]}{phrase}{rest}", notes)
            first = max(first + 1, last - size)
    return text


def _identifies(text: str, start: int, end: int) -> bool:
    """Whether the word is part of an id: "CXR2814", "study-a"."""
    around = text[max(0, start - 1) : start] + text[end : end + 1]
    return any(c.isdigit() or (c in "_-/:." and c != ".") for c in around)


@lru_cache(maxsize=1)
def english_words() -> frozenset[str]:
    """Words of general English, from symspellpy's list of 82,765 with their frequencies."""
    lines = (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_text(encoding="utf-8-sig").splitlines()
    return frozenset(line.split(" ")[0] for line in lines)


@lru_cache(maxsize=1)
def medical_words() -> frozenset[str]:
    """Words of medicine that are no general English and no slip of any: see the first lines of the file.

    ``hunspell-en-med`` of Debian has six times as many, is GPL, and lacks what was named since 2008: "pyroptosis".
    """
    path = knowledge_dir() / "medical-words.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"the words {path} cannot be used: {error}") from error
    return frozenset(line for line in lines if not line.startswith("#"))


@lru_cache(maxsize=1)
def _knowledge() -> Mapping[str, Any]:
    path = knowledge_dir() / "typed.toml"
    try:
        return tomli.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomli.TOMLDecodeError) as error:
        raise InputError(f"the words {path} cannot be used: {error}") from error
