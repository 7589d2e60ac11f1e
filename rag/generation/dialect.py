"""How a server that speaks OpenAI's API wants to be asked: servers refuse fields that others ask for.

There is no way to learn it but to be refused. What a refusal names is changed; where it names nothing that we know,
each change is tried alone, and then all together. What a server took is kept for the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from rag.generation.messages import Messages

Refused = Literal["length", "pictures", "logprobs", "limit", "system", "sampling", "model", ""]

# What refusals say, in the order in which they are looked for: some mention a field that they do not refuse.
_SAYINGS: tuple[tuple[Refused, re.Pattern[str]], ...] = (
    ("length", re.compile(r"context[ _](?:length|window|size)|too (?:large|long)|reduce the length|exceed|"
                          r"max(?:imum)?[ _]model[ _]len", re.I)),
    ("pictures", re.compile(r"\bimages?\b|image_(?:url|input)|multi-?modal|\bvision\b", re.I)),
    ("logprobs", re.compile(r"logprob", re.I)),
    ("limit", re.compile(r"max_tokens|max_completion_tokens", re.I)),
    (
        "system",
        re.compile(r"\bsystem\b.{0,60}\b(?:role|message|prompt|instruction)|role.{0,60}\bsystem\b|"
                   r"roles? must alternate|"
                   r"(?:system|developer) (?:role|instruction|message)s? (?:is|are)? ?not", re.I | re.S),
    ),
    ("sampling", re.compile(r"\btemperature\b|\bseed\b", re.I)),
    ("model", re.compile(r"\bmodel\b.{0,120}\b(?:not|unknown|invalid|unavailable|no)\b|model_not_found|"
                         r"\b(?:unknown|invalid|no such) model\b", re.I | re.S)),
)  # fmt: skip


def refused_by(body: str) -> Refused:
    """What the text of a refusal names; empty where that is nothing we know of."""
    return next((what for what, saying in _SAYINGS if saying.search(body)), "")


@dataclass(frozen=True)
class Dialect:
    """What is asked for, and how."""

    logprobs: bool = True
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system: bool = True  # the instructions are a message of their own; else they open the user's
    sampling: bool = True  # temperature and seed are given

    def without(self, refused: Refused) -> Dialect | None:
        """The same, mended in what was refused; None where nothing can be."""
        mended = {
            "logprobs": replace(self, logprobs=False),
            "limit": replace(self, limit="max_completion_tokens"),
            "system": replace(self, system=False),
            "sampling": replace(self, sampling=False),
        }.get(refused)
        return mended if mended != self else None

    def guesses(self) -> Iterator[Dialect]:
        """What to try where a refusal names nothing: each change alone, then all."""
        every = self
        for change in ("logprobs", "limit", "system", "sampling"):
            if (changed := self.without(change)) is not None:
                yield changed
            every = every.without(change) or every
        yield every

    def turns(self, messages: Messages, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The conversation; ``content`` are the parts that stand before the user's text."""
        text = messages.user if self.system else f"{messages.system}\n\n{messages.user}"
        user = {"role": "user", "content": [*content, {"type": "text", "text": text}] if content else text}
        return [{"role": "system", "content": messages.system}, user] if self.system else [user]
