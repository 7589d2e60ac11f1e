"""Pairs of answers to one prompt, of which one is to be preferred; and the file that holds them.

Of the kinds, one is RULE's (Xia et al., EMNLP 2024, section 3.4), and three are MMed-RAG's (Xia et al., ICLR 2025,
section 3.3):

- *over-reliance*: right by the question's own report, and wrong after a passage that misleads;
- *cross-modality, swapped*: what the image shows, and what another image shows;
- *cross-modality, noise*: nothing, where the image shows nothing, and the answer all the same;
- *use of evidence*: what a passage says, and a refusal, the wrong side or the wrong citation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.corpus.text import bounded_lines
from rag.errors import InputError
from rag.training.generator.examples import Asking, Shown, View, Whose
from rag.types import sha256_of

PairKind = Literal["over-reliance", "cross-modality, swapped", "cross-modality, noise", "use of evidence"]
Origin = Literal["made", "labelled", "model", "trace", "feedback"]
_LONGEST_LINE = 1_000_000


class _Passage(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1)
    whose: Whose


class _Row(BaseModel):
    """One line of a file of pairs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: PairKind
    origin: Origin
    group: str = Field(min_length=1)
    source: str
    licence: str
    question: str = Field(min_length=1)
    passages: tuple[_Passage, ...] = ()
    image: str | None = None
    view: View = "plain"
    chosen: str = Field(min_length=1)
    rejected: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to one prompt. ``origin`` says where the rejected one comes from: made by rule, named by the file,
    written by the model, by an index's system under another setting, or judged by a reader."""

    kind: PairKind
    origin: Origin
    group: str
    source: str
    licence: str
    asking: Asking
    chosen: str
    rejected: str

    @property
    def key(self) -> str:
        """The same for pairs that teach the same."""
        shown = [(p.text, p.whose) for p in self.asking.passages]
        parts = [self.asking.question, shown, self.asking.image, self.asking.view, self.chosen, self.rejected]
        return sha256_of(json.dumps(parts))

    def row(self) -> dict[str, Any]:
        """As JSON."""
        passages = [{"text": p.text, "whose": p.whose} for p in self.asking.passages]
        asking = {"question": self.asking.question, "passages": passages, "view": self.asking.view}
        asking |= {"image": self.asking.image} if self.asking.image else {}
        of = {"kind": self.kind, "origin": self.origin, "group": self.group, "source": self.source}
        return of | {"licence": self.licence} | asking | {"chosen": self.chosen, "rejected": self.rejected}


def write_pairs(pairs: Iterable[Preference], path: Path) -> None:
    """One line a pair, under its name only when complete.

    Raises:
        InputError: the file cannot be written.
    """
    aside = path.with_name(f"{path.name}.new")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(pair.row(), ensure_ascii=False) + "\n" for pair in pairs)
        aside.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def read_pairs(path: Path) -> list[Preference]:
    """The pairs of a file that ``rag tune mine`` has written, or one of the same form.

    Raises:
        InputError: the file is missing, a line is not of this form (it is named), or there are no pairs.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; `rag tune mine` writes one")
    pairs = list(_lines(path))
    if not pairs:
        raise InputError(f"{path} holds no pairs")
    return pairs


def without_twins(pairs: Sequence[Preference]) -> list[Preference]:
    """The first of each set of identical pairs, and none whose two answers are the same."""
    first = {pair.key: pair for pair in reversed(pairs) if pair.chosen.split() != pair.rejected.split()}
    return [pair for pair in pairs if first.get(pair.key) is pair]


def _lines(path: Path) -> Iterator[Preference]:
    for number, line in bounded_lines(path, _LONGEST_LINE):
        if line is not None and not line.strip():
            continue
        try:
            row = _Row.model_validate_json(line or b"")
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise InputError(f"{path}, line {number}: {f'{field}: ' if field else ''}{first['msg']}") from error
        if row.image is not None and not Path(row.image).is_file():
            raise InputError(f"{path}, line {number}: there is no image file {row.image!r}")
        passages = tuple(Shown(p.text, p.whose) for p in row.passages)
        asking = Asking(row.question, passages, row.image, row.view)
        yield Preference(row.kind, row.origin, row.group, row.source, row.licence, asking, row.chosen, row.rejected)
