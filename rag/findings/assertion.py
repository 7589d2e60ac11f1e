"""What a text asserts about findings: present, absent, uncertain or historical, where, and how much.

A rule reader in the family of NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009): cue words act on the
mentions in their scope inside one clause. On top of that it reads predications of structures ("the heart is mildly
enlarged", "clear lungs", "heart size and pulmonary vascularity appear within normal limits"), because that is how
most normal findings are reported. The same reader is used on evidence, on questions and on drafts, so that a
question, its answer and its support are compared in one vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rag.corpus.sentences import sentence_spans
from rag.findings.lexicon import DEGREES, SIDES, ZONES, Lexicon, Mention
from rag.findings.tokens import Token, tokens_of

Status = Literal["present", "absent", "uncertain", "historical"]

_BREAKS = {";", "but", "however", "although", "though", "except", "otherwise", "aside", "while", "whereas", "yet"}
_COPULAS = {"is", "are", "was", "were", "appear", "appears", "remain", "remains", "be", "been", "seem", "seems", "looks", "look", "demonstrate", "demonstrates", "show", "shows", "has", "have"}  # fmt: skip
_NORMAL = {"normal", "unremarkable", "clear", "intact", "midline", "wnl", "negative", "preserved", "sharp", "patent", "stable", "unchanged", "maintained", "satisfactory", "expanded", "aerated", "inflated", "nonenlarged", "regular", "healthy", "flat", "symmetric"}  # fmt: skip
_WEAK_NORMAL = {"stable", "unchanged", "satisfactory", "expanded", "aerated", "inflated", "flat", "symmetric", "regular"}
_ABNORMAL = {"abnormal", "remarkable", "abnormality", "unusual"}
_BORDERLINE = {"borderline", "top", "upper"}
_LINKS = {"and", "or", ",", "/", "&", "nor", "the", "a", "as", "well"}

# Cue phrases, longest first. "pre" acts on what follows in the clause, "post" on what precedes.
_PRE: list[tuple[str, Status | Literal["none"]]] = [
    ("no significant change in", "none"), ("no interval change in", "none"), ("no change in", "none"),
    ("without change in", "none"), ("no increase in", "none"), ("not only", "none"), ("no further", "none"),
    ("cannot exclude", "uncertain"), ("can not exclude", "uncertain"), ("not exclude", "uncertain"), ("cannot rule out", "uncertain"),
    ("not rule out", "uncertain"), ("not entirely exclude", "uncertain"),
    ("no evidence to suggest", "absent"), ("no evidence of", "absent"), ("no evidence for", "absent"), ("no sign of", "absent"),
    ("no longer", "absent"), ("without evidence of", "absent"), ("negative for", "absent"), ("absence of", "absent"),
    ("free of", "absent"), ("free from", "absent"), ("clear of", "absent"), ("resolution of", "absent"), ("clearing of", "absent"),
    ("rather than", "absent"), ("no typical finding of", "absent"), ("to exclude", "uncertain"), ("to rule out", "uncertain"), ("rule out", "uncertain"),
    ("evaluate for", "uncertain"), ("history of", "historical"), ("status post", "present"), ("prior", "present"),
    ("most suggestive of", "present"), ("strongly suggestive of", "present"), ("suggestive of", "uncertain"), ("suggesting", "uncertain"), ("suggest", "uncertain"),
    ("consistent with", "present"), ("compatible with", "present"), ("indicative of", "present"), ("evidence of", "present"),
    ("suspicious for", "uncertain"), ("suspicion of", "uncertain"), ("concerning for", "uncertain"), ("concern for", "uncertain"), ("worrisome for", "uncertain"),
    ("may", "uncertain"), ("could", "uncertain"), ("might", "uncertain"), ("suspected", "uncertain"), ("suspect", "uncertain"),
    ("question", "uncertain"), ("favored", "uncertain"), ("favor", "uncertain"), ("favoring", "uncertain"), ("consider", "uncertain"),
    ("correlate clinically for", "uncertain"), ("evaluation for", "uncertain"), ("evaluation of", "uncertain"), ("possibility of", "uncertain"),
    ("most likely", "present"), ("likely", "present"), ("probably", "present"), ("probable", "present"), ("presumed", "present"),
    ("possibly", "uncertain"), ("possible", "uncertain"), ("questionable", "uncertain"), ("question of", "uncertain"), ("equivocal", "uncertain"),
    ("differential", "uncertain"), ("exclude", "uncertain"), ("resolved", "absent"), ("recent", "historical"), ("versus", "uncertain"), ("vs", "uncertain"),
    ("no", "absent"), ("without", "absent"), ("not", "absent"), ("denies", "absent"), ("never", "absent"), ("nor", "absent"), ("neither", "absent"),
    ("absent", "absent"),
]  # fmt: skip
_POST: list[tuple[str, Status | Literal["none"]]] = [
    ("cannot be excluded", "uncertain"), ("can not be excluded", "uncertain"), ("not excluded", "uncertain"), ("cannot be ruled out", "uncertain"),
    ("difficult to exclude", "uncertain"), ("difficult to entirely exclude", "uncertain"), ("a consideration", "uncertain"),
    ("not be excluded", "uncertain"), ("is possible", "uncertain"), ("are possible", "uncertain"), ("also possible", "uncertain"), ("is suspected", "uncertain"), ("is questioned", "uncertain"), ("not entirely excluded", "uncertain"),
    ("not seen", "absent"), ("not identified", "absent"), ("not visualized", "absent"), ("not visualised", "absent"), ("not evident", "absent"), ("not appreciated", "absent"),
    ("not demonstrated", "absent"), ("not present", "absent"), ("not detected", "absent"), ("not visible", "absent"), ("not noted", "absent"), ("not apparent", "absent"),
    ("is absent", "absent"), ("are absent", "absent"), ("has resolved", "absent"), ("have resolved", "absent"), ("has cleared", "absent"), ("have cleared", "absent"),
    ("resolved", "absent"), ("ruled out", "absent"), ("is excluded", "absent"), ("no longer", "absent"), ("unlikely", "absent"),
]  # fmt: skip
HISTORY = re.compile(r"^(indication|comparison|history|clinical[a-z ]*|reason[a-z ]*|technique|exam[a-z ]*)\s*:", re.I)


@dataclass(frozen=True, slots=True)
class Assertion:
    """One statement about one concept.

    For a structure, ``absent`` reads "stated to be normal" and ``present`` "stated to be abnormal".
    ``start``/``end`` are the offsets of the sentence, ``sure`` is lower for weak or hedged wording.
    """

    concept: str
    status: Status
    start: int
    end: int
    sides: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    degrees: frozenset[str] = frozenset()
    sure: float = 1.0
    derived: bool = False


def assertions_of(text: str, lexicon: Lexicon) -> list[Assertion]:
    """Everything ``text`` asserts, in order. Sections such as INDICATION are read as history."""
    found: list[Assertion] = []
    for start, end in sentence_spans(text):
        history = bool(HISTORY.match(text[start:end]))
        for assertion in sentence_assertions(text[start:end], lexicon, start):
            if history:
                assertion = Assertion(**{**_fields(assertion), "status": "historical"})
            found.append(assertion)
    return found


def sentence_assertions(sentence: str, lexicon: Lexicon, offset: int = 0) -> list[Assertion]:
    """What one sentence asserts; offsets are shifted by ``offset``."""
    tokens = tokens_of(sentence)
    span = (offset, offset + len(sentence))
    found: list[Assertion] = []
    for clause in _clauses(tokens):
        found += _read_clause(clause, lexicon, span)
    return found


def _fields(assertion: Assertion) -> dict[str, object]:
    return {name: getattr(assertion, name) for name in Assertion.__slots__}


def _clauses(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    clauses: list[Sequence[Token]] = []
    begin = 0
    for i, token in enumerate(tokens):
        if token.lemma in _BREAKS or (token.text == ":" and i > begin):
            if i > begin:
                clauses.append(tokens[begin:i])
            begin = i + 1
    if begin < len(tokens):
        clauses.append(tokens[begin:])
    return clauses


def _cues(tokens: Sequence[Token], table: list[tuple[str, Status | Literal["none"]]]) -> list[tuple[int, int, Status | Literal["none"]]]:
    """(first, last, effect) of each cue; longer cues hide the shorter ones inside them."""
    words = [t.lemma for t in tokens]
    found: list[tuple[int, int, Status | Literal["none"]]] = []
    used: set[int] = set()
    for phrase, effect in table:
        parts = phrase.split()
        for i in range(len(words) - len(parts) + 1):
            if words[i : i + len(parts)] == parts and not used & set(range(i, i + len(parts))):
                found.append((i, i + len(parts), effect))
                used |= set(range(i, i + len(parts)))
    return sorted(found)


def _read_clause(tokens: Sequence[Token], lexicon: Lexicon, span: tuple[int, int]) -> list[Assertion]:
    mentions = lexicon.mentions(tokens)
    pre, post = _cues(tokens, _PRE), _cues(tokens, _POST)
    out: list[Assertion] = []
    for n, mention in enumerate(mentions):
        if mention.kind == "opposite":
            status, sure = _effect(mention, mentions, tokens, pre, post)
            flipped: Status = "present" if status == "absent" else "absent"
            out.append(Assertion(mention.concept, flipped, *span, sure=sure))
        elif mention.kind in ("finding", "term"):
            status, sure = _effect(mention, mentions, tokens, pre, post)
            out.append(Assertion(mention.concept, status, *span, *_modifiers(n, mentions, tokens), sure=sure))
    for statement in lexicon.normal_statements(tokens):
        if _effect(statement, mentions, tokens, pre, post)[0] != "absent":
            out += [Assertion(f, "absent", *span, sure=0.9, derived=True) for f in lexicon.normals[statement.concept]]
    out += _predications(tokens, mentions, lexicon, span, pre)
    return out


def _effect(mention: Mention, mentions: Sequence[Mention], tokens: Sequence[Token], pre: Sequence[tuple[int, int, Status | Literal["none"]]], post: Sequence[tuple[int, int, Status | Literal["none"]]]) -> tuple[Status, float]:  # fmt: skip
    """The strongest cue whose scope holds the mention: negation first, then doubt, then history."""
    effects: set[str] = set()
    for first, last, effect in pre:
        if last <= mention.first and not _scope_ends(tokens, last, mention.first, effect):
            # the nearest cue of a kind wins: "no effusion suggesting failure" keeps both, "no change in" cancels "no"
            if effect == "none":
                effects -= {"absent"}
            effects.add(effect)
    for first, last, effect in post:
        if first >= mention.last and not any(m.first > mention.last and m.last <= first and not _coordinated(tokens, mention, m) for m in mentions):
            effects.add(effect)
            if effect == "uncertain":
                effects -= {"absent"}
    if "uncertain" in effects and "absent" not in effects:
        return "uncertain", 0.55
    if "absent" in effects:
        return "absent", 1.0
    if "historical" in effects:
        return "historical", 0.8
    if any(t.text == "?" for t in tokens[: mention.first]):
        return "uncertain", 0.5
    return "present", 1.0


def _scope_ends(tokens: Sequence[Token], begin: int, end: int, effect: str) -> bool:
    """Whether the scope of a cue that ends at ``begin`` stops before ``end``."""
    between = [t.lemma for t in tokens[begin:end]]
    if effect == "absent":
        stops = {"with", "is", "are", "there", "has", "have", "which", "appear", "remain", "demonstrate", "show", "associated", "due", "secondary", "since", "because"}
        if stops & set(between[1:]):  # "not demonstrate effusion", "no associated effusion": the first word is no boundary
            return True
        for i, word in enumerate(between[:-1]):
            if word == "," and between[i + 1] in {"stable", "unchanged", "normal", "clear"}:
                return True
        return False
    return len(between) > 12 or "and" in between[4:]


def _coordinated(tokens: Sequence[Token], one: Mention, other: Mention) -> bool:
    return any(t.lemma in {"or", "and", ",", "nor"} for t in tokens[one.last : other.first])


def _modifiers(n: int, mentions: Sequence[Mention], tokens: Sequence[Token]) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Sides, zones and degrees said of mention ``n``: inside it, before it, and after it up to the next one."""
    mention = mentions[n]
    rivals = [m for m in mentions if m.kind in ("finding", "term")]
    where = rivals.index(mention)
    begin = rivals[where - 1].last if where else 0
    if where:
        # the words after "and" or a comma belong to this mention, those before it to the previous one
        for i in range(begin, mention.first):
            if tokens[i].lemma in {"and", ",", "with", "or", "versus"}:
                begin = i + 1
                break
    end = len(tokens)
    if where + 1 < len(rivals):
        end = rivals[where + 1].first
        for i in range(mention.last, end):
            if tokens[i].lemma in {"and", ",", "with", "or", "versus"}:
                end = i
                break
    words = [t.lemma for t in tokens[begin:end]]
    sides = {SIDES[w] for w in words if w in SIDES}
    if "both" in sides or {"left", "right"} <= sides:
        sides = {"left", "right"}
    return frozenset(sides), frozenset(ZONES[w] for w in words if w in ZONES), frozenset(DEGREES[w] for w in words if w in DEGREES)


