"""Whether a text says what a sentence claims: supported, contradicted, or neither, with the reason in words.

Three readings, of which a contradiction in any decides: the findings of the lexicon with their status, side, zone,
degree and course; the numbers with their units; and the remaining words with their polarity. A sentence is supported
only where all that it says is found, so that a true half does not carry an invented one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from rag.corpus.sentences import sentence_spans
from rag.findings.assertion import Assertion, assertions_of
from rag.findings.cues import Place, load_cues
from rag.findings.lexicon import Lexicon
from rag.findings.tokens import Token, tokens_of
from rag.types import Verdict
from rag.verification.quantities import Quantity, same
from rag.verification.wording import ALIKE, Embed, Word, Wording, light, meets, opposed, wording_of

_ENOUGH = 0.5  # share of a sentence's words that its evidence must have before a difference in one is a contradiction
_EXTENTS = frozenset({"wide", "long", "length", "thick", "thickness", "deep", "depth", "high", "height", "increase"})
_DIRECTIONS = frozenset({"reduce", "increase", "improve", "worsen", "prolong", "shorten"})
_SAME_NUMBER = 0.6  # the same before another number is one
_SAME_SUBJECT = 0.7  # the same before a negation is one: what is denied of another subject is not denied of this one
_NOT_ASSERTED = frozenset({"uncertain", "hypothetical", "family"})
_LIMITED = re.compile(r"\bmargins?\b", re.I)  # what is absent there may well be elsewhere
_OPEN = frozenset({"uncertain", "hypothetical"})
_COMPATIBLE_COURSES = (frozenset({"new", "worse"}),)


@dataclass(frozen=True, slots=True)
class Judgement:
    """``score`` in [0, 1] is how strongly the text supports the sentence; ``reason`` says what decided.

    ``settled``: no second opinion is needed, as of a quotation that is there or is not.
    """

    verdict: Verdict
    score: float
    reason: str
    settled: bool = False


class Entailment(Protocol):
    """Anything that judges pairs: ``judge_pairs([(evidence, sentence), ...])`` gives a judgement for each."""

    @property
    def fingerprint(self) -> str: ...

    def judge_pairs(self, pairs: Sequence[tuple[str, str]]) -> list[Judgement]: ...


def judge(sentence: str, evidence: str, lexicon: Lexicon, embed: Embed | None = None) -> Judgement:
    """Compare a sentence with what is quoted for it.

    ``embed`` gives unit vectors of words; with it a word may stand for one that means nearly the same.
    """
    if _same(sentence) in {_same(evidence[a:b]) for a, b in sentence_spans(evidence)}:
        return Judgement("supported", 1.0, "the evidence says so word for word")
    said, quoted = wording_of(sentence), wording_of(evidence)
    related = "associated" in {w.name for w in said.words}  # a relation between things says of none that it is there
    claims = [a for a in assertions_of(sentence, lexicon) if not (a.derived or related)]
    assertions = [_at_its_side(a, evidence) for a in assertions_of(evidence, lexicon)] if claims else []
    elsewhere = _Elsewhere(sentence, evidence, lexicon)
    of_claims = [j for claim in claims if (j := _of_claim(claim, assertions, lexicon, elsewhere)) is not None]
    known = len(of_claims) == len(claims) and all(j.verdict == "supported" for j in of_claims)
    accounted = _accounted(said, quoted, lexicon) if claims and known else set()
    rest = [w for w in said.words if w.token not in accounted]
    words = _Words(said, rest, quoted, embed)
    problems = [j for j in of_claims if j.verdict == "contradicted"]
    numbers = [_of_number(q, said, quoted, words) for q in said.quantities]
    problems += [j for j in numbers if j.verdict == "contradicted"]
    if not problems:
        problems = _of_words(words, said, quoted, bool(accounted))
    if problems:
        return problems[0]
    missing = [j for j in (*of_claims, *numbers) if j.verdict == "unsupported"] + words.missing()
    score = words.cover if not claims else 0.7 + 0.3 * words.cover
    if missing or not (claims or said.words or numbers):
        reason = missing[0].reason if missing else "the sentence says nothing that can be checked"
        return Judgement("unsupported", round(0.5 * words.cover, 4), reason)
    return Judgement("supported", round(score, 4), "all that it says is found")


def _same(sentence: str) -> str:
    return " ".join(sentence.split()).casefold().rstrip(".")


# ---------------------------------------------------------------------------------------------- findings


class _Elsewhere:
    """Whether evidence denies something of another structure than the sentence's: "no tumor at the margins"."""

    def __init__(self, sentence: str, evidence: str, lexicon: Lexicon) -> None:
        self._sentence, self._evidence, self._lexicon = sentence, evidence, lexicon

    def denies(self, claim: Assertion, a: Assertion) -> bool:
        if a.concept == claim.concept or a.concept in self._structures(self._evidence[a.start : a.end]):
            return False
        if _LIMITED.search(self._evidence[a.start : a.end]) and not _LIMITED.search(self._sentence):
            return True
        said = self._structures(self._sentence)
        return any(
            s not in said and not self._lexicon.is_a(claim.concept, s)
            for s in self._structures(self._evidence[a.start : a.end])
        )

    def _structures(self, text: str) -> set[str]:
        return {m.concept for m in self._lexicon.mentions(tokens_of(text)) if m.kind == "structure"}


