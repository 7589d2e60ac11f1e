"""What is said of a phrase after it: "was not seen", "is absent", "cannot be excluded", "invasion: not identified"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.language.cues import Effect, load_cues
from rag.language.scope import Clause

_REACHES = 14  # tokens
_ANSWERED = frozenset({":", "-", "=", "\u2013", "\u2014", "?"})
# what stands in a form between a finding and its answer: "Effusion on the left: no", "Effusion seen (Y/N): N"
_LABEL = frozenset({
    "present", "visible", "seen", "detected", "identified", "noted", "evident", "found", "y", "n", "yes", "no",
    "on", "in", "of", "at", "the", "side", "lobe", "lung", "eye", "zone", "base", "apex", "(", ")", "[", "]", ",", "/",
})  # fmt: skip
_LABEL_ENDS = frozenset({":", "=", "?"})
_LONGEST_LABEL = 8  # tokens
_OPINIONS = frozenset({"to", "thought", "felt", "considered", "believed"})  # auxiliaries that end no search for a verb
_WRAPPED = frozenset({"(", "[", "<", "'", '"'})
_SHORT_ANSWERS = frozenset({"no", "not", "never", "n", "0", "f", "?"})
_PLACED = frozenset({"in", "at", "within", "near", "on"})  # a place is no subject: "the nodule in the lung is not seen"
_COORDINATING = frozenset({"or", "and", "nor"})
_ANOTHER_SUBJECT = frozenset({"no", "without", "denies", "denied", "negative", "which", "that", "who"})
_NO_OBJECT = frozenset({"by", "at", "in", "on", "with", "and", "or", "throughout", "bilaterally", "as", "for"})
_YEAR = re.compile(r"(?:19|20)\d\d")


def said_after(clause: Clause, first: int, last: int, rivals: Sequence[tuple[int, int]] = ()) -> set[Effect]:
    """What the predicate of tokens[first:last] makes of them.

    A predicate belongs to the nearest phrase: one of ``rivals`` that stands between takes it, unless both are
    coordinated.
    """
    words, stop = clause.words, clause.next_stop(last)
    after: set[Effect] = {"historical"} if _past(clause, last, stop) else set()
    following = words[last] if last < len(words) else ""
    if (ends := _label_end(clause, last)) is not None and (answer := _answer(clause, ends + 1)):
        return after | answer
    if following in _ANSWERED:
        free = following == "-" and words[last + 1 : last + 2] == ["free"]
        return after | ({"absent"} if free else _answer(clause, last + 1))
    if following == "free" or words[last : last + 3] == ["(", "-", ")"]:
        return after | {"absent"}
    return after | _verb(clause, last, stop, rivals)


def _label_end(clause: Clause, last: int) -> int | None:
    """Where the label of a form ends that names the phrase and goes on about its place, or asks for it."""
    cues = load_cues()
    for i in range(last, min(last + _LONGEST_LABEL, len(clause.words))):
        token = clause.tokens[i]
        if token.word in _LABEL_ENDS:
            return i if i > last else None
        if token.word not in _LABEL and token.lemma not in cues.sides and token.lemma not in cues.zones:
            return None
    return None


def _past(clause: Clause, last: int, stop: int) -> bool:
    """Whether a time long ago follows: "as a child", "in 1998"."""
    near = range(last, min(stop, last + 4))
    year = clause.words[last : last + 1] == ["in"] and any(
        _YEAR.fullmatch(w) for w in clause.words[last + 1 : last + 2]
    )
    return year or any(load_cues().past.at(clause.tokens, i) is not None for i in near)


def _verb(clause: Clause, last: int, stop: int, rivals: Sequence[tuple[int, int]]) -> set[Effect]:
    """The first verb group after the phrase, over coordinated phrases and parentheses."""
    cues, words = load_cues(), clause.words
    commas, listed, depth = 0, False, 0
    for i in range(last, min(stop, last + _REACHES)):
        word = words[i]
        depth += (word == "(") - (word == ")")
        if depth > 0 or word == ")":
            continue
        said = _predicate(clause, i, stop, i - last)
        if said is not None:
            between = words[last:i]
            apart = commas and not listed and "open" not in said and word not in ("difficult", "hard")
            taken = any(
                last < a
                and b <= i
                and _PLACED.isdisjoint(words[last:a])
                and not {",", *_COORDINATING} & set(words[last:a])
                for a, b in rivals
            )
            return set() if apart or taken or (between and _ANOTHER_SUBJECT & set(between)) else said
        if word in cues.auxiliaries and word not in _OPINIONS:
            return _second_verb(clause, i, stop)
        if word in cues.verbs or word in _ANOTHER_SUBJECT:
            return set()
        # "bacteremia, and endocarditis was ruled out": with one comma alone, "and" begins a clause
        listed |= word in _COORDINATING and (words[i - 1] != "," or commas > 1)
        commas += word == ","
    return set()


def _second_verb(clause: Clause, i: int, stop: int) -> set[Effect]:
    """ "HIV testing was offered and came back negative"."""
    cues = load_cues()
    link = next((j for j in range(i + 1, min(stop, i + 5)) if clause.words[j] == "and"), None)
    if link is None or link + 1 >= stop or clause.words[link + 1] not in cues.auxiliaries | cues.negators:
        return set()
    return _predicate(clause, link + 1, stop, link + 1 - i) or set()


def _answer(clause: Clause, i: int) -> set[Effect]:
    """ "Lymphovascular invasion: not identified"; "Hematuria: denies"; "Edema: (-)"; "Nodule = 0; Mass: n/a"."""
    words = clause.words
    while i < len(words) and words[i] in _WRAPPED:
        i += 1
    if i >= len(words):
        return set()
    given = load_cues().answers.at(clause.tokens, i)
    if given is not None and not _goes_on(words, i, given.last):
        return {given.meaning} - {"present"}
    return _predicate(clause, i, len(words), 0) or set()


def _goes_on(words: Sequence[str], first: int, last: int) -> bool:
    """Whether an answer is the beginning of something else: "no change", "0/12", "0 mm"; but not "N Effusion: Y"."""
    following = list(words[last : last + 2])
    if not following or words[first] not in _SHORT_ANSWERS:
        return False
    goes_on = following[0][:1].isalnum() or following[0] in ("/", "-", "%")
    return goes_on and following[1:] not in ([":"], ["="])


def _predicate(clause: Clause, i: int, stop: int, distance: int) -> set[Effect] | None:
    """What the verb group at token ``i`` says of its subject, ``distance`` tokens before; None where none begins."""
    cues, words = load_cues(), clause.words
    negated = modal = verb = False
    j = i
    while j < stop and (
        words[j] in cues.auxiliaries
        or words[j] in cues.adverbs
        or words[j] in cues.negators
        or words[j : j + 2] == ["no", "longer"]
    ):
        negated |= words[j] in cues.negators or words[j] == "no"
        modal |= words[j] in cues.modals
        verb |= words[j] in cues.auxiliaries
        j += 2 if words[j] == "no" else 1
    what = cues.predicates.at(clause.tokens, j, stop) if j < stop else None
    if what is None:
        elliptic = negated and verb and (j >= stop or not words[j][0].isalnum())  # "atypia is not."
        return {"absent"} if elliptic else None
    follows = words[what.last] if what.last < len(words) else ""
    has_object = not verb and follows[:1].isalnum() and follows not in _NO_OBJECT
    phrase, able = " ".join(words[what.first : what.last]), not {"can", "could"}.isdisjoint(words[i:j])
    if what.meaning == "excluding":
        if has_object:
            return None  # "MRI for back pain excluded cord compression"
        if negated:
            return {"open"}
        return {"hypothetical"} if modal and not able else {"absent"}  # "must be ruled out", "can be ruled out"
    if what.meaning == "seen":
        return {"absent"} if negated else None
    if what.meaning == "assessing":
        return {"unknown"} if negated else None
    if what.meaning == "denying":
        if negated:
            return set()
        if phrase == "free" and (not verb or follows in ("of", "from")):
            return None  # "the lungs are free of infiltrates" denies no lungs
        if not verb and distance and phrase in ("negative", "none", "absent"):
            return None
        if (
            not verb
            and phrase in ("negative", "denied", "cleared")
            and follows[:1].isalnum()
            and follows not in _NO_OBJECT
        ):
            return None  # "fever, and denied dyspnea": what follows is what it speaks of
        return {"absent"}
    # without a verb only these doubt: "pneumonia difficult to exclude", "glaucoma suspect"
    alone = verb or words[j] in ("difficult", "hard") or (phrase == "suspect" and not distance)
    if negated and what.meaning == "doubting":
        return {"absent"} if phrase in ("suspected", "suggested", "a concern", "likely") else None
    return {"uncertain"} if alone else None
