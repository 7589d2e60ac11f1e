"""Texts with stand-off annotations, as the tool brat writes them (Stenetorp et al. 2012): NAME.txt beside NAME.ann."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.errors import InputError
from rag.evaluation.published.folder import Folder

_ENTITY = re.compile(r"(T\d+)\t(\S+) (\d+ \d+(?:;\d+ \d+)*)\t")
_RELATION = re.compile(r"R\d+\t(\S+) Arg1:(\S+) Arg2:(\S+)")


@dataclass(frozen=True)
class BratSpan:
    """A marked span; of one in several pieces, from the first piece's start to the last one's end."""

    id: str
    type: str
    start: int
    end: int


@dataclass(frozen=True)
class BratText:
    """A text with its spans by id, and its relations as (type, from, to)."""

    id: str
    text: str
    spans: dict[str, BratSpan]
    relations: tuple[tuple[str, str, str], ...] = ()


def read_brat(folder: Folder) -> Iterator[BratText]:
    """Every text that has annotations beside it.

    Raises:
        InputError: there is none, or an annotation lies outside its text; the line is named.
    """
    for file in folder.all("*.ann", "**/*.ann"):
        beside = file.with_suffix(".txt")
        if not beside.is_file():
            raise InputError(f"{file} has no text beside it: there is no {beside.name}")
        yield _read(file, beside)


def _read(file: Path, beside: Path) -> BratText:
    try:
        text, lines = beside.read_bytes().decode("utf-8"), file.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file} or its text is not UTF-8 ({error.reason})") from error
    spans, relations = dict[str, BratSpan](), []
    for number, line in enumerate(lines, start=1):
        if entity := _ENTITY.match(line):
            offsets = [int(n) for n in re.findall(r"\d+", entity[3])]
            start, end = min(offsets), max(offsets)
            if not start < end <= len(text):
                raise InputError(f"{file}, line {number}: the span {start} to {end} lies outside {beside.name}")
            spans[entity[1]] = BratSpan(entity[1], entity[2], start, end)
        elif relation := _RELATION.match(line):
            relations.append((relation[1], relation[2], relation[3]))
    return BratText(file.stem, text, spans, tuple(relations))
