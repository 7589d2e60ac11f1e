"""Questions with their answers as JSON lines: MedQuAD (texts), VQA-RAD and SLAKE (about images).

Answers without an image are pieces of literature, one a question. Questions about an image become one report of that
image's case. To measure with such a file, leave it out of the index that is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from rag.corpus.files import File
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.cases import MAX_LINE_BYTES, row_of
from rag.corpus.readers.pairs import Pair, documents_of, path_inside
from rag.corpus.text import bounded_lines, checked_id, on_one_line
from rag.errors import InputError

_FIELDS = ("id", "qid", "question", "answer", "image", "img_name", "img_id", "group", "source", "licence", "split")


def recognise_questions(file: File) -> float:
    """Surer than the reader of cases, whose rows have an id and an image, too."""
    line = file.start.lstrip().partition("\n")[0]
    is_rows = line.startswith("{") and '"question":' in line and '"answer":' in line
    return (CERTAIN + 0.05) * (is_rows and file.suffix in (".jsonl", ".ndjson"))


def read_questions(file: File, split: str | None = None) -> Iterator[Record]:
    """Documents of a file of questions; ``split`` keeps only the rows whose "split" says so."""
    of_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        if line is not None and not line.strip():
            continue
        try:
            row = row_of(line)
            if split is not None and row.get("split") != split:
                continue
            if not (on_one_line(str(row.get("question") or "")) and str(row.get("answer") or "").strip()):
                raise InputError("It lacks a question or an answer.")
            if image := str(row.get("image") or row.get("img_name") or ""):
                of_image[image].append(row)
                continue
            yield from documents_of(_literature(row, file))
        except InputError as error:
            yield Quarantined(str(file.path), f"line {number}", str(error))
    for image, rows in of_image.items():
        try:
            yield from list(documents_of(_case(image, rows, file)))
        except InputError as error:
            yield Quarantined(str(file.path), image, str(error))


def _literature(row: dict[str, Any], file: File) -> Pair:
    return Pair(
        id=checked_id(row.get("id", row.get("qid"))),
        source=str(row.get("source") or file.path.stem),
        text=str(row["answer"]).strip(),
        kind="literature",
        title=on_one_line(str(row["question"])),
        group=str(row.get("group") or ""),
        licence=str(row.get("licence") or "unknown"),
        metadata={name: value for name, value in row.items() if name not in _FIELDS},
    )


def _case(image: str, rows: list[dict[str, Any]], file: File) -> Pair:
    """All that is asked of one image. Where the image is not there, its texts are still read."""
    first = rows[0]
    there = (file.path.parent / image).is_file()
    return Pair(
        id=checked_id(str(PurePosixPath(image).with_suffix(""))),
        source=str(first.get("source") or file.path.stem),
        text="\n".join(
            dict.fromkeys(f"{on_one_line(str(r['question']))} {on_one_line(str(r['answer']))}" for r in rows)
        ),
        image=path_inside(file.path.parent, image) if there else None,
        group=str(first.get("group") or ""),
        licence=str(first.get("licence") or "unknown"),
        metadata={"questions": len(rows), **({} if there else {"absent_image": image})},
    )


READER = Reader(
    "questions",
    "JSON lines with questions and answers (MedQuAD, VQA-RAD, SLAKE)",
    recognise_questions,
    read_questions,
    ids="rows",
)