def _at_its_side(a: Assertion, evidence: str) -> Assertion:
    """A finding without a side is on that of its sentence, where there is only one."""
    if a.place.sides or a.status == "absent":
        return a
    sides = load_cues().place(tokens_of(evidence[a.start : a.end])).sides
    return replace(a, place=replace(a.place, sides=sides)) if len(sides) == 1 else a


def _of_claim(
    claim: Assertion, quoted: Sequence[Assertion], lexicon: Lexicon, elsewhere: _Elsewhere
) -> Judgement | None:
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
    if claim.status in ("historical", "family", "hypothetical") or a.status in ("historical", "family"):
        if claim.status == a.status and narrower:
            return Judgement("supported", 1.0, f"{name}: {a.status} in both")
        if a.status == "absent" and broader and claim.status == "historical":
            return Judgement("contradicted", 0.0, f"the evidence denies {name}")
        if a.status == "present" and narrower and claim.status == "historical":
            return Judgement("supported", 0.9, f"the evidence says so of {name}")
        return Judgement("unsupported", 0.0, f"{name} is {a.status} in the evidence, {claim.status} in the sentence")
    if claim.status == "absent":
        if a.status == "absent" and broader:
            if len(a.place.sides) == 1 and claim.place.sides != a.place.sides:
                return None  # one side is free of it: the other is left open
            return _at_place(claim, a, name, denied=True)
        if narrower and a.status != "absent":
            if claim.place.sides and a.place.sides and not claim.place.sides & a.place.sides:
                return None
            return Judgement("contradicted", 0.0, f"the sentence denies {name}, the evidence does not")
        return None
    if a.status == "absent":
        if not broader or (a.place.sides and claim.place.sides and not claim.place.sides & a.place.sides):
            return None
        if a.place.degrees and not claim.place.degrees & a.place.degrees:
            return None  # "no large effusion" leaves a small one open
        return Judgement("contradicted", 0.0, f"the evidence denies {name}")
    if not narrower:
        return None
    if a.status in _OPEN and claim.status == "present":
        return Judgement("unsupported", 0.3, f"the evidence only raises {name}")
    return _at_place(claim, a, name)


def _at_place(claim: Assertion, a: Assertion, name: str, denied: bool = False) -> Judgement | None:
    """The same finding: is it on the same side, of the same degree, and does it take the same course?"""
    for what, mine, theirs in _attributes(claim.place, a.place):
        if not mine:
            continue
        if theirs and not _agree(what, mine, theirs):
            if denied:
                return None
            said, found = "/".join(sorted(mine)), "/".join(sorted(theirs))
            return Judgement("contradicted", 0.0, f"{name}: {what} is {said} in the sentence, {found} in the evidence")
        if not theirs and not denied and what in ("side", "degree"):
            return Judgement("unsupported", 0.3, f"{name}: the evidence does not say that {what} is {sorted(mine)[0]}")
    return Judgement("supported", 1.0, f"the evidence says so of {name}")


def _attributes(a: Place, b: Place) -> list[tuple[str, frozenset[str], frozenset[str]]]:
    return [
        ("side", a.sides, b.sides),
        ("zone", a.zones, b.zones),
        ("degree", a.degrees, b.degrees),
        ("course", a.course, b.course),
    ]


def _agree(what: str, a: frozenset[str], b: frozenset[str]) -> bool:
    """Whether two non-empty sets of sides, zones, degrees or courses can be said of one thing."""
    if what == "zone":  # "inferior temporal" is not "superior temporal"
        return not any(a & axis and b & axis and not a & b & axis for axis in load_cues().axes)
    return bool(a & b) or any(a <= pair and b <= pair for pair in _COMPATIBLE_COURSES)


def _accounted(said: Wording, quoted: Wording, lexicon: Lexicon) -> set[int]:
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


# ---------------------------------------------------------------------------------------------- words


