"""The finding lexicon: which phrases mean which finding, and how findings relate.

Findings and anatomical structures are both *concepts* in one hierarchy. Read a structure as "an abnormality of
the structure": a finding's parents are its broader findings and its structure, so that *present* travels up
(cardiomegaly is an abnormality of the heart) and *absent* travels down (a normal heart is not enlarged).
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from rag.errors import InputError
from rag.findings.cues import load_cues
from rag.findings.tokens import Token, lemmas_of
from rag.settings import knowledge_dir
from rag.types import sha256_of


@dataclass(frozen=True, slots=True)
class Concept:
    """A finding (``pleural_effusion``), a structure (``heart``) or a term of an ingested ontology (``HP:0002202``)."""

    id: str
    name: str
    domain: str
    kind: Literal["finding", "structure", "term"]
    parents: tuple[str, ...] = ()
    states: tuple[tuple[str, ...], ...] = ()
    structure: str | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A phrase of the lexicon found in a token sequence: tokens[first:last]."""

    concept: str
    kind: Literal["finding", "structure", "term", "normal", "opposite"]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Term:
    """A name and its synonyms from literature in an index (an ontology), to be recognised in questions."""

    id: str
    name: str
    synonyms: tuple[str, ...]
    domain: str


@dataclass(frozen=True)
class _Phrase:
    words: tuple[str, ...]
    cased: str | None
    concept: str
    kind: Literal["finding", "structure", "term", "normal", "opposite"]