def _predications(tokens: Sequence[Token], mentions: Sequence[Mention], lexicon: Lexicon, span: tuple[int, int], pre: Sequence[tuple[int, int, Status | Literal["none"]]]) -> list[Assertion]:  # fmt: skip
    """Statements that a structure is normal, abnormal or in a state which a finding names.

    Read left to right: structures wait for a predicate ("heart and mediastinum … are normal"); a predicate with no
    structure waiting describes those that follow it ("normal heart size and mediastinal contours").
    """
    out: list[Assertion] = []
    at = {m.first: m for m in mentions}
    inside = {i for m in mentions for i in range(m.first, m.last) if m.kind != "structure"}
    waiting: list[Mention] = []
    last_group: list[Mention] = []
    ahead: tuple[str, Status, float, frozenset[str]] | None = None
    negated = False
    degrees: set[str] = set()
    i = 0
    while i < len(tokens):
        mention, word = at.get(i), tokens[i].lemma
        if mention is not None and mention.kind == "structure":
            if ahead is not None:
                out += _state(lexicon, mention, ahead, span, tokens)
                last_group = [*last_group, mention]
            else:
                waiting.append(mention)
            i = mention.last
            continue
        if i in inside:
            if mention is not None and mention.kind in ("finding", "term", "opposite"):
                if waiting and not any(t.lemma in _LINKS for t in tokens[waiting[-1].last : i]):
                    waiting = []  # the structure only tells where the finding is
                ahead = None
            i += 1
            continue
        if word in ("no", "not", "without"):
            negated = True
        elif word in DEGREES:
            degrees.add(DEGREES[word])
        elif word in _COPULAS:
            ahead = None
        group = waiting or last_group
        predicate, width = _predicate(tokens, i, group, lexicon)
        if predicate is not None:
            kind, status, sure = predicate
            if negated and kind != "borderline":
                status, sure = ("absent", 0.95) if status == "present" else ("present", 0.8)
                if kind == "weak":  # "not well expanded", "not stable": says little
                    sure = 0.5
            state = (kind, status, sure, frozenset(degrees))
            if waiting:
                for m in waiting:
                    out += _state(lexicon, m, state, span, tokens)
                last_group, waiting, ahead = waiting, [], None
            elif last_group and kind not in ("normal", "abnormal", "weak", "borderline"):
                for m in last_group:
                    out += _state(lexicon, m, state, span, tokens)
            else:
                ahead, last_group = state, []
            negated = False
            degrees = set()
            i += width
            continue
        if word == "," or word == "and":
            if ahead is not None and word == "," and (i + 1 not in at or _has_copula(tokens, i + 1)):
                ahead = None
            if not waiting:
                last_group = last_group if word == "and" else []
        i += 1
    return out


