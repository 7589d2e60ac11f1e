"""MEDEC (Ben Abacha et al. 2025): clinical texts, some with one wrong sentence; find it and correct it.

As published: a CSV file of ``Text ID``, ``Sentences`` (a line each, with its number first), ``Error Flag``, ``Error
Sentence ID``, ``Corrected Sentence``, ``Error Type``. The protocol: accuracy of the flag, accuracy of the sentence (-1
where there is no error), and, where both see an error, ROUGE-1 of the correction; BERTScore and BLEURT, which need
models, are left out. Ours is the verifier: a sentence that the rest of its text contradicts. It knows no medicine, so
it can find contradictions only, and it corrects nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.answering.engine import Engine
from rag.answering.opening import open_without_index
from rag.answering.pipeline import Pipeline
from rag.errors import InputError, MissingDependencyError
from rag.evaluation.baselines import Trials, WordsAlone
from rag.evaluation.metrics import Estimate, bootstrap
from rag.evaluation.published.asking import writer_of
from rag.evaluation.published.choice import Asked
from rag.evaluation.published.folder import Folder, LayoutRow, rows_of, sample_of
from rag.evaluation.questions import json_lines
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.generation.messages import Messages
from rag.generation.speech import said_in
from rag.language.clinical_text import Texts
from rag.progress import Progress
from rag.verification.rules.entailment import judge

NONE = -1  # the sentence of a text without an error
_LINE = re.compile(r"^(\d+)[\s.:)]+(.*)$")
_SAID = re.compile(r"^\W*(?:sentence\s*)?(\d+)\W+(.*)$", re.I | re.S)
_CORRECT = re.compile(r"^\W*(?:correct\b|-1\b|no\s+error)", re.I)
_SYSTEM = (
    "You are a skilled medical doctor reviewing clinical text. Either every sentence is correct, or exactly one holds "
    "one error. If all are correct, answer CORRECT. Else answer with the number of the wrong sentence, a space, and "
    "that sentence corrected; nothing else."
)


class Found(NamedTuple):
    """What was said of a text: the number of its wrong sentence, NONE without an error, and the sentence corrected."""

    sentence: int
    corrected: str = ""


@dataclass(frozen=True)
class NumberedText:
    """A text as its sentences by number, and what is wrong with it."""

    id: str
    sentences: dict[int, str]
    wrong: Found
    type: str

    @property
    def group(self) -> str:
        return self.id


@dataclass(frozen=True)
class MedecSuite:
    """See the module.

    >>> MedecSuite(limit=100).name
    'medec'

    Attributes:
        limit: so many texts, drawn by ``seed``; 0 for all.
        seed: of the sample.
        baselines: also measure constants and the words of the text.
        ask: "product" for the verifier, "model" for the settings' language model.
        said: JSONL of ``id`` and ``text``, another system's answers in MEDEC's form: CORRECT, or number and sentence.
    """

    limit: int = 0
    seed: int = 0
    baselines: bool = True
    ask: Asked = "product"
    said: Path | None = None
    name: ClassVar[str] = "medec"
    collection: ClassVar[str] = "MEDEC"

    def read(self, path: Path) -> Sample:
        file = Folder(path, self.collection).find("*Test*.csv", "*test*.csv", "*.csv")
        rows = [_text(row) for row in rows_of(file)]
        if not rows:
            raise InputError(f"{file} holds no texts")
        sample = sample_of(rows, self.limit, self.seed)
        return Sample(sample, +Counter({"not in the sample": len(rows) - len(sample)}))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        texts: list[NumberedText] = list(sample.rows)
        if isinstance(subject, Engine):
            return self._measure(texts, subject.pipeline(), sample, progress)
        with open_without_index(subject) as pipeline:
            return self._measure(texts, pipeline, sample, progress)

    def _measure(self, texts: list[NumberedText], pipeline: Pipeline, sample: Sample, progress: Progress) -> Report:
        name, found = self._first(texts, pipeline, progress)
        said = {name: found, **(dict(_beside(texts)) if self.baselines else {})}
        rows = tuple(Row({"found by": who}, {"texts": len(texts)}, _scores(texts, some)) for who, some in said.items())
        outcomes = [
            {"id": t.id, "group": t.id, "answer": str(t.wrong.sentence), "said": str(f.sentence), "confidence": None}
            for t, f in zip(texts, found, strict=True)
        ]
        measured = {"collection": self.collection, "verifier": pipeline.drafting.verifier.fingerprint}
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, measured, rows, sample.left_out, notes, {"outcomes": outcomes})

    def _first(self, texts: Sequence[NumberedText], pipeline: Pipeline, tell: Progress) -> tuple[str, list[Found]]:
        if self.said is not None:
            given = {str(row.get("id")): str(row.get("text", "")) for _, row in json_lines(self.said)}
            if not any(t.id in given for t in texts):
                raise InputError(
                    f"{self.said} answers none of the texts: its ids must be theirs, such as {texts[0].id!r}"
                )
            return f"the texts of {self.said.name}", [read_correction(given.get(t.id, "")) for t in texts]
        advance, found = tell.stage("looking for errors", len(texts)), []
        if self.ask == "product":
            for text in texts:
                found.append(contradicted_in(text, pipeline.texts))
                advance(1)
            return "ours", found
        model = writer_of(pipeline)
        if model is None:
            raise InputError(
                "ask=model needs a language model: name a profile whose generation.kind is one, e.g. openai"
            )
        for text in texts:
            user = "\n".join(f"{n} {sentence}" for n, sentence in text.sentences.items())
            with closing(model.chat(Messages(_SYSTEM, user))) as pieces:
                found.append(read_correction("".join(piece.text for piece in pieces)))
            advance(1)
        return "the model alone", found


def contradicted_in(text: NumberedText, texts: Texts) -> Found:
    """The first sentence that contradicts what stands before it in the same text, by the verifier's rules."""
    before = ""
    for n, sentence in text.sentences.items():
        if before and judge(sentence, before, texts).verdict == "contradicted":
            return Found(n)
        before = f"{before}\n{sentence}"
    return Found(NONE)


