"""Looking for recorded answers: by words, decision, date, and whether somebody judged them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rag.types import Decision

# Of an answer's entry, whatever its format: of format 1 the whole answer is one part.
_WHOLE = "SELECT json_extract(text, '$.{0}') FROM parts WHERE entry = number AND name = 'entry'"
_PART = "SELECT json_extract(text, '$.{1}') FROM parts WHERE entry = number AND name = '{0}'"
_ASKED = f"coalesce(({_PART.format('question', 'text')}), ({_WHOLE.format('question.text')}), '')"
_STUDY = f"coalesce(({_PART.format('question', 'study')}), ({_WHOLE.format('question.study')}), '')"
_ANSWERED = f"coalesce(({_PART.format('answer', 'answer')}), ({_WHOLE.format('answer')}), '')"
_DECISION = (
    f"coalesce(CASE WHEN json_valid(record) THEN json_extract(record, '$.answer.decision') END, "
    f"({_WHOLE.format('decision')}))"
)
_ABOUT = "CASE WHEN json_valid(record) THEN json_extract(record, '$.about') END"
_JUDGED = f"audit_id IN (SELECT {_ABOUT} FROM entries WHERE kind = 'feedback')"
MARKS = (  # the judgements of some answers, oldest first
    f"SELECT {_ABOUT}, json_extract(record, '$.mark') FROM entries WHERE kind = 'feedback'"
    f" AND {_ABOUT} IN (SELECT value FROM json_each(?)) ORDER BY number"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which answers are looked for; what is not given does not matter.

    >>> Wanted(words="effusion", decision="answered", judged=False).words
    'effusion'

    Args:
        words: all of them stand in the question, its study or the answer; case does not count.
        decision: whether the question was answered.
        since: of this day or later, ISO (UTC).
        until: of this day or earlier.
        judged: whether somebody said that it was right or wrong.
    """

    words: str = ""
    decision: Decision | None = None
    since: str = ""
    until: str = ""
    judged: bool | None = None

    def conditions(self) -> tuple[list[str], list[Any]]:
        """As conditions of SQL on the table of entries, and their values."""
        found, values = list[str](), list[Any]()
        for word in self.words.split():
            found.append(f"instr(lower({_ASKED} || ' ' || {_STUDY} || ' ' || {_ANSWERED}), lower(?)) > 0")
            values.append(word)
        if self.decision is not None:
            found.append(f"{_DECISION} = ?")
            values.append(self.decision)
        for day, compare in ((self.since, ">="), (self.until, "<=")):
            if day:
                found.append(f"substr(created, 1, 10) {compare} ?")
                values.append(day)
        if self.judged is not None:
            found.append(_JUDGED if self.judged else f"NOT coalesce({_JUDGED}, 0)")
        return found, values
