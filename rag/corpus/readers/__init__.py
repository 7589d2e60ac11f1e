"""One reader per format. A reader takes a path and gives Documents, and a Quarantined for each record it refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.cases import read_cases
from rag.corpus.readers.folder import read_folder
from rag.corpus.readers.notes import read_notes
from rag.corpus.readers.obo import read_obo
from rag.corpus.readers.openi import read_openi
from rag.corpus.readers.samples import read_samples
from rag.types import Document

Record = Document | Quarantined


@dataclass(frozen=True, slots=True)
class Reader:
    """A format: how to read it, and one line that says what it is. ``read`` takes a path and keyword options."""

    read: Callable[..., Iterator[Record]]
    description: str


READERS: dict[str, Reader] = {
    "open-i": Reader(read_openi, "Open-i radiology reports: a tar archive, a folder of XML files, or one XML file"),
    "obo": Reader(read_obo, "an ontology in OBO format: each defined term is a piece of literature"),
    "cases": Reader(read_cases, "JSON lines with id and image, text or both; image paths relative to the file"),
    "notes": Reader(read_notes, "Markdown notes with a front matter: a folder, or one file"),
    "images": Reader(read_folder, "a folder of images, each with an optional .txt and .json beside it"),
    "samples": Reader(read_samples, "a TOML list of sample images inside installed packages"),
}