@dataclass
class Lexicon:
    """Concepts, their phrases, and fixed normal statements. Built once, then only read."""

    concepts: dict[str, Concept]
    normals: dict[str, tuple[str, ...]]
    _phrases: list[_Phrase] = field(repr=False)

    @classmethod
    def load(cls, path: Path | None = None, terms: Iterable[Term] = ()) -> Lexicon:
        """Read ``findings.toml`` and add ``terms`` whose phrases are not taken already.

        Raises:
            InputError: the file is missing, is not TOML, or refers to a concept that it does not define.
        """
        path = path or knowledge_dir() / "findings.toml"
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"the finding lexicon {path} cannot be read: {error}") from error
        return _build(path, data, terms)

    def mentions(self, tokens: Sequence[Token]) -> list[Mention]:
        """Findings, terms, opposites and structures: longest phrases, left to right, without overlap.

        Side, zone and degree words inside a phrase are skipped ("calcified left hilar lymph node").
        """
        return _scan(tokens, self._by_first_word[0])

    def normal_statements(self, tokens: Sequence[Token]) -> list[Mention]:
        """Fixed normal statements ("no acute cardiopulmonary disease"), found apart from the mentions inside them."""
        return _scan(tokens, self._by_first_word[1])

    @lru_cache(maxsize=10_000)  # noqa: B019 - a lexicon lives as long as the process
    def ancestors(self, concept: str) -> frozenset[str]:
        """The concept itself and everything broader."""
        seen: set[str] = set()
        stack = [concept]
        while stack:
            here = stack.pop()
            if here not in seen and here in self.concepts:
                seen.add(here)
                stack.extend(self.concepts[here].parents)
        return frozenset(seen)

    def is_a(self, narrow: str, broad: str) -> bool:
        return broad in self.ancestors(narrow)

    def name(self, concept: str) -> str:
        return self.concepts[concept].name

    def phrases(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Every (concept or normal-statement id, words) pair, for checks of the lexicon itself."""
        for phrase in self._phrases:
            yield phrase.concept, (phrase.cased,) if phrase.cased else phrase.words

    @cached_property
    def fingerprint(self) -> str:
        """Changes with any concept, relation or phrase."""
        known = (sorted(self.concepts.items()), sorted(self.normals.items()), self._phrases, load_cues().fingerprint)
        return sha256_of(repr(known))[:16]

    @cached_property
    def states(self) -> dict[str, list[tuple[tuple[str, ...], str]]]:
        """Structure id -> (state words, finding asserted when the structure is said to be in that state)."""
        table: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for concept in self.concepts.values():
            if concept.structure:
                table[concept.structure].extend((words, concept.id) for words in concept.states)
        for rows in table.values():
            rows.sort(key=lambda row: -len(row[0]))
        return dict(table)

    @cached_property
    def states_by_word(self) -> dict[str, list[tuple[tuple[str, ...], str]]]:
        """First word of a state -> (its words, the structure that can be in it)."""
        table: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for structure, rows in self.states.items():
            for words, _ in rows:
                table[words[0]].append((words, structure))
        return dict(table)

    @cached_property
    def _by_first_word(self) -> tuple[dict[str, list[_Phrase]], dict[str, list[_Phrase]]]:
        tables: tuple[dict[str, list[_Phrase]], ...] = (defaultdict(list), defaultdict(list))
        for phrase in self._phrases:
            tables[phrase.kind == "normal"][phrase.words[0]].append(phrase)
        for table in tables:
            for rows in table.values():
                rows.sort(key=lambda p: (-len(p.words), p.cased is None))
        return dict(tables[0]), dict(tables[1])

    def __hash__(self) -> int:
        return id(self)


def _scan(tokens: Sequence[Token], table: dict[str, list[_Phrase]]) -> list[Mention]:
    found: list[Mention] = []
    i = 0
    while i < len(tokens):
        best: Mention | None = None
        best_words = 0
        for phrase in table.get(tokens[i].lemma, ()):
            if len(phrase.words) <= best_words:
                break
            last = _match(phrase, tokens, i)
            if last is not None:
                best, best_words = Mention(phrase.concept, phrase.kind, i, last), len(phrase.words)
        if best is None:
            i += 1
        else:
            found.append(best)
            i = best.last
    return found


def _match(phrase: _Phrase, tokens: Sequence[Token], start: int) -> int | None:
    if phrase.cased is not None:
        return start + 1 if tokens[start].text.rstrip("'s") in (phrase.cased, phrase.cased + "s") else None
    i, skipped, inside = start, 0, load_cues().inside
    for n, word in enumerate(phrase.words):
        while n and i < len(tokens) and tokens[i].lemma != word:
            if tokens[i].text in "-/" or (tokens[i].lemma in inside and skipped < 4):
                skipped += tokens[i].text not in "-/"
                i += 1
            else:
                return None
        if i >= len(tokens):
            return None
        i += 1
    return i


def _build(path: Path, data: dict[str, Any], terms: Iterable[Term]) -> Lexicon:
    concepts: dict[str, Concept] = {}
    phrases: list[_Phrase] = []
    taken: set[tuple[str, ...]] = set()

    def add(words: Iterable[str], concept: str, kind: Any) -> None:
        for text in words:
            lemmas = lemmas_of(text)
            if lemmas and (kind != "term" or lemmas not in taken):
                phrases.append(_Phrase(lemmas, None, concept, kind))
                taken.add(lemmas)

    try:
        for row in data.get("structure", []):
            concepts[row["id"]] = Concept(
                row["id"], row["name"], row["domain"], "structure", tuple(row.get("part_of", ()))
            )
            add([row["name"], *row.get("synonyms", ())], row["id"], "structure")
        for row in data.get("finding", []):
            structure = row.get("structure")
            parents = (*row.get("parents", ()), *((structure,) if structure else ()))
            states = tuple(lemmas_of(s) for s in row.get("states", ()))
            concepts[row["id"]] = Concept(row["id"], row["name"], row["domain"], "finding", parents, states, structure)
            add([row["name"], *row.get("synonyms", ())], row["id"], "finding")
            add(row.get("opposites", ()), row["id"], "opposite")
            phrases += [_Phrase((a.lower(),), a, row["id"], "finding") for a in row.get("abbreviations", ())]
        normals = {row["id"]: tuple(row["negates"]) for row in data.get("normal", [])}
        for row in data.get("normal", []):
            add(row["phrases"], row["id"], "normal")
    except KeyError as error:
        raise InputError(f"{path}: an entry lacks its field {error}.") from error
    for owner, wanted in [(c.id, c.parents) for c in concepts.values()] + list(normals.items()):
        unknown = [w for w in wanted if w not in concepts]
        if unknown:
            raise InputError(f"{path}: {owner!r} refers to {unknown[0]!r}, which is not defined there.")
    for term in terms:
        if lemmas_of(term.name) not in taken:
            concepts[term.id] = Concept(term.id, term.name, term.domain, "term")
            add([term.name, *term.synonyms], term.id, "term")
    return Lexicon(concepts, normals, phrases)
