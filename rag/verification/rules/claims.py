"""The findings of a sentence against those of its evidence: status, side, zone, degree and course."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.language.clinical_text import Texts
from rag.language.cues import Place, load_cues
from rag.language.lexicon import Lexicon
from rag.language.statements import Assertion
from rag.verification.rules.judgement import Judgement, contradicted, supported, unsupported
from rag.verification.rules.wording import Wording

_LIMITED = re.compile(r"\bmargins?\b", re.I)  # what is absent there may well be elsewhere
_WEAK = 0.7  # below it a broader denial denies no narrower finding
_OPEN = frozenset({"uncertain", "hypothetical", "unknown"})
_COMPATIBLE_COURSES = (frozenset({"new", "worse"}),)


class Elsewhere:
    """Whether evidence denies something of another structure than the sentence's: "no tumor at the margins"."""

    def __init__(self, sentence: str, evidence: str, texts: Texts) -> None:
        self._sentence, self._evidence, self._texts = sentence, evidence, texts

    def denies(self, claim: Assertion, a: Assertion) -> bool:
        if a.concept == claim.concept or a.concept in self._structures(self._evidence[a.start : a.end]):
            return False
        if _LIMITED.search(self._evidence[a.start : a.end]) and not _LIMITED.search(self._sentence):
            return True
        said = self._structures(self._sentence)
        return any(
            s not in said and not self._texts.lexicon.is_a(claim.concept, s)
            for s in self._structures(self._evidence[a.start : a.end])
        )

    def _structures(self, text: str) -> set[str]:
        return {m.concept for m in self._texts.sentence(text).mentions if m.kind == "structure"}


def at_its_side(a: Assertion, evidence: str, texts: Texts) -> Assertion:
    """A finding without a side is on that of its sentence, where there is only one."""
    if a.place.sides or a.status == "absent":
        return a
    sides = load_cues().place(texts.sentence(evidence[a.start : a.end]).tokens).sides
    return replace(a, place=replace(a.place, sides=sides)) if len(sides) == 1 else a


def of_claim(claim: Assertion, quoted: Sequence[Assertion], lexicon: Lexicon, elsewhere: Elsewhere) -> Judgement | None:
    """One finding of the sentence against those of the evidence; what supports it outweighs what denies it.

    None where the evidence has no such finding: then its words decide ("aneurysm" of an "aorta").
    """
    name = lexicon.name(claim.concept)
    best: Judgement | None = None
    asserted = any(a.status == "present" and lexicon.is_a(a.concept, claim.concept) for a in quoted)
    for a in quoted:
        denied = claim.status != "absent" and a.status == "absent" and a.concept != claim.concept
        if denied and (asserted or elsewhere.denies(claim, a)):
            continue  # "squamous cell carcinoma; margins free of tumor"
        narrower, broader = lexicon.is_a(a.concept, claim.concept), lexicon.is_a(claim.concept, a.concept)
        if not (narrower or broader):
            continue
        found = _compare(claim, a, narrower, broader, name)
        if found is None:
            continue
        if found.verdict == "supported":
            return found
        if best is None or found.verdict == "contradicted":
            best = found
    return best


def _compare(claim: Assertion, a: Assertion, narrower: bool, broader: bool, name: str) -> Judgement | None:
    if claim.status in ("historical", "family", "hypothetical", "unknown") or a.status in ("historical", "family"):
        if claim.status == a.status and narrower:
            return supported(f"{name}: {a.status} in both")
        if a.status == "absent" and broader and claim.status == "historical":
            return contradicted(f"the evidence denies {name}")
        if a.status == "present" and narrower and claim.status == "historical":
            return supported(f"the evidence says so of {name}", 0.9)
        return unsupported(f"{name} is {a.status} in the evidence, {claim.status} in the sentence")
    if claim.status == "absent":
        if a.status == "absent" and broader:
            if len(a.place.sides) == 1 and claim.place.sides != a.place.sides:
                return None  # one side is free of it: the other is left open
            return _at_place(claim, a, name, denied=True)
        if narrower and a.status not in ("absent", "unknown"):
            if claim.place.sides and a.place.sides and not claim.place.sides & a.place.sides:
                return None
            return contradicted(f"the sentence denies {name}, the evidence does not")
        return None
    if a.status == "absent":
        if not broader or (a.place.sides and claim.place.sides and not claim.place.sides & a.place.sides):
            return None
        if a.place.degrees and not claim.place.degrees & a.place.degrees:
            return None  # "no large effusion" leaves a small one open
        if a.sure < _WEAK and a.concept != claim.concept:
            return None  # "heart size at the upper limits of normal" says little of its valves
        return contradicted(f"the evidence denies {name}")
    if not narrower:
        return None
    if a.status in _OPEN and claim.status == "present":
        return unsupported(f"the evidence only raises {name}", 0.3)
    return _at_place(claim, a, name)


def _at_place(claim: Assertion, a: Assertion, name: str, denied: bool = False) -> Judgement | None:
    """The same finding: is it on the same side, of the same degree, and does it take the same course?"""
    for what, mine, theirs in attributes(claim.place, a.place):
        if not mine:
            continue
        if theirs and not agree(what, mine, theirs):
            if denied:
                return None
            said, found = "/".join(sorted(mine)), "/".join(sorted(theirs))
            return contradicted(f"{name}: {what} is {said} in the sentence, {found} in the evidence")
        if not theirs and not denied and what in ("side", "degree"):
            return unsupported(f"{name}: the evidence does not say that {what} is {sorted(mine)[0]}", 0.3)
    return supported(f"the evidence says so of {name}")


def attributes(a: Place, b: Place) -> list[tuple[str, frozenset[str], frozenset[str]]]:
    return [
        ("side", a.sides, b.sides),
        ("zone", a.zones, b.zones),
        ("degree", a.degrees, b.degrees),
        ("course", a.course, b.course),
        ("acuity", a.acuity, b.acuity),
    ]


def agree(what: str, a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two non-empty sets of sides, zones, degrees or courses can be said of one thing."""
    if what == "zone":  # "inferior temporal" is not "superior temporal"
        return not any(a & axis and b & axis and not a & b & axis for axis in load_cues().axes)
    return bool(a & b) or any(a <= pair and b <= pair for pair in _COMPATIBLE_COURSES)


def accounted(said: Wording, quoted: Wording, lexicon: Lexicon) -> set[int]:
    """Tokens of the sentence whose content its supported findings are: their phrases, and the states of structures."""
    there = {m.concept for m in lexicon.mentions(quoted.tokens)}
    found: set[int] = set()
    for m in lexicon.mentions(said.tokens):
        known = any(lexicon.is_a(c, m.concept) or lexicon.is_a(m.concept, c) for c in there)
        if m.kind != "structure" or known:
            found.update(range(m.first, m.last))
    states = {w for words, _ in load_cues().states for w in words}
    mentions = lexicon.mentions(said.tokens)
    if any(m.kind != "structure" for m in mentions):
        return found  # a state is then said of a finding: "the mass has enlarged"
    structures = {m.concept for m in mentions}
    states |= {w for s in structures for words, _ in lexicon.states.get(s, ()) for w in words}
    return found | {i for i, t in enumerate(said.tokens) if t.lemma in states}
