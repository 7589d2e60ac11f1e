"""Images with what a person wrote about them: is a text that is written for the image like it, and true to it?

The product is asked what the image shows, the case's own group left out; a language model alone is asked for the
findings. Beside them: the text that is most like all others, for every image; the text of the nearest image; the answer
to another case's image; and the answer that can quote the case's own text, which is as good as quoting gets. With no
index given, the collection itself is indexed for as long as the measurement takes.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rag.answering.engine import Engine
from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.baselines import others_of
from rag.evaluation.published.asking import writer_of
from rag.evaluation.published.choice import OURS, Asked
from rag.evaluation.published.folder import Folder, sample_of, scratch_folder
from rag.evaluation.published.items import GoldText, Item, hit_of
from rag.evaluation.published.pool import pooled
from rag.evaluation.published.trials import in_noise, shown_with
from rag.evaluation.questions import BATCH, json_lines
from rag.evaluation.report import NO_BASELINES, Report, Row
from rag.evaluation.suite import Sample, Subject
from rag.evaluation.written import measure_written
from rag.generation.messages import QUESTION_IMAGE, Messages, Picture
from rag.generation.speech import said_in
from rag.language.clinical_text import Texts
from rag.progress import Progress
from rag.types import Answer, Hit, Question

ASKED = "What does this image show?"
_SYSTEM = "You are a radiologist or pathologist. Write the findings of the image in plain sentences, and nothing else."
_MOST_COMPARED = 300  # texts among which the most typical one is sought


@dataclass(frozen=True)
class ReportSuite(ABC):
    """A collection of images with texts; a subclass says how it lies in a folder. See the module.

    Attributes:
        limit: about so many cases, drawn by ``seed`` in whole groups; 0 for all.
        seed: of the sample.
        baselines: also measure what stands beside.
        ask: "product", or "model" for the settings' language model asked directly.
        said: a JSONL file of ``id`` and ``text``: what another system wrote.
    """

    limit: int = 0
    seed: int = 0
    baselines: bool = True
    ask: Asked = "product"
    said: Path | None = None
    name: ClassVar[str]
    collection: ClassVar[str]
    domain: ClassVar[str] = "radiology"

    @abstractmethod
    def items(self, folder: Folder) -> Iterator[Item | str]:
        """One item a case: its image, and as the answer its text; or why a row is none.

        Raises:
            InputError: the folder does not look like the collection, or a row is not of its form.
        """

    def read(self, path: Path) -> Sample:
        left_out, items = Counter[str](), dict[str, Item]()
        for item in self.items(Folder(path, self.collection)):
            if isinstance(item, str):
                left_out[item] += 1
            else:
                items.setdefault(item.id, item)
        if not items:
            why = "; ".join(f"{n} left out: {reason}" for reason, n in left_out.items())
            raise InputError(
                f"{path} holds no case of {self.collection} with an image and a text{f' ({why})' if why else ''}"
            )
        sample = sample_of(list(items.values()), self.limit, self.seed)
        left_out["not in the sample"] += len(items) - len(sample)
        return Sample(sample, +left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        items: list[Item] = list(sample.rows)
        with self._opened(subject, items, progress) as pipeline:
            writer = _Writer(pipeline, progress)
            written = dict(self._written(items, writer))
            rows = tuple(
                Row({"written by": who}, {"cases": len(items)}, self._figures(items, some, pipeline.texts))
                for who, some in written.items()
            )
            measured = {"collection": self.collection, "generator": pipeline.fingerprints["generator"]}
        first = next(iter(written.values()))
        outcomes = [{"id": i.id, "group": i.group, "text": text} for i, text in zip(items, first, strict=True)]
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, measured, rows, sample.left_out, notes, {"texts": outcomes})

    def _figures(self, items: Sequence[Item], written: Sequence[str], texts: Texts) -> dict[str, Any]:
        return measure_written(written, [i.answer for i in items], [i.group for i in items], texts)

    def _written(self, items: Sequence[Item], writer: _Writer) -> Iterator[tuple[str, list[str]]]:
        if self.said is not None:
            given = {str(row.get("id")): str(row.get("text", "")) for _, row in json_lines(self.said)}
            if not any(item.id in given for item in items):
                raise InputError(
                    f"{self.said} writes of none of the cases: its ids must be theirs, such as {items[0].id!r}"
                )
            yield f"the texts of {self.said.name}", [given.get(item.id, "") for item in items]
        elif self.ask == "model":
            yield "the model alone", writer.alone(items)
        else:
            yield OURS, writer.found(items)
        if not self.baselines:
            return
        yield "the most typical text", typical_of(items, writer.pipeline.texts)
        if self.said is None:
            others = others_of([item.group for item in items])
            for name, shown in (
                ("another's image", shown_with(items, others)),
                ("its image in noise", in_noise(items)),
            ):
                yield name, writer.alone(shown) if self.ask == "model" else writer.found(shown)
        if self.said is None and self.ask == "product":
            yield "the nearest image's text", writer.nearest(items)
            own = [[hit_of(GoldText(i.id, i.answer), 0, "image")] for i in items]
            yield "oracle evidence", writer.given(items, own)
            shuffled = [own[m] if m is not None else [] for m in others]
            yield "shuffled evidence", writer.given(items, shuffled)
            yield "no retrieval", writer.given(items, [()] * len(items))

    @contextmanager
    def _opened(self, subject: Subject, items: Sequence[Item], progress: Progress) -> Iterator[Pipeline]:
        if isinstance(subject, Engine):
            yield subject.pipeline()
            return
        copies = scratch_folder()
        rows = []
        for n, item in enumerate(items):
            assert item.image is not None
            copy = copies / f"{n}{Path(item.image).suffix}"
            shutil.copyfile(item.image, copy)
            rows.append(
                {"id": item.id, "image": copy.name, "text": item.answer, "domain": self.domain, "group": item.group}
            )
        with pooled(rows, subject, progress, copies) as engine:
            yield engine.pipeline()


class _Writer:
    """Asks for the text of an image."""

    def __init__(self, pipeline: Pipeline, progress: Progress) -> None:
        self.pipeline = pipeline
        self._progress = progress

    def found(self, items: Sequence[Item]) -> list[str]:
        """What the product says of each image, its own group left out."""
        texts, advance = list[str](), self._progress.stage("asking about images", len(items))
        for i in range(0, len(items), BATCH):
            turns = self.pipeline.begin([_question(item) for item in items[i : i + BATCH]])
            for turn in turns:
                answer = self.pipeline.finish(turn)
                texts.append(_words_of(answer))
                advance(1)
        return texts

    def nearest(self, items: Sequence[Item]) -> list[str]:
        """The text of the most similar image of another group."""
        found = []
        for i in range(0, len(items), BATCH):
            turns = self.pipeline.begin([_question(item) for item in items[i : i + BATCH]])
            found += [next((h.document.text for h in t.found.hits if h.by_image), "") for t in turns]
        return found

    def given(self, items: Sequence[Item], evidence: Sequence[Sequence[Hit]]) -> list[str]:
        """What is said from evidence that is given."""
        texts = []
        for item, hits in zip(items, evidence, strict=True):
            answer = self.pipeline.finish(self.pipeline.begin_with(_question(item), hits))
            texts.append(_words_of(answer))
        return texts

    def alone(self, items: Sequence[Item]) -> list[str]:
        """What the language model of the settings writes when it is shown the image and nothing else."""
        model = writer_of(self.pipeline)
        if model is None:
            raise InputError(
                "ask=model needs a language model: name a profile whose generation.kind is one, e.g. openai"
            )
        side, texts = self.pipeline.settings.generation.image_side, list[str]()
        for item in items:
            shown = [Picture.read(item.image or "", side, QUESTION_IMAGE)]
            with closing(model.chat(Messages(_SYSTEM, ASKED, shown))) as pieces:
                texts.append(said_in("".join(piece.text for piece in pieces)).text)
        return texts


def typical_of(items: Sequence[Item], texts: Texts) -> list[str]:
    """For each item the text of another group that shares most words with all the others: a constant, nearly."""
    some = list(items[:_MOST_COMPARED])
    words = [texts.of(item.answer).words for item in some]
    shared = np.array([[2 * len(a & b) / (len(a) + len(b) or 1) for b in words] for a in words])
    order = np.argsort(-shared.mean(axis=1), kind="stable")
    return [next((some[n].answer for n in order if some[n].group != item.group), "") for item in items]


def _words_of(answer: Answer) -> str:
    """What an answer says of the image: what it quotes, without the words that say whose it is, and what was seen."""
    if answer.decision != "answered":
        return ""
    quoted = [[c.quote for c in answer.citations if c.sentence == n] for n in range(len(answer.sentences))]
    return " ".join(" ".join(quotes) or s.text for s, quotes in zip(answer.sentences, quoted, strict=True))


def _question(item: Item) -> Question:
    return Question(text=ASKED, image=item.image, exclude_groups=(item.group, *item.hidden))
