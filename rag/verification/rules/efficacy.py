"""Whether a sentence tells that a treatment works: "did not improve survival" answers "is it effective?".

Whoever asks uses one word, "effective"; trials tell it in words of results, which are in
knowledge/relations.toml. A sentence that tells both, that only raises it, or tells it of something else tells neither.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rag.language.clinical_text import Texts
from rag.language.entities import speaks_of
from rag.language.initials import in_full
from rag.language.question import Asked
from rag.language.tokens import tokens_of
from rag.types import Side
from rag.verification.rules.attribution import Attribution
from rag.verification.rules.relation import denied, leaves_open
from rag.verification.rules.roles import Roles, relations, roles_of
from rag.verification.rules.wording import meets


def works(asked: Asked, sentence: str, heading: str, texts: Texts) -> Side | None:
    """What ``sentence``, under its ``heading``, says to "is it effective?"; None for other questions, too.

    >>> texts = Texts(Lexicon.load())                                                    # doctest: +SKIP
    >>> asked = read_question("Is celecoxib effective for migraine?", texts.lexicon)     # doctest: +SKIP
    >>> works(asked, "Celecoxib did not reduce attacks of migraine.", "", texts)         # doctest: +SKIP
    'no'
    """
    roles = roles_of(asked.plain, texts)
    if not roles.subject or not _asks(roles):
        return None
    return texts.once(_works, roles, asked.plain, sentence, heading)


def _asks(roles: Roles) -> bool:
    words = {*roles.rest, roles.verb}
    if not relations().efficacy.isdisjoint(words):
        return True
    return bool({"improve", "used"} & words and relations().outcome & words) and bool(_treated(roles))


def _treated(roles: Roles) -> tuple[str, ...]:
    """What it should be effective for."""
    known = relations()
    return tuple(w for w in roles.rest if w not in known.efficacy | known.outcome and w not in (roles.verb, "used"))


def _works(texts: Texts, roles: Roles, question: str, sentence: str, heading: str) -> Side | None:
    full, treated = in_full(sentence, question), _treated(roles)
    around = tokens_of(f"{full}\n{in_full(heading, question)}")
    if not treated or not speaks_of([w.replace("-", "") for w in roles.subject], full) or leaves_open(full, question):
        return None
    if not all(any(meets(w, t.lemma) for t in around) for w in treated):
        return None
    failed = list(_told("failed").finditer(full))
    rest = full
    for m in failed:
        rest = f"{rest[: m.start()]}{' ' * len(m[0])}{rest[m.end() :]}"
    worked = list(_told("worked").finditer(rest))
    if bool(failed) == bool(worked):
        return None
    if worked and denied(full, question, texts):
        return None
    tokens = texts.sentence(full).tokens
    for m in failed or worked:
        last = tokens_of(m[0])[-1].lemma
        told = Roles(roles.subject, treated, last, directed=False, passive=False)
        head = next((i for i, t in enumerate(tokens) if t.end >= m.end()), 0)
        if not Attribution(told, tokens, heading).why_not_at(head):
            return "no" if failed else "yes"
    return None


@lru_cache(maxsize=2)
def _told(what: str) -> re.Pattern[str]:
    phrases = relations().failed if what == "failed" else relations().worked
    return re.compile(rf"\b(?:{'|'.join(phrases)})\b", re.I)
