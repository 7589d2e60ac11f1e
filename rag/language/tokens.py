"""Words of a clinical sentence with their offsets and lemmas."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from rag.language.layout import UNTICKED

_LETTER = r"[A-Za-z\u00b5\u00c0-\u024f\u0300-\u036f\u0370-\u04ff\ufb00-\ufb06]"  # with marks and ligatures
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"  # soft hyphen and characters of no width: they part no word
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|{_LETTER}(?:[{_UNSEEN}]*{_LETTER})*(?:['\u2019][a-z]+|\d+(?![.,]?\d))?|\S")
_LOOKS_LATIN = str.maketrans("авекмнорстухіјѕԁαεικνορτυχ", "abekmhopctyxijsdaeiknoptux")  # inside Latin words alone
_GREEK = {
    letter: unicodedata.name(letter).rsplit(maxsplit=1)[1].lower()
    for letter in map(chr, (*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA)))
}
_MIXED = re.compile(r"[^\W\d_]+")
_HIDDEN = re.compile(f"[{_UNSEEN}]")
_IRREGULAR = {
    "vertebrae": "vertebra",
    "bullae": "bulla",
    "hila": "hilum",
    "apices": "apex",
    "diagnoses": "diagnosis",
    "metastases": "metastasis",
    "atria": "atrium",
    "septa": "septum",
    "foci": "focus",
    "bronchi": "bronchus",
    "nuclei": "nucleus",
    "mitoses": "mitosis",
    "thrombi": "thrombus",
    "emboli": "embolus",
    "fundi": "fundus",
    "pneumothoraces": "pneumothorax",
    "hemothoraces": "hemothorax",
    "stenoses": "stenosis",
    "fibroses": "fibrosis",
    "scolioses": "scoliosis",
    "calculi": "calculus",
    "villi": "villus",
    "axes": "axis",
    "bronchiectases": "bronchiectasis",
    "atelectases": "atelectasis",
    "carcinomata": "carcinoma",
    "adenomata": "adenoma",
    "indices": "index",
    "diaphragms": "diaphragm",
    "hemidiaphragms": "hemidiaphragm",
    "calves": "calf",
    "leaves": "leaf",
    "feet": "foot",
}
_KEEP = {
    "lens",
    "pus",
    "gas",
    "iris",
    "pelvis",
    "thorax",
    "was",
    "is",
    "has",
    "this",
    "as",
    "does",
    "us",
    "its",
    "plus",
    "bias",
    "species",
    "series",
    "diabetes",
    "rales",
    "drusen",
    "always",
    "perhaps",
    "versus",
    "vs",
}


_NAMED = {UNTICKED: "no"}
_CONTRACTED = {
    "doesnt",
    "dont",
    "didnt",
    "isnt",
    "arent",
    "wasnt",
    "werent",
    "hasnt",
    "hadnt",
    "havent",
    "couldnt",
    "wont",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number or punctuation mark; ``text[start:end]`` is what stands there.

    ``word`` is its lower-cased form, in which "n't" is "not"; ``lemma`` its singular.
    """

    start: int
    end: int
    text: str
    lemma: str
    word: str

    @property
    def is_word(self) -> bool:
        return self.text[0].isalnum()


def lemma(word: str) -> str:
    """Lower-cased singular of an English word: enough to match a phrase in its plural, nothing more."""
    return _singular(_word(word))


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("'s"):
        word = word[:-2]
    if len(word) < 4 or word in _KEEP or word.endswith(("ss", "us", "is", "ous")):
        return word
    if word.endswith("ies") and len(word) > 5:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def tokens_of(text: str, offset: int = 0) -> list[Token]:
    """Tokens of ``text``; ``offset`` is added to their positions."""
    found = []
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        word = _word(match[0])
        found.append(Token(start + offset, end + offset, match[0], _singular(word), word))
    return found


def fold_word(text: str) -> str:
    """Lower-cased, with straight apostrophes, without characters of no width, look-alike letters made Latin."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", _HIDDEN.sub("", text)).lower().replace("\u2019", "'")
    if folded.isascii():
        return folded
    if folded in _GREEK:
        return _GREEK[folded]
    return _MIXED.sub(lambda m: m[0].translate(_LOOKS_LATIN) if re.search("[a-z]", m[0]) else m[0], folded)


def _word(text: str) -> str:
    """Folded; contracted negations are "not"."""
    word = _NAMED.get(text) or fold_word(text)
    if word in ("can't", "cant"):
        return "cannot"
    return "not" if word.endswith("n't") or word in _CONTRACTED else word


def lemmas_of(phrase: str) -> tuple[str, ...]:
    """The phrase's words as lemmas: hyphens, slashes and other punctuation separate words and vanish."""
    words = phrase.split()
    letters = "".join(words)
    if not (letters.isascii() and letters.isalpha()):  # most of a vocabulary has nothing in it to look for
        words = [found for found in _TOKEN.findall(phrase) if found[0].isalnum()]
    return tuple(map(_known_lemma, words))


_known_lemma = lru_cache(maxsize=1 << 14)(lemma)  # the phrases of a vocabulary have few words, many times
