"""Clinical texts, each read once: what one version of an index was asked and what it answered from.

Reading is most of the work of an answer, and the same text is read by whoever writes it, verifies it and weighs it,
for one question after another. So whatever is read is remembered, in one place that has an owner and an end: nothing of
a patient's words is kept by the functions that read them, and when the owner goes, or forgets, all of it is gone.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, TypeVar, TypeVarTuple

from rag.corpus.sentences import sentence_spans
from rag.language.cues import Place, Status, load_cues
from rag.language.foreign import all_foreign, is_foreign
from rag.language.injection import blank_orders
from rag.language.layout import with_line_ends, without_layout
from rag.language.lexicon import Lexicon, Mention
from rag.language.quantities import Quantity, quantities_of
from rag.language.question import content_of
from rag.language.sections import asides_of
from rag.language.statements import Assertion, moved, statements_of
from rag.language.tokens import Token, tokens_of
from rag.language.versions import order_of

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class ClinicalSentence:
    """One sentence, read when it is asked. Offsets are in the sentence.

    Attributes:
        tokens: its words, numbers and marks.
        words: lemmas of the words and numbers that carry content.
        place: the sides, zones, degrees and courses that it names.
        quantities: its numbers.
        mentions: the lexicon's phrases in it.
        statements: what it asserts.
    """

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self.text = text
        self._lexicon = lexicon

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(tokens_of(self.text))

    @cached_property
    def words(self) -> frozenset[str]:
        return content_of(self.tokens)

    @cached_property
    def place(self) -> Place:
        return load_cues().place(self.tokens)

    @cached_property
    def quantities(self) -> tuple[Quantity, ...]:
        return tuple(quantities_of(self.tokens))

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        return tuple(self._lexicon.mentions(self.tokens))

    @cached_property
    def statements(self) -> tuple[Assertion, ...]:
        return tuple(statements_of(self.tokens, self._lexicon, (0, len(self.text))))


class ClinicalText:
    """One text, read when it is asked. Offsets are in ``text``.

    Attributes:
        text: as it stands.
        visible: the same, as long, without what only its layout put there.
        readable: that with what speaks to the reader blanked.
        sentences: (start, end, sentence) of each sentence of ``readable``.
        words: those that carry content.
        asides: starts of the sentences that tell why it was written, or what was before, or are not in English.
        foreign: whether all of it is in another language.
        order: the start of each sentence -> how late its part was written; empty where all of it is of one time.
        statements: all that it asserts, in order. Sections such as INDICATION are history; orders are not read.
    """

    def __init__(self, text: str, texts: Texts) -> None:
        self.text = text
        self.readable = without_layout(blank_orders(with_line_ends(text)), texts.lexicon.vocabulary)
        self._lexicon = texts.lexicon
        self.sentences = tuple(
            (start, end, texts.sentence(self.readable[start:end])) for start, end in sentence_spans(self.readable)
        )

    @cached_property
    def visible(self) -> str:
        return without_layout(with_line_ends(self.text), self._lexicon.vocabulary)

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset().union(*(sentence.words for _, _, sentence in self.sentences))

    @cached_property
    def asides(self) -> frozenset[int]:
        strange = {start for start, _, s in self.sentences if is_foreign(s.tokens, self._lexicon)}
        return asides_of(self.readable, [(start, end) for start, end, _ in self.sentences]) | strange

    @cached_property
    def foreign(self) -> bool:
        return all_foreign([s.tokens for _, _, s in self.sentences], self._lexicon)

    @cached_property
    def order(self) -> dict[int, int]:
        return order_of(self.readable, [(start, end) for start, end, _ in self.sentences])

    @cached_property
    def statements(self) -> tuple[Assertion, ...]:
        if self.foreign:
            return ()
        found: list[Assertion] = []
        for n, (start, _, sentence) in enumerate(self.sentences):
            past, answer = start in self.asides, self.answer_to(n)
            for a in sentence.statements:
                status = answer if answer and a.status in ("present", "uncertain") else a.status
                found.append(moved(a, start, "historical" if past else status))
        return tuple(found)

    def answer_to(self, n: int) -> Status | None:
        """What the text itself answers to its ``n``-th sentence, where that is a question: "Pneumothorax? No."."""
        if not self.sentences[n][2].text.endswith("?") or n + 1 == len(self.sentences):
            return None
        given = load_cues().answers.at(self.sentences[n + 1][2].tokens, 0)
        return None if given is None else given.meaning


class Texts:
    """Reads texts as one lexicon understands them, and remembers the last ``limit`` things that it read.

    Threads may share it. What reads texts in other packages is remembered here too, by ``once``.

    >>> texts = Texts(Lexicon.load())
    >>> [a.concept for a in texts.of("The heart is enlarged.").statements]
    ['cardiomegaly']
    """

    def __init__(self, lexicon: Lexicon, limit: int = 16_384) -> None:
        self.lexicon = lexicon
        here = weakref.ref(self)  # a circle would keep patients' words until the collector comes by

        def made(read: Callable[..., Any], *args: Any) -> Any:
            return read(here(), *args)

        self._once = lru_cache(limit)(made)

    def of(self, text: str) -> ClinicalText:
        """A report, a passage, a quote, a draft's sentence."""
        return self.once(_text, text)

    def sentence(self, text: str) -> ClinicalSentence:
        """One sentence: most of those of reports stand in many of them."""
        return self.once(_sentence, text)

    def once(self, read: Callable[[Texts, *_Args], _T], *args: *_Args) -> _T:
        """``read(self, *args)``, done once while it is remembered; ``args`` can be hashed."""
        made: _T = self._once(read, *args)
        return made

    def forget(self) -> None:
        """Keep nothing of what was read. It can be read again."""
        self._once.cache_clear()


def _text(texts: Texts, text: str) -> ClinicalText:
    return ClinicalText(text, texts)


def _sentence(texts: Texts, text: str) -> ClinicalSentence:
    return ClinicalSentence(text, texts.lexicon)
