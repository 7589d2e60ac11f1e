"""Identifiers in documents: found, counted and, if wanted, replaced before anything is indexed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.corpus.dicom import names_patient
from rag.corpus.identifiers import Finder, Identifier, apart
from rag.corpus.images import load_image
from rag.corpus.ocr import burnt_in, need_ocr
from rag.corpus.pdf_file import ORIGINAL
from rag.plugins import find
from rag.settings import Deidentify
from rag.types import Document

REMOVED = "[REMOVED]"
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|[_.]+")


@dataclass(frozen=True, slots=True)
class Identified:
    """How many identifiers of a kind one field of a document has (or had); never the identifiers themselves."""

    document: str
    field: str
    kind: str
    count: int


class Scrubber:
    """Looks for identifiers with one or several finders, by name; see ``identifiers`` in :data:`rag.plugins.PARTS`.

    What it does with what it finds is its mode: off, it does not look; warn: nothing; mask: it goes; require: the
    document does. A net for what can be recognised, not a proof that nothing is left: docs/evaluation.md says how much
    is found. What is burnt into an image passes through.

    >>> scrubber = Scrubber("mask")
    >>> report = Document(id="r", kind="report", text="MRN: 123456. Clear.", case_id="r", group_id="r", source="s")
    >>> clean, found = scrubber.screen(report)
    >>> clean.text, found[0].kind
    ('MRN: [REMOVED]. Clear.', 'record')
    """

    def __init__(self, mode: Deidentify = "warn", finders: Sequence[str] = ("rules",), *, pixels: bool = False) -> None:
        """``pixels``: images are searched for text, too. Raises MissingDependencyError without the extra ocr."""
        self.mode = mode
        self._pixels = pixels
        if pixels:
            need_ocr()
        self._names = tuple(finders)
        self._finders: list[Finder] = [
            find("identifiers", name, setting="deidentification.finders")() for name in finders
        ]

    def __str__(self) -> str:
        return f"{self.mode} by {', '.join(self._names)}{' and pixels' if self._pixels else ''}"

    def find(self, text: str) -> list[Identifier]:
        """Where identifiers stand in a text, in order and apart from one another."""
        if len(self._finders) == 1:
            return self._finders[0](text)
        return apart(one for finder in self._finders for one in finder(text))

    def screen(self, document: Document) -> tuple[Document | None, list[Identified]]:
        """The document as its mode lets it pass, None if it may not pass, and what was found in it."""
        if self.mode == "off":
            return document, []
        masked, found = self.mask(document)
        if found and self.mode == "require":
            return None, found
        return (masked if self.mode == "mask" else document), found

    def mask(self, document: Document) -> tuple[Document, list[Identified]]:
        """The document with ``[REMOVED]`` for every identifier in title, text and metadata, and what was found where.

        Labels stay, section offsets follow, and ids stay as they are: the ids of patients and studies that our readers
        make are pseudonyms. Where the page it was read from could be shown is forgotten. A document with nothing to
        remove is given back itself.
        """
        found: list[Identified] = []
        removals = self._noted(document.id, "text", document.text, found)
        changes: dict[str, Any] = {}
        if removals:
            changes["text"] = _without(document.text, removals)
        if titled := self._noted(document.id, "title", document.title, found):
            changes["title"] = _without(document.title, titled)
        metadata = {
            name: self._value(document.id, name, name, value, found)
            for name, value in document.metadata.items()
            if name != ORIGINAL  # whose pages show what was masked here
        }
        if (sections := metadata.get("sections")) and removals:
            metadata["sections"] = {
                label: [_moved(start, removals), _moved(end, removals)] for label, (start, end) in sections.items()
            }
        if (lines := metadata.get("lines")) and removals:  # of print, with their places
            metadata["lines"] = [[_moved(row[0], removals), _moved(row[1], removals), *row[2:]] for row in lines]
        if metadata != document.metadata:
            changes["metadata"] = metadata
        found += self._image(document)
        return (document.model_copy(update=changes) if changes else document), found

    def mask_text(self, text: str) -> tuple[str, Counter[str]]:
        """A text with ``[REMOVED]`` for every identifier, and how many of each kind there were."""
        spans = self.find(text)
        return _without(text, spans), Counter(one.kind for one in spans)

    def _image(self, document: Document) -> list[Identified]:
        """What an image file itself tells: a DICOM header that names its patient (of which the index takes nothing over
        but pseudonyms), and text burnt into the picture, by kind as far as it says what it is."""
        if document.kind != "image" or document.image is None:
            return []
        found = [Identified(document.id, "header of its file", "name", 1)] * names_patient(Path(document.image))
        if self._pixels:
            kinds = Counter[str]()
            for seen in burnt_in(load_image(document.image)):
                kinds.update([one.kind for one in self.find(seen.text)] or ["text"])
            found += [Identified(document.id, "pixels", kind, n) for kind, n in sorted(kinds.items())]
        return found

    def _noted(self, document: str, field: str, text: str, found: list[Identified]) -> list[Identifier]:
        spans = self.find(text)
        counts = Counter(one.kind for one in spans)
        found += [Identified(document, field, kind, n) for kind, n in sorted(counts.items())]
        return spans

    def _value(self, document: str, field: str, name: str, value: Any, found: list[Identified]) -> Any:
        """A JSON value of the metadata; its name is read as the label that it is ("PatientName")."""
        if isinstance(value, dict):
            return {key: self._value(document, field, key, inner, found) for key, inner in value.items()}
        if not isinstance(value, str):  # lists are codes and references, which identify things
            return value
        label = f"{_WORDS.sub(' ', name)}: "
        inside = [one for one in self.find(label + value) if one.start >= len(label)]
        counts = Counter(one.kind for one in inside)
        found += [Identified(document, f"metadata {field}", kind, n) for kind, n in sorted(counts.items())]
        return _without(label + value, inside)[len(label) :] if inside else value


_RULES = Scrubber()


def deidentify(document: Document) -> Document:
    """The document without what the rules of :mod:`rag.corpus.identifiers` find; see :meth:`Scrubber.mask`."""
    return _RULES.mask(document)[0]


def _without(text: str, removals: Sequence[Identifier]) -> str:
    for start, end, _ in reversed(removals):
        text = text[:start] + REMOVED + text[end:]
    return text


def _moved(offset: int, removals: Sequence[Identifier]) -> int:
    """Where an offset of the old text lies in the new one; an offset inside a removal moves to the removal's end."""
    shift = 0
    for start, end, _ in removals:
        if end <= offset:
            shift += len(REMOVED) - (end - start)
        elif start < offset:
            return start + shift + len(REMOVED)
    return offset + shift
