"""What chat clients ask of a model for themselves: titles, tags, suggestions for what to ask next.

They come as messages like any other, and nobody waits for their answers as answers. They are no clinical questions, so
they are served without an index, and never enter the ledger, where drift and calibration would take them for some.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rag.server.web.conversation import Message
from rag.server.web.problems import Problem

_LOOKED_AT = 2000  # characters: a chore says what it is at the beginning
_LONGEST_TITLE = 60
# Open WebUI heads its own prompts so
_TASK = re.compile(r"\s*#{1,4}\s*task\b", re.I)
_ABOUT_TEXTS = re.compile(r"\s*#{1,4}\s*task\s*:?\s*respond to the user(?:'s)? query", re.I)
_WISH = re.compile(
    r"\b(?:generate|create|write|give|suggest|provide|make|produce|craft|extract|summari[sz]e|come up with)\b"
    r"[^.?!]{0,80}?"
    r"\b(?P<what>titles?|names?|tags?|emojis?|follow[- ]?ups?|(?:search )?quer(?:y|ies)|summar(?:y|ies))\b",
    re.I,
)
_TITLES = re.compile(
    r"\b(?:conversation|chat) titles?\b|\btitles? (?:for|of) (?:\w+ )?(?:conversations?|chats?)\b", re.I
)
_CONVERSATION = re.compile(r"\b(?:conversations?|chats?|chat[ _]history|dialogs?|dialogues?)\b", re.I)
_KEY = re.compile(r'\{\s*"(?P<key>title|tags|follow_ups|queries|prompt|text)"\s*:')
_USER_LINE = re.compile(r"^\s*(?:user|human)\s*:\s*(?P<text>\S.*)$", re.I | re.M)
_EMPTY: dict[str, Any] = {"tags": [], "follow_ups": [], "queries": [], "prompt": "", "text": ""}


@dataclass(frozen=True)
class Chore:
    """What is wished for, and what is given."""

    kind: str
    reply: str


def chore_in(messages: list[Message]) -> Chore | None:
    """The chore that a conversation ends with; None where it ends with a question.

    Raises:
        Problem: 422 for a question that a client has wrapped into texts that it has found itself.
    """
    of_user = [m for m in messages if m.role == "user"]
    last = of_user[-1].text if of_user else ""
    if _ABOUT_TEXTS.match(last):
        raise Problem(
            422,
            "messages: the chat client has put texts of its own around the question; switch its knowledge and web "
            "search off for this model, since answers here cite the index alone",
        )
    orders = [last, *(m.text for m in messages if m.role in ("system", "developer"))]
    order = next((text[:_LOOKED_AT] for text in orders if _is_chore(text[:_LOOKED_AT])), None)
    if order is None:
        return None
    key = _KEY.search(last) or _KEY.search(order)
    wish = _WISH.search(order)
    what = key["key"] if key else wish["what"].lower() if wish else "title"
    if what not in ("title", "titles", "name", "names"):
        return Chore(what, json.dumps({key["key"]: _EMPTY[key["key"]]}) if key else "")
    quoted = _USER_LINE.search(last)
    first = quoted["text"] if quoted else of_user[0].text if len(of_user) > 1 or not _is_chore(last) else ""
    title = _shortened(first) or "Questions"
    return Chore("title", json.dumps({"title": title}, ensure_ascii=False) if key else title)


def _is_chore(text: str) -> bool:
    return bool(_TASK.match(text) or _TITLES.search(text) or (_WISH.search(text) and _CONVERSATION.search(text)))


def _shortened(question: str) -> str:
    words = " ".join(question.split())
    return words if len(words) <= _LONGEST_TITLE else f"{words[:_LONGEST_TITLE].rsplit(' ', 1)[0]} …"
