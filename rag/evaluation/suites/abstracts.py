"""Questions with the abstract that answers them, as in PubMedQA (Jin et al. 2019): yes, no or maybe.

One JSON object a line: ``question``; ``contexts``, the paragraphs; ``answer``. The paragraphs are given as evidence,
so only reading is measured, and no retrieval. What a generator does not answer counts as *maybe*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rag.errors import InputError
from rag.evaluation.metrics import score_classes
from rag.evaluation.questions import json_lines
from rag.generation.base import Generator, Request
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.progress import Progress
from rag.types import Evidence, Question, sha256_of
from rag.verification.verify import verify

ANSWERS = ("yes", "no", "maybe")


class Abstract(NamedTuple):
    """A question, the paragraphs of its abstract, and the label."""

    id: str
    question: str
    contexts: tuple[str, ...]
    answer: str


@dataclass
class Accuracy:
    """Counts of (label, answer)."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    answered: int = 0

    @property
    def n(self) -> int:
        return sum(self.counts.values())

    @property
    def accuracy(self) -> float:
        """Share that is right, an answer withheld being *maybe*."""
        return sum(self.counts[a, a] for a in ANSWERS) / self.n if self.n else 0.0

    @property
    def precision(self) -> float:
        """Share of the answers given that are right."""
        return sum(self.counts[a, a] for a in ("yes", "no")) / self.answered if self.answered else 0.0

    @property
    def majority(self) -> float:
        """Accuracy of always giving the most frequent label."""
        return max(sum(self.counts[a, b] for b in ANSWERS) for a in ANSWERS) / self.n if self.n else 0.0

    @property
    def macro_f1(self) -> float:
        return sum(score.f1 for score in score_classes(self.counts, ANSWERS).values()) / len(ANSWERS)

    def table(self) -> str:
        rows = [
            ("questions", f"{self.n}"),
            ("answered", f"{self.answered} ({self.answered / max(1, self.n):.1%}), right {self.precision:.3f}"),
            ("accuracy", f"{self.accuracy:.3f} (always the most frequent label: {self.majority:.3f})"),
            ("macro F1", f"{self.macro_f1:.3f}"),
        ]
        return "\n".join(f"{name:<18} {value}" for name, value in rows)

    def as_json(self) -> dict[str, Any]:
        counts = {f"{a}/{b}": n for (a, b), n in sorted(self.counts.items())}
        return {
            "n": self.n, "answered": self.answered, "precision": self.precision, "accuracy": self.accuracy,
            "majority": self.majority, "macro_f1": self.macro_f1, "label/answer": counts,
        }  # fmt: skip


def evaluate_abstracts(rows: Sequence[Abstract], generator: Generator, texts: Texts, progress: Progress) -> Accuracy:
    """Ask every question of its own abstract; drafts are verified as always."""
    outcome, advance = Accuracy(), progress.stage("reading abstracts", len(rows))
    for row in rows:
        asked = read_question(row.question, texts.lexicon)
        evidence = tuple(_evidence(n, row, text) for n, text in enumerate(row.contexts, start=1))
        draft = generator.generate(Request(Question(text=row.question), asked, evidence))
        passed = draft.refusal is None and bool(verify(draft, asked, evidence, texts).sentences)
        answer = draft.verdict if passed and draft.verdict else "maybe"
        outcome.counts[row.answer, answer] += 1
        outcome.answered += answer != "maybe"
        advance(1)
    return outcome


def read_abstracts(path: Path) -> list[Abstract]:
    """Rows of a JSONL file.

    Raises:
        InputError: the file cannot be read, or a row lacks a field; the line is named.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    rows = []
    for number, row in json_lines(path):
        question, contexts, answer = row.get("question"), row.get("contexts"), row.get("answer")
        texts = isinstance(contexts, list) and bool(contexts) and all(isinstance(c, str) for c in contexts)
        if not isinstance(question, str) or not texts or answer not in ANSWERS:
            raise InputError(
                f"{path}, line {number}: a row needs 'question', 'contexts' (a list of texts) and 'answer' "
                f"(yes, no or maybe)"
            )
        rows.append(Abstract(str(row.get("id", row.get("pmid", number))), question, tuple(contexts or ()), answer))
    if not rows:
        raise InputError(f"{path} holds no questions")
    return rows


def _evidence(number: int, row: Abstract, text: str) -> Evidence:
    return Evidence(
        number=number,
        document_id=row.id,
        passage_id=f"{row.id}#{number}",
        kind="literature",
        domain="general",
        title="",
        source="abstract",
        licence="unknown",
        case_id=row.id,
        group_id=row.id,
        channel="text",
        score=1.0,
        text=text,
        start=0,
        sha256=sha256_of(text),
    )
