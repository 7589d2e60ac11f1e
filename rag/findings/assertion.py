"""What a text asserts about findings: present, absent, uncertain or historical, where, and how much.

A rule reader in the family of NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009): cue words act on the
mentions in their scope inside one clause. On top of that it reads predications of structures ("the heart is mildly
enlarged", "clear lungs"), because that is how most normal findings are reported. The same reader is used on evidence,
on questions and on drafts, so that a question, its answer and its support are compared in one vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rag.corpus.sentences import sentence_spans
from rag.findings.cues import NOWHERE, Effect, Place, Status, load_cues
from rag.findings.lexicon import Lexicon, Mention
from rag.findings.predication import predications
from rag.findings.tokens import Token, tokens_of

# Sections of a report that tell why it was made, not what it found.
HISTORY = re.compile(r"^(indication|comparison|history|clinical[a-z ]*|reason[a-z ]*|technique|exam[a-z ]*)\s*:", re.I)
_SEPARATORS = frozenset({"and", ",", "with", "or", "versus"})
_NEW_STATEMENT = frozenset({"stable", "unchanged", "normal", "clear"})  # after a comma they begin one
_DOUBT_REACHES = 12  # tokens


@dataclass(frozen=True, slots=True)
class Assertion:
    """One statement about one concept.

    For a structure, ``absent`` reads "stated to be normal" and ``present`` "stated to be abnormal". ``start`` and
    ``end`` are the offsets of the sentence; ``sure``, in (0, 1], is lower for weak or hedged wording; ``derived``
    statements follow from a fixed phrase ("no acute disease") that does not name the concept.
    """

    concept: str
    status: Status
    start: int
    end: int
    place: Place = NOWHERE
    sure: float = 1.0
    derived: bool = False


@dataclass(frozen=True, slots=True)
class _Cue:
    """A cue at tokens[first:last] and what it does to the mentions in its scope."""

    first: int
    last: int
    effect: Effect


def assertions_of(text: str, lexicon: Lexicon) -> list[Assertion]:
    """Everything ``text`` asserts, in order. Sections such as INDICATION are read as history."""
    found: list[Assertion] = []
    for start, end in sentence_spans(text):
        said = sentence_assertions(text[start:end], lexicon, start)
        found += [replace(a, status="historical") for a in said] if HISTORY.match(text[start:end]) else said
    return found


def sentence_assertions(sentence: str, lexicon: Lexicon, offset: int = 0) -> list[Assertion]:
    """What one sentence asserts; offsets are shifted by ``offset``."""
    span = (offset, offset + len(sentence))
    return [a for clause in _clauses(tokens_of(sentence)) for a in _read_clause(clause, lexicon, span)]


def _clauses(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    breaks = load_cues().breaks
    clauses: list[Sequence[Token]] = []
    begin = 0
    for i, token in enumerate(tokens):
        if token.lemma in breaks or token.text == ":":
            clauses.append(tokens[begin:i])
            begin = i + 1
    clauses.append(tokens[begin:])
    return [clause for clause in clauses if clause]


def _read_clause(tokens: Sequence[Token], lexicon: Lexicon, span: tuple[int, int]) -> list[Assertion]:
    cues = load_cues()
    mentions = lexicon.mentions(tokens)
    before, after = _find(tokens, cues.before), _find(tokens, cues.after)
    found: list[Assertion] = []
    for mention in mentions:
        if mention.kind == "structure":
            continue
        status, sure = _status(mention, mentions, tokens, before, after)
        if mention.kind == "opposite":
            found.append(Assertion(mention.concept, "present" if status == "absent" else "absent", *span, sure=sure))
        else:
            found.append(Assertion(mention.concept, status, *span, _place(mention, mentions, tokens), sure))
    for statement in lexicon.normal_statements(tokens):
        if _status(statement, mentions, tokens, before, after)[0] != "absent":
            found += [Assertion(f, "absent", *span, sure=0.9, derived=True) for f in lexicon.normals[statement.concept]]
    found += [Assertion(p.concept, p.status, *span, p.place, p.sure) for p in predications(tokens, mentions, lexicon)]
    return found


def _find(tokens: Sequence[Token], phrases: Sequence[tuple[tuple[str, ...], Effect]]) -> list[_Cue]:
    """The cues of the clause in order; longer ones hide the shorter ones inside them."""
    words = tuple(t.lemma for t in tokens)
    present = set(words)
    found: list[_Cue] = []
    used: set[int] = set()
    for phrase, effect in phrases:
        if phrase[0] not in present:
            continue
        for i in range(len(words) - len(phrase) + 1):
            here = range(i, i + len(phrase))
            if words[i : i + len(phrase)] == phrase and used.isdisjoint(here):
                found.append(_Cue(i, i + len(phrase), effect))
                used.update(here)
    return sorted(found, key=lambda cue: cue.first)


def _status(
    mention: Mention,
    mentions: Sequence[Mention],
    tokens: Sequence[Token],
    before: Sequence[_Cue],
    after: Sequence[_Cue],
) -> tuple[Status, float]:
    """What the cues whose scope holds the mention make of it, and how sure that is: denial, doubt, history."""
    effects: set[Effect] = set()
    for cue in before:
        if cue.last <= mention.first and not _scope_ends(tokens, cue.last, mention.first, cue.effect):
            if cue.effect == "none":
                effects.discard("absent")  # "no change in effusion" denies the change
            effects.add(cue.effect)
    for cue in after:
        if cue.first >= mention.last and not _another_subject(mention, mentions, tokens, cue.first):
            effects.add(cue.effect)
            if cue.effect == "uncertain":
                effects.discard("absent")  # "effusion is not excluded"
    if "absent" in effects:
        return "absent", 1.0
    if "uncertain" in effects:
        return "uncertain", 0.55
    if "historical" in effects:
        return "historical", 0.8
    if any(t.text == "?" for t in tokens[: mention.first]):
        return "uncertain", 0.5
    return "present", 1.0


def _scope_ends(tokens: Sequence[Token], begin: int, end: int, effect: Effect) -> bool:
    """Whether the scope of a cue that ends at token ``begin`` stops before token ``end``."""
    between = [t.lemma for t in tokens[begin:end]]
    if effect != "absent":
        return len(between) > _DOUBT_REACHES or "and" in between[4:]
    # the first word is no boundary: "does not demonstrate effusion", "no associated effusion"
    if not load_cues().negation_ends.isdisjoint(between[1:]):
        return True
    return any(a == "," and b in _NEW_STATEMENT for a, b in pairwise(between))


def _another_subject(mention: Mention, mentions: Sequence[Mention], tokens: Sequence[Token], cue: int) -> bool:
    """Whether a mention between this one and the cue, not coordinated with it, is what the cue is about."""
    return any(
        mention.last < other.first
        and other.last <= cue
        and not any(t.lemma in ("or", "and", ",", "nor") for t in tokens[mention.last : other.first])
        for other in mentions
    )


def _place(mention: Mention, mentions: Sequence[Mention], tokens: Sequence[Token]) -> Place:
    """Sides, zones and degrees inside the mention, before it and after it, up to the neighbouring findings.

    Between two findings the separator decides: words before "and" or a comma belong to the first.
    """
    findings = [m for m in mentions if m.kind in ("finding", "term")]
    where = findings.index(mention)
    begin, end = 0, len(tokens)
    if where:
        begin = _separator(tokens, findings[where - 1].last, mention.first, findings[where - 1].last - 1) + 1
    if where + 1 < len(findings):
        following = findings[where + 1].first
        end = _separator(tokens, mention.last, following, following)
    return load_cues().place(t.lemma for t in tokens[begin:end])


def _separator(tokens: Sequence[Token], begin: int, end: int, otherwise: int) -> int:
    return next((i for i in range(begin, end) if tokens[i].lemma in _SEPARATORS), otherwise)
