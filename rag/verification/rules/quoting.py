"""The span of a passage that supports a sentence best."""

from __future__ import annotations

from collections.abc import Iterator

from rag.language.clinical_text import Texts
from rag.types import Evidence, Quote
from rag.verification.rules.entailment import judge

_WIDEST = 3  # sentences in one quote
_CONSIDERED = 6  # sentences of a passage, those that share most words with the sentence
_ORDER = {"supported": 2, "contradicted": 1, "unsupported": 0}


def best_quote(sentence: str, e: Evidence, texts: Texts) -> Quote:
    """The span of ``e`` that supports ``sentence`` best; the shorter of two equals, then the earlier.

    One sentence where one is enough, else up to three that follow each other. Where nothing supports it, the span that
    contradicts it, so that the verifier sees it; else the most similar one.
    """
    start, end = texts.once(_best_span, sentence, e.text)  # a draft that is still growing is read again and again
    return Quote(number=e.number, start=e.start + start, end=e.start + end)


def _best_span(texts: Texts, sentence: str, text: str) -> tuple[int, int]:
    words = texts.of(sentence).words

    def rank(span: tuple[int, int]) -> tuple[int, float, int, int]:
        quote = text[span[0] : span[1]]
        judged = judge(sentence, quote, texts)
        overlap = len(words & texts.of(quote).words) / max(1, len(words))
        return _ORDER[judged.verdict], round(judged.score + overlap, 3), span[0] - span[1], -span[0]

    sentences = texts.of(text).sentences
    spans = [(a, b) for a, b, _ in sentences] or [(0, len(text))]
    shared = [len(words & s.words) for _, _, s in sentences] or [0]
    near = sorted(sorted(range(len(spans)), key=lambda i: -shared[i])[:_CONSIDERED])
    best = max((rank(spans[i]), spans[i]) for i in near)
    if best[0][0] < 2:
        best = max([best, *((rank(s), s) for s in _wider(spans, near, shared))])
    return best[1]


def _wider(spans: list[tuple[int, int]], near: list[int], shared: list[int]) -> Iterator[tuple[int, int]]:
    """Runs of two and three sentences around those that share words."""
    for width in range(2, _WIDEST + 1):
        for first in range(len(spans) - width + 1):
            inside = range(first, first + width)
            if not set(inside).isdisjoint(near) and sum(shared[i] > 0 for i in inside) >= 2:
                yield spans[first][0], spans[first + width - 1][1]
