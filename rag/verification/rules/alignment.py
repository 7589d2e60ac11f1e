"""A sentence's words and numbers against those of its evidence: which meet, which are denied, which are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from rag.language.cues import Place, load_cues
from rag.language.quantities import Quantity, same_quantity, satisfies
from rag.language.tokens import Token
from rag.verification.rules.claims import agree, attributes
from rag.verification.rules.judgement import Judgement, contradicted, supported, unsupported
from rag.verification.rules.wording import ALIKE, Embed, Word, Wording, light, meets, opposed

_ENOUGH = 0.5  # share of a sentence's words that its evidence must have before a difference in one is a contradiction
_SAME_NUMBER = 0.6  # the same before another number is one
_SAME_SUBJECT = 0.7  # the same before a negation is one: what is denied of another subject is not denied of this one
_CONTEXT, _LITTLE_WORD = 2, 3  # words longer than this that make two places of two texts the same
_EXTENTS = frozenset({"wide", "long", "length", "thick", "thickness", "deep", "depth", "high", "height", "increase"})
_DIRECTIONS = frozenset({"reduce", "increase", "improve", "worsen", "prolong", "shorten"})
_WHERE = ("side", "zone")
_NOT_ASSERTED = frozenset({"uncertain", "hypothetical", "family"})


class Alignment:
    """The sentence's words with those of the evidence that they meet."""

    def __init__(self, said: Wording, rest: Sequence[Word], quoted: Wording, embed: Embed | None) -> None:
        words = said.words
        self._said, self._quoted = said, quoted
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
                found.append(unsupported(f"the evidence does not speak of “{w.text}”"))
            elif w.status == "present" and self.pairs[w] and all(t.status in _NOT_ASSERTED for t in self.pairs[w]):
                found.append(unsupported(f"the evidence does not assert “{w.text}”"))
        return found

    def denied(self, w: Word) -> bool:
        """Whether ``w`` stands under a negation on one side only.

        Two texts may put one denial on different words: "not associated with an increased risk", "the risk was not
        increased". Where words of one segment are denied in both, the others are no contradiction.
        """
        theirs = self._at_its_place(w)
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

    def _at_its_place(self, w: Word) -> list[Word]:
        """Those that ``w`` meets; of several, those at the place of which the sentence speaks: "peripheral margins"."""
        mine, theirs = self._said.segments[w.segment].place, self.pairs[w]
        here = [
            t
            for t in theirs
            if any(a & b for what, a, b in attributes(mine, self._quoted.segments[t.segment].place) if what in _WHERE)
        ]
        return here or theirs

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


def of_words(words: Alignment, said: Wording, quoted: Wording, placed: bool) -> list[Judgement]:
    """Contradictions in polarity, in opposite words, and in place unless the findings have ``placed`` the sentence."""
    found: list[Judgement] = []
    sides = load_cues().place(said.tokens).sides
    if len(sides) == 1 and any(w.name == "only" for w in words.words):
        theirs = {t.segment for met in words.pairs.values() for t in met}
        if any(len(quoted.segments[n].place.sides) == 2 for n in theirs):
            found.append(contradicted(f"{min(sides)} alone against both sides"))
    denies_more = any(w.status == "absent" and not words.pairs[w] for w in words.words)
    for w in words.rest:
        cover = words.share_without(w)
        same_subject = cover == 1.0 if light(w.name) else cover >= _SAME_SUBJECT
        if same_subject and words.denied(w) and not (denies_more and w.status != "absent"):
            side = "the sentence denies" if w.status == "absent" else "the evidence denies"
            found.append(contradicted(f"{side} “{w.text}”"))
        against = words.opposite(w)
        if against is not None and cover >= _ENOUGH:
            if (w.status == "absent") == (against.status == "absent") or words.no_effect(w, against):
                found.append(contradicted(f"“{w.text}” against “{against.text}”"))
            else:
                words.pairs[w] = [against]
    if found or placed or words.cover < _ENOUGH:
        return found
    return _of_place(words, said, quoted)


