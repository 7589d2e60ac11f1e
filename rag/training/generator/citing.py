"""Right answers in the form that the generator is to learn: each sentence followed by the passage that holds it.

    Yes. The heart is enlarged. [2]            A mass in the left lobe. [image]
    Not answered: the evidence does not say.

A sentence is cited to the passage that shares most of its content words, rare words weighing more; where none shares
enough of them, the passage's own best sentence is quoted in its place. So nothing is taught that is not in a passage.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from rag.corpus.sentences import sentence_spans
from rag.language.question import content_of
from rag.language.tokens import tokens_of

REFUSAL = "Not answered: the evidence does not say."
IMAGE_MARK = "[image]"
_ENOUGH = 0.45  # share of a sentence's weight that its passage must hold
_QUOTABLE = 0.3  # the same of the question's, for a sentence that is quoted instead
_LONGEST = 45  # words of a sentence
_HEADING = re.compile(r"^[A-Z][A-Z /]{3,30}:\s+(?=\S)")


class Citer:
    """Cites by the words that sentences and passages share; ``texts`` say which words are rare.

    >>> citer = Citer(["The heart is enlarged.", "No effusion."])
    >>> citer.answer("Is the heart large?", "Yes", ["The heart is enlarged."], {2: "The heart is enlarged."})
    'Yes. The heart is enlarged. [2]'
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._words = lru_cache(16_384)(_words)  # forgotten with the citer
        counts: Counter[str] = Counter()
        total = 0
        for text in texts:
            counts.update(_words(text))
            total += 1
        self._weights = {word: math.log(1 + total / n) for word, n in counts.items()}
        self._rarest = math.log(1 + max(total, 1))

    def shared(self, sentence: str, passage: str) -> float:
        """Share, in [0, 1], of the weight of the sentence's content words that are in the passage."""
        words = self._words(sentence)
        total = sum(map(self._weight, words))
        return sum(map(self._weight, words & self._words(passage))) / total if total else 0.0

    def answer(
        self, question: str, side: str | None, words: Sequence[str], passages: Mapping[int, str], most: int = 2
    ) -> str | None:
        """The cited answer of at most ``most`` sentences, or None where no passage holds one.

        Args:
            question: whose best quote is taken where no sentence of the answer is held.
            side: 'Yes', 'No', 'Maybe', or None for an open question.
            words: the right answer's sentences; none where only the side is known.
            passages: the texts that hold the answer, by their numbers.
        """
        said: list[str] = []
        for sentence in words[: most + 1]:
            if not 2 <= len(sentence.split()) <= _LONGEST:
                continue
            share, number = max((self.shared(sentence, text), -n) for n, text in passages.items())
            if share >= _ENOUGH and len(said) < most:
                said.append(f"{finished(sentence)} [{-number}]")
        if not said:
            quote = self.quote(" ".join([question, *words]), passages)
            if quote is None:
                return None
            said = [quote]
        return " ".join([*([f"{side}."] if side else []), *said])

    def quote(self, wanted: str, passages: Mapping[int, str]) -> str | None:
        """The passages' sentence that shares most with ``wanted``, cited; None where none shares enough."""
        best = max(
            (
                (self.shared(wanted, text[a:b]), -number, text[a:b])
                for number, text in passages.items()
                for a, b in sentence_spans(text)
                if 2 <= len(text[a:b].split()) <= _LONGEST
            ),
            default=(0.0, 0, ""),
        )
        return f"{finished(best[2])} [{-best[1]}]" if best[0] >= _QUOTABLE else None

    def _weight(self, word: str) -> float:
        return self._weights.get(word, self._rarest)


def _words(text: str) -> frozenset[str]:
    return content_of(tokens_of(text))


def of_image(side: str | None, words: Sequence[str]) -> str:
    """What only the image says: the side or the first sentence, marked."""
    return f"{f'{side}.' if side else finished(words[0])} {IMAGE_MARK}"


def finished(sentence: str) -> str:
    """The sentence on one line, with a capital and a full stop, and without the heading of its section."""
    plain = _HEADING.sub("", " ".join(sentence.split())).rstrip(" .")
    return plain[:1].upper() + plain[1:] + ("" if plain.endswith(("!", "?")) else ".")


def shortened(text: str, words: int) -> str:
    """The first whole sentences of at most ``words`` words; the first words where not even one sentence fits."""
    kept = 0
    for _, end in sentence_spans(text):
        if len(text[:end].split()) > words:
            break
        kept = end
    return text[:kept] if kept else " ".join(text.split()[:words])
