"""What a text's layout left in it, made readable in place: every offset holds, so that what is read can be quoted.

Line breaks of HL7 and of escaped text, elements and entities of HTML, RTF's control words, words that a line's end
parted, cells of tables, and the boxes of forms. A box that is not ticked denies what it stands by; of several answers
to one heading ("[ ] yes [x] no") only the ticked ones are left. Parsers of these formats give back another text, whose
characters stand elsewhere than those that are quoted.
"""

from __future__ import annotations

import html
import re
from collections.abc import Container
from functools import partial

TICKED, UNTICKED = "\u2611", "\u2610"

_SUSPICIOUS = re.compile(
    r"[\\<&\[|\t\u2080-\u2089\u2610-\u2612\u25a0\u25a1\u25fb\u2713\u2714\u2717\u2718]|-[ \t]*\n|\( ?\)|_{3}|\.{4}"
)
_BREAK = re.compile(r"\\\.(?:br|sp\d*)\\|\\X0[AD]\\|\\[rn](?!tf\d)|<(?:br\s*/?|p|div|li|tr|h\d|/tr|/li)>", re.I)
_RTF = re.compile(r"^\s*\{\\rtf")
_RTF_BREAK, _RTF_WORD = re.compile(r"\\(?:par|line|row)\b ?"), re.compile(r"\\[a-z]{1,20}-?\d{0,6} ?|[{}]")
_CELL = re.compile(r"</t[dh]>\s*<t[dh]\b[^<>\n]{0,200}>", re.I)
_ELEMENTS = (
    "b|i|u|em|strong|span|font|sup|sub|p|div|ul|ol|li|table|tbody|thead|tr|td|th|h\\d|br|a|pre|small|body|html|hr"
)
_GAP = re.compile(rf"</?(?:{_ELEMENTS})(?:\s[^<>\n]{{0,200}})?/?>|\\[HNFSTRE]\\|\\t(?![a-z])|_{{3,}}", re.I)
_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-f]{1,5}|[a-z]{2,8});", re.I)
_PARTED = re.compile(r"([^\W\d_]{2,})(-[ \t]*\n[ \t]*)([a-z]{2,})")
_ROW = re.compile(r"^([ \t]*\|?[^|\t\n:]{2,60})[|\t]+([^|\t\n:]{1,60})\|?[ \t]*$", re.M)
_CELLS = re.compile(r"^[^|\t\n]*(?:[|\t]+[^|\t\n]*){2,}$", re.M)
_SAYS_NO = re.compile(
    r"\s*(?:no|none|absent|negative|false|n|not\s+(?:seen|present|identified|visible|detected|found))\W*$", re.I
)
_SAYS_YES = re.compile(r"\s*(?:yes|present|positive|true|y|seen)\W*$", re.I)
_LEADERS = re.compile(r"(?<=\w)[ \t]*\.{4,}[ \t]*(?=\S)")  # "Pneumothorax ..... no"
_SUBSCRIPT = str.maketrans("\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089", "0123456789")
_UNSEEN = "\u200b"  # parts no word

_SQUARE = (
    r"\[\s?(?P<in>[xX*\u2713\u2714\u221a]?)\s?\]|(?P<sign>[\u2610-\u2612\u25a1\u25a0\u25fb]|"
    r"^[ \t]*[\u2713\u2714\u2717\u2718](?=\s))|"
)
_ROUND = r"\(\s?(?P<round>[xX\u2713\u2714]?)\s?\)"
_BOX = re.compile(rf"{_SQUARE}^[ \t]*{_ROUND}")
_ANY_BOX = re.compile(rf"{_SQUARE}{_ROUND}")  # of a line on which an empty pair of round brackets stands
_EMPTY = re.compile(r"\(\s?\)")
_OPEN_SIGNS = frozenset("\u2610\u25a1\u25fb\u2717\u2718")
_DENIAL = re.compile(r"\s*(?:no|not|none|without|normal|clear|intact|unremarkable|absent|negative|wnl|free)\b", re.I)


def with_line_ends(text: str) -> str:
    """``text``, as long as it is, with a line's end wherever its markup has one."""
    if not _SUSPICIOUS.search(text):
        return text
    if _RTF.match(text):
        return _RTF_WORD.sub(_blank, _RTF_BREAK.sub(_line_end, text))
    return _CELL.sub(_cell, _BREAK.sub(_line_end, text))


