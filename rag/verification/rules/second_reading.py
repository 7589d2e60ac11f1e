"""Whether a yes or a no follows from its quote, read a second time and otherwise.

The answer was found by reading the quote for the question. Here the question becomes the two statements that answer it
(:mod:`rag.language.declaration`), and each is compared with the quote as any sentence of a draft is: by its findings,
its numbers and its words. Where the quote supports the other statement and contradicts this one, the verdict falls;
where the second reading finds neither, it is held with less support.
"""

from __future__ import annotations

from rag.language.clinical_text import Texts
from rag.language.declaration import declare
from rag.language.question import Asked
from rag.types import Side
from rag.verification.rules.entailment import judge
from rag.verification.rules.judgement import Judgement, contradicted, supported

_UNREAD, _UNCONFIRMED, _DISPUTED = 0.9, 0.85, 0.7  # support where the second reading says nothing, neither, or both


def follows(asked: Asked, side: Side, quote: str, texts: Texts) -> Judgement:
    """The second reading of ``quote`` for a ``side`` that the first found in it."""
    pair = declare(asked.plain, texts.lexicon)
    if pair is None:
        return supported("it is quoted word for word", _UNREAD, settled=True)
    mine, other = pair if side == "yes" else pair[::-1]
    held, denied = judge(mine, quote, texts).verdict, judge(other, quote, texts).verdict
    if held == "contradicted" and denied == "supported":
        return contradicted(f"its quote says that {other.rstrip('.')}", settled=True)
    if held == "contradicted":
        return supported("it is quoted word for word, and can be read otherwise", _DISPUTED, settled=True)
    if held == "supported" or denied == "contradicted":
        return supported("read twice, its quote says so", settled=True)
    return supported("it is quoted word for word", _UNCONFIRMED, settled=True)
