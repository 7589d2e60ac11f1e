"""What the JSON of a chat completion says, from servers that keep to the protocol and from those that do not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from rag.errors import RagError
from rag.generation.chat import Piece


class StreamError(RagError):
    """The server's answer is not what the protocol says. Messages never hold text of it: it may repeat the question."""


def pieces(chunks: Iterable[object]) -> Iterator[Piece]:
    """The pieces that the chunks (JSON values) carry, to the end that the protocol asks for.

    Raises:
        StreamError: a value is not a chunk of a completion, or tells of an error, or there is no end.
    """
    first, finished = True, False
    for chunk in chunks:
        choice = _choice(chunk)
        if choice is None:
            continue
        delta = choice.get("delta", choice.get("message"))
        text = delta.get("content") if isinstance(delta, dict) else None
        reason = choice.get("finish_reason")
        if text is not None and not isinstance(text, str):
            raise StreamError("sent a piece of text that is not a string")
        if text or reason:
            yield Piece(text or "", probability_of_yes(choice.get("logprobs")) if first else None, reason == "length")
            first = first and not text
        if reason == "content_filter":
            raise StreamError("withheld its answer (content_filter)")
        finished = finished or reason is not None
    if not finished:
        raise StreamError("stopped in the middle of its answer")


def _choice(chunk: object) -> dict[str, Any] | None:
    """The first choice of a chunk; None for a chunk without any (usage, for instance)."""
    if isinstance(chunk, dict) and chunk.get("error"):
        raise StreamError("reported an error in the middle of its answer")
    if isinstance(chunk, dict) and "choices" in chunk and chunk["choices"] is None:
        return None
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    if not isinstance(choices, list) or any(not isinstance(c, dict) for c in choices):
        raise StreamError("sent JSON that is no chat completion")
    return choices[0] if choices else None


def probability_of_yes(logprobs: Any) -> float | None:
    """P(yes) / (P(yes) + P(no)) from the alternatives of the answer's first token; None where they tell of neither.

    Servers list the likeliest tokens only. Where one of the two words is not among them, it is as likely as it can
    still be: as the least likely token listed, and no likelier than what all listed tokens leave over.
    """
    try:
        content = logprobs["content"]
        likeliest = {str(t["token"]): float(t["logprob"]) for t in content[0]["top_logprobs"]}
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    found: dict[str, float] = {"yes": 0.0, "no": 0.0}
    for token, logprob in likeliest.items():
        word = token.strip().lower()
        if word in found and not math.isnan(logprob):
            found[word] += math.exp(min(0.0, logprob))
    yes, no = found["yes"], found["no"]
    if not yes and not no:
        return None
    if not yes or not no:
        listed = [math.exp(min(0.0, v)) for v in likeliest.values()]
        left = max(0.0, min(min(listed), 1 - sum(listed)))
        yes, no = yes or left, no or left
    return yes / (yes + no)
