"""The words of one sentence, and where the scope of a cue in it ends."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

from rag.language.cues import CuePhrase, load_cues
from rag.language.layout import TICKED, UNTICKED
from rag.language.tokens import Token

_REACH = 60  # tokens: no cue acts farther, and a sentence without end takes no endless time
_DOUBT_REACHES = 12  # tokens
_DOUBT_ENDS = frozenset({"who", "now", "without", "because", "despite", "compared", "than"})
_PRESENT_BEGINS = frozenset({"has", "had", "is", "was", "developed", "underwent"})
_DURATIONS = frozenset({"hour", "day", "week", "month", "year"})
_DENIES_CHANGE = frozenset({"no", "not", "without", "never", "cannot"})
_NEW_STATEMENT = frozenset({"stable", "unchanged", "normal", "clear"})  # after a comma they begin one even in a list
_COMPLETE = frozenset({"seen", "noted", "identified", "present", "found", "appreciated", "observed"})
_STATED = frozenset({"present", "positive", "intact", "normal"})
_LIST_WORDS = frozenset({"or", "nor"})
_BOXES = frozenset({TICKED, UNTICKED})
_NO_STOP_AFTER = frozenset({"dr", "mr", "mrs", "ms", "vs", "no", "st", "approx", "ca", "fig"})


class Clause:
    """Tokens of a sentence with their words; ``stops`` are the tokens that end every scope."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.words = [t.word for t in tokens]
        self.stops = [i for i in range(len(tokens)) if self._is_stop(i)]

    @cached_property
    def cues(self) -> list[CuePhrase]:
        """The cues that act on what follows them."""
        return load_cues().before.all(self.tokens)

    @cached_property
    def _starts(self) -> list[int]:
        return [c.first for c in self.cues]

    def cues_near(self, first: int, last: int) -> list[CuePhrase]:
        """Cues up to ``_REACH`` tokens before tokens[first:last]; no part of that phrase is a cue ("free air")."""
        begin = max(0, first - _REACH)
        near = self.cues[bisect_left(self._starts, begin) : bisect_left(self._starts, last)]
        if all(c.last <= first for c in near):
            return near
        inside = range(first - begin, last - begin)
        found = load_cues().before.all(self.tokens[begin:last], inside)
        return [CuePhrase(c.first + begin, c.last + begin, c.meaning) for c in found]

    def next_stop(self, i: int) -> int:
        at = bisect_left(self.stops, i)
        return self.stops[at] if at < len(self.stops) else len(self.words)

    def last_stop(self, i: int) -> int:
        """The token after the last stop before ``i``; at most ``_REACH`` tokens back."""
        at = bisect_left(self.stops, i)
        return max(self.stops[at - 1] + 1 if at else 0, i - _REACH)

    def reaches(self, cue: CuePhrase, first: int, last: int) -> bool:
        """Whether what ``cue`` means holds for the phrase tokens[first:last]."""
        begin = cue.last
        if begin < first and self.words[begin] == ":":
            begin += 1  # "Denies: fever"
        if begin > first or self.next_stop(begin) < first:
            return False
        between = self.words[begin:first]
        if cue.meaning in ("absent", "none"):
            return (
                len(between) <= _DOUBT_REACHES
                if cue.meaning == "none"
                else self._denial_reaches(cue, begin, first, last)
            )
        if cue.meaning == "family":
            return True
        if len(between) > _DOUBT_REACHES or "and" in between[4:] or not _DOUBT_ENDS.isdisjoint(between):
            return False
        return cue.meaning != "historical" or self._past_reaches(cue, begin, first)

    def _is_stop(self, i: int) -> bool:
        word, text = self.words[i], self.tokens[i].text
        before = self.words[i - 1] if i else ""
        if load_cues().stops.at(self.tokens, i) is not None:
            return not (word == "yet" and before == "not")
        if text in _BOXES:
            return True
        if text in (".", "!"):
            return len(before) > 1 and before not in _NO_STOP_AFTER
        return text == ":" and i > 0

    def _past_reaches(self, cue: CuePhrase, begin: int, first: int) -> bool:
        """Unless the present begins before the phrase; "a two-week history of fever" is no history at all."""
        lasting = any(t.lemma in _DURATIONS for t in self.tokens[max(0, cue.first - 2) : cue.first])
        return not (lasting or not _PRESENT_BEGINS.isdisjoint(self.words[begin:first]) or self._asserts(begin, first))

    def _denial_reaches(self, cue: CuePhrase, begin: int, first: int, last: int) -> bool:
        cues, words = load_cues(), self.words
        opening = words[cue.first]
        if opening == "neither":  # "neither ultrasound nor CT showed a stone"
            return "but" not in words[begin:first]
        if opening == "nor" and begin < first and words[begin] in cues.auxiliaries:
            begin = min(begin + 3, first)  # "nor does she have"
        # the first word is no boundary: "does not demonstrate effusion", "no associated effusion"
        for i in range(begin + 1, first):
            before = words[i - 1]
            goes_on = (
                before in ("to", "previously")
                or self.words[i + 1 : i + 2] == ["-"]  # "no post-procedure pneumothorax"
                or (words[i] == "there" and before == "that")
                or (words[i] == "with" and before in cues.goes_on_with)
            )
            if words[i] in cues.negation_ends and not goes_on:
                return False
            if words[i] == "by" and before in cues.effected:  # "mortality was not increased by the drug"
                return False
            if words[i] == "for" and before in _COMPLETE:  # "no cause was found for her symptoms"
                return False
        return not (
            (opening in _DENIES_CHANGE and self._only_change(begin, first))
            or self._asserts(begin, first)
            or any(c.meaning == "none" and begin <= c.first for c in self.cues_near(first, first))
            or self._new_statement(begin, first, last)
        )

    def _only_change(self, begin: int, first: int) -> bool:
        """Whether a change or a cause is denied, and not what changed: "no improvement in his pain"."""
        cues = load_cues()
        if begin < first and self.words[begin] in cues.effects:
            return True
        return any(
            (self.tokens[i].lemma in cues.changes or self.words[i] in cues.changes)
            and not cues.change_links.isdisjoint(self.words[i + 1 : min(i + 2, first)])
            for i in range(begin, first)
        )

    def _asserts(self, begin: int, first: int) -> bool:
        """Whether an affirming phrase begins inside the scope, after its first token."""
        return any(load_cues().affirming.at(self.tokens, i, first) is not None for i in range(begin + 1, first))

    def _counted(self, begin: int, first: int, stop: int) -> bool:
        """Whether a number is given for the phrase, before the next comma."""
        end = next((i for i in range(first, stop) if self.words[i] == ","), stop)
        return any(w[0].isdigit() for w in self.words[begin:end])

    def _new_statement(self, begin: int, first: int, last: int) -> bool:
        """Whether a comma or "and" opens a statement of its own before the phrase."""
        cues, words, stop = load_cues(), self.words, min(self.next_stop(first), first + _REACH)
        for i in range(begin, first):
            if words[i] not in (",", "and", "/"):
                continue
            follows = words[i + 2 if words[i + 1] == "and" and i + 1 < first else i + 1]
            if follows in cues.subjects or (follows in cues.articles and words[i] == "and"):
                return True
            opens = follows in cues.openers or follows in cues.articles
            in_list = follows not in _NEW_STATEMENT and not _LIST_WORDS.isdisjoint(words[i:stop])
            if words[i] == "," and opens and not in_list:
                return True
            if (
                words[i] == "," and not in_list and self._counted(i + 1, first, stop)
            ):  # "no crystals, white cells 15,000"
                return True
            if i > begin and words[i - 1] in _COMPLETE:  # "no edema seen, pulses intact"
                return True
            if last < len(words) and words[last] in _STATED:  # "no rebound, bowel sounds present"
                return True
        return False
