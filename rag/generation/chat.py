"""The generator around a language model, wherever that runs: prompt → text → growing drafts.

What the model is and where it runs is a :class:`ChatModel`'s business; what it is asked, what of the evidence it sees
and what its text amounts to is decided here, alike for all.
"""

from __future__ import annotations

import re
from collections.abc import Generator as Steps
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import NamedTuple, Protocol

from rag.corpus.sentences import sentence_spans
from rag.errors import InputError, RagError
from rag.generation.base import Request, refusal
from rag.generation.messages import QUESTION_IMAGE, Messages, Picture
from rag.generation.parsing import MAYBE, VERDICT, is_finished, parse_draft
from rag.generation.prompts import Prompt
from rag.generation.speech import said_in
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings
from rag.types import Draft, DraftSentence, Evidence, Side, sha256_of

_LONGEST = 20_000  # characters of a draft; whoever writes more is stopped
_CITED = re.compile(r"[\[\u3010\uff3b]\s*\d")
_CANNOT = re.compile(r"[\W_]*(?:not\s+answered\b|(?:i\s+)?(?:can\s?not|can['’]t|unable\s+to)\s+(?:be\s+)?answer)", re.I)


class Piece(NamedTuple):
    """Some text of an answer.

    ``yes`` comes with the first piece where the model tells probabilities: P(yes) / (P(yes) + P(no)) at the answer's
    first token; and ``either`` where the model was taught to open with other words as well: the share of yes and no
    among them. ``truncated`` comes with the last one where the model was stopped before it had finished.
    """

    text: str = ""
    yes: float | None = None
    truncated: bool = False
    either: float | None = None


class ChatModel(Protocol):
    """A language model that continues a conversation."""

    @property
    def fingerprint(self) -> str:
        """Of the model: another one writes something else."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together; None where nobody knows."""
        ...

    @property
    def parallel(self) -> int:
        """How many conversations go on at once."""
        ...

    @property
    def may_think(self) -> bool:
        """Whether it may say things to itself before its answer without saying that they begin."""
        ...

    def count(self, messages: Messages) -> int:
        """Tokens that the messages take, pictures included."""
        ...

    def chat(self, messages: Messages) -> Steps[Piece, None, None]:
        """The answer as it is written. Closing it stops the model.

        Raises:
            RagError: it could not be written to its end.
        """
        ...


