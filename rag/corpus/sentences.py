"""Sentence boundaries in medical prose: reports, captions, definitions, notes.

Rules rather than a model: they are fast, give exact offsets, and each can be read and tested. Where a full stop is
ambiguous the splitter prefers not to split, because half a sentence makes a misleading quote.
"""

from __future__ import annotations

import re

_NEVER = {"dr", "mr", "mrs", "ms", "prof", "e.g", "i.e", "vs", "cf", "viz", "approx", "incl", "resp", "ca"}
_BEFORE_NUMBER = {"no", "nos", "fig", "figs", "eq", "ref", "refs", "vol", "p", "pp", "ch", "sec", "tab", "suppl"}
_BEFORE_LOWERCASE = {"al", "etc", "a.m", "p.m", "inc", "jr", "sr"}
_NAMED_BY_LETTER = {"vitamin", "hepatitis", "type", "grade", "group", "stage", "factor", "class", "dukes"}

# Every repetition is bounded or cannot match in two ways, and a boundary looks back _LOOKBACK characters at most, so
# that the time stays linear in the text, whatever the text.
_CANDIDATE = re.compile(
    r"(?<![.!?])(?P<stop>[.!?]+[\"')\]\u201d\u2019]*(?:[ \t]+[.!?]+)*)(?=\s|$)"
    r"|(?P<glued>\.)(?=[A-Z][a-z])"
    r"|(?P<line>\n\s*)"
    r"|(?P<item>[ \t])(?=\(?(?P<number>\d{1,2})[.)]\s+[A-Z])"
)
_LOOKBACK = 200
_FOLLOWING = re.compile(r"\s*(\S)")
_WORD_BEFORE = re.compile(r"[^\s(\[{\"'\u201c\u2018/]+$")
_ENUMERATOR = re.compile(r"\s*(?:[A-Z]{3,20}:\s*)?\(?(\d{1,2})[.)]\s")
_LINE_OPENS_BLOCK = re.compile(
    r"#{1,6}\s|[-*\u2022]\s|\(?\d{1,2}[.)]\s|[\u2610\u2611]|(?:\*\*)?[A-Z][\w /&()-]{0,40}:(?=\s|\*\*|$)"
)
# A line that ends with one of these goes on, whatever comes next: "no evidence of", "kein", "sin".
_GOES_ON = {
    *("not", "without", "of", "the", "a", "an", "and", "or", "nor", "for", "with", "to", "in", "on", "at", "by"),
    *("from", "is", "are", "was", "were", "be", "has", "have", "which", "kein", "keine", "keinen", "ohne", "nicht"),
    *("auf", "von", "der", "die", "das", "den", "und", "oder", "mit", "sin", "de", "del", "pas", "sans", "du", "des"),
}
# Before "no" that goes on; elsewhere it answers: "Pneumothorax: no", "Effusion no".
_BEFORE_NO = {"is", "are", "was", "were", "be", "has", "have", "had", "with", "but", "and", "show", "shows", "showed"}
_BAR = " | "  # between the cells of a row
_SHORT_LINE = 50  # a line this short that is followed by a capital was ended by its author, not by a margin


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences in order: trimmed, not overlapping, together covering all that is not whitespace."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _CANDIDATE.finditer(text):
        if match.start() < start:
            continue
        if _ends_sentence(text, start, match):
            _add(spans, text, start, match.end())
            start = match.end()
    _add(spans, text, start, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    if stripped := piece.strip():
        start += len(piece) - len(piece.lstrip())
        spans.append((start, start + len(stripped)))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    if match["item"]:  # "1. Normal heart 2. Clear lungs": item n+1 begins in a sentence that opened with n
        opened = _ENUMERATOR.match(text, start, match.start())
        return opened is not None and int(match["number"]) == int(opened[1]) + 1
    if match["line"] is not None:
        return _line_ends_sentence(text, start, match)
    before = text[max(start, match.start() - _LOOKBACK) : match.start()]
    word_match = _WORD_BEFORE.search(before)
    word = word_match[0] if word_match else ""
    if match["glued"]:  # "Lungs are clear.No effusion": only after an ordinary word
        return len(word) > 2 and word.isalpha() and word.islower() and word not in _NEVER
    following = _FOLLOWING.match(text, match.end())
    if not following:
        return True
    if match["stop"][0] != ".":
        return not following[1].islower()
    return _full_stop_ends_sentence(before, word, following[1])


def _full_stop_ends_sentence(before: str, word: str, following: str) -> bool:
    """Whether the stop after ``word`` ends a sentence that so far reads ``before`` and goes on with ``following``."""
    key = word.lower()
    earlier = before[: len(before) - len(word)].split()
    if key in _NEVER:
        return False
    if key in _BEFORE_NUMBER and (following.isdigit() or following == "("):
        return False
    if key in _BEFORE_LOWERCASE:
        return following.isupper()
    opens = not earlier or earlier[-1][-1] in ":;"
    if word.isdigit() and len(word) <= 2 and opens:  # the number of a list item stays with its item
        return False
    if len(word) == 1 and word.isupper():  # "S. aureus", an initial, a lettered item; but not "It is hepatitis B. No"
        if following.islower():
            return False
        initial = bool(earlier) and (earlier[-1].endswith(".") or earlier[-1].istitle() or earlier[-1] == "by")
        return not (opens or (initial and earlier[-1].lower() not in _NAMED_BY_LETTER))
    if following.islower():  # "no effusion. no pneumothorax" splits, "inf. vena cava" does not
        return len(word) > 3 and word.isalpha()
    return True


def _line_ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """A line break inside a paragraph is only a wrapped line; a blank line, a heading or a list item is a boundary."""
    if "\n" in match[0][1:] or match.end() >= len(text):
        return True
    line = text[max(start, text.rfind("\n", start, match.start()) + 1) : match.start()].strip()
    following = text[match.end() : match.end() + 1000].partition("\n")[0]
    if _BAR in line or _BAR in following:
        return True
    opens = _LINE_OPENS_BLOCK.match(text, match.end()) is not None
    if not opens and _goes_on(line.split()[-2:]):
        return False
    if line.startswith("#") or line.endswith(":") or opens:
        return True
    return len(line) < _SHORT_LINE and text[match.end()].isupper()


def _goes_on(last: list[str]) -> bool:
    """Whether a line with these two last words cannot end a sentence."""
    if len(last) < 2 or last[0].endswith((":", "=", "?", "-")):
        return False
    return last[1] in _GOES_ON or (last[1] == "no" and last[0].lower() in _BEFORE_NO)
