"""Statements that a structure is normal, abnormal, or in a state that a finding names.

Read left to right: structures wait for a predicate ("heart and mediastinum ... are normal"); a predicate with no
structure waiting describes those that follow it ("normal heart size and mediastinal contours").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rag.language.cues import Place, Status, load_cues
from rag.language.lexicon import Lexicon, Mention
from rag.language.tokens import Token

_LINKS = frozenset({"and", "or", ",", "/", "&", "nor", "the", "a", "as", "well"})
_NEGATORS = frozenset({"no", "not", "without"})


class Predication(NamedTuple):
    """``status`` is that of the abnormality: a normal heart is an *absent* abnormality of the heart."""

    concept: str
    status: Status
    place: Place
    sure: float


class _State(NamedTuple):
    """What is predicated: a generic kind, or the words of a state that some finding names."""

    kind: str
    words: tuple[str, ...]
    status: Status
    sure: float
    degrees: frozenset[str] = frozenset()


# What a generic state says of the structure's abnormality, and how surely.
_SAYS: dict[str, tuple[Status, float]] = {
    "normal": ("absent", 1.0),
    "weak": ("absent", 0.6),
    "abnormal": ("present", 0.9),
    "borderline": ("uncertain", 0.55),
}


def predications(tokens: Sequence[Token], mentions: Sequence[Mention], lexicon: Lexicon) -> list[Predication]:
    """What one clause says of the structures among ``mentions``."""
    cues = load_cues()
    found: list[Predication] = []
    at = {m.first: m for m in mentions}
    inside = {i for m in mentions for i in range(m.first, m.last) if m.kind != "structure"}
    waiting: list[Mention] = []  # structures whose predicate has not come yet
    described: list[Mention] = []  # structures of the last predicate: "normal in size and contour" goes on about them
    ahead: _State | None = None  # a predicate that describes the structures still to come
    negated, degrees = False, set[str]()
    i = 0
    while i < len(tokens):
        mention, word = at.get(i), tokens[i].lemma
        if mention is not None and mention.kind == "structure":
            if ahead is not None:
                found += _said_of(mention, ahead, tokens, lexicon)
                described = [*described, mention]
            else:
                waiting.append(mention)
            i = mention.last
            continue
        if i in inside:
            if mention is not None:
                if waiting and not any(t.lemma in _LINKS for t in tokens[waiting[-1].last : i]):
                    waiting = []  # the structure only tells where the finding is
                ahead = None
            i += 1
            continue
        if word in _NEGATORS:
            negated = True
        elif word in cues.degrees:
            degrees.add(cues.degrees[word])
        elif word in cues.verbs:
            ahead = None
        state = _state_at(tokens, i, waiting or described, lexicon)
        if state is None:
            if word == "," and ahead is not None and (i + 1 not in at or _verb_before_comma(tokens, i + 1)):
                ahead = None
            if word == "," and not waiting:
                described = []
            i += 1
            continue
        state = _negated(state) if negated else state
        state = state._replace(degrees=frozenset(degrees))
        if waiting:
            for structure in waiting:
                found += _said_of(structure, state, tokens, lexicon)
            described, waiting, ahead = waiting, [], None
        elif described and state.kind == "named":
            for structure in described:
                found += _said_of(structure, state, tokens, lexicon)
        else:
            ahead, described = state, []
        negated, degrees = False, set()
        i += len(state.words)
    return found


def _verb_before_comma(tokens: Sequence[Token], begin: int) -> bool:
    """Whether what follows is a statement of its own ("normal heart, lungs are hyperexpanded")."""
    for token in tokens[begin:]:
        if token.text == ",":
            return False
        if token.lemma in load_cues().verbs:
            return True
    return False


def _negated(state: _State) -> _State:
    if state.kind == "borderline":
        return state
    if state.status == "present":
        return state._replace(status="absent", sure=0.95)
    return state._replace(status="present", sure=0.5 if state.kind == "weak" else 0.8)  # "not stable" says little


def _state_at(tokens: Sequence[Token], i: int, group: Sequence[Mention], lexicon: Lexicon) -> _State | None:
    """The state word or phrase at token ``i``, preferring those that findings of ``group`` name."""
    first = tokens[i].lemma
    states, generics = lexicon.states_by_word.get(first, ()), load_cues().states_by_word.get(first, ())
    if not states and not generics:
        return None
    words = tuple(t.lemma for t in tokens[i : i + 6])
    structures = {m.concept for m in group}
    named = max(
        (n for n, c in states if (not structures or c in structures) and words[: len(n)] == n), key=len, default=()
    )
    generic = next(((p, kind) for p, kind in generics if words[: len(p)] == p), None)
    if generic is not None and len(generic[0]) > len(named):
        return _State(generic[1], generic[0], *_SAYS[generic[1]])
    return _State("named", named, "present", 1.0) if named else None


def _said_of(structure: Mention, state: _State, tokens: Sequence[Token], lexicon: Lexicon) -> list[Predication]:
    concept: str | None = structure.concept
    named = dict(lexicon.states.get(structure.concept, ()))
    if state.kind == "named":
        concept = named.get(state.words)
    elif state.kind == "borderline":
        concept = named.get(("enlarged",), structure.concept)
    if concept is None:
        return []
    around = tokens[max(0, structure.first - 3) : structure.last + 4]
    place = Place(load_cues().place(around).sides, frozenset(), state.degrees)
    return [Predication(concept, state.status, place, state.sure)]