class LanguageGenerator:
    """See the module."""

    def __init__(self, model: ChatModel, settings: GenerationSettings, texts: Texts) -> None:
        self._model = model
        self._settings = settings
        self._texts = texts
        self._prompt = Prompt(settings.prompt)
        # whether the model says something to itself first, without saying so: its template does
        self._thinks: bool | None = None if model.may_think else False

    @property
    def model(self) -> ChatModel:
        """Who continues the conversation: to be asked directly by measurements."""
        return self._model

    @cached_property
    def fingerprint(self) -> str:
        s = self._settings
        drawing = f"{s.max_new_tokens} tokens, temperature {s.temperature:g}, seed {s.seed}, {s.revisions} revisions"
        drawing += ", leaning" if s.when_maybe == "lean" else ""
        return f"{self._model.fingerprint}:{sha256_of(drawing)[:8]}"

    @cached_property
    def prompt_sha256(self) -> str | None:
        s = self._settings
        shown = f"images {s.images} of {s.image_side}{'' if s.evidence_images else ', none of the evidence'}"
        shown += f" {s.passages} passages" if s.passages is not None else ""
        if s.passage_words is not None or s.article_passages is not None:
            shown += f" passages of {s.passage_words} words, {s.article_passages} of an article"
        return sha256_of(f"{self._prompt.sha256} {shown} window {self._model.window}")

    @property
    def revises(self) -> bool:
        return self._settings.revisions > 0

    @property
    def parallel(self) -> int:
        return self._model.parallel

    def generate(self, request: Request) -> Draft:
        *_, whole = self.stream(request)
        return whole

    def stream(self, request: Request) -> Iterator[Draft]:
        """See :class:`~rag.generation.base.StreamingGenerator`: a draft for each sentence finished, then the whole.

        A model that goes on after ``request.max_sentences`` is stopped.
        """
        if not request.evidence:
            yield refusal("no evidence was found for this question")
            return
        messages, left_out = self._fitted(request)
        if isinstance(messages, str):
            yield refusal(messages)
            return
        sent = messages.sha256
        text, opinion, truncated, begun, plain = "", Piece(), False, 0, False
        with closing(self._model.chat(messages)) as pieces:
            for piece in pieces:
                text += piece.text
                opinion = piece if opinion.yes is None else opinion
                truncated = piece.truncated or len(text) > _LONGEST
                if truncated:
                    break
                said = said_in(text)
                if said.silently and plain:
                    self._thinks = True
                    raise RagError("the language model thought aloud before its answer; ask again")
                if not said.thought and self._may_be_thought(text, request.asked.yes_no):
                    continue
                if (sentences := len(sentence_spans(text))) > begun:
                    begun, plain = sentences, not said.thought
                    growing = self._draft(request, text, opinion, left_out, sent)
                    written = growing.sentences[:-1]  # the last one may go on
                    yield growing.model_copy(update={"sentences": written[: request.max_sentences], "truncated": True})
                    if len(written) >= request.max_sentences:
                        return
        self._thinks = said_in(text).silently if self._thinks is None else self._thinks
        whole = self._draft(request, text, opinion, left_out, sent)
        kept = whole.sentences[:-1] if truncated and not is_finished(whole.text or "") else whole.sentences
        yield whole.model_copy(update={"sentences": kept[: request.max_sentences], "truncated": truncated})

    def _may_be_thought(self, text: str, yes_no: bool) -> bool:
        """Whether what was written so far may be none of the answer; of a model that nobody knows yet, by its form."""
        begins = VERDICT.match(text) if yes_no else _CITED.search(text)
        return self._thinks is True or (self._thinks is None and not begins)

    def opinion(self, request: Request) -> float | None:
        """P(yes) to a yes/no question by the model's first word, in [0, 1]; nothing more is written.

        What the model gives to neither word counts half. None where nothing fits its window, or it tells no
        probabilities.
        """
        messages, _ = self._fitted(request)
        if isinstance(messages, str):
            return None
        with closing(self._model.chat(messages)) as pieces:
            first = next(pieces, Piece())
        if first.yes is None:
            return None
        either = 1.0 if first.either is None else first.either
        return either * first.yes + (1 - either) * 0.5

    def _draft(self, request: Request, text: str, opinion: Piece, left_out: tuple[str, ...], sent: str) -> Draft:
        """The text so far, parsed."""
        answer = said_in(text)
        yes = None if text[:1] != answer.text[:1] else opinion.yes  # else the first token was none of the answer's
        text = answer.text
        told = self._leaning(text, yes) if _of_literature(request) else text
        said = VERDICT.match(told) if request.asked.yes_no else None
        verdict: Side | None = None if said is None else "yes" if said[1].lower() == "yes" else "no"
        if not request.asked.yes_no:
            yes = None
        why = _refused(told, request)
        sentences = () if why else parse_draft(told, request, left_out, self._texts)
        # without probabilities, what the evidence has of the question is all that is known before it is verified
        confidence = min(0.95, 0.5 + 0.4 * self._ground(request, sentences))
        if yes is not None:
            either = 1.0 if opinion.either is None or told != text else opinion.either
            confidence = (yes if verdict == "yes" else 1 - yes) * either
        return Draft(
            sentences=sentences,
            text=text,
            verdict=verdict,
            probability=None if yes is None else round(yes, 4),
            confidence=round(confidence, 4),
            refusal=why,
            left_out=left_out,
            messages_sha256=sent,
        )

    def _leaning(self, text: str, yes: float | None) -> str:
        """A text that begins with maybe, begun with the side that the model gives more to, where that is wanted."""
        maybe = MAYBE.match(text)
        if maybe is None or yes is None or self._settings.when_maybe == "refuse":
            return text
        return ("Yes" if yes >= 0.5 else "No") + text[maybe.end() :]

    def _ground(self, request: Request, sentences: Sequence[DraftSentence]) -> float:
        """Share of the question's words that what is cited has, titles included; the score of a case's own.

        In [0, 1]; 0.5 where the question has no words of content, or nothing is cited.
        """
        cited = {q.number for s in sentences for q in s.quotes}
        evidence = [e for e in request.evidence if e.number in cited]
        if any(e.of_case for e in evidence):
            return max(0.0, min(1.0, max(e.score for e in evidence)))
        asked = request.asked.words
        if not asked or not evidence:
            return 0.5
        read = [self._texts.of(e.text).words | self._texts.sentence(e.title).words for e in evidence]
        return len(asked & frozenset().union(*read)) / len(asked)

    # ------------------------------------------------------------------ what the model sees

    def _fitted(self, request: Request) -> tuple[Messages | str, tuple[str, ...]]:
        """The messages, and the ids of passages that did not fit: whole ones are left out, the earlier ones kept.

        Where nothing fits, the reason stands in the messages' place.
        """
        shown = _last_of_each(request.evidence[: self._settings.passages], self._settings.article_passages)
        skipped = tuple(e.passage_id for e in request.evidence if e not in shown)
        messages = self._messages(request, shown)
        if self._model.window is None:
            return messages, skipped
        room = self._model.window - self._settings.max_new_tokens
        if self._model.count(messages) <= room:
            return messages, skipped
        bare = used = self._model.count(self._messages(request, ()))
        kept: list[Evidence] = []
        for e in shown:
            cost = self._model.count(self._messages(request, (e,))) - bare
            if used + cost <= room:
                kept.append(e)
                used += cost
        while kept and self._model.count(self._messages(request, kept)) > room:
            kept.pop()
        left_out = tuple(e.passage_id for e in request.evidence if e not in kept)
        if kept:
            return self._messages(request, kept), left_out
        what = "the question alone does not fit" if bare > room else "none of the passages fits"
        return f"{what} into the model's window", left_out

    def _messages(self, request: Request, evidence: Sequence[Evidence]) -> Messages:
        most = self._settings.passage_words
        cut = [e if most is None else e.model_copy(update={"text": _beginning(e.text, most)}) for e in evidence]
        return self._prompt.render(request, cut, self._pictures(request, evidence))

    def _pictures(self, request: Request, evidence: Sequence[Evidence]) -> list[Picture]:
        """The question's image, then those of the evidence that can be read, no file twice."""
        most, side = self._settings.images, self._settings.image_side
        pictures: list[Picture] = []
        if request.question.image is not None and most:
            pictures.append(Picture.read(request.question.image, side, QUESTION_IMAGE))
        shown = {request.question.image}
        for e in evidence if self._settings.evidence_images else ():
            path = request.image_of(e) if len(pictures) < most else None
            if path is None or path in shown:
                continue
            shown.add(path)
            try:
                pictures.append(Picture.read(path, side, f"The image of passage {e.number}:"))
            except InputError:  # indexed once, and gone or changed since; its passage can still be read
                continue
        return pictures


