"""Whether a sentence of the literature tells the relation that a yes/no question asks about, of the things it names.

"HUWE1 is a tumour suppressor that prevents MYC signalling" has every word of "Is MYC a tumour suppressor?" and answers
it with nothing. So a question is parted into what it asks about and what it asks of it; of a sentence, the subject of
what is asked must be the thing that is asked about, who does something to whom must be the same, a thing that is lost
or kept from acting is another thing, and what leaves the question open or only says what was to be found out is no
answer. This holds things apart and concludes nothing: what a sentence then says is read elsewhere.

A parser of dependencies would read more of the sentences; those for English have 12 MB or more of weights, take
milliseconds a sentence, and none is maintained on PyPI.
"""

from __future__ import annotations

from collections.abc import Sequence

from rag.language.clinical_text import Texts
from rag.language.cues import Place, load_cues
from rag.language.entities import has_letter, is_name, lettered, names_of, speaks_of
from rag.language.initials import in_full
from rag.language.question import Asked
from rag.language.tokens import Token, tokens_of
from rag.types import Side
from rag.verification.rules.bearing import PURPOSE, has_words, share_of
from rag.verification.rules.roles import (
    ARTICLES,
    LEADS,
    LINKS,
    NAMING,
    PREPOSITIONS,
    Roles,
    is_form,
    relations,
    roles_of,
)
from rag.verification.rules.wording import meets, opposed, wording_of

_RELATIVE = frozenset({"which", "that", "who", "whose"})
_TURNS = frozenset({";", "but", "while", "whereas", "although", "though", "because", "unlike", "when", "where", "if"})
_REFERS = frozenset({"it", "its", "they", "their", "this", "these", "both", "such"})
_PARTS = frozenset({",", ";", "and", "but", "while", "whereas"})
_OPENS = frozenset({"(", "[", ":", "-", ","})
_EXAMPLES = frozenset({"including", "like", "such", "as", "called", "named", "e", "g", "i"})
_BY_NAME = _OPENS | _EXAMPLES | ARTICLES | {"and", "other"}
_UNSPOKEN = "it does not speak of all that is asked"
_NEAR = 4  # tokens
_STEM = 4  # letters


def why_beside(asked: Asked, side: Side, sentence: str, heading: str, texts: Texts) -> str:
    """Why ``sentence``, under its ``heading``, does not say ``side`` of what is asked; empty where it may.

    >>> texts = Texts(Lexicon.load())                                                             # doctest: +SKIP
    >>> asked = read_question("Is MYC a tumour suppressor?", texts.lexicon)                       # doctest: +SKIP
    >>> why_beside(asked, "yes", "HUWE1 is a tumour suppressor that acts on MYC.", "", texts)     # doctest: +SKIP
    'it says so of “HUWE1”'
    """
    sentence, heading = in_full(sentence, asked.plain), in_full(heading, asked.plain)
    around = f"{heading}. {sentence}"
    for name in texts.once(_names, asked.plain):
        if not speaks_of((name,), around):
            return f"it does not name “{name}”"
    for thing in lettered(asked.plain):
        if not has_letter(thing, around):
            return f"it does not name “{thing} A”"
    if not _begins_alike(asked, (sentence, heading), texts) or share_of(asked, around, texts) < 1:
        return _UNSPOKEN
    if unplaced := _unplaced(asked, texts.sentence(sentence).place, roles_of(asked.plain, texts).verb):
        return unplaced
    if side == "yes" and (word := denied(sentence, asked.plain, texts)):
        return f"it denies something (“{word}”)"
    return texts.once(_why_beside, asked.plain, sentence, heading)


def _begins_alike(asked: Asked, around: Sequence[str], texts: Texts) -> bool:
    """Whether half of a question's words may stand there at all, by how they begin; seen in no time."""
    begun = {t.word[:_STEM] for text in around for t in texts.sentence(text).tokens}
    return 2 * sum(word[:_STEM] in begun for word in asked.words) >= len(asked.words)


def _names(_: Texts, question: str) -> tuple[str, ...]:
    return tuple(sorted(names_of(question)))


