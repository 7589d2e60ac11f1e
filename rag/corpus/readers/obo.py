"""Ontologies in OBO format: one piece of literature per defined term. Made for the Human Phenotype Ontology."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import BY_NAME, CERTAIN, Reader
from rag.corpus.readers.obo_syntax import Stanza, closure, plain, quoted, references_of, stanzas, words_of
from rag.corpus.text import bounded, checked_id
from rag.errors import InputError
from rag.types import Document

BRANCHES = {
    "eye": "HP:0000478",
    "respiratory": "HP:0002086",
    "cardiovascular": "HP:0001626",
    "neoplasm": "HP:0002664",
}
# Where a term lies in several branches the first one decides.
_DOMAINS = {"eye": "ophthalmology", "respiratory": "radiology", "cardiovascular": "radiology", "neoplasm": "pathology"}
_HPO_LICENCE = "HPO licence (attribution required; release shown)"


@dataclass(frozen=True, slots=True)
class OboTerm:
    """One term that is not obsolete; ``synonyms`` mean just the same, ``related`` are broader, narrower or looser."""

    id: str
    name: str
    definition: str
    synonyms: tuple[str, ...]
    related: tuple[str, ...]
    parents: tuple[str, ...]
    references: tuple[str, ...]
    xrefs: tuple[str, ...]
    domain: str = "general"


@dataclass(frozen=True, slots=True)
class _Ontology:
    name: str
    release: str
    terms: dict[str, OboTerm]
    rejected: list[Quarantined]

    def below(self, root: str) -> set[str]:
        """Ids of the term ``root`` and everything under it."""
        return closure(root, {term.id: term.parents for term in self.terms.values()})


def obo_terms(path: Path) -> Iterator[OboTerm]:
    """All terms that are not obsolete, with or without a definition; malformed ones are left out.

    Raises InputError if the file cannot be read or is not OBO.
    """
    yield from _load(path).terms.values()


def recognise_obo(file: File) -> float:
    """Sure where the header names its format version."""
    by_content = file.is_text and "format-version:" in file.start.partition("[Term]")[0]
    return CERTAIN if by_content else BY_NAME * (file.suffix == ".obo")


def read_obo(file: File, branches: tuple[str, ...] = ()) -> Iterator[Document | Quarantined]:
    """One Document per defined term that is not obsolete, after one Quarantined per malformed stanza.

    ``branches`` are term ids or names of BRANCHES: only these terms and their descendants are read. Raises InputError
    for a branch that the file does not have, and for a file that is not OBO.
    """
    path = file.path
    ontology = _load(path)
    wanted = _wanted(ontology, (branches,) if isinstance(branches, str) else tuple(branches))
    yield from ontology.rejected
    for term in ontology.terms.values():
        if not term.definition or (wanted is not None and term.id not in wanted):
            continue
        try:
            yield _document(term, ontology)
        except InputError as error:
            yield Quarantined(str(path), term.id, str(error))


def _wanted(ontology: _Ontology, branches: tuple[str, ...]) -> set[str] | None:
    if not branches:
        return None
    wanted: set[str] = set()
    for branch in branches:
        root = BRANCHES.get(branch, branch)
        if root not in ontology.terms:
            raise InputError(f"There is no branch {branch!r}: use {', '.join(BRANCHES)} or the id of a term.")
        wanted |= ontology.below(root)
    return wanted


def _load(path: Path) -> _Ontology:
    header: dict[str, str] = {}
    terms: dict[str, OboTerm] = {}
    rejected: list[Quarantined] = []
    try:
        for stanza in stanzas(path):
            if stanza.kind == "" and not header:
                header = dict(stanza.tags)
                if "format-version" not in header:
                    raise InputError(f"{str(path)!r} is not an OBO file: its header has no format-version.")
            elif stanza.kind == "Term":
                try:
                    term = _term(stanza)
                    if term and term.id in terms:
                        raise InputError(f"The term {term.id} was defined before; ids must be unique.")
                except InputError as error:
                    rejected.append(Quarantined(str(path), f"line {stanza.line}", str(error)))
                    continue
                if term:
                    terms[term.id] = term
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}.") from error
    name = header.get("ontology", path.stem).removesuffix(".obo").rsplit("/", 1)[-1]
    release = header.get("data-version", "").rstrip("/").rsplit("/", 1)[-1] or "unknown release"
    return _with_domains(_Ontology("hpo" if name == "hp" else name, release, terms, rejected))


def _with_domains(ontology: _Ontology) -> _Ontology:
    domains: dict[str, str] = {}
    for branch, root in BRANCHES.items():
        if root in ontology.terms:
            for identifier in ontology.below(root):
                domains.setdefault(identifier, _DOMAINS[branch])
    for identifier, domain in domains.items():
        if identifier in ontology.terms:
            ontology.terms[identifier] = replace(ontology.terms[identifier], domain=domain)
    return ontology


def _term(stanza: Stanza) -> OboTerm | None:
    """The stanza's term, or None if it is obsolete. Raises InputError if it is malformed."""
    if stanza.problem:
        raise InputError(stanza.problem)
    if stanza.first("is_obsolete").startswith("true"):
        return None
    identifier = checked_id(plain(stanza.first("id")))
    name = plain(stanza.first("name"))
    if not name:
        raise InputError(f"The term {identifier} has no name.")
    definition, sources = quoted(stanza.first("def"), identifier) if stanza.first("def") else ("", "")
    exact: dict[str, str] = {name.lower(): name}
    related: dict[str, str] = {}
    for value in stanza.all("synonym"):
        synonym, rest = quoted(value, identifier)
        scope, *types = words_of(rest) or ["RELATED"]
        if "obsolete_synonym" not in types and synonym:
            (exact if scope == "EXACT" else related).setdefault(synonym.lower(), synonym)
    return OboTerm(
        id=identifier,
        name=name,
        definition=definition,
        synonyms=tuple(exact.values())[1:],
        related=tuple(value for key, value in related.items() if key not in exact),
        parents=tuple(parent for value in stanza.all("is_a") if (parent := plain(value).partition(" ")[0])),
        references=references_of(sources),
        xrefs=tuple(xref for value in stanza.all("xref") if (xref := plain(value).partition(" ")[0])),
    )


def _document(term: OboTerm, ontology: _Ontology) -> Document:
    ended = term.definition if term.definition[-1] in ".!?" else f"{term.definition}."
    text = f"{term.name}: {ended}"
    if term.synonyms:
        text += f"\nAlso called: {'; '.join(term.synonyms).rstrip('.')}."
    return Document(
        id=term.id,
        kind="literature",
        domain=term.domain,
        text=bounded(text),
        title=term.name,
        case_id=term.id,
        group_id=term.id,
        source=f"{ontology.name} {ontology.release}",
        licence=_HPO_LICENCE if ontology.name == "hpo" else "unknown",
        metadata={
            "synonyms": list(term.synonyms),
            "related_synonyms": list(term.related),
            "references": list(term.references),
            "xrefs": list(term.xrefs),
            "parents": list(term.parents),
            "release": ontology.release,
        },
    )


READER = Reader("obo", "an ontology in OBO format", recognise_obo, read_obo, ids="world")
