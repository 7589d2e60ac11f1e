"""What a model says, without what it says to itself, to its template or to another program."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPENS = re.compile(
    r"\s*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\]|\u25c1think\u25b7|"
    r"(?:<\|start\|>\s*\w*\s*)?<\|channel\|>\s*analysis)", re.I
)  # fmt: skip
_CLOSES = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|\u25c1/think\u25b7|<\|channel\|>\s*final\s*<\|message\|>", re.I
)
_BEGINS = re.compile(
    r"\s*(?:</?s>|<(?:bos|pad|unk)>|<\|begin_of_text\|>|<\|(?:im_start|start)\|>\s*(?:assistant)?|<\|assistant\|>|"
    r"<start_of_turn>\s*(?:model)?|\[/?INST\]|<\|message\|>)", re.I
)  # fmt: skip
# A model that goes on after one of these talks to itself.
_ENDS = re.compile(
    r"</?s>|<(?:eos|pad|end_of_turn|start_of_turn)>|\[/?INST\]|"
    r"<\|(?:im_end|im_start|endoftext|eot_id|end_of_text|end|return|user|system|assistant|start_header_id|start)\|>",
    re.I,
)  # fmt: skip
_LABEL = re.compile(r"[*_#\s]*(?:(?:final|short)\s+)?answer\s*[*_]*\s*:\s*[*_]*\s*", re.I)
_MARKERS = (
    (re.compile(r"[\[\u3010\uff3b]\s*\d+:\d+\s*\u2020[^\]\u3011\uff3d]*[\]\u3011\uff3d]"), ""),  # of files elsewhere
    (re.compile(r"[\[\u3010\uff3b]\s*([\d,;\s-]+?)\s*\u2020[^\]\u3011\uff3d]*[\]\u3011\uff3d]"), r"[\1]"),
    (re.compile(r"<(sup|cite)>\s*\[?\s*([\d,;\s-]+?)\s*\]?\s*</\1>", re.I), r"[\2]"),
    (re.compile(r"\[\[\s*([\d,;\s-]+?)\s*\]\]"), r"[\1]"),
    (re.compile(r"\uff3b\s*([\d,;\s-]+?)\s*\uff3d"), r"[\1]"),
)


class Utterance(NamedTuple):
    """``text`` is the answer. ``thought``: something was said before it; ``silently``: without saying that it began."""

    text: str
    thought: bool = False
    silently: bool = False


def said_in(text: str) -> Utterance:
    """The answer in what a model has written so far.

    >>> said_in("The heart is large.</think>Answer: Yes 【1†source】.</s>user: more?")
    Utterance(text='Yes [1].', thought=True, silently=True)
    """
    opened, closed = _OPENS.match(text), [*_CLOSES.finditer(text)]
    if closed:
        text = text[closed[-1].end() :]
    elif opened:
        return Utterance("", thought=True)
    while begins := _BEGINS.match(text):
        text = text[begins.end() :]
    if ends := _ENDS.search(text):
        text = text[: ends.start()]
    if label := _LABEL.match(text):
        text = text[label.end() :]
    for marker, ours in _MARKERS:
        text = marker.sub(ours, text)
    return Utterance(text.lstrip() if closed else text, bool(closed), bool(closed and not opened))
