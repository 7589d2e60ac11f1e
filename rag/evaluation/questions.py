"""Asking a file of labelled yes/no questions and counting what is right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rag.engine import Engine
from rag.errors import InputError
from rag.progress import Progress
from rag.types import Question

_BATCH = 64


@dataclass
class Outcome:
    """Counts of a yes/no evaluation. Abstentions count as wrong in accuracy and in balanced accuracy."""

    n: int = 0
    answered: int = 0
    yes_right: int = 0
    yes_total: int = 0
    no_right: int = 0
    no_total: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def coverage(self) -> float:
        """Share of questions answered."""
        return self.answered / self.n if self.n else 0.0

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the recalls of yes and of no, in [0, 1]."""
        sides = [(self.yes_right, self.yes_total), (self.no_right, self.no_total)]
        rates = [right / total for right, total in sides if total]
        return sum(rates) / len(rates) if rates else 0.0

    def table(self) -> str:
        return (
            f"questions          {self.n}\n"
            f"answered           {self.answered} ({self.coverage:.1%})\n"
            f"yes recalled       {self.yes_right}/{self.yes_total}\n"
            f"no recalled        {self.no_right}/{self.no_total}\n"
            f"balanced accuracy  {self.balanced_accuracy:.4f}"
        )


def evaluate_file(path: Path, engine: Engine, progress: Progress) -> Outcome:
    """Ask every yes/no question of a JSONL file (``id``, ``question``, ``answer``; ``study``, ``image``, ``group``).

    A ``group`` is excluded from the search unless the question names a ``study``.

    Raises:
        InputError: the file cannot be read, a row lacks a field, an id occurs twice, or an answer is not yes or no.
    """
    rows = list(read_questions(path))
    outcome, advance = Outcome(), progress.stage("asking", len(rows))
    for i in range(0, len(rows), _BATCH):
        batch = rows[i : i + _BATCH]
        for (ident, gold, _), answer in zip(batch, engine.ask_many([q for _, _, q in batch]), strict=True):
            said = answer.verdict
            outcome.n += 1
            outcome.answered += answer.decision == "answered"
            right = answer.decision == "answered" and said == gold
            if gold == "yes":
                outcome.yes_total += 1
                outcome.yes_right += right
            else:
                outcome.no_total += 1
                outcome.no_right += right
            if not right:
                outcome.wrong.append(ident)
        advance(len(batch))
    return outcome


def read_questions(path: Path) -> Iterator[tuple[str, str, Question]]:
    """(id, "yes" or "no", question) of each row."""
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    seen: set[str] = set()
    with path.open(encoding="utf-8") as lines:
        for n, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                ident, text, answer = str(row["id"]), str(row["question"]), str(row["answer"]).strip().lower()
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}, line {n}: a question needs 'id', 'question' and 'answer' ({error})"
                ) from error
            if answer not in ("yes", "no"):
                raise InputError(f"{path}, line {n}: the answer {row['answer']!r} is not yes or no")
            if ident in seen:
                raise InputError(f"{path}, line {n}: the id {ident!r} occurs twice")
            seen.add(ident)
            image = str(path.parent / row["image"]) if row.get("image") else None
            groups = (str(row["group"]),) if row.get("group") and not row.get("study") else ()
            yield ident, answer, Question(text=text, image=image, study=row.get("study"), exclude_groups=groups)