def _of_place(words: Alignment, said: Wording, quoted: Wording) -> list[Judgement]:
    """Side, zone, degree and course of the evidence's segments that share most words with the sentence."""
    mine = _place(said)
    shared = [0] * len(quoted.segments)
    for met in words.pairs.values():
        for segment in {t.segment for t in met}:
            shared[segment] += 1
    bound = any(
        same_quantity(q, r) and mine.sides & s.place.sides
        for q in said.quantities
        for s in quoted.segments
        for r in s.quantities
    )
    if bound:
        mine = replace(mine, sides=frozenset())  # "the left is 0.7": the number has told the side
    near = [s.place for s, n in zip(quoted.segments, shared, strict=True) if n and n == max(shared)]
    told = [attributes(mine, place) for place in near]
    for kind in zip(*told, strict=True):
        what, wanted, _ = kind[0]
        theirs = [value for _, _, value in kind if value]
        if wanted and theirs and not any(agree(what, wanted, t) for t in theirs):
            found = "/".join(sorted(theirs[0]))
            return [contradicted(f"{what} is {'/'.join(sorted(wanted))} against {found}")]
    return []


def _place(said: Wording) -> Place:
    """Where and how the sentence's words are, but for those that say something else ("mortality was lower")."""
    words = {w.token for w in said.words}
    others = load_cues().place([t for i, t in enumerate(said.tokens) if i not in words])
    return replace(load_cues().place(said.tokens), zones=others.zones)


def unstated(words: Alignment, said: Wording, quoted: Wording) -> list[Judgement]:
    """A side, zone or degree of the sentence of which the evidence says nothing where it speaks of the same."""
    mine = _place(said)
    segments = {t.segment for met in words.pairs.values() for t in met}
    missing = []
    for what, wanted, _ in attributes(mine, mine):
        there = any(value for n in segments for w, _, value in attributes(mine, quoted.segments[n].place) if w == what)
        if wanted and not there and what != "course":
            missing.append(unsupported(f"the evidence does not say that {what} is {'/'.join(sorted(wanted))}"))
    return missing


def of_number(q: Quantity, said: Wording, quoted: Wording, words: Alignment) -> Judgement:
    """A number of the sentence against those of its dimension in the evidence that are said of the same words."""
    shown = _text(said.tokens[q.first : q.last])
    alike = [r for r in quoted.quantities if r.dimension == q.dimension or r.stated == q.stated or satisfies(r, q)]
    if q.dimension == "count" and q.value == 1 and any(w.name == "several" for w in quoted.words):
        return contradicted(f"{shown} against several")
    if not alike:
        if q.dimension == "count" and q.value == 1:
            return supported("one is no number here", 0.8)
        return unsupported(f"the evidence has no number like {shown}")
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
    if any(satisfies(r, q) for r in alike if nearness(r) == top):
        return supported(f"{shown} is found")
    against = next(r for r in alike if nearness(r) == top)
    if words.cover < _SAME_NUMBER:
        return unsupported(f"the evidence does not say {shown} of it")
    return contradicted(f"{shown} against {_text(quoted.tokens[against.first : against.last])}")


def of_copied(said: Wording, quoted: Wording) -> list[Judgement]:
    """Contradictions between numbers that stand in the same words, and numbers that the evidence has less often.

    Whatever else is read, a sentence that repeats its evidence with another number in one place says something else.
    """
    found = []
    (mine, my_numbers), (theirs, their_numbers) = _skeleton(said), _skeleton(quoted)
    for block in SequenceMatcher(None, mine, theirs, autojunk=False).get_matching_blocks():
        same = range(block.size)
        if sum(len(mine[block.a + n]) > _LITTLE_WORD for n in same) < _CONTEXT:
            continue
        for n in same:
            a, b = my_numbers.get(block.a + n), their_numbers.get(block.b + n)
            if a is not None and b is not None and not satisfies(b, a):
                against = _text(quoted.tokens[b.first : b.last])
                found.append(
                    contradicted(f"{_text(said.tokens[a.first : a.last])} against {against} in the same words")
                )
    left = list(quoted.quantities)
    for q in said.quantities:
        match = next((r for r in left if satisfies(r, q)), None)
        if match is not None:
            left.remove(match)
        elif q.dimension != "count" and any(satisfies(r, q) for r in quoted.quantities):
            found.append(
                contradicted(f"{_text(said.tokens[q.first : q.last])} is said more often than in the evidence")
            )
    return found


def _skeleton(text: Wording) -> tuple[list[str], dict[int, Quantity]]:
    """The words of a text with a mark for each number, and the numbers by the places of their marks."""
    starts = {q.first: q for q in text.quantities}
    words: list[str] = []
    numbers: dict[int, Quantity] = {}
    i = 0
    while i < len(text.tokens):
        q = starts.get(i)
        if q is not None:
            numbers[len(words)] = q
        words.append("#" if q is not None else text.tokens[i].word)
        i = max(i + 1, q.last) if q is not None else i + 1
    return words, numbers


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(t.text for t in tokens)
