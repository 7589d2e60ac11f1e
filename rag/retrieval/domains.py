"""The domains of ``domains.toml``: their vocabulary, and the prompts that describe their images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import tomli

from rag.errors import InputError
from rag.language.tokens import lemmas_of, tokens_of
from rag.settings import knowledge_dir

GENERAL = "general"  # what belongs to no image speciality; its index is always searched


@dataclass(frozen=True)
class DomainSpec:
    """A domain as ``domains.toml`` describes it; ``vocabulary`` is in lemmas, ``stained`` says that dyes colour it."""

    id: str
    name: str
    vocabulary: frozenset[tuple[str, ...]]
    prompts: tuple[str, ...]
    stained: bool = False


@lru_cache(maxsize=4)
def load_domains(path: Path | None = None) -> tuple[DomainSpec, ...]:
    """Read the domains; raises InputError when the file cannot be used."""
    path = path or knowledge_dir() / "domains.toml"
    try:
        rows = tomli.loads(path.read_text(encoding="utf-8"))["domain"]
        domains = tuple(
            DomainSpec(
                row["id"],
                row["name"],
                frozenset(lemmas_of(v) for v in row["vocabulary"]),
                tuple(row["prompts"]),
                bool(row.get("stained", False)),
            )
            for row in rows
        )
    except KeyError as error:
        raise InputError(f"the domain list {path} cannot be used: the field {error} is missing") from error
    except (OSError, TypeError, AttributeError, UnicodeDecodeError, tomli.TOMLDecodeError) as error:
        raise InputError(f"the domain list {path} cannot be used: {error}") from error
    ids = [d.id for d in domains]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise InputError(f"the domain list {path} has two domains with the id {twice[0]!r}")
    return domains


def word_votes(text: str, domains: Sequence[DomainSpec], concepts: Iterable[str] = ()) -> Mapping[str, int]:
    """How many words or phrases of each domain's vocabulary are in ``text``, and how many recognised concepts it has.

    ``concepts`` are the domains of the findings and structures that the lexicon recognised in the text.
    """
    words = tuple(t.lemma for t in tokens_of(text) if t.is_word)
    spans = {words[i : i + n] for n in (1, 2, 3) for i in range(len(words) - n + 1)}
    votes = {d.id: len(spans & d.vocabulary) for d in domains}
    for domain in concepts:
        votes[domain] = votes.get(domain, 0) + 1
    return votes
