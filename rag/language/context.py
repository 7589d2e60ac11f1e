"""What the words around a phrase make of it: denied, doubted, past, somebody else's, only to be looked for.

Rules in the family of NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009): a cue acts on what follows it
until something ends its scope; a predicate ("was not seen", "cannot be excluded") acts on its subject before it. The
phrase may be any words of the sentence; no lexicon is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from rag.errors import InputError
from rag.language.cues import Effect, Status, load_cues
from rag.language.predicate import said_after
from rag.language.scope import Clause
from rag.language.tokens import Token, tokens_of

_PAST_SECTION = re.compile(r"^\s*(?:past\s+(?:medical|surgical|ocular)\s+(?:history|hx)|pmhx?|psh|poh)\s*[:\-]", re.I)
_FAMILY_SECTION = re.compile(r"^\s*(?:family\s+(?:medical\s+)?(?:history|hx)|fh|fhx)\s*[:\-]", re.I)
# One status for a phrase on which several cues act: a denied history is no history, a doubted one is in doubt.
_ORDER: tuple[Status, ...] = ("unknown", "absent", "family", "hypothetical", "uncertain", "historical")
_SURE: dict[Status, float] = {
    "absent": 1.0,
    "present": 1.0,
    "uncertain": 0.55,
    "hypothetical": 0.55,
    "historical": 0.8,
    "family": 0.8,
    "unknown": 1.0,
}
_BEFORE_ADJECTIVE = frozenset({"and", "or", "with", "had", "but", "his", "her"})


@dataclass(frozen=True, slots=True)
class Context:
    """What a sentence says of one phrase. ``sure``, in (0, 1], is lower for weak wording.

    ``effects`` are all that act on the phrase; ``status`` is the one that counts.
    """

    status: Status
    sure: float
    effects: frozenset[Effect] = frozenset()


def status_of(sentence: str, phrase: str | tuple[int, int]) -> Context:
    """What ``sentence`` says of ``phrase``: its first occurrence, whatever the case, or the span (start, end) itself.

    >>> status_of("She denies chest pain, but has a cough.", "cough").status
    'present'

    Raises:
        InputError: the phrase does not occur in the sentence.
    """
    tokens = tokens_of(sentence)
    if isinstance(phrase, str):
        first, last = _locate(phrase, tokens)
    else:
        inside = [i for i, t in enumerate(tokens) if t.end > phrase[0] and t.start < phrase[1]]
        if not inside:
            raise InputError(f"the span {phrase[0]} to {phrase[1]} holds no word of the sentence")
        first, last = inside[0], inside[-1] + 1
    while last - first > 1 and tokens[first].word in ("no", "not", "without"):
        first += 1  # the phrase brings its own negation
    return ContextReader(tokens).context(first, last)


def _locate(phrase: str, tokens: Sequence[Token]) -> tuple[int, int]:
    """The first tokens that are the words of ``phrase``; case, number and punctuation between them do not matter."""
    wanted = [t for t in tokens_of(phrase) if t.is_word]
    words = [i for i, t in enumerate(tokens) if t.is_word]
    for form in ("word", "lemma"):
        sought = [getattr(t, form) for t in wanted]
        for n in range(len(words) - len(wanted) + 1):
            if wanted and [getattr(tokens[i], form) for i in words[n : n + len(wanted)]] == sought:
                return words[n], words[n + len(wanted) - 1] + 1
    raise InputError(f"the phrase {phrase!r} does not occur in the sentence; give words that stand in it")


class ContextReader:
    """One sentence, ready to be asked about any of its phrases."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._clause = Clause(tokens)
        opening = " ".join(t.text for t in tokens[:6])
        past, family = _PAST_SECTION.match(opening), _FAMILY_SECTION.match(opening)
        self._section: Status | None = "historical" if past else "family" if family else None

    @cached_property
    def assesses(self) -> bool:
        """Whether it says of anything that it was, or could not be, assessed."""
        cues = load_cues()
        return any(
            (found := table.at(self._clause.tokens, i)) is not None and found.meaning in ("assessing", "unknown")
            for table in (cues.predicates, cues.answers, cues.before)
            for i in range(len(self._clause.tokens))
        )

    def context(self, first: int, last: int, rivals: Sequence[tuple[int, int]] = ()) -> Context:
        """Of tokens[first:last]. ``rivals`` are the other phrases of interest: a predicate belongs to the nearest."""
        clause = self._clause
        effects: set[Effect] = {c.meaning for c in clause.cues_near(first, last) if clause.reaches(c, first, last)}
        effects |= said_after(clause, first, last, rivals)
        if self._described_as_absent(first):
            effects.add("absent")
        if "?" in clause.words[clause.last_stop(first) : first]:
            effects.add("uncertain")
        if self._clause.words[-1] == "?" and "?" not in self._clause.words[first:-1]:
            effects.add("uncertain")  # a question asserts nothing
        if self._of_a_relative(first, last):
            effects.add("family")
        if self._section is not None:
            effects.add(self._section)
        if self._of_an_earlier_study(first) or self._reason_of_what_was_done(first):
            effects.add("historical")
        if (parted := self._parted(first, last)) is not None:
            effects.add(parted)
        if "open" in effects:  # "effusion is not excluded"
            effects = effects - {"open", "absent"} | {"uncertain"}
        status: Status = next((s for s in _ORDER if s in effects), "present")
        return Context(status, _SURE[status], frozenset(effects))

    def _described_as_absent(self, first: int) -> bool:
        """ "negative Murphy's sign", "non-tender", "(-) edema"; but not "HER2-negative carcinoma"."""
        words, cues = self._clause.words, load_cues()
        before = ["", "", "", *words[:first]][-3:]
        if before == ["(", "-", ")"] or before[-1] == "non" or before[-2:] == ["non", "-"]:
            return True
        if before[-1] not in cues.adjectives:
            return False
        earlier = before[-2]
        begins = not earlier or (not earlier[0].isalnum() and earlier != "-")
        return begins or earlier in cues.auxiliaries or earlier in cues.articles or earlier in _BEFORE_ADJECTIVE

    def _of_an_earlier_study(self, first: int) -> bool:
        """ "The prior study, which showed an effusion"; "compared with the CT of March, which demonstrated edema"."""
        clause, cues = self._clause, load_cues()
        words, begin = clause.words, clause.last_stop(first)
        verbs = (cues.shows.at(clause.tokens, i, first) for i in range(first - 1, begin, -1))
        verb = next(filter(None, verbs), None)
        if verb is None or not cues.now.isdisjoint(words[verb.last : first]):
            return False
        shown = verb.first
        for i in range(max(begin, shown - 12), shown):
            if clause.tokens[i].lemma in cues.studies:
                dated = words[i + 1 : i + 2] in (["from"], ["of"], ["on"], ["dated"])
                if not cues.earlier_adjectives.isdisjoint(words[max(begin, i - 3) : i]) or (dated and i + 2 < shown):
                    return True
        return False

    def _reason_of_what_was_done(self, first: int) -> bool:
        """ "Status post treatment for tuberculosis", "s/p chest tube for effusion"."""
        words, begin = self._clause.words, self._clause.last_stop(first)
        before = words[max(begin, first - 8) : first]
        if "for" not in before:
            return False
        done = before[: len(before) - before[::-1].index("for") - 1]
        return any(
            done[i : i + 2] == ["status", "post"] or done[i : i + 3] == ["s", "/", "p"] for i in range(len(done))
        )

    def _parted(self, first: int, last: int) -> Effect | None:
        """What a verb around the phrase makes of it: "CT ruled pneumonia out"; "to rule a fracture out"."""
        words, cues = self._clause.words, load_cues()
        begin = max(self._clause.last_stop(first), first - 3)
        verb = next((i for i in range(begin, first) if words[i] in cues.parted_verbs), None)
        if verb is None or last >= len(words) or words[last] not in cues.particles:
            return None
        before = words[max(0, verb - 2) : verb]
        if "not" in before or "cannot" in before:
            return "open"
        return "hypothetical" if "to" in before or (words[verb] == "rule" and not before) else "absent"

    def _of_a_relative(self, first: int, last: int) -> bool:
        """ "Mother with diabetes", "breast cancer in her sister"; not "mother reports fever"."""
        clause, cues = self._clause, load_cues()
        words, tokens = clause.words, clause.tokens
        for i in range(clause.last_stop(first), first):
            if tokens[i].lemma in cues.relatives:
                return cues.tellers.isdisjoint(words[i + 1 : i + 4])
        if not {"in", "(", ":", "-"}.isdisjoint(words[last : last + 2]):
            stop = len(words) if words[last : last + 1] == [":"] else clause.next_stop(last)
            return any(t.lemma in cues.relatives for t in tokens[last : min(stop, last + 6)])
        return False