class _Words:
    """The sentence's words with those of the evidence that they meet."""

    def __init__(self, said: Wording, rest: Sequence[Word], quoted: Wording, embed: Embed | None) -> None:
        words = said.words
        self.words, self.rest = words, rest
        self._measured = any(q.dimension == "length" for q in said.quantities)
        self._theirs = quoted.words
        self.pairs: dict[Word, list[Word]] = {w: [t for t in quoted.words if meets(w.name, t.name)] for w in words}
        if embed is not None:
            self._embed(embed)

    def _embed(self, embed: Embed) -> None:
        """Words that met none may meet one of nearly the same meaning."""
        lone = [w for w in self.rest if not self.pairs[w]]
        free = [t for t in self._theirs if not any(t in met for met in self.pairs.values())]
        if not lone or not free:
            return
        vectors = embed([w.text for w in (*lone, *free)])
        near = vectors[: len(lone)] @ vectors[len(lone) :].T
        for w, row in zip(lone, near, strict=True):
            best = int(row.argmax())
            if row[best] >= ALIKE and not opposed(w.name, free[best].name):
                self.pairs[w] = [free[best]]

    @property
    def cover(self) -> float:
        """Share of the sentence's words that the evidence has."""
        return sum(bool(self.pairs[w]) for w in self.words) / len(self.words) if self.words else 1.0

    def share_without(self, w: Word) -> float:
        """Cover of the other words.

        What the evidence denies as a whole it denies of every kind: "without discharge" leaves no purulent one. So
        where the evidence's word has no word before it that narrows it, those before ``w`` do not count.
        """
        skip = {w}
        if self.pairs[w] and not any(self._narrowed(t) for t in self.pairs[w]):
            skip |= set(_modifiers(w, self.words))
        rest = [o for o in self.words if o not in skip and not light(o.name)]
        return sum(bool(self.pairs[o]) for o in rest) / len(rest) if rest else 1.0

    def _narrowed(self, t: Word) -> bool:
        met = {o for pair in self.pairs.values() for o in pair}
        return any(m not in met for m in _modifiers(t, self._theirs))

    def missing(self) -> list[Judgement]:
        """What the evidence does not speak of, or only raises. How a length lies is told by its number."""
        found = []
        for w in self.rest:
            if not self.pairs[w] and not light(w.name) and not (self._measured and w.name in _EXTENTS):
                found.append(Judgement("unsupported", 0.0, f"the evidence does not speak of “{w.text}”"))
            elif w.status == "present" and self.pairs[w] and all(t.status in _NOT_ASSERTED for t in self.pairs[w]):
                found.append(Judgement("unsupported", 0.0, f"the evidence does not assert “{w.text}”"))
        return found

    def denied(self, w: Word) -> bool:
        """Whether ``w`` stands under a negation on one side only.

        Two texts may put one denial on different words: "not associated with an increased risk", "the risk was not
        increased". Where words of one segment are denied in both, the others are no contradiction.
        """
        theirs = self.pairs[w]
        if not theirs or any((w.status == "absent") == (t.status == "absent") for t in theirs):
            return False
        segments = {t.segment for t in theirs}
        return not any(
            o.status == "absent"
            and t.status == "absent"
            and (light(o.name) or (o.segment == w.segment and t.segment in segments))
            for o, met in self.pairs.items()
            for t in met
        )

    def opposite(self, w: Word) -> Word | None:
        """The word of the evidence that denies ``w``: said of the same neighbour, or in its place."""
        if (neighbour := self._neighbour(w, bool(self.pairs[w]))) is not None:
            for head in self.pairs[neighbour]:
                beside = [t for t in self._theirs if t.segment == head.segment and self._near(t, head)]
                if not any(meets(w.name, t.name) for t in beside):
                    against = next((t for t in beside if opposed(w.name, t.name) or self.no_effect(w, t)), None)
                    if against is not None:
                        return against
        if self.pairs[w]:
            return None
        return next((t for t in self._theirs if opposed(w.name, t.name)), None)

    @staticmethod
    def no_effect(w: Word, t: Word) -> bool:
        """ "did not affect mortality" against "reduced mortality"."""
        return w.name in _DIRECTIONS and w.status != "absent" and t.name == "affect" and t.status == "absent"

    def _neighbour(self, w: Word, found: bool) -> Word | None:
        """The word that ``w`` is said of: the next one of its segment; else, unless ``found``, the one before."""
        mine = [o for o in self.words if o.segment == w.segment and o is not w]
        following = next((o for o in mine if o.token > w.token), None)
        return following or (mine[-1] if mine and not found else None)

    def _near(self, a: Word, b: Word) -> bool:
        at = [t.token for t in self._theirs if t.segment == b.segment]
        return a is not b and abs(at.index(a.token) - at.index(b.token)) <= 1