def says_plainly(asked: Asked, sentence: str, heading: str, texts: Texts) -> bool:
    """Whether a sentence says all that is asked, of the same things, and neither denies nor doubts any of it."""
    if asked.denies or asked.place.degrees or why_beside(asked, "yes", sentence, heading, texts):
        return False
    mine = wording_of(asked.plain.rstrip(" ?"), texts).words
    theirs = wording_of(in_full(sentence, asked.plain), texts).words
    pairs = [(m, w) for m in mine for w in theirs if meets(m.name, w.name)]
    return all(w.status in ("present", m.status) for m, w in pairs)


def denied(sentence: str, question: str, texts: Texts) -> str:
    """A word by which a sentence denies anything that is not denied in the question: it is no plain yes then."""
    mine = {t.word for t in tokens_of(question)}
    told = texts.sentence(sentence).tokens
    return next((t.text for t in told if t.word in relations().denying and t.word not in mine), "")


def _why_beside(texts: Texts, question: str, sentence: str, heading: str) -> str:
    if opened := leaves_open(sentence, question):
        return opened
    roles = roles_of(question, texts)
    asked = " ".join(roles.rest) if roles.subject else question.rstrip(" ?")
    told = texts.sentence(sentence).tokens
    goes_on = not roles.subject and told[0].word in _REFERS
    if not goes_on and not has_words(asked, sentence, texts):
        return _UNSPOKEN  # a heading names what a text is about, and says nothing of it
    if not roles.subject:
        return ""
    places = _Places(roles, told, heading)
    return places.without() or places.reversed() or places.another()


def _unplaced(asked: Asked, place: Place, verb: str) -> str:
    """The side or zone that is asked for and that a sentence does not name; a verb ("to lower") is neither."""
    for wanted, there in ((asked.place.sides, place.sides), (asked.place.zones - {verb}, place.zones)):
        if wanted and not wanted & there:
            return f"it does not say whether it is {min(wanted)}"
    return ""


def leaves_open(sentence: str, question: str) -> str:
    """Why a sentence answers nothing at all: it tells what is not known, or what was to be found out."""
    low = f" {' '.join(t.word for t in tokens_of(sentence))} "
    if opened := next((p for p in relations().open if f" {p} " in low and p not in question.lower()), None):
        return f"it leaves open what is asked (“{opened}”)"
    return "it only says what was to be found out" if PURPOSE.search(sentence) else ""


def said_of_another(roles: Roles, sentence: str, heading: str, at: int, texts: Texts) -> str:
    """Of what else the word at character ``at`` of a sentence is said; empty where of the subject, or unknown."""
    told = texts.sentence(sentence).tokens
    places = _Places(roles, told, heading)
    head = next((i for i, t in enumerate(told) if t.end > at), 0)
    return places.without() or places.of_another(head)


