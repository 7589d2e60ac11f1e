"""The stream of a chat completion: server-sent events, read within bounds, and what their JSON says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from rag.errors import RagError
from rag.generation.chat import Piece


class StreamError(RagError):
    """The server's answer is not what the protocol says. Messages never hold text of it: it may repeat the question."""


def sse_events(chunks: Iterable[bytes], most: int) -> Iterator[str]:
    """The data of each event, whatever the chunks are cut like.

    Raises:
        StreamError: more than ``most`` bytes came in all.
    """
    seen, line = 0, bytearray()
    for chunk in chunks:
        seen += len(chunk)
        if seen > most:
            raise StreamError(f"sent more than {most:,} bytes ('generation.openai.max_response_bytes')")
        first, *others = chunk.split(b"\n")
        line += first
        for other in others:
            yield from _data(line)
            line = bytearray(other)
    yield from _data(line)


def _data(line: bytearray) -> Iterator[str]:
    if line.startswith(b"data:"):
        yield line[5:].strip().decode("utf-8", "replace")


def pieces(data: Iterable[str]) -> Iterator[Piece]:
    """The pieces that the events carry, to the end that the protocol asks for.

    Raises:
        StreamError: an event is not a chunk of a completion, or tells of an error, or there is no end.
    """
    first, finished = True, False
    for event in data:
        if event == "[DONE]":
            return
        choice = _choice(event)
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


def _choice(event: str) -> dict[str, Any] | None:
    """The first choice of a chunk; None for a chunk without any (usage, for instance)."""
    try:
        chunk = json.loads(event)
    except (ValueError, RecursionError) as error:
        raise StreamError("sent something that is not JSON") from error
    if isinstance(chunk, dict) and chunk.get("error"):
        raise StreamError("reported an error in the middle of its answer")
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
