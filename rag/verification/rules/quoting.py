"""The span of a passage that supports a sentence best."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rag.corpus.sentences import sentence_spans
from rag.language.injection import blank_orders
from rag.language.lexicon import Lexicon
from rag.language.question import content_words
from rag.types import Evidence, Quote
from rag.verification.rules.entailment import judge

_WIDEST = 3  # sentences in one quote
_CONSIDERED = 6  # sentences of a passage, those that share most words with the sentence
_ORDER = {"supported": 2, "contradicted": 1, "unsupported": 0}


@lru_cache(maxsize=4096)  # a draft that is still growing is read again and again
def best_quote(sentence: str, e: Evidence, lexicon: Lexicon) -> Quote:
    """The span of ``e`` that supports ``sentence`` best; the shorter of two equals, then the earlier.

    One sentence where one is enough, else up to three that follow each other. Where nothing supports it, the span that
    contradicts it, so that the verifier sees it; else the most similar one.
    """
    words = content_words(sentence)

    def rank(span: tuple[int, int]) -> tuple[int, float, int, int]:
        quote = e.text[span[0] : span[1]]
        judged = judge(sentence, quote, lexicon)
        overlap = len(words & content_words(quote)) / max(1, len(words))
        return _ORDER[judged.verdict], round(judged.score + overlap, 3), span[0] - span[1], -span[0]

    spans = sentence_spans(blank_orders(e.text)) or [(0, len(e.text))]
    shared = [len(words & content_words(e.text[a:b])) for a, b in spans]
    near = sorted(sorted(range(len(spans)), key=lambda i: -shared[i])[:_CONSIDERED])
    best = max((rank(spans[i]), spans[i]) for i in near)
    if best[0][0] < 2:
        best = max([best, *((rank(s), s) for s in _wider(spans, near, shared))])
    start, end = best[1]
    return Quote(number=e.number, start=e.start + start, end=e.start + end)


def _wider(spans: list[tuple[int, int]], near: list[int], shared: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of two and three sentences around those that share words."""
    for width in range(2, _WIDEST + 1):
        for first in range(len(spans) - width + 1):
            inside = range(first, first + width)
            if not set(inside).isdisjoint(near) and sum(shared[i] > 0 for i in inside) >= 2:
                yield spans[first][0], spans[first + width - 1][1]