def _has_copula(tokens: Sequence[Token], begin: int) -> bool:
    """Whether a verb comes before the next comma: then what follows is a statement of its own."""
    for token in tokens[begin:]:
        if token.text == ",":
            return False
        if token.lemma in _COPULAS:
            return True
    return False


def _predicate(tokens: Sequence[Token], i: int, group: Sequence[Mention], lexicon: Lexicon) -> tuple[tuple[str, Status, float] | None, int]:
    """A state word or phrase at ``i``: (kind, status of the abnormality, certainty) and its width in tokens."""
    words = [t.lemma for t in tokens[i : i + 6]]
    if words[:3] == ["within", "normal", "limit"]:
        return ("normal", "absent", 1.0), 3
    for outside in (["outside", "normal"], ["outside", "of", "normal"], ["outside", "the", "normal"], ["outside", "of", "the", "normal"], ["beyond", "normal"]):
        if words[: len(outside)] == outside:
            return ("abnormal", "present", 1.0), len(outside) + 1
    for top in (["upper", "limit", "of", "normal"], ["upper", "normal", "limit"], ["top", "normal", "limit"], ["top", "normal"], ["upper", "normal"]):
        if words[: len(top)] == top:
            return ("weak", "absent", 0.7), len(top)
    if words[0] == "borderline":
        width = 2 if len(words) > 1 and words[1] in ("enlarged", "prominent", "large", "normal", "in") else 1
        return ("borderline", "uncertain", 0.55), width
    if words[:2] in (["no", "acute"],):
        return None, 1
    structures = {m.concept for m in group} or set(lexicon.states)
    for structure in structures:
        for state, finding in lexicon.states.get(structure, ()):
            if tuple(words[: len(state)]) == state:
                return (finding if group else f"*{' '.join(state)}", "present", 1.0), len(state)
    if words[0] in _WEAK_NORMAL:
        return ("weak", "absent", 0.6), 1
    if words[0] in _NORMAL:
        return ("normal", "absent", 1.0), 1
    if words[0] in _ABNORMAL:
        return ("abnormal", "present", 0.9), 1
    return None, 1


def _state(lexicon: Lexicon, mention: Mention, state: tuple[str, Status, float, frozenset[str]], span: tuple[int, int], tokens: Sequence[Token]) -> list[Assertion]:  # fmt: skip
    kind, status, sure, degrees = state
    concepts = [mention.concept]
    if kind.startswith("*"):
        wanted = tuple(kind[1:].split())
        concepts = [f for s, f in lexicon.states.get(mention.concept, ()) if s == wanted][:1]
    elif kind == "borderline":
        concepts = [next((f for s, f in lexicon.states.get(mention.concept, ()) if s == ("enlarged",)), mention.concept)]
    elif kind not in ("normal", "abnormal", "weak"):
        owners = [f for _, f in lexicon.states.get(mention.concept, ())]
        concepts = [kind] if kind in owners or kind in lexicon.concepts else []
    around = [t.lemma for t in tokens[max(0, mention.first - 3) : mention.last + 2]]
    sides = {SIDES[w] for w in around if w in SIDES}
    if "both" in sides or {"left", "right"} <= sides:
        sides = {"left", "right"}
    return [Assertion(c, status, *span, frozenset(sides), frozenset(), degrees, sure) for c in concepts]
