"""XML from strangers: no entities, no network, bounded, and one sentence for whatever is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rag.corpus.files import File
from rag.corpus.text import on_one_line, raised
from rag.errors import InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_DEPTH = 200  # of elements; real articles have about 20
MAX_RECORD_BYTES = 30_000_000  # between the ends of two records of a stream
_BETWEEN = {"mfrac": "/", "msup": "^"}  # the parts of MathML's fractions and powers
_LINES = frozenset(("p", "title", "list-item", "disp-quote", "def", "term", "break", "br", "li", "tr"))
_LINE = "\x1e"  # where one ends: it is in no XML


def parse_xml(data: bytes) -> Element:
    """The root element. Raises InputError if it is not well-formed, declares entities or is nested too deeply."""
    from defusedxml import ElementTree

    with _explained():
        root: Element = ElementTree.fromstring(data)
    _check_depth(root)
    return root


def records_of(file: File, names: Collection[str]) -> Iterator[Element]:
    """The elements with one of these names, one at a time, from a file of any size; they may not be nested.

    Raises InputError as ``parse_xml`` does, after the records that came before the fault.
    """
    from defusedxml import ElementTree

    with file.open() as stream, _explained():
        source = BoundedStream(stream)
        root, depth = None, 0
        for event, element in ElementTree.iterparse(source, events=("start", "end")):
            depth += 1 if event == "start" else -1
            if depth > MAX_DEPTH:
                raise InputError(f"Its XML is nested more than {MAX_DEPTH} deep, which is refused.")
            root = element if root is None else root
            if event == "end" and element.tag in names:
                yield element
                source.begin()
                element.clear()
                root.clear()


def words_in(element: Element | None, without: Container[str] = ()) -> str:
    """All text inside an element, on one line, but for that in elements named in ``without``; empty for None."""
    return " ".join(lines_in(element, without))


def lines_in(element: Element | None, without: Container[str] = ()) -> list[str]:
    """The same, a line a paragraph, an item of a list or a term."""
    text = "" if element is None else _spoken(element, without, "")
    return [line for piece in text.split(_LINE) if (line := on_one_line(piece))]


def _spoken(element: Element, without: Container[str], before: str) -> str:
    """The text inside an element that follows ``before``, with powers and fractions as they read on one line."""
    name = element.tag.rpartition("}")[2]
    text = element.text or ""
    for number, child in enumerate(element):
        inner = "" if child.tag in without else _spoken(child, without, (before + text)[-20:])
        if name == "mfrac" and len(child) > 1:
            inner = f"({inner})"
        text += _BETWEEN.get(name, "") * bool(number) + inner + (child.tail or "")
    if name == "sup":
        return f" {text}" if element.find("xref") is not None else raised(before, text)
    return f"{_LINE}{text}{_LINE}" if name in _LINES else text


class BoundedStream:
    """A stream that refuses to give more than one record may have."""

    def __init__(self, stream: object) -> None:
        self._stream, self._given = stream, 0

    def begin(self) -> None:
        self._given = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)  # type: ignore[attr-defined]
        self._given += len(data)
        if self._given > MAX_RECORD_BYTES:
            raise InputError(f"One of its records has more than {MAX_RECORD_BYTES:,} bytes, which is refused.")
        return data


def _check_depth(root: Element) -> None:
    level, depth = [root], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise InputError(f"Its XML is nested more than {MAX_DEPTH} deep, which is refused.")
        level = [child for element in level for child in element]


@contextmanager
def _explained() -> Iterator[None]:
    from defusedxml import DefusedXmlException, ElementTree

    try:
        yield
    except ElementTree.ParseError as error:
        raise InputError(f"It is not well-formed XML ({error}); export it again.") from error
    except DefusedXmlException as error:
        raise InputError("Its XML declares entities, which are refused because they can exhaust memory.") from error
    except (ValueError, LookupError) as error:  # an encoding that expat does not know
        raise InputError(f"Its XML cannot be decoded ({error}).") from error
