"""How items are put to whoever is measured: the product, a language model alone, or texts of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from rag.answering.pipeline import Pipeline
from rag.answering.turn import Turn
from rag.errors import InputError
from rag.evaluation.free_text import read_answer
from rag.evaluation.published.items import WITHHELD, Item
from rag.evaluation.questions import BATCH, json_lines
from rag.generation.by_question import ByQuestion
from rag.generation.chat import ChatModel, LanguageGenerator
from rag.generation.messages import QUESTION_IMAGE, Messages, Picture
from rag.generation.speech import said_in
from rag.language.clinical_text import Texts
from rag.progress import Progress
from rag.risk_control.policy import Policy
from rag.types import Answer, Certificate, Hit

_TRIAL = Certificate(status="uncertified", why="a measurement with a policy of its own")
_SYSTEM = "You answer medical questions. Begin with the answer itself; explain it in one sentence at most."
_HOW: Mapping[str, str] = {"yes/no": "Answer yes or no.", "yes/no/maybe": "Answer yes, no or maybe."}


class HeardAnswer(NamedTuple):
    """What one item was answered with.

    ``label`` is an option's key, WITHHELD, or of an open item its words; ``cited`` the documents that were cited,
    ``shown`` those that were evidence.
    """

    label: str
    confidence: float | None = None
    probability: float | None = None
    cited: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    answer: Answer | None = None


@dataclass(frozen=True)
class Asker:
    """Puts items to a pipeline, each as its kind wants it; what is asked again under another policy is found once.

    >>> Asker(pipeline, Silent()).found(items)[0].label                                  # doctest: +SKIP
    'yes'
    """

    pipeline: Pipeline
    progress: Progress
    _turns: dict[tuple[str, str | None], Turn] = field(default_factory=dict, init=False, repr=False)

    @property
    def searches(self) -> bool:
        """Whether there is anything to find."""
        return bool(self.pipeline.snapshot.counts())

    def found(self, items: Sequence[Item], policy: Policy | None = None, stage: str = "asking") -> list[HeardAnswer]:
        """Answered from what is found; ``policy`` in place of the pipeline's own."""
        if not self.searches:
            return self.given(items, [()] * len(items), stage)
        return [self._finish(item, turn, policy) for item, turn in self._begun(items, stage)]

    def given(self, items: Sequence[Item], evidence: Sequence[Sequence[Hit]], stage: str) -> list[HeardAnswer]:
        """Answered from evidence that is given."""
        heard, advance = list[HeardAnswer](), self.progress.stage(stage, len(items))
        for item, hits in zip(items, evidence, strict=True):
            heard.append(self._finish(item, self.pipeline.begin_with(item.question, hits), None))
            advance(1)
        return heard

    def contexts(self, items: Sequence[Item]) -> list[tuple[Hit, ...]]:
        """What would be evidence for each."""
        if not self.searches:
            return [()] * len(items)
        return [
            tuple(turn.found.hits[: self.pipeline.select(turn).kept]) for _, turn in self._begun(items, "searching")
        ]

    def _begun(self, items: Sequence[Item], stage: str) -> Iterator[tuple[Item, Turn]]:
        advance = self.progress.stage(stage, len(items))
        for i in range(0, len(items), BATCH):
            batch = items[i : i + BATCH]
            new = [item for item in batch if (item.id, item.image) not in self._turns]
            for item, turn in zip(
                new, self.pipeline.begin([item.question for item in new]) if new else (), strict=True
            ):
                self._turns[item.id, item.image] = turn
            for item in batch:
                yield item, _anew(self._turns[item.id, item.image])
                advance(1)

    def _finish(self, item: Item, turn: Turn, policy: Policy | None) -> HeardAnswer:
        if policy is not None and not turn.parts and turn.looked_up is None:
            turn = turn.under(policy, _TRIAL)
        if item.lettered:
            return self._choose(item, turn)
        answer = self.pipeline.finish(turn)
        said = answer.answer if answer.decision == "answered" else ""
        label = said if item.open else answer.side or WITHHELD
        cited = tuple(dict.fromkeys(c.document_id for c in answer.citations))
        shown = tuple(dict.fromkeys(e.document_id for e in answer.evidence))
        return HeardAnswer(label, answer.confidence if label else None, answer.probability, cited, shown, answer)

    def _choose(self, item: Item, turn: Turn) -> HeardAnswer:
        """Of several options: what a language model names when it is shown what the question alone has found; without
        one, the option whose words that evidence holds most. A letter cannot be verified, so nothing is."""
        hits = turn.found.hits[: self.pipeline.select(turn).kept]
        shown = tuple(dict.fromkeys(h.document.id for h in hits))
        if writer_of(self.pipeline) is None:
            label = _by_words(item, hits, self.pipeline.texts)
            return HeardAnswer(label, shown=shown)
        asked = item.question.model_copy(update={"text": item.spelled_out})
        second = self.pipeline.begin_with(asked, hits)
        answer = self.pipeline.finish(second)
        text = second.last.draft.text or answer.answer
        return HeardAnswer(label_of(item, text, self.pipeline.texts), answer.confidence, shown=shown, answer=answer)


