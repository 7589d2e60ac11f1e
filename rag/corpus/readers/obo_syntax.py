"""The syntax of OBO 1.2 and 1.4 files: stanzas of ``tag: value`` lines, quoted strings, escapes, cross-references."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rag.corpus.text import bounded_lines, decode, on_one_line
from rag.errors import InputError

MAX_LINE_BYTES = 1_000_000
_HEAD = re.compile(r"\[(\w+)\]\s*$")
_TAG = re.compile(r"([A-Za-z_][\w-]*):\s*(.*)$")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(.*)$')
_UNQUOTED_END = re.compile(r"(?<!\\)(?:\s!|\{)")  # a comment or a trailing modifier
_COMMA = re.compile(r"(?<!\\),")
_ESCAPE = re.compile(r"\\(.)")
_PUBLISHED = re.compile(r"(PMID|PMCID|PMC|DOI|ISBN(?:-1[03])?):\s*(\S+)", re.IGNORECASE)


@dataclass(slots=True)
class Stanza:
    """One block of the file; ``kind`` is "" for the header. ``problem`` says why it cannot be understood."""

    kind: str
    line: int
    tags: list[tuple[str, str]] = field(default_factory=list)
    problem: str = ""

    def all(self, tag: str) -> list[str]:
        """Values of every line with this tag, in order."""
        return [value for name, value in self.tags if name == tag]

    def first(self, tag: str) -> str:
        """The tag's first value, or ""."""
        return next((value for name, value in self.tags if name == tag), "")


def stanzas(path: Path) -> Iterator[Stanza]:
    """Blocks of the file in order, the header first; memory holds one at a time."""
    stanza = Stanza("", 1)
    for number, line in bounded_lines(path, MAX_LINE_BYTES):
        try:
            text = _decoded(line, number)
            if head := _HEAD.match(text):
                yield stanza
                stanza = Stanza(head[1], number)
            elif text and not text.startswith("!"):
                tag = _TAG.match(text)
                if not tag:
                    raise InputError(f"Line {number} is not of the form 'tag: value'.")
                stanza.tags.append((tag[1], tag[2]))
        except InputError as error:
            stanza.problem = stanza.problem or str(error)
    yield stanza


def _decoded(line: bytes | None, number: int) -> str:
    if line is None:
        raise InputError(f"Line {number} is longer than {MAX_LINE_BYTES:,} bytes.")
    try:
        return decode(line).strip()
    except InputError as error:
        raise InputError(f"Line {number}: {error}") from error


def plain(value: str) -> str:
    """An unquoted value without its comment, trailing modifier and escapes, on one line."""
    return _unescaped(_UNQUOTED_END.split(value, maxsplit=1)[0])


def quoted(value: str, identifier: str) -> tuple[str, str]:
    """The quoted text that a value opens with, and what follows it. Raises InputError if no quoted text is there."""
    match = _QUOTED.match(value)
    if not match:
        raise InputError(f"The term {identifier} has a definition or synonym whose quotation marks are not closed.")
    return _unescaped(match[1]), match[2]


def words_of(rest: str) -> list[str]:
    """Words before the bracketed cross-references: a synonym's scope and types."""
    return rest.partition("[")[0].split()


def references_of(rest: str) -> tuple[str, ...]:
    """Published references (PubMed, DOI, ISBN, web pages) in a bracketed list; people and other ontologies are not."""
    inside = rest.partition("[")[2].rpartition("]")[0]
    found: dict[str, None] = {}
    for item in _COMMA.split(inside):
        reference = _unescaped(item)
        if published := _PUBLISHED.match(reference):
            found[f"{published[1].upper()}:{published[2]}"] = None
        elif reference.startswith(("http://", "https://")) and "orcid.org" not in reference:
            found[reference.partition(" ")[0]] = None
    return tuple(found)


def closure(root: str, parents: dict[str, tuple[str, ...]]) -> set[str]:
    """The root and all its descendants; a cycle in the file does no harm."""
    children: dict[str, list[str]] = defaultdict(list)
    for child, above in parents.items():
        for parent in above:
            children[parent].append(child)
    reached, waiting = {root}, [root]
    while waiting:
        for child in children[waiting.pop()]:
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return reached


def _unescaped(text: str) -> str:
    return on_one_line(_ESCAPE.sub(lambda match: " " if match[1] in "nWt" else match[1], text))
