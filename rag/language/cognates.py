"""Words of one root in two languages ("neumotórax", "Pneumothorax"): medicine has its words from Greek and Latin.

Words are brought to one spelling (no accents, "ph" as f, "k" as c, …) and compared by their runs of four letters. A
list of translations would be exact and never complete, and libraries for transliteration keep the spellings apart.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from operator import mul

_WORD = re.compile(r"[^\W\d_]{5,}")
_RUN = 4  # letters; a word's beginning counts as one
_AKIN = 0.4  # share of runs in common, from which two words are cognates
_SPELLED = (
    ("ph", "f"), ("th", "t"), ("ch", "c"), ("rh", "r"), ("ae", "e"), ("oe", "e"), ("pn", "n"), ("ps", "s"),
    ("k", "c"), ("z", "c"), ("y", "i"), ("x", "cs"), ("qu", "c"), ("ll", "l"), ("ss", "s"), ("mm", "m"), ("cc", "c"),
)  # fmt: skip


def shares_of_roots(question: str, texts: Sequence[str]) -> list[float]:
    """How much of the question's long words each text has a cognate of, in [0, 1].

    Words that few of the texts have count more.

    >>> shares_of_roots("¿Qué causa el neumotórax?", ["Causes of pneumothorax.", "Causes of gout."])[0] > 0.3
    True
    """
    asked, told = roots(question), [roots(text) for text in texts]
    best = [[likeness([word], there) for word in asked] for there in told]
    rare = [math.log((len(texts) + 1) / (sum(row[n] > 0 for row in best) + 0.5)) for n in range(len(asked))]
    whole = sum(rare)
    return [sum(map(mul, row, rare)) / whole if whole > 0 else 0.0 for row in best]


def likeness(asked: Sequence[frozenset[str]], text: Sequence[frozenset[str]]) -> float:
    """How alike the two words of one root are that are most alike, one of each text, in [0, 1]; 0 where none are.

    >>> likeness(roots("¿Hay neumotórax?"), roots("No pneumothorax.")) > 0.5
    True
    """
    best = max((len(a & t) / len(a | t) for a in asked for t in text), default=0.0)
    return best if best >= _AKIN else 0.0


def roots(text: str) -> list[frozenset[str]]:
    """The runs of letters of each long word of a text, in one spelling for all languages."""
    return [_runs(word) for word in dict.fromkeys(_WORD.findall(text.lower()))]


def _runs(word: str) -> frozenset[str]:
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn")
    for written, spelled in _SPELLED:
        plain = plain.replace(written, spelled)
    marked = f"^{plain}"
    return frozenset(marked[i : i + _RUN] for i in range(max(1, len(marked) - _RUN + 1)))