def label_of(item: Item, text: str, texts: Texts) -> str:
    """What a free text answers, as a label of the item; a refusal is an answer withheld."""
    if item.open:
        return said_in(text).text.strip()
    if item.lettered:
        return read_answer(text, options=item.options, texts=texts).option or WITHHELD
    meaning = read_answer(text, question=item.text, texts=texts).meaning
    return meaning if meaning in item.options else WITHHELD


def read_texts(path: Path, items: Sequence[Item], texts: Texts) -> list[HeardAnswer]:
    """What another system said: JSONL of ``id`` and ``text``. An item without a text was not answered.

    Raises:
        InputError: the file cannot be read, a row is of another form, or it answers none of the items.
    """
    said: dict[str, str] = {}
    for number, row in json_lines(path):
        if not isinstance(row.get("text"), str) or row.get("id") is None:
            raise InputError(f"{path}, line {number}: a row needs 'id' and 'text', what the system said")
        said[str(row["id"])] = row["text"]
    if not any(item.id in said for item in items):
        raise InputError(f"{path} answers none of the questions: its ids must be theirs, such as {items[0].id!r}")
    return [HeardAnswer(label_of(item, said.get(item.id, ""), texts)) for item in items]


def writer_of(pipeline: Pipeline) -> ChatModel | None:
    """The language model that writes, where one does."""
    generator = pipeline.drafting.generator
    if isinstance(generator, ByQuestion):
        generator = generator.writer
    return generator.model if isinstance(generator, LanguageGenerator) else None


def ask_alone(
    items: Sequence[Item], pipeline: Pipeline, progress: Progress, evidence: bool = False
) -> list[HeardAnswer]:
    """What the settings' language model says when it is asked directly, without any of ours but the image's scaling.

    Args:
        evidence: whether it is shown what the collection names as evidence.

    Raises:
        InputError: the settings name no language model.
    """
    model = writer_of(pipeline)
    if model is None:
        raise InputError("ask=model needs a language model: name a profile whose generation.kind is one, e.g. openai")
    heard, advance = list[HeardAnswer](), progress.stage("asking the model alone", len(items))
    settings = pipeline.settings.generation
    for item in items:
        how = "" if item.lettered or item.open else _HOW["/".join(item.options)]
        passages = [f"[{n}] {g.text}" for n, g in enumerate(item.given, start=1)] if evidence else []
        pictures = [Picture.read(item.image, settings.image_side, QUESTION_IMAGE)] if item.image else []
        user = "\n\n".join([*passages, "\n".join(filter(None, [item.spelled_out, how]))])
        with closing(model.chat(Messages(_SYSTEM, user, pictures))) as pieces:
            text = "".join(piece.text for piece in pieces)
        heard.append(HeardAnswer(label_of(item, text, pipeline.texts)))
        advance(1)
    return heard


def _anew(turn: Turn) -> Turn:
    """The turn as it was begun, so that it can be finished once more."""
    again = turn.under(turn.policy, turn.certificate, turn.promise)
    return replace(again, parts=tuple(map(_anew, turn.parts)))


def _by_words(item: Item, hits: Sequence[Hit], texts: Texts) -> str:
    there = frozenset().union(*(texts.of(h.passage.text).words for h in hits))
    shares = {}
    for key, words in item.options.items():
        mine = texts.of(words).words
        shares[key] = len(mine & there) / len(mine) if mine else 0.0
    best = max(shares.values(), default=0.0)
    first = [key for key, share in shares.items() if share == best]
    return first[0] if best > 0 and len(first) == 1 else WITHHELD
