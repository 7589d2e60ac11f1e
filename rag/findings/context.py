"""What the words around a phrase make of it: denied, doubted, past, somebody else's, only to be looked for.

Rules in the family of NegEx (Chapman et al. 2001) and ConText (Harkema et al. 2009): a cue acts on what follows it until
something ends its scope; a predicate ("was not seen", "cannot be excluded") acts on its subject before it. The phrase may be
any words of the sentence; no lexicon is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import InputError
from rag.findings.cues import Cues, Effect, Found, Status, load_cues
from rag.findings.tokens import Token, tokens_of

# Sections that tell why a report was made, or what was before, and not what it found.
HISTORY = re.compile(r"^(indication|comparison|history|clinical[a-z ]*|reason[a-z ]*|technique|exam[a-z ]*)\s*:", re.I)
_PAST_SECTION = re.compile(r"^\s*(?:past\s+(?:medical|surgical|ocular)\s+(?:history|hx)|pmhx?|psh|poh)\s*[:\-]", re.I)
_FAMILY_SECTION = re.compile(r"^\s*(?:family\s+(?:medical\s+)?(?:history|hx)|fh|fhx)\s*[:\-]", re.I)
_DOUBT_ENDS = frozenset({"who", "now", "without", "because", "despite"})
_DOUBT_REACHES = 12  # tokens
_PREDICATE_REACHES = 14  # tokens
_NEW_STATEMENT = frozenset({"stable", "unchanged", "normal", "clear"})  # after a comma they begin one even in a list
_LIST_WORDS = frozenset({"or", "nor", "and/or"})
_NOT_A_STOP = frozenset(
    {"dr", "mr", "mrs", "ms", "vs", "no", "st", "approx", "ca", "fig", "e", "g", "i", "p", "q", "o", "w", "s"}
)
_SURE: dict[Status, float] = {
    "absent": 1.0, "present": 1.0, "uncertain": 0.55, "hypothetical": 0.55, "historical": 0.8, "family": 0.8,
}  # fmt: skip
# One status for a phrase on which several cues act: a denied history is no history, a doubted one is in doubt.
_ORDER: tuple[Status, ...] = ("absent", "family", "hypothetical", "uncertain", "historical")


@dataclass(frozen=True, slots=True)
class Context:
    """What a sentence says of one phrase. ``sure``, in (0, 1], is lower for weak wording.

    ``effects`` are all that act on the phrase; ``status`` is the one that counts.
    """

    status: Status
    sure: float
    effects: frozenset[Status] = frozenset()


def status_of(sentence: str, phrase: str | tuple[int, int]) -> Context:
    """What ``sentence`` says of ``phrase``: its first occurrence, whatever the case, or the span (start, end) itself.

    >>> status_of("She denies chest pain, but has a cough.", "cough").status
    'present'

    Raises:
        InputError: the phrase does not occur in the sentence.
    """
    if isinstance(phrase, str):
        words = r"\s+".join(map(re.escape, phrase.split()))
        found = re.search(rf"(?<!\w){words}(?!\w)", sentence, re.I) or re.search(words, sentence, re.I)
        if not words or found is None:
            raise InputError(f"the phrase {phrase!r} does not occur in the sentence; give words that stand in it")
        start, end = found.span()
    else:
        start, end = phrase
    tokens = tokens_of(sentence)
    inside = [i for i, t in enumerate(tokens) if t.end > start and t.start < end]
    if not inside:
        raise InputError(f"the span {start} to {end} holds no word of the sentence")
    first, last = inside[0], inside[-1] + 1
    while last - first > 1 and tokens[first].word in ("no", "not", "without"):
        first += 1  # the phrase brings its own negation
    return Scopes(tokens).context(first, last)


class Scopes:
    """The cues of one sentence, ready to be asked about any of its phrases."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._words = [t.word for t in tokens]
        self._cues = load_cues()
        self._before = self._cues.before.all(tokens)
        self._stops = frozenset(i for i, t in enumerate(tokens) if self._is_break(i, t))
        text = " ".join(t.text for t in tokens[:6])
        self._section: Status | None = (
            "historical" if _PAST_SECTION.match(text) else "family" if _FAMILY_SECTION.match(text) else None
        )

    def context(self, first: int, last: int, rivals: Sequence[tuple[int, int]] = ()) -> Context:
        """Of tokens[first:last]. ``rivals`` are the other phrases of interest: a predicate belongs to the nearest."""
        before = self._before
        if any(c.first < last and c.last > first for c in before):
            before = self._cues.before.all(self._tokens, range(first, last))
        effects: set[Effect] = set()
        for cue in before:
            if cue.last <= first and not self._ended(cue, first, last):
                effects.add(cue.meaning)
        effects |= self._said_after(first, last, rivals)
        if self._describes(first):
            effects.add("absent")
        if "?" in self._words[:first]:
            effects.add("uncertain")
        if self._relative(first, last):
            effects.add("family")
        if self._section:
            effects.add(self._section)
        if "open" in effects:  # "effusion is not excluded"
            effects -= {"open", "absent"}
            effects.add("uncertain")
        status: Status = next((s for s in _ORDER if s in effects), "present")
        return Context(status, _SURE[status], frozenset(e for e in effects if e != "none"))

    # ------------------------------------------------------------------ cues before the phrase

    def _is_break(self, i: int, token: Token) -> bool:
        if token.word in self._cues.breaks:
            return not (token.word == "yet" and i and self._words[i - 1] == "not")
        if token.text in ".!" and i:
            before = self._words[i - 1]
            return len(before) > 1 and before not in _NOT_A_STOP
        return token.text in ":" and i > 0

    def _ended(self, cue: Found, first: int, last: int) -> bool:
        """Whether the cue's scope stops before token ``first``."""
        begin = cue.last
        if begin < first and self._words[begin] == ":":
            begin += 1  # "Denies: fever"
        if any(i in self._stops for i in range(begin, first)):
            return True
        between = self._words[begin:first]
        if cue.meaning in ("uncertain", "historical", "hypothetical", "present"):
            far = len(between) > _DOUBT_REACHES or "and" in between[4:] or not _DOUBT_ENDS.isdisjoint(between)
            return far or (cue.meaning == "historical" and self._asserted(begin, first, 1))
        if cue.meaning == "family":
            return False
        if cue.meaning == "none":
            return len(between) > _DOUBT_REACHES
        return self._negation_ends(cue, between, begin, first, last)

    def _negation_ends(self, cue: Found, between: list[str], begin: int, first: int, last: int) -> bool:
        cues = self._cues
        if self._words[cue.first] == "nor" and between and between[0] in cues.auxiliaries:
            between = between[3:]  # "nor does she have"
        for i, word in enumerate(between[1:], start=1):
            if word in ("with", "having") and between[i - 1] in cues.goes_on_with:
                continue
            # the first word is no boundary: "does not demonstrate effusion", "no associated effusion"
            goes_on = between[i - 1] in ("to", "previously") or (word == "there" and between[i - 1] == "that")
            if word in cues.negation_ends and not goes_on:
                return True
        lemmas = [t.lemma for t in self._tokens[begin:first]]
        if self._words[cue.first] in ("no", "not", "without", "never", "any", "cannot") and any(
            (a in cues.changes or between[i] in cues.changes)
            and any(b in cues.change_links for b in between[i + 1 : i + 3])
            for i, a in enumerate(lemmas)
        ):
            return True
        if self._asserted(begin, first, 1) or any(
            c.meaning == "none" and begin <= c.first < first for c in self._before
        ):
            return True
        return self._new_statement(begin, first, last)

    def _asserted(self, begin: int, first: int, after: int) -> bool:
        """Whether an affirming phrase begins after ``after`` tokens of the scope."""
        return any(self._cues.affirming.at(self._tokens, i, first) is not None for i in range(begin + after, first))

    def _new_statement(self, begin: int, first: int, last: int) -> bool:
        """Whether a comma or "and" between opens a statement of its own."""
        cues, words = self._cues, self._words
        stop = self._next_stop(first)
        for i in range(begin, first):
            if words[i] not in (",", "and", "/"):
                continue
            following = words[i + 1] if i + 1 < len(words) else ""
            if following == "and" and i + 2 < len(words):
                following = words[i + 2]
            if following in cues.subjects:
                return True
            if following in cues.articles and words[i] == "and":
                return True
            opens = following in cues.openers or following in cues.articles
            goes_on = following not in _NEW_STATEMENT and any(w in _LIST_WORDS for w in words[i:stop])
            if words[i] == "," and opens and not goes_on:
                return True
            # "no edema seen, pulses intact": the statement before the comma is complete
            if i > begin and words[i - 1] in (
                "seen",
                "noted",
                "identified",
                "present",
                "found",
                "appreciated",
                "observed",
            ):
                return True
        return False

    def _next_stop(self, i: int) -> int:
        return min((s for s in self._stops if s >= i), default=len(self._words))

    def _describes(self, first: int) -> bool:
        """ "negative Murphy's sign", "non-tender"; but not "HER2-negative carcinoma"."""
        words = self._words
        i = first - 1
        if i >= 0 and words[i] == "-":
            i -= 1
            return i >= 0 and words[i] == "non"
        if i >= 0 and words[i] == "non":
            return True
        if i < 0 or words[i] not in self._cues.adjectives:
            return False
        return (
            i == 0
            or not words[i - 1][0].isalnum()
            and words[i - 1] != "-"
            or words[i - 1]
            in (self._cues.auxiliaries | self._cues.articles | {"and", "or", "with", "had", "but", "his", "her"})
        )

    def _relative(self, first: int, last: int) -> bool:
        """Whether a relative has it: "mother with diabetes", "breast cancer in her sister"; not "mother reports fever"."""
        cues, words = self._cues, self._words
        stop, begin = self._next_stop(last), max((s + 1 for s in self._stops if s < first), default=0)
        for i in range(begin, first):
            if self._tokens[i].lemma in cues.relatives:
                return not any(w in cues.tellers for w in words[i + 1 : i + 4])
        if any(w in ("in", "(", ":", "-") for w in words[last : last + 2]) or words[last : last + 1] == [":"]:
            here = range(last, min(stop if words[last : last + 1] != [":"] else len(words), last + 6))
            return any(self._tokens[i].lemma in cues.relatives for i in here)
        return False

    # ------------------------------------------------------------------ what is said after the phrase

    def _said_after(self, first: int, last: int, rivals: Sequence[tuple[int, int]]) -> set[Effect]:
        """The effect of the predicate whose subject the phrase is."""
        words, cues = self._words, self._cues
        after: set[Effect] = set()
        stop = self._next_stop(last)
        if any(cues.past.at(self._tokens, i) for i in range(last, min(stop, last + 4))):
            after.add("historical")
        if words[last : last + 2] == ["in", "1"] or (
            words[last : last + 1] == ["in"] and re.fullmatch(r"(?:19|20)\d\d", (words[last + 1 : last + 2] or [""])[0])
        ):
            after.add("historical")
        if last < len(words) and words[last] in (":", "-", "=", "\u2013", "\u2014", "?"):
            return after | self._answer(last + 1)
        if words[last : last + 2] == ["-", "free"] or words[last : last + 1] == ["free"]:
            return after | {"absent"}
        if words[last : last + 3] == ["(", "-", ")"]:
            return after | {"absent"}
        commas = 0
        listed = False
        i, parenthesis = last, 0
        while i < min(stop, last + _PREDICATE_REACHES):
            word = words[i]
            parenthesis += (word == "(") - (word == ")")
            if parenthesis > 0 or word == ")":
                i += 1
                continue
            found = self._predicate(i, stop, bare=i - last, comma=commas > 0 and not listed)
            if found is not None:
                if commas and not listed and "open" not in found and word != "difficult":
                    return after
                if any(
                    last < a and b <= i and not any(w in ("or", "and", ",", "nor") for w in words[last:a])
                    for a, b in rivals
                ):
                    return after
                return after | found
            if word in cues.auxiliaries - {"to", "thought", "felt", "considered", "believed"} or word in cues.verbs:
                return after
            if self._cues.before.at(self._tokens, i) is not None and word in (
                "no",
                "without",
                "denies",
                "denied",
                "negative",
            ):
                return after
            if word in ("which", "that", "who") and i > last:
                # "pneumonia, which was not seen on the admission film" tells of another time
                return after
            commas += word == ","
            listed = listed or word in ("or", "and", "nor")
            i += 1
        return after

    def _answer(self, i: int) -> set[Effect]:
        """ "Lymphovascular invasion: not identified"."""
        words = self._words
        if i < len(words) and words[i] in self._cues.answers:
            follows = words[i + 1] if i + 1 < len(words) else ""
            if words[i] in ("no", "not", "never") and follows[:1].isalnum():
                found = self._predicate(i, len(words), bare=0, comma=False)
                return found or set()
            return {"absent"}
        found = self._predicate(i, len(words), bare=0, comma=False) if i < len(words) else None
        return found or set()

    def _predicate(self, i: int, stop: int, *, bare: int, comma: bool) -> set[Effect] | None:
        """What the verb group at token ``i`` says of its subject; None where none begins here.

        ``bare`` is the number of words between the subject and ``i``: adjectives without a verb must be near.
        """
        cues, words = self._cues, self._words
        negated = modal = False
        j = i
        while j < stop and (
            words[j] in cues.auxiliaries
            or words[j] in cues.adverbs
            or words[j] in cues.negators
            or words[j : j + 2] == ["no", "longer"]
        ):
            negated |= words[j] in cues.negators or words[j] == "no"
            modal |= words[j] in cues.modals
            j += 2 if words[j] == "no" else 1
        verbs = any(w in cues.auxiliaries for w in words[i:j])
        if j >= stop:
            return None
        what = cues.predicates.at(self._tokens, j, stop)
        if what is None:
            return None
        if words[j] == "neither":
            return {"absent"}
        kinds = {what.meaning}
        phrase = " ".join(words[what.first : what.last])
        if phrase in ("excluded", "ruled out", "exclude", "rule out"):
            kinds = {"excluding"}
        if "excluding" in kinds:
            if negated:
                return {"open"}  # type: ignore[arg-type]
            if modal and "can" not in words[i:j] and "could" not in words[i:j]:
                return {"hypothetical"}  # "must be ruled out"
            return {"absent"} if phrase in ("excluded", "ruled out", "eliminated") else None
        if "seen" in kinds:
            if negated:
                return {"absent"}
            if phrase in ("suspected", "suggested", "a concern") and verbs:
                return {"uncertain"}
            return {"uncertain"} if modal and phrase in ("present", "seen") and "can" not in words[i:j] else None
        if "denying" in kinds:
            if negated:
                return set()
            if not verbs and (comma or (bare > 0 and words[j] in ("negative", "none", "absent"))):
                return None
            if not verbs and words[j] == "negative" and j + 1 < len(words) and words[j + 1][0].isalnum():
                return None
            return {"absent"}
        return None if negated or (not verbs and phrase not in cues.negators) else {"uncertain"}
