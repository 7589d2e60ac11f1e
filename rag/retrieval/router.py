"""Where a question belongs: the domain whose indexes are searched.

Evidence from two sides is added up: the domains of the images most like the question's own, weighted by
similarity, and the domain vocabulary (``knowledge/domains.toml``) in the question's words. The probabilities are
shares of that evidence and are not calibrated.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rag.errors import InputError
from rag.findings.tokens import lemmas_of, tokens_of
from rag.settings import knowledge_dir
from rag.types import Domain

_IMAGE_WEIGHT = 2.0
_UNSURE = 0.6


@dataclass(frozen=True)
class DomainSpec:
    """A domain as ``domains.toml`` describes it; ``vocabulary`` is in lemmas."""

    id: str
    name: str
    vocabulary: frozenset[tuple[str, ...]]
    prompts: tuple[str, ...]


@lru_cache(maxsize=4)
def load_domains(path: Path | None = None) -> tuple[DomainSpec, ...]:
    """Read the domains; raises InputError when the file cannot be used."""
    path = path or knowledge_dir() / "domains.toml"
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["domain"]
        return tuple(
            DomainSpec(
                row["id"], row["name"], frozenset(lemmas_of(v) for v in row["vocabulary"]), tuple(row["prompts"])
            )
            for row in rows
        )
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise InputError(f"the domain list {path} cannot be used: {error}") from error


def route(text: str, neighbours: Iterable[tuple[str, float]] = (), concept_domains: Iterable[str] = ()) -> Domain:
    """The most probable domain of a question.

    Args:
        text: the question.
        neighbours: (domain, similarity in [0, 1]) of the images most like the question's image.
        concept_domains: domain of each finding or structure that the lexicon recognised in the question.

    Returns:
        ``general`` with ``out_of_domain=True`` when nothing speaks for any domain.
    """
    votes: dict[str, float] = defaultdict(float)
    words = tuple(t.lemma for t in tokens_of(text) if t.is_word)
    spans = {words[i : i + n] for n in (1, 2, 3) for i in range(len(words) - n + 1)}
    for spec in load_domains():
        votes[spec.id] += len(spans & spec.vocabulary)
    for domain in concept_domains:
        votes[domain] += 1.0
    near = list(neighbours)
    weight = sum(s for _, s in near)
    for domain, similarity in near:
        votes[domain] += _IMAGE_WEIGHT * similarity / weight
    clinical = {d: v for d, v in votes.items() if v > 0 and d != "general"}
    total = sum(votes.values())
    if not total:
        return Domain(name="general", probability=1.0, out_of_domain=True)
    if not clinical:
        return Domain(name="general", probability=1.0, out_of_domain=False)
    name, best = max(clinical.items(), key=lambda item: (item[1], item[0]))
    return Domain(name=name, probability=round(best / sum(clinical.values()), 4), out_of_domain=False)


def is_sure(domain: Domain) -> bool:
    """Whether the search may keep to this domain (and ``general``)."""
    return not domain.out_of_domain and domain.name != "general" and domain.probability > _UNSURE