def _modifiers(w: Word, words: Sequence[Word]) -> list[Word]:
    """The words right before ``w`` in the text."""
    found: list[Word] = []
    at = w.token
    for o in reversed([o for o in words if o.token < w.token and o.segment == w.segment]):
        if o.token != at - 1:
            break
        found.append(o)
        at = o.token
    return found


def _of_words(words: _Words, said: Wording, quoted: Wording, by_findings: bool) -> list[Judgement]:
    """Contradictions in polarity, in opposite words, and in place."""
    found: list[Judgement] = []
    sides = load_cues().place(said.tokens).sides
    if len(sides) == 1 and any(w.name == "only" for w in words.words):
        theirs = {t.segment for met in words.pairs.values() for t in met}
        if any(len(quoted.segments[n].place.sides) == 2 for n in theirs):
            found.append(Judgement("contradicted", 0.0, f"{min(sides)} alone against both sides"))
    denies_more = any(w.status == "absent" and not words.pairs[w] for w in words.words)
    for w in words.rest:
        cover = words.share_without(w)
        same_subject = cover == 1.0 if light(w.name) else cover >= _SAME_SUBJECT
        if same_subject and words.denied(w) and not (denies_more and w.status != "absent"):
            side = "the sentence denies" if w.status == "absent" else "the evidence denies"
            found.append(Judgement("contradicted", 0.0, f"{side} “{w.text}”"))
        against = words.opposite(w)
        if against is not None and cover >= _ENOUGH:
            if (w.status == "absent") == (against.status == "absent") or words.no_effect(w, against):
                found.append(Judgement("contradicted", 0.0, f"“{w.text}” against “{against.text}”"))
            else:
                words.pairs[w] = [against]
    if found or by_findings or words.cover < _ENOUGH:
        return found
    return _of_place(words, said, quoted)


def _of_place(words: _Words, said: Wording, quoted: Wording) -> list[Judgement]:
    """Side, zone, degree and course of the evidence's segments that share most words with the sentence."""
    mine = load_cues().place(said.tokens)
    shared = [0] * len(quoted.segments)
    for met in words.pairs.values():
        for segment in {t.segment for t in met}:
            shared[segment] += 1
    bound = any(
        same(q, r) and mine.sides & s.place.sides
        for q in said.quantities
        for s in quoted.segments
        for r in s.quantities
    )
    if bound:
        mine = replace(mine, sides=frozenset())  # "the left is 0.7": the number has told the side
    near = [s.place for s, n in zip(quoted.segments, shared, strict=True) if n and n == max(shared)]
    attributes = [_attributes(mine, place) for place in near]
    for kind in zip(*attributes, strict=True):
        what, wanted, _ = kind[0]
        theirs = [value for _, _, value in kind if value]
        if wanted and theirs and not any(_agree(what, wanted, t) for t in theirs):
            found = "/".join(sorted(theirs[0]))
            return [Judgement("contradicted", 0.0, f"{what} is {'/'.join(sorted(wanted))} against {found}")]
    return []


# ---------------------------------------------------------------------------------------------- numbers


def _of_number(q: Quantity, said: Wording, quoted: Wording, words: _Words) -> Judgement:
    """A number of the sentence against those of its dimension in the evidence that are said of the same words."""
    shown = _text(said.tokens[q.first : q.last])
    alike = [r for r in quoted.quantities if r.dimension == q.dimension or same(q, r)]
    if q.dimension == "count" and q.value == 1 and any(w.name == "several" for w in quoted.words):
        return Judgement("contradicted", 0.0, f"{shown} against several")
    if not alike:
        if q.dimension == "count" and q.value == 1:
            return Judgement("supported", 0.8, "one is no number here")
        return Judgement("unsupported", 0.0, f"the evidence has no number like {shown}")
    segment = said.segments[said.segment_of(q.first)].place
    sides = segment.sides or load_cues().place(said.tokens).sides

    mine = [said.words[i] for i in said.said_of(q)]

    def nearness(r: Quantity) -> tuple[int, int]:
        n = quoted.segment_of(r.first)
        place = quoted.segments[n].place.sides
        own = {quoted.words[i] for i in quoted.said_of(r)}
        met = sum(not own.isdisjoint(words.pairs[w]) for w in mine)
        return (0 if sides and place and not sides & place else 1), met

    top = max(nearness(r) for r in alike)
    if any(same(q, r) for r in alike if nearness(r) == top):
        return Judgement("supported", 1.0, f"{shown} is found")
    against = next(r for r in alike if nearness(r) == top)
    if words.cover < _SAME_NUMBER:
        return Judgement("unsupported", 0.0, f"the evidence does not say {shown} of it")
    return Judgement("contradicted", 0.0, f"{shown} against {_text(quoted.tokens[against.first : against.last])}")


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(t.text for t in tokens)
