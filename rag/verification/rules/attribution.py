"""Of what one sentence says what a question asks: of the question's subject, or of something else.

"HUWE1 is a tumour suppressor that prevents MYC signalling" says it of HUWE1, "MYC inhibitors suppress tumours" of what
keeps MYC from acting, and "BRCA1 activates MYC" has the words of "does MYC activate BRCA1?" the other way round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rag.language.entities import is_name, speaks_of
from rag.language.tokens import Token
from rag.verification.rules.roles import ARTICLES, LINKS, NAMING, PREPOSITIONS, Roles, is_form, relations
from rag.verification.rules.subject import REFERS, first_phrase, subject_span
from rag.verification.rules.wording import meets, opposed

_PARTS = frozenset({",", ";", "and", "but", "while", "whereas"})
_OPENS = frozenset({"(", "[", ":", "-", ","})
_EXAMPLES = frozenset({"including", "like", "such", "as", "called", "named", "e", "g", "i"})
_BY_NAME = _OPENS | _EXAMPLES | ARTICLES | {"and", "other"}
_TAKES = frozenset({"of", "between", "in", "with", "by", "for"})  # between what names a relation and its subject
_ACTING = ("ion", "or", "ors", "ment", "ing", "er", "ers", "ance")  # "inhibition of A by B"
_NEAR = 4  # tokens
_FAR = 10  # tokens from a noun to its "of" and "by"


class Attribution:
    """The words of a question in one sentence.

    ``why_not`` and ``why_not_at`` tell why what is asked is not said of the question's subject; they are empty where
    it is, or where that cannot be told.
    """

    def __init__(self, roles: Roles, told: Sequence[Token], heading: str) -> None:
        self._roles, self._told = roles, told
        self._words = [t.word for t in told]
        self._subject = self._at(roles.subject)
        self._rest = self._at([w for w in roles.rest if w != roles.verb])
        self._verbs = self._at([roles.verb]) if roles.verb else []
        self._in_heading = bool(roles.subject) and speaks_of([w for w in roles.subject if len(w) > 1], heading)

    def why_not(self) -> str:
        """Of all that the sentence says of what is asked."""
        return self._of_its_lack() or self._turned_round() or self._of_others()

    def why_not_at(self, head: int) -> str:
        """Of what the word at token ``head`` says."""
        return self._of_its_lack() or self._of_another(head)

    def _at(self, words: Collection[str]) -> list[int]:
        return [i for i, t in enumerate(self._told) if t.is_word and _is_one(t, words)]

    def _of_its_lack(self) -> str:
        """ "Loss of MYC", "MYC inhibitors", "anti-MYC": what these do MYC does not."""
        asked = (*self._roles.subject, *self._roles.rest)
        for i in self._subject:
            for n in (*range(max(0, i - 2), i), *range(i + 1, min(len(self._told), i + 4))):
                if self._lacks(n, asked) and self._belongs(n, i):
                    return self._of(min(i, n), max(i, n) + 1)
            if self._words[max(0, i - 2) : i] == ["anti", "-"] and "anti" not in asked:
                return f"it says so of “anti-{self._told[i].text}”"
        return ""

    def _lacks(self, n: int, asked: Collection[str]) -> bool:
        lemma = self._told[n].lemma
        return lemma in relations().without and not any(meets(w, lemma) for w in asked)

    def _belongs(self, n: int, i: int) -> bool:
        """Whether the word at ``n`` is of the one at ``i``: "loss of the MYC gene", "MYC protein inhibitors"."""
        between = self._words[min(i, n) + 1 : max(i, n)]
        return all(
            w in ("of", "-", "the", "in") or (n > i and w.isalnum() and w not in PREPOSITIONS | LINKS) for w in between
        )

    def _turned_round(self) -> str:
        """Who does it to whom, the other way round."""
        if not self._roles.directed or not self._verbs or not self._subject or not self._rest:
            return ""
        found = [turned for v in self._verbs if (turned := self._is_object_of(v)) is not None]
        return "it says so the other way round" if found and all(found) else ""

    def _is_object_of(self, v: int) -> bool | None:
        """Whether the verb at ``v`` has the question's subject for its object; None where it cannot be told."""
        if self._words[v].endswith(_ACTING):
            of, by = self._after(v, "of"), self._after(v, "by")
            if of is None or by is None:
                return None
            of_subject, by_subject = self._begins(of, self._subject), self._begins(by, self._subject)
            return None if of_subject == by_subject else of_subject != self._roles.passive
        passive = "by" in (*self._words[v + 1 : v + 3],)
        before = {i < v for i in self._subject}
        others = {i < v for i in self._rest}
        if len(before) > 1 or len(others) > 1 or before == others:
            return None
        return (True in before) == (passive != self._roles.passive)

    def _after(self, v: int, preposition: str) -> int | None:
        near = range(v + 1, min(len(self._words), v + _FAR))
        return next((i + 1 for i in near if self._words[i] == preposition), None)

    def _begins(self, at: int, places: Sequence[int]) -> bool:
        return any(at <= p < at + _NEAR for p in places)

    def _of_others(self) -> str:
        """Of what else it is said; empty where one place says it of the subject."""
        why = ""
        for head in self._verbs or self._kind():
            reason = self._of_another(head)
            if not reason:
                return ""
            why = why or reason
        return why

    def _kind(self) -> list[int]:
        """Where most of what the subject is said to be stands together, by its first word."""
        wanted = self._rest
        return [max(wanted, key=lambda i: sum(i <= n <= i + _NEAR for n in wanted))] if wanted else []

    def _of_another(self, head: int) -> str:
        """Of what else the word at ``head`` is said, or with what else; empty where of what is asked, or unknown."""
        if self._beside(head) or self._turned_about(head):
            return ""
        begin, end = subject_span(self._words, head, self._verbs)
        first = first_phrase(self._told, begin, end)
        rival = next((i for i in reversed(first) if self._is_rival(i)), None)
        if any(begin <= i < end for i in self._subject):
            if rival is not None and not any(i in first for i in self._subject):
                return self._of(rival, rival + 1)
            return self._with_another(head)
        if first and self._words[first[0]] in REFERS:
            return "" if self._in_heading or not self._subject else self._of(first[0], first[0] + 1)
        if not self._subject and self._in_heading and (not first or self._words[begin] == "the"):
            return ""
        if rival is not None:
            return self._of(rival, rival + 1)
        if first:
            return self._of(first[0], first[-1] + 1)
        return "" if self._roles.verb else "it does not say it of what is asked about"

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
            if names and i > last and between and between[0] in _TAKES:
                return True
        return False

    def _turned_about(self, head: int) -> bool:
        """ "It is activated by MYC" for "does MYC activate it?", "A induced B" for "is B induced by A?"."""
        if not any(i < head for i in self._rest):
            return False
        if self._roles.passive and "by" not in self._words[head + 1 : head + 3]:
            return self._begins(head + 1, self._subject)
        said = self._joins()
        near = range(head + 1, min(len(self._words), head + _NEAR))
        at = next((i + 1 for i in near if self._words[i] in said), None)
        return at is not None and self._begins(at, self._subject)

    def _joins(self) -> frozenset[str]:
        """What stands before the subject where it follows the verb: "by" where it acts, "with" where both do."""
        if self._roles.directed and not self._roles.passive:
            return frozenset({"by"})
        verb = self._roles.verb
        mutual = verb and any(is_form(verb, w) for w in relations().mutual)
        return frozenset({"with", "to"}) if mutual else frozenset()

    def _with_another(self, head: int) -> str:
        """Whether the rest of it is said in a clause of its own, with the same word: "..., and B lowered C"."""
        begin, end = self._clause(head)
        rest = {self._told[i].lemma for i in self._rest}
        here = {self._told[i].lemma for i in self._rest if begin <= i < end}
        return "" if rest == here else "it says so with something else"

    def _clause(self, head: int) -> tuple[int, int]:
        """The span around ``head`` up to what parts it from the question's verb where that stands again."""
        before, after = [v for v in self._verbs if v < head], [v for v in self._verbs if v > head]
        begin = max(self._partings(before[-1], head), default=0) if before else 0
        end = max(self._partings(head, after[0]), default=after[0]) if after else len(self._told)
        return begin, end

    def _partings(self, begin: int, end: int) -> Iterator[int]:
        return (i for i in range(begin, end) if self._words[i] in _PARTS)

    def _is_rival(self, i: int) -> bool:
        token = self._told[i]
        return is_name(token) and not _is_one(token, (*self._roles.subject, *self._roles.rest))

    def _of(self, first: int, last: int) -> str:
        return f"it says so of “{' '.join(t.text for t in self._told[first:last])}”"


def _is_one(token: Token, words: Collection[str]) -> bool:
    return any(not opposed(w, token.lemma) and (meets(w, token.lemma) or meets(w, token.word)) for w in words)
