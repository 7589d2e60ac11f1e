"""How questions made from labels are worded: in several kinds, with opposites, and with the study named or not.

The wordings are data (``knowledge/questions.toml``). What they ask is told by a few rules here, so that the right
answer follows from the labels alone and never from our reader.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import tomli
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import InputError
from rag.language.lexicon import Lexicon
from rag.settings import knowledge_dir

_PAIRS = (("left", "right"), ("mild", "severe"), ("small", "large"), ("base", "apex"), ("upper lobe", "lower lobe"))
OPPOSITES = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
_COUNTABLE = ("nodule", "mass", "granuloma", "hernia", "effusion", "pneumothorax", "fracture", "catheter", "aorta")
_SINGULAR = ("ss", "is", "us", "ax")


@dataclass(frozen=True)
class StudyLabels:
    """What is certain of a study.

    Attributes:
        present: findings that it has.
        absent: findings that it has not.
        source: where that is from.
        sides: of present findings, the sides that it has them on, where all of them are known.
        zones, degrees: the same for parts of the lung and for degrees.
        normal: whether nothing at all is found; None where nobody says.
    """

    present: frozenset[str]
    absent: frozenset[str]
    source: str
    sides: Mapping[str, frozenset[str]] = field(default_factory=dict)
    zones: Mapping[str, frozenset[str]] = field(default_factory=dict)
    degrees: Mapping[str, frozenset[str]] = field(default_factory=dict)
    normal: bool | None = None


@dataclass(frozen=True)
class Proposal:
    """One question that labels answer. ``positive``: something that it asks about is there."""

    kind: str
    finding: str
    text: str
    answer: str
    positive: bool


class _Kind(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: int = Field(ge=0)
    texts: tuple[str, ...] = Field(min_length=1)


class _Clear(_Kind):
    findings: tuple[str, ...]


class _Property(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    finding: str
    asks: tuple[str, ...]
    denies: tuple[str, ...]


class Wordings(BaseModel):
    """The file of wordings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    presence: _Kind
    absence: _Kind
    side: _Kind
    zone: _Kind
    degree: _Kind
    both: _Kind
    either: _Kind
    normal: _Kind
    clear: _Clear
    property: tuple[_Property, ...] = ()

    @classmethod
    @lru_cache(maxsize=1)
    def load(cls) -> Wordings:
        """Those that are shipped.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = knowledge_dir() / "questions.toml"
        try:
            return cls.model_validate(tomli.loads(path.read_text(encoding="utf-8")))
        except (OSError, tomli.TOMLDecodeError, ValidationError) as error:
            raise InputError(f"the wordings {path} cannot be used: {error}") from error

    def propose(self, labels: StudyLabels, study: str, lexicon: Lexicon, rng: random.Random) -> list[Proposal]:
        """One question of each kind that the labels answer for each thing that it can be asked of, in a drawn wording.

        Args:
            labels: of the study; what they leave open is not asked.
            study: its id.
            lexicon: names the findings.
            rng: draws wordings, and the second finding of pairs.
        """
        made = []
        for kind, finding, yes, positive, words in self._askable(labels, rng):
            name = lexicon.name(finding)
            other = words.get("other")
            slots = words | _grammar(name) | {"study": study, "other": _noun(lexicon.name(other)) if other else ""}
            texts: tuple[str, ...] = getattr(self, kind).texts
            if kind in ("presence", "absence"):
                texts += self._own(finding, kind)
            text = rng.choice(texts).format(**slots)
            made.append(Proposal(kind, finding, text, "yes" if yes else "no", positive))
        return made

    def draw(self, proposals: list[Proposal], rng: random.Random) -> Proposal:
        """One of them: first the kind, by its weight, then any of that kind."""
        kinds = sorted({p.kind for p in proposals})
        (kind,) = rng.choices(kinds, [getattr(self, k).weight for k in kinds])
        return rng.choice([p for p in proposals if p.kind == kind])

    def _own(self, finding: str, kind: str) -> tuple[str, ...]:
        """The wordings that only this finding has, as often drawn as all others together."""
        texts = [t for p in self.property if p.finding == finding for t in (p.asks if kind == "presence" else p.denies)]
        times = max(1, len(getattr(self, kind).texts) // max(1, len(texts)))
        return tuple(texts * times)

    def _askable(
        self, labels: StudyLabels, rng: random.Random
    ) -> Iterator[tuple[str, str, bool, bool, dict[str, str]]]:
        """(kind, finding, whether yes is right, whether something is there, words of the question)."""
        known = sorted(labels.present | labels.absent)
        for finding in known:
            there = finding in labels.present
            yield "presence", finding, there, there, {}
            yield "absence", finding, not there, there, {}
            for kind, of in (("side", labels.sides), ("zone", labels.zones), ("degree", labels.degrees)):
                for word in sorted(of.get(finding, ())):
                    yield kind, finding, True, True, {kind: word}
                    if (opposite := OPPOSITES[word]) not in of[finding]:
                        yield kind, finding, False, True, {kind: opposite}
            others = [f for f in known if f != finding]
            if others:
                other = rng.choice(others)
                two = (there, other in labels.present)
                yield "both", finding, all(two), any(two), {"other": other}
                yield "either", finding, any(two), any(two), {"other": other}
        if known and labels.normal is not None:
            yield "normal", known[0], labels.normal, not labels.normal, {}
        seen = sorted(labels.present & set(self.clear.findings))
        if seen or (known and labels.normal):
            yield "clear", (seen or known)[0], not seen, bool(seen), {}


def _grammar(name: str) -> dict[str, str]:
    head = name.partition(" of ")[0]
    many = head.endswith("s") and not head.endswith(_SINGULAR)
    verb, aid = ("are", "do") if many else ("is", "does")
    return {
        "finding": _noun(name),
        "bare": name,
        "is": verb,
        "Is": verb.title(),
        "does": aid,
        "Does": aid.title(),
    }


def _noun(name: str) -> str:
    """The name with an article where English wants one."""
    article = "an" if name[0] in "aeiou" else "a"
    return f"{article} {name}" if name.endswith(_COUNTABLE) else name