def without_layout(text: str, vocabulary: Container[str] = ()) -> str:
    """``text``, as long as it is, without what only its layout put there.

    Args:
        text: with its line ends.
        vocabulary: words that are whole: one of them that a line's end has parted is put together again.
    """
    if not _SUSPICIOUS.search(text):
        return text
    text = _GAP.sub(_blank, text)
    text = _LEADERS.sub(lambda m: ":".ljust(len(m[0])), text)
    text = _ENTITY.sub(_character, text).translate(_SUBSCRIPT)
    text = _PARTED.sub(partial(_joined, vocabulary), text)
    return _CELLS.sub(_decided, _ROW.sub(_row, "\n".join(map(_ticked, text.split("\n")))))


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _line_end(match: re.Match[str]) -> str:
    return "\n" + " " * (len(match[0]) - 1)


def _cell(match: re.Match[str]) -> str:
    return "|".ljust(len(match[0]))


def _row(match: re.Match[str]) -> str:
    """A line of two cells is a name and what is said of it."""
    name, said = match[1].replace("|", " "), match[2]
    gap = match[0][len(name) : match.end(2) - match.start() - len(said)]
    return f"{name}{':'.ljust(len(gap))}{said}".ljust(len(match[0]))


def _decided(match: re.Match[str]) -> str:
    """A line of more cells is what its first one that says yes or no makes it; later ones are about something else."""
    line = match[0]
    out, told = list(line), False
    name, *others = [m.span() for m in re.finditer(r"[^|\t]*\w[^|\t]*", line)] or [(0, 0)]
    for start, end in others:
        denies = _SAYS_NO.match(line, start, end)
        if denies is None and _SAYS_YES.match(line, start, end) is None:
            continue
        if told:
            out[start:end] = " " * (end - start)
        elif denies:
            out[name[1] : start] = [" " if c in "|\t" else c for c in line[name[1] : start - 1]] + [":"]
            out[end:] = [";" if c in "|\t" else c for c in line[end:]]
        told = True
    return "".join(out)


def _character(match: re.Match[str]) -> str:
    said = html.unescape(match[0]).replace("\u00a0", " ")
    return said.rjust(len(match[0])) if len(said) == 1 else match[0]


def _joined(vocabulary: Container[str], match: re.Match[str]) -> str:
    if (match[1] + match[3]).lower() not in vocabulary:
        return match[0]
    return match[1] + _UNSEEN * len(match[2]) + match[3]


# ------------------------------------------------------------------ boxes


def _ticked(line: str) -> str:
    """The line with a mark for each box: what is left says what was ticked.

    A line that begins with a box has the boxes before what they are of, as have the answers after a heading's colon;
    elsewhere a box follows.
    """
    boxes = list((_ANY_BOX if _EMPTY.search(line) else _BOX).finditer(line))
    if not boxes:
        return line
    before = line[: boxes[0].start()].strip(" \t-*\u2022")
    answers = before.endswith(":")
    leads = not before or answers
    out = list(line)
    for n, box in enumerate(boxes):
        following = boxes[n + 1].start() if n + 1 < len(boxes) else len(line)
        first, last = (box.end(), following) if leads else (boxes[n - 1].end() if n else 0, box.start())
        if not leads:
            first = max(first, line.rfind(":", first, last) + 1)
        size = box.end() - box.start()
        ticked = bool(box["in"] or box["round"]) or (box["sign"] is not None and box["sign"][-1] not in _OPEN_SIGNS)
        out[box.start() : box.end()] = " " * size
        if ticked:
            out[box.start()] = " " if answers else TICKED if leads else ";"
        elif answers or _DENIAL.match(line, first):  # what is not so was not said
            out[first:last] = " " * (last - first)
        elif leads:
            out[box.start()] = UNTICKED
        else:
            start = box.start() - (size == 1 and line[box.start() - 1] == " ")
            stop = box.end() + (size == 1 and line[box.end() : box.end() + 1] == " ")
            out[start:stop] = ":0;"[: stop - start].ljust(stop - start)
    return "".join(out)