class _Places:
    """Where the words of a question stand in one sentence."""

    def __init__(self, roles: Roles, told: Sequence[Token], heading: str) -> None:
        self._roles, self._told = roles, told
        self._words = [t.word for t in told]
        self._subject = self._at(roles.subject)
        self._rest = self._at([w for w in roles.rest if w != roles.verb])
        self._verbs = self._at([roles.verb]) if roles.verb else []
        self._in_heading = bool(roles.subject) and speaks_of([w for w in roles.subject if len(w) > 1], heading)

    def _at(self, words: Sequence[str]) -> list[int]:
        return [i for i, t in enumerate(self._told) if t.is_word and any(_says(w, t) for w in words)]

    def without(self) -> str:
        """ "Loss of MYC", "MYC inhibitors", "anti-MYC": what these do MYC does not."""
        asked = (*self._roles.subject, *self._roles.rest)
        for i in self._subject:
            near = [*range(max(0, i - 2), i), *range(i + 1, min(len(self._told), i + 4))]
            for n in near:
                lost = self._told[n].lemma in relations().without and not any(
                    meets(w, self._told[n].lemma) for w in asked
                )
                between = self._words[min(i, n) + 1 : max(i, n)]
                if lost and all(
                    w in ("of", "-", "the", "in") or (n > i and w.isalnum() and w not in PREPOSITIONS | LINKS)
                    for w in between
                ):
                    return f"it says so of “{self._text(min(i, n), max(i, n) + 1)}”"
            if self._words[max(0, i - 2) : i] == ["anti", "-"] and "anti" not in asked:
                return f"it says so of “anti-{self._told[i].text}”"
        return ""

    def reversed(self) -> str:
        """Who does it to whom, the other way round."""
        if not self._roles.directed or not self._verbs or not self._subject or not self._rest:
            return ""
        found = [r for v in self._verbs if (r := self._turned(v)) is not None]
        return "it says so the other way round" if found and all(found) else ""

    def _turned(self, v: int) -> bool | None:
        """Whether the verb at ``v`` has the question's subject for its object; None where it cannot be told."""
        word = self._words[v]
        if word.endswith(("ion", "or", "ors", "ment", "ing", "er", "ers", "ance")):
            of, by = self._after(v, "of"), self._after(v, "by")
            if of is None or by is None:
                return None
            of_subject, by_subject = self._begins(of, self._subject), self._begins(by, self._subject)
            if of_subject == by_subject:
                return None
            return of_subject != self._roles.passive
        passive = self._words[v + 1 : v + 2] == ["by"] or self._words[v + 2 : v + 3] == ["by"]
        before = {i < v for i in self._subject}
        others = {i < v for i in self._rest}
        if len(before) > 1 or len(others) > 1 or before == others:
            return None
        return (True in before) == (passive != self._roles.passive)

    def _after(self, v: int, preposition: str) -> int | None:
        return next((i + 1 for i in range(v + 1, min(len(self._words), v + 10)) if self._words[i] == preposition), None)

    def _begins(self, at: int, places: Sequence[int]) -> bool:
        return any(at <= p < at + _NEAR for p in places)

    def another(self) -> str:
        """Whether what is asked is said of something else; empty where one place says it of the subject."""
        why = ""
        for head in self._verbs or self._kind():
            reason = self.of_another(head)
            if not reason:
                return ""
            why = why or reason
        return why

    def _kind(self) -> list[int]:
        """Where most of what the subject is said to be stands together, by its first word."""
        wanted = self._rest
        return [max(wanted, key=lambda i: sum(i <= n <= i + _NEAR for n in wanted))] if wanted else []

    def of_another(self, head: int) -> str:
        """Of what else the word at ``head`` is said, or with what else; empty where of what is asked, or unknown."""
        if self._beside(head) or self._turned_about(head):
            return ""
        begin, end = self._subject_of(head)
        first = self._first_phrase(begin, end)
        rival = next((i for i in reversed(first) if self._is_rival(i)), None)
        if any(begin <= i < end for i in self._subject):
            if rival is not None and not any(i in first for i in self._subject):
                return self._of(rival, rival + 1)
            return self._with_another(head)
        if first and self._words[first[0]] in _REFERS:
            return "" if self._in_heading or not self._subject else self._of(first[0], first[0] + 1)
        if not self._subject and self._in_heading and (not first or self._words[begin] == "the"):
            return ""
        if rival is not None:
            return self._of(rival, rival + 1)
        if first:
            return self._of(first[0], first[-1] + 1)
        return "" if self._roles.verb else "it does not say it of what is asked about"

    def _turned_about(self, head: int) -> bool:
        """ "It is activated by MYC" for "does MYC activate it?", "A induced B" for "is B induced by A?"."""
        mutual = self._roles.verb and any(is_form(self._roles.verb, w) for w in relations().mutual)
        active = self._roles.directed and not self._roles.passive
        said = {"by"} if active else {"with", "to"} if mutual else set()
        if self._roles.passive and "by" not in self._words[head + 1 : head + 3]:
            return self._begins(head + 1, self._subject) and any(i < head for i in self._rest)
        at = next((i + 1 for i in range(head + 1, min(len(self._words), head + 4)) if self._words[i] in said), None)
        return at is not None and self._begins(at, self._subject) and any(i < head for i in self._rest)

    def _with_another(self, head: int) -> str:
        """Whether the rest of it is said in a clause of its own, with the same word: "..., and B lowered C"."""
        later = [v for v in self._verbs if v > head]
        earlier = [v for v in self._verbs if v < head]
        end = (
            max((i for i in range(head, later[0]) if self._words[i] in _PARTS), default=later[0])
            if later
            else len(self._told)
        )
        begin = max((i for i in range(earlier[-1], head) if self._words[i] in _PARTS), default=0) if earlier else 0
        rest = {self._told[i].lemma for i in self._rest}
        here = {self._told[i].lemma for i in self._rest if begin <= i < end}
        return "" if rest == here else "it says so with something else"

    def _beside(self, head: int) -> bool:
        """ "The tumour suppressor MYC", "MYC, a tumour suppressor", "tumour suppressors such as MYC"."""
        last = max([i for i in self._rest if head <= i <= head + _NEAR], default=head)
        names = self._words[head].endswith(NAMING)
        for i in self._subject:
            between = self._words[last + 1 : i] if i > last else self._words[i + 1 : head]
            if len(between) > _NEAR + 2 or ("and" in between and "other" not in between):
                continue
            stands_by = bool(between) or i > last
            if stands_by and not self._roles.directed and all(w in _BY_NAME for w in between):
                return True
            if names and i > last and between[:1] in (["of"], ["between"], ["in"], ["with"], ["by"], ["for"]):
                return True
        return False

    def _of(self, first: int, last: int) -> str:
        return f"it says so of “{self._text(first, last)}”"

    def _subject_of(self, head: int) -> tuple[int, int]:
        """The span in which the subject of what stands at ``head`` is sought."""
        words = self._words
        aux = next(
            (
                i
                for i in range(head - 1, max(-1, head - 8), -1)
                if words[i] in LEADS or words[i] in ("act", "acts", "be", "been", "serves")
            ),
            None,
        )
        if aux is not None and any(w in _RELATIVE or w in _TURNS for w in words[aux + 1 : head]):
            aux = None
        end = aux if aux is not None else head
        while end and words[end - 1] in LEADS | {"be", "been", "also", "not", "significantly"}:
            end -= 1
        if end and words[end - 1] in _RELATIVE:  # the subject is what stands before it
            end -= 1
            while end and words[end - 1] == ",":
                end -= 1
            begin = end
            while begin and words[begin - 1] not in PREPOSITIONS | LEADS | _TURNS | {",", "and"}:
                begin -= 1
            return begin, end
        begin = end
        while begin and words[begin - 1] not in _TURNS and not self._new_clause(begin - 1, end):
            begin -= 1
        return begin, end

    def _new_clause(self, i: int, end: int) -> bool:
        """Whether a comma, "and" or "that" at ``i`` begins the clause that goes on to ``end``."""
        if self._words[i] == "that":
            return True
        if self._words[i] not in (",", "and"):
            return False
        before, after = self._words[:i], self._words[i + 1 : end]
        return bool(after) and (
            any(w in LEADS or w in load_cues().verbs for w in before) or any(v < i for v in self._verbs)
        )

    def _first_phrase(self, begin: int, end: int) -> list[int]:
        """Words of the span up to the first preposition; of coordinated ones all."""
        found: list[int] = []
        stop = load_cues().stop_words
        for i in range(begin, end):
            word = self._words[i]
            if word in PREPOSITIONS and found:
                break
            if word in _REFERS and not found:
                return [i]
            if self._told[i].is_word and word not in PREPOSITIONS and word not in stop:
                found.append(i)
        return found

    def _is_rival(self, i: int) -> bool:
        token = self._told[i]
        return is_name(token) and not any(_says(w, token) for w in (*self._roles.subject, *self._roles.rest))

    def _text(self, first: int, last: int) -> str:
        return " ".join(t.text for t in self._told[first:last])


def _says(word: str, token: Token) -> bool:
    return not opposed(word, token.lemma) and (meets(word, token.lemma) or meets(word, token.word))
