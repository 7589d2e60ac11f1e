"""Whether text is in another language than English: whether most of its words are none that the reader knows.

A detector of languages needs more text than a sentence of a report has, and takes "Cardiomegaly." for Latin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain

from rag.language.cues import load_cues
from rag.language.languages import ENGLISH, little_words
from rag.language.lexicon import Lexicon
from rag.language.tokens import Token
from rag.language.typed import english_words

# Share of words that are known. Of 3,934 English reports and cases the least has 0.62; of fifteen in seven other
# languages none has 0.24, and of 3,000 Spanish sentences fewer than one in thirty has 0.35.
_KNOWN = 0.45
# Share of words that are known or plain English, from which a sentence is English: in studies of genes and drugs few
# words are known here. It takes 1% of sentences of abstracts for foreign, where the line above took 16%, and misses
# one more of 100 Spanish ones.
_ENGLISH = 0.65
_STRANGE = 4  # words: fewer are names
_SOME, _KNOWN_OF_REST = 3, 0.55  # known words, and their share, that make a report beside foreign sentences
_NAME = re.compile(r"[A-Z]{2,6}")  # "BI-RADS"


def is_foreign(tokens: Iterable[Token], lexicon: Lexicon) -> bool:
    """Of a sentence, perhaps among others that are not."""
    tokens = list(tokens)
    known, unknown = _counted(tokens, lexicon)
    return unknown >= _STRANGE and known < _KNOWN * (known + unknown) and not _is_english(tokens, lexicon)


def all_foreign(sentences: Sequence[Sequence[Token]], lexicon: Lexicon) -> bool:
    """Whether a text is foreign, if only two words of which none is known, and has next to nothing else in it."""
    known, unknown = _counted(chain.from_iterable(sentences), lexicon)
    if unknown < (_STRANGE if known else 2) or known >= _KNOWN * (known + unknown):
        return False
    if known and _is_english(list(chain.from_iterable(sentences)), lexicon):
        return False
    known, unknown = _counted(chain.from_iterable(s for s in sentences if not is_foreign(s, lexicon)), lexicon)
    return known < _SOME or known < _KNOWN_OF_REST * (known + unknown)


def _is_english(tokens: Sequence[Token], lexicon: Lexicon) -> bool:
    """Whether most words are plain English, and no little ones of another language outnumber the English ones."""
    words = [t for t in tokens if t.text.isalpha() and len(t.text) > 1]
    little = {code: sum(t.word in some for t in words) for code, some in little_words().items()}
    if max(little.values()) > little[ENGLISH]:
        return False
    plain = sum(t.word in english_words() or _is_known(t, lexicon) for t in words)
    return plain >= _ENGLISH * len(words)


def _is_known(t: Token, lexicon: Lexicon) -> bool:
    return t.word in load_cues().vocabulary or t.word in lexicon.vocabulary or t.lemma in lexicon.vocabulary


def _counted(tokens: Iterable[Token], lexicon: Lexicon) -> tuple[int, int]:
    """How many words are known, and how many are not."""
    words = [t for t in tokens if t.text.isalpha() and len(t.text) > 1]
    if not all(t.text.isupper() for t in words):
        words = [t for t in words if not _NAME.fullmatch(t.text)]
    known = sum(_is_known(t, lexicon) for t in words)
    return known, len(words) - known
