"""A language model that answers questions about an image from the image.

Beside the texts of similar cases a small model repeats them, whatever the image shows; so it is never shown any. Its
opinion of the image alone and the vote of the similar cases are two witnesses, joined as a logarithmic opinion pool:

    logit P(yes) = logit P(yes | image, question) + w logit P(yes | similar cases),

with w of the settings (``generation.similar_cases``), learned on questions apart from those that are reported. What the
model sees is cited to the image, which nothing verifies; what similar cases say is quoted as what they say.

An open question is answered by what the model was measured to tell rightly (:mod:`rag.generation.describing`) and by
quotes, never by a caption of the model's own: nobody knows how often those are right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from rag.generation.base import Request, refusal
from rag.generation.chat import ChatModel, LanguageGenerator
from rag.generation.describing import descriptions_of
from rag.generation.messages import Messages
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings
from rag.types import Draft, DraftSentence, Side, sha256_of

_TOLD = 0.8  # how sure a model is taken to be that tells no probabilities
_EDGE = 1e-4  # no witness is surer than this
_UNSEEN = "the model does not see it in the image"
_YES_NO = re.compile(r"[\W_]*(yes|no)\b", re.I)
_LONG = 80  # characters of an answer that is no description
_CASES = 2  # similar cases that are quoted beside what was seen


class LookingGenerator(LanguageGenerator):
    """See the module. Questions that are not about an image, and those about a study, are answered as by any model.

    >>> LookingGenerator(model, settings, texts).generate(request).sentences[0].seen_by     # doctest: +SKIP
    'compact-lvlm'
    """

    def __init__(self, model: ChatModel, settings: GenerationSettings, texts: Texts) -> None:
        super().__init__(model, settings, texts)
        self._reader = ReaderGenerator(texts)
        self._name = settings.transformers.model or settings.openai.model or "a language model"

    @property
    def looks(self) -> bool:
        """Whether a question about an image is answered although no similar case was found."""
        return True

    @property
    def fingerprint(self) -> str:
        told = sha256_of(repr(descriptions_of(self._settings.transformers.model)))[:8]
        return f"{super().fingerprint}:looking-1:{self._settings.similar_cases:g}:{told}:{self._reader.fingerprint}"

    def stream(self, request: Request) -> Iterator[Draft]:
        """See :class:`~rag.generation.base.StreamingGenerator`; what was seen comes at once."""
        if request.question.image is None or any(e.of_study for e in request.evidence):
            yield from super().stream(request)
        elif request.asked.yes_no:
            yield self._verdict(request)
        else:
            yield self._described(request)

    def _described(self, request: Request) -> Draft:
        """What kind of image it is, what of it the model can tell (and how often rightly), what similar cases say."""
        quoted = self._reader.generate(request)
        if quoted.refusal is not None or request.domain is None:
            return quoted
        of = [d for d in descriptions_of(self._settings.transformers.model) if d.domain == request.domain.name]
        texts = [d.told(self._answer(request, d.question)) for d in of]
        told = [DraftSentence(text=text, seen_by=self._name) for text in texts if text is not None]
        first, *others = quoted.sentences
        most = max(1, request.max_sentences)
        return quoted.model_copy(update={"sentences": (first, *told, *others)[:most]})

    def _answer(self, request: Request, question: str) -> str:
        """What the model says to another question about the image alone; its first words, up to a full stop."""
        asked = replace(request.asked, text=question, yes_no=False)
        other = request.question.model_copy(update={"text": question})
        messages, _ = self._fitted(replace(request, question=other, asked=asked, evidence=(), objections=()))
        text = ""
        if not isinstance(messages, str):
            with closing(self._model.chat(messages)) as pieces:
                for piece in pieces:
                    text += piece.text
                    if "." in text or len(text) > _LONG:
                        break
        return text

    def _verdict(self, request: Request) -> Draft:
        """Yes or no by the image, and by what similar cases say as far as they count."""
        messages, _ = self._fitted(replace(request, evidence=(), objections=()))
        if isinstance(messages, str):
            return refusal(messages)
        word, own = self._opening(messages)
        if own is None:
            return Draft(text=word, confidence=0.0, refusal=_UNSEEN, messages_sha256=messages.sha256)
        cases = self._reader.generate(request)
        told = 0.5 if cases.probability is None else cases.probability
        yes = _sigmoid(_logit(own) + self._settings.similar_cases * _logit(told))
        verdict: Side = "yes" if yes >= 0.5 else "no"
        seen = DraftSentence(text=_sentence(verdict, agrees=(yes >= 0.5) == (own >= 0.5)), seen_by=self._name)
        return Draft(
            sentences=(seen, *(cases.sentences[:_CASES] if cases.probability is not None else ())),
            text=word,
            verdict=verdict,
            probability=round(yes, 4),
            confidence=round(max(yes, 1 - yes), 4),
            messages_sha256=messages.sha256,
        )

    def _opening(self, messages: Messages) -> tuple[str, float | None]:
        """The model's first word and P(yes); None where it says neither yes nor no. It is stopped after that word."""
        text, yes = "", None
        with closing(self._model.chat(messages)) as pieces:
            for piece in pieces:
                text += piece.text
                yes = piece.yes if yes is None else yes
                if len(text.split()) > 1 or (yes is not None and text.strip()):
                    break
        said = _YES_NO.match(text)
        if said is None:
            return text, None
        if yes is None:
            yes = _TOLD if said[1].lower() == "yes" else 1 - _TOLD
        return text, yes


def _sentence(verdict: Side, *, agrees: bool) -> str:
    """What was seen, in words."""
    if agrees:
        return f"{verdict.capitalize()}, as the model sees the image."
    return f"{verdict.capitalize()}, by similar cases; as the model sees the image alone, it leans the other way."


def _logit(p: float) -> float:
    clipped = min(1 - _EDGE, max(_EDGE, p))
    return math.log(clipped / (1 - clipped))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
