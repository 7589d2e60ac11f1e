"""The finding lexicon: which phrases mean which finding, and how findings relate.

Findings and anatomical structures are both *concepts* in one hierarchy. Read a structure as "an abnormality of
the structure": a finding's parents are its broader findings and its structure, so that *present* travels up
(cardiomegaly is an abnormality of the heart) and *absent* travels down (a normal heart is not enlarged).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tomli

from rag.errors import InputError
from rag.language.cues import load_cues
from rag.language.tokens import Token, lemmas_of
from rag.settings import knowledge_dir
from rag.types import sha256_of


class Concept(NamedTuple):
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


class Term(NamedTuple):
    """A name and its synonyms from literature in an index (an ontology), to be recognised in questions."""

    id: str
    name: str
    synonyms: tuple[str, ...]
    domain: str


class _Phrase(NamedTuple):
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
    terms: tuple[Term, ...] = field(default=(), repr=False)
    _findings_sha256: str = ""
    _ancestors: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, path: Path | None = None, terms: Iterable[Term] = ()) -> Lexicon:
        """Read ``findings.toml`` and add ``terms`` whose phrases are not taken already.

        Raises:
            InputError: the file is missing, is not TOML, or refers to a concept that it does not define.
        """
        path = path or knowledge_dir() / "findings.toml"
        try:
            text = path.read_text(encoding="utf-8")
            data = tomli.loads(text)
        except (OSError, tomli.TOMLDecodeError) as error:
            raise InputError(f"the finding lexicon {path} cannot be read: {error}") from error
        concepts, normals, phrases, terms = _build(path, data, terms)
        return cls(concepts, normals, phrases, terms, sha256_of(text))

    def mentions(self, tokens: Sequence[Token]) -> list[Mention]:
        """Findings, terms, opposites and structures: longest phrases, left to right, without overlap.

        Side, zone and degree words inside a phrase are skipped ("calcified left hilar lymph node").
        """
        return _scan(tokens, self._trees[0])

    def normal_statements(self, tokens: Sequence[Token]) -> list[Mention]:
        """Fixed normal statements ("no acute cardiopulmonary disease"), found apart from the mentions inside them."""
        return _scan(tokens, self._trees[1])

    def ancestors(self, concept: str) -> frozenset[str]:
        """The concept itself and everything broader."""
        known = self._ancestors.get(concept)
        if known is not None:
            return known
        seen: set[str] = set()
        stack = [concept]
        while stack:
            here = stack.pop()
            if here not in seen and here in self.concepts:
                seen.add(here)
                stack.extend(self.concepts[here].parents)
        if concept in self.concepts:
            self._ancestors[concept] = frozenset(seen)
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
        """Changes with any concept, relation or phrase: with the findings' file, the cues and the terms."""
        terms = ("\0".join((t.id, t.name, t.domain, *t.synonyms)) for t in self.terms)
        return sha256_of("\0\0".join((self._findings_sha256, load_cues().fingerprint, *terms)))[:16]

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
    def composed(self) -> dict[str, tuple[frozenset[str], ...]]:
        """Findings and the words of their phrases of two words and more, which a text may put apart."""
        table: dict[str, set[frozenset[str]]] = defaultdict(set)
        for phrase in self._phrases:
            if phrase.kind == "finding" and phrase.cased is None and len(phrase.words) > 1:
                table[phrase.concept].add(frozenset(phrase.words) - {"of", "the"})
        return {concept: tuple(sorted(sets, key=sorted)) for concept, sets in table.items()}

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Every word of its phrases."""
        return frozenset(word for phrase in self._phrases for word in phrase.words)

    @cached_property
    def _trees(self) -> tuple[_Trees, _Trees]:
        """The phrases of mentions, and the normal statements."""
        statements = [p for p in self._phrases if p.kind == "normal"]
        return _Trees([p for p in self._phrases if p.kind != "normal"]), _Trees(statements)

    def __hash__(self) -> int:
        return id(self)


@dataclass(slots=True)
class _Node:
    """Where some words lead: to further words, and to the phrases that they are, with their ranks."""

    following: dict[str, _Node] = field(default_factory=dict)
    phrases: list[tuple[int, _Phrase]] = field(default_factory=list)


class _Match(NamedTuple):
    """A phrase that ends before token ``last``; of several that begin together the one of lowest rank counts."""

    rank: int
    last: int
    phrase: _Phrase


class _Trees:
    """Phrases by their words; the longer, then the cased, have the lower ranks.

    What begins with a word is grown when a text first has that word: of the thousands of an ontology few ever are.
    """

    def __init__(self, phrases: list[_Phrase]) -> None:
        self._seeds: dict[str, list[tuple[int, _Phrase]]] = defaultdict(list)
        for rank, phrase in enumerate(sorted(phrases, key=lambda p: (p.cased is None) - 2 * len(p.words))):
            self._seeds[phrase.words[0]].append((rank, phrase))
        self._grown: dict[str, _Node] = {}

    def get(self, word: str) -> _Node | None:
        node = self._grown.get(word)
        if node is None and word in self._seeds:
            node = self._grown[word] = _grow(self._seeds[word])  # two threads grow the same
        return node


def _grow(seeds: list[tuple[int, _Phrase]]) -> _Node:
    """The tree of phrases that begin with the same word, below that word."""
    root = _Node()
    for rank, phrase in seeds:
        node = root
        for word in phrase.words[1:]:
            node = node.following.setdefault(word, _Node())
        node.phrases.append((rank, phrase))
    return root


def _scan(tokens: Sequence[Token], trees: _Trees) -> list[Mention]:
    found: list[Mention] = []
    i = 0
    while i < len(tokens):
        node = trees.get(tokens[i].lemma)
        best = None if node is None else _best(node, tokens, i + 1, load_cues().inside)
        if best is None:
            i += 1
        else:
            found.append(Mention(best.phrase.concept, best.phrase.kind, i, best.last))
            i = best.last
    return found


def _best(node: _Node, tokens: Sequence[Token], i: int, inside: frozenset[str], skipped: int = 0) -> _Match | None:
    """The best phrase that goes on from ``node`` at token ``i``; each takes its next word where that first comes."""
    text = tokens[i - 1].text
    best = next((_Match(rank, i, p) for rank, p in node.phrases if p.cased is None or _is(text, p.cased)), None)
    passed: set[str] = set()
    while node.following and i < len(tokens):
        token = tokens[i]
        child = node.following.get(token.lemma) if token.lemma not in passed else None
        match = None if child is None else _best(child, tokens, i + 1, inside, skipped)
        if match is not None and (best is None or match.rank < best.rank):
            best = match
        if token.text not in "-/":
            if token.lemma not in inside or skipped == 4:
                break
            skipped += 1
        passed.add(token.lemma)
        i += 1
    return best


def _is(text: str, abbreviation: str) -> bool:
    return text.rstrip("'s") in (abbreviation, abbreviation + "s")


def _build(
    path: Path, data: dict[str, Any], terms: Iterable[Term]
) -> tuple[dict[str, Concept], dict[str, tuple[str, ...]], list[_Phrase], tuple[Term, ...]]:
    concepts: dict[str, Concept] = {}
    phrases: list[_Phrase] = []
    taken: set[tuple[str, ...]] = set()

    def add(words: Iterable[str], concept: str, kind: Any) -> None:
        for text in words:
            lemmas = lemmas_of(text)
            if lemmas:
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
    terms = tuple(terms)
    for term in terms:
        names = [lemmas_of(text) for text in (term.name, *term.synonyms)]
        if names[0] not in taken:
            concepts[term.id] = Concept(term.id, term.name, term.domain, "term")
            new = [lemmas for lemmas in dict.fromkeys(names) if lemmas and lemmas not in taken]
            phrases += [_Phrase(lemmas, None, term.id, "term") for lemmas in new]
            taken.update(new)
    return concepts, normals, phrases, terms