def read_correction(said: str) -> Found:
    """What an answer in MEDEC's form says; one of another form finds no error.

    >>> read_correction("4 The culture grew E. coli.")
    Found(sentence=4, corrected='The culture grew E. coli.')
    """
    words = said_in(said).text.strip()
    if _CORRECT.match(words) or not (found := _SAID.match(words)):
        return Found(NONE)
    return Found(int(found[1]), found[2].strip().strip('"'))


def _beside(texts: Sequence[NumberedText]) -> Iterator[tuple[str, list[Found]]]:
    yield "no error anywhere", [Found(NONE)] * len(texts)
    last = [Found(max(t.sentences)) for t in texts]
    yield (
        "the last sentence, as it is",
        [Found(f.sentence, t.sentences[f.sentence]) for f, t in zip(last, texts, strict=True)],
    )
    whole = [" ".join(t.sentences.values()) for t in texts]
    trials = Trials(whole, [_flag(t.wrong) for t in texts], [t.id for t in texts])
    if (words := WordsAlone().answers(trials)) is not None:
        yield WordsAlone.name, [f if w == "error" else Found(NONE) for f, w in zip(last, words, strict=True)]


def _scores(texts: Sequence[NumberedText], found: Sequence[Found]) -> dict[str, Estimate]:
    pairs = list(zip(texts, found, strict=True))
    ids = [t.id for t in texts]
    figures = bootstrap(
        {
            "flag": [float(_flag(t.wrong) == _flag(f)) for t, f in pairs],
            "sentence": [float(t.wrong.sentence == f.sentence) for t, f in pairs],
            "errors_flagged": [float(_flag(f) == "error") for _, f in pairs],
        },
        ids,
    )
    both = [(t, f) for t, f in pairs if _flag(t.wrong) == _flag(f) == "error"]
    figures["ROUGE-1"] = exactly(0.0)
    if both and any(f.corrected for _, f in both):
        figures |= bootstrap(
            {"ROUGE-1": [_overlap(t.wrong.corrected, f.corrected) for t, f in both]}, [t.id for t, _ in both]
        )
    return figures


def _overlap(gold: str, said: str) -> float:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise MissingDependencyError('rouge-score is not installed: pip install "clincite[evaluation]"') from error
    return float(RougeScorer(["rouge1"], use_stemmer=True).score(gold, said)["rouge1"].fmeasure)


def _flag(found: Found) -> str:
    return "none" if found.sentence == NONE else "error"


def _text(row: LayoutRow) -> NumberedText:
    lines = [_LINE.match(line.strip()) for line in row.text("Sentences").splitlines() if line.strip()]
    sentences = {int(line[1]): line[2] for line in lines if line}
    flag = row.text("Error Flag").strip()
    number = row.text("Error Sentence ID", default=str(NONE)).strip() or str(NONE)
    if not sentences or flag not in ("0", "1") or not re.fullmatch(r"-?\d+", number):
        raise InputError(
            f"{row.place}: it needs numbered 'Sentences', an 'Error Flag' of 0 or 1 and an 'Error Sentence ID'"
        )
    wrong = Found(int(number), row.text("Corrected Sentence", default="")) if flag == "1" else Found(NONE)
    return NumberedText(row.text("Text ID"), sentences, wrong, row.text("Error Type", default=""))
