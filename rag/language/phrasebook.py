"""A question in another language put into English, phrase by phrase: ``knowledge/languages/*.toml``.

Only where every word of it stands in the tables is it taken for read: a question of which a part is guessed is another
question. A model for translation would render anything, and nobody could say what it got wrong; the tables render few
questions, and these the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import tomli

from rag.errors import InputError
from rag.language.languages import language_name
from rag.language.lexicon import Lexicon
from rag.language.tokens import tokens_of
from rag.settings import knowledge_dir

_NAME = r"[\"“«][^\"”»]+[\"”»]|[\w./:-]*\d(?:[\w./:-]*\w)?(?:,\d+)?|mm|cm|ml"  # stands for itself: ids, numbers, units
_DECIMAL = re.compile(r"(\d),(?=\d)")
_LETTERS = dict(zip("áéíóúñàèêïôç", "aeiounaeeioc", strict=True))
_LEAST = 6  # letters of a word that is taken for English because it names a finding there
_FINDINGS, _PLACES, _ASKING = "findings", "places", "asking"


class Rendered(NamedTuple):
    """A question in English as far as it was understood, and the words of it that were not, in their order."""

    text: str
    unread: tuple[str, ...]
    language: str = ""

    @property
    def note(self) -> str:
        return f"the question, in {language_name(self.language)}, was read as “{self.text}”"

    @property
    def asks_back(self) -> str:
        """One sentence for a question that is not understood, with what to do."""
        words = " ".join(self.unread)
        return (
            f"this was read as “{self.text}”, and what “{words}” is in English I do not know: I read "
            f"{language_name(self.language)} by a small table of findings; name another one, or ask in English"
        )


def render(text: str, language: str, lexicon: Lexicon) -> Rendered | None:
    """The question in English, by the phrases of its language, or of another one where all of it is read in that.

    A detector takes "¿Y neumotórax?" for Polish. None where no language that was tried has phrases.
    """
    first: Rendered | None = None
    for code in dict.fromkeys((language, *languages_with_phrases())):
        book = phrasebook(code)
        if book is None:
            continue
        read = book.in_english(text, lexicon)._replace(language=code)
        if not read.unread:
            return read
        first = read if code == language else first
    return first


class _Piece(NamedTuple):
    """A phrase and what it is in English; ``gap`` stands before it."""

    table: str
    english: str
    gap: str


@dataclass(frozen=True)
class Phrasebook:
    """The phrases of one language. ``pattern`` has a group for each row of ``rows`` (table, English)."""

    pattern: re.Pattern[str]
    rows: tuple[tuple[str, str], ...]

    def in_english(self, text: str, lexicon: Lexicon) -> Rendered:
        """The question as English puts it; words that are not understood are left as they stand.

        >>> phrasebook("es").in_english("¿Cuántos informes mencionan cardiomegalia?", Lexicon.load())
        Rendered(text='How many reports mention cardiomegaly?', unread=(), language='')
        """
        pieces = list(self._pieces(text.strip(" ¿¡"), lexicon))
        unread = tuple(p.english for p in pieces if not p.table)
        _put_places_first(pieces)
        said = "".join(f"{p.gap}{p.english}" for p in pieces)
        said = re.sub(r"\s+(?=[?.,;!])", "", " ".join(said.split()))
        return Rendered(said[:1].upper() + said[1:], unread)

    def findings_in(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where in a text the phrases of findings stand, and each finding's English name."""
        for found in self.pattern.finditer(text):
            table, english = self.rows[(found.lastindex or 1) - 1]
            if table == _FINDINGS:
                yield found.start(), found.end(), english

    def _pieces(self, text: str, lexicon: Lexicon) -> Iterator[_Piece]:
        text = re.sub(r"[’']\s*", "' ", text)
        begin, gap = 0, ""
        for found in self.pattern.finditer(text):
            for piece in _between(text[begin : found.start()], lexicon):
                yield piece._replace(gap=gap + piece.gap)
                gap = ""
            rest = re.search(r"[\s,;.!?:()-]*$", text[: found.start()])
            gap += rest[0] if rest and rest.start() >= begin else ""
            begin = found.end()
            table, english = self.rows[found.lastindex - 1] if found.lastindex else ("", "")
            if table == _NAME:
                yield _Piece(table, _DECIMAL.sub(r"\1.", found[0]), gap)
            elif english:
                yield _Piece(table, english, gap)
            else:
                continue
            gap = ""
        for piece in _between(text[begin:], lexicon):
            yield piece._replace(gap=gap + piece.gap)
            gap = ""
        yield _Piece(_ASKING, "?" if text.rstrip().endswith("?") else "", "")


@lru_cache(maxsize=1)
def languages_with_phrases() -> tuple[str, ...]:
    """Their codes."""
    return tuple(sorted(path.stem for path in (knowledge_dir() / "languages").glob("*.toml")))


@lru_cache(maxsize=16)
def phrasebook(language: str) -> Phrasebook | None:
    """Of the language of an ISO 639-1 code; None where there is none.

    Raises:
        InputError: the file is no TOML, lacks a table, or a phrase is no regular expression.
    """
    path = knowledge_dir() / "languages" / f"{language}.toml"
    if not re.fullmatch("[a-z]{2}", language) or not path.is_file():
        return None
    try:
        data = tomli.loads(path.read_text(encoding="utf-8"))
        rows = [(phrase, "dropped", "") for phrase in data["dropped"]]
        for table in (_ASKING, _PLACES, _FINDINGS):
            rows += [(phrase, table, english) for english, phrases in data[table].items() for phrase in phrases]
        rows.sort(key=lambda row: -len(re.sub(r"\(\?[=!].*?\)\)?|[\[\]?()|:]", "", row[0])))
        rows.insert(0, (_NAME, _NAME, ""))
        pattern = "|".join(f"({_loosened(phrase)})" for phrase, _, _ in rows)
        return Phrasebook(
            re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.I), tuple((table, english) for _, table, english in rows)
        )
    except (OSError, tomli.TOMLDecodeError, KeyError, AttributeError, TypeError, re.error) as error:
        raise InputError(f"the phrases {path} cannot be used: {error}") from error


def _loosened(phrase: str) -> str:
    """The phrase with accents that may be left out, unless it is one letter; its groups do not count."""
    phrase = re.sub(r"\((?!\?)", "(?:", phrase)
    return phrase if len(phrase) == 1 else "".join(f"[{c}{_LETTERS[c]}]" if c in _LETTERS else c for c in phrase)


def _between(text: str, lexicon: Lexicon) -> Iterator[_Piece]:
    """Words that no phrase is; the name of a finding that English shares ("granuloma") is no unread one."""
    for found in re.finditer(r"(\W*)(\w[\w-]*)", text):
        word = found[2].lower()
        known = len(word) >= _LEAST and any(m.kind == "finding" for m in lexicon.mentions(tokens_of(word)))
        yield _Piece(_FINDINGS if known else "", word if known else found[2], found[1])


def _put_places_first(pieces: list[_Piece]) -> None:
    """ "Effusion left small" is "small left effusion" in English."""
    for n in range(1, len(pieces)):
        at = n
        while at and pieces[at].table == _PLACES and pieces[at - 1].table == _FINDINGS and pieces[at].gap.isspace():
            before, here = pieces[at - 1], pieces[at]
            pieces[at - 1], pieces[at] = here._replace(gap=before.gap), before._replace(gap=here.gap)
            at -= 1
            if at and pieces[at - 1].table == _PLACES:
                break