def _of_literature(request: Request) -> bool:
    """Whether it is a yes/no question that literature alone is to answer."""
    return request.asked.yes_no and not any(e.of_case for e in request.evidence)


def _last_of_each(evidence: Sequence[Evidence], most: int | None) -> tuple[Evidence, ...]:
    """The evidence, of each article's passages only the ``most`` that stand last in it."""
    if most is None:
        return tuple(evidence)
    kept: set[str] = set()
    for document in {e.document_id for e in evidence if e.kind == "literature"}:
        own = sorted((e for e in evidence if e.document_id == document), key=lambda e: e.start)
        kept.update(e.passage_id for e in own[-most:])
    return tuple(e for e in evidence if e.kind != "literature" or e.passage_id in kept)


def _beginning(text: str, words: int) -> str:
    """The sentences of a text that have at most so many words together; the first one's words, where it has more."""
    ends = [m.end() for m in re.finditer(r"\S+", text)]
    if len(ends) <= words:
        return text
    whole = [end for _, end in sentence_spans(text) if end <= ends[words - 1]]
    return text[: whole[-1]] if whole else f"{text[: ends[words - 1]]} …"


def _refused(text: str, request: Request) -> str | None:
    """Why the model gives no answer, where it says that it does not."""
    if _CANNOT.match(text):
        return "the model found no answer in the evidence"
    if request.asked.yes_no and MAYBE.match(text):
        return "the model finds that the evidence leaves it open"
    return None
