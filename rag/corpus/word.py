"""The text of a Word file as it is shown: tracked changes accepted, hidden text left out, fields and text boxes read.

python-docx opens the file and knows its styles. Its ``paragraph.text`` leaves out what was inserted with changes
tracked, and its blocks leave out content controls, in which forms have their answers; so the walk is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rag.corpus.text import on_one_line, raised

MAX_DEPTH = 50  # of tables and controls within one another
# Elements that are only wrapped around what they hold.
_WRAPPED = {"ins", "hyperlink", "smartTag", "sdt", "sdtContent", "fldSimple", "customXml", "moveTo", "bdo", "dir"}
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_TICKS = {**dict.fromkeys(("F0FE", "F0FD", "F052", "F0FC", "F078"), "\u2611"),
          **dict.fromkeys(("F0A8", "F06F", "F0A3", "F071"), "\u2610")}  # fmt: skip
_OFF = ("0", "false", "off")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or a row of a table, and the paragraph's style."""

    text: str
    style: str = ""


def blocks_of(word: Any) -> Iterator[Block]:
    """The paragraphs and rows of a document that python-docx has opened, in order."""
    names = {style.style_id: style.name or "" for style in word.styles}
    yield from _blocks(word.element.body, names, 0)


def _blocks(element: Any, names: dict[str, str], depth: int) -> Iterator[Block]:
    if depth > MAX_DEPTH:
        return
    for child in element:
        name = _local(child)
        if name == "p":
            boxes: list[Any] = []
            text = _words(child, "", boxes)
            style = next((_value(one) for one in child.iter() if _local(one) == "pStyle"), "")
            if text.strip():
                yield Block(text, names.get(style, style))
            for box in boxes:
                yield from _blocks(box, names, depth + 1)
        elif name == "tbl":
            yield from _rows(child, names, depth)
        elif name in _WRAPPED:
            yield from _blocks(child, names, depth + 1)


def _rows(table: Any, names: dict[str, str], depth: int) -> Iterator[Block]:
    for row in _held(table, "tr"):
        cells = ([block.text for block in _blocks(cell, names, depth + 1)] for cell in _held(row, "tc"))
        texts = [on_one_line(" ".join(texts)) for texts in cells]
        if any(texts):
            yield Block(" | ".join(texts))


def _held(element: Any, wanted: str) -> Iterator[Any]:
    """The rows of a table or the cells of a row, also those inside content controls."""
    for child in element:
        if _local(child) == wanted:
            yield child
        elif _local(child) in _WRAPPED:
            yield from _held(child, wanted)


def _words(element: Any, before: str, boxes: list[Any]) -> str:
    """The words of a paragraph that follow ``before``; the text boxes that hang on it go to ``boxes``."""
    text = ""
    for child in element:
        name = _local(child)
        if name == "r":
            text += _run(child, (before + text)[-20:], boxes)
        elif name in _WRAPPED:
            text += _words(child, (before + text)[-20:], boxes)
    return text


def _run(run: Any, before: str, boxes: list[Any]) -> str:
    text, is_raised = "", False
    for child in run:
        name = _local(child)
        if name == "rPr":
            set_ = {_local(one): _value(one) for one in child}
            if "vanish" in set_ and set_["vanish"] not in _OFF:
                return ""
            is_raised = set_.get("vertAlign") == "superscript"
        elif name == "t":
            text += child.text or ""
        elif name == "sym":
            text += _TICKS.get(_value(child, "char").upper(), "")
        elif name in _SIGNS:
            text += _SIGNS[name]
        else:  # of a drawing that is there in two forms, the first
            boxes += [one for one in child.iter() if _local(one) == "txbxContent"][:1]
    return raised(before, text) if is_raised else text


def _local(element: Any) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _value(element: Any, name: str = "val") -> str:
    return next((str(v) for k, v in element.attrib.items() if k.rpartition("}")[2] == name), "")
