"""Questions with their answers as JSON lines or lists: MedQuAD (texts), VQA-RAD, SLAKE, and those of MMed-RAG and RULE.

Answers without an image are pieces of literature, one a question. Questions about an image become one report of that
image's case, or if they come with its report, that report. To measure with such a file, leave it out of the index that
is measured.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from rag.corpus.files import File
from rag.corpus.json_lists import entries_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.annotations import image_of, images_named, patient_of
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.cases import MAX_LINE_BYTES, row_of
from rag.corpus.readers.pairs import Pair, documents_of
from rag.corpus.text import bounded_lines, checked_id, clean_value, on_one_line
from rag.errors import InputError

_FIELDS = ("id", "qid", "question", "answer", "image", "img_name", "img_id", "group", "source", "licence", "split")
_IMAGE = ("image", "img_name", "image_name")
_PLACEHOLDER = "<image>"  # where a language model is shown the image


def recognise_questions(file: File) -> float:
    """Surer than the reader of cases, whose rows have an id and an image, too."""
    start = file.start.lstrip()
    is_list = file.suffix == ".json" and start.startswith("[")
    first = start if is_list else start.partition("\n")[0]
    is_rows = is_list or (first.startswith("{") and file.suffix in (".jsonl", ".ndjson"))
    return (CERTAIN + 0.05) * (is_rows and _has_fields(first))


def _has_fields(start: str) -> bool:
    return all(re.search(rf'"{name}"\s*:', start) for name in ("question", "answer"))


def images_of_list(file: File) -> Iterable[Path]:
    """What lies in the folders of images beside a list belongs to its rows: SLAKE has masks and lists there, too."""
    return images_named(file) if file.suffix == ".json" else ()


def read_questions(file: File, split: str | None = None) -> Iterator[Record]:
    """Documents of a file of questions; ``split`` keeps only the rows whose "split" says so."""
    of_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for where, found in _rows(file):
        try:
            row = found if isinstance(found, dict) else row_of(found)
            if split is not None and row.get("split") != split:
                continue
            if not (on_one_line(str(row.get("question") or "")) and str(row.get("answer") or "").strip()):
                raise InputError("It lacks a question or an answer.")
            if image := next((str(row[name]) for name in _IMAGE if row.get(name)), ""):
                of_image[image].append(row)
                continue
            yield from documents_of(_literature(row, file))
        except InputError as error:
            yield Quarantined(str(file.path), where, str(error))
    for image, rows in of_image.items():
        try:
            yield from list(documents_of(_case(image, rows, file)))
        except InputError as error:
            yield Quarantined(str(file.path), image, str(error))


def _rows(file: File) -> Iterator[tuple[str, dict[str, Any] | bytes | None]]:
    """The rows, as objects of a list or as lines, and where each stands."""
    if file.suffix == ".json":
        for number, (_, entry) in enumerate(entries_of(file), start=1):
            yield f"entry {number}", clean_value(entry) if isinstance(entry, dict) else b"null"
        return
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        if line is None or line.strip():
            yield f"line {number}", line


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
    first, found = rows[0], image_of(file, image)
    reports = dict.fromkeys(str(row["report"]).strip() for row in rows if row.get("report"))
    asked = (str(row["question"]).replace(_PLACEHOLDER, " ") for row in rows)
    said = dict.fromkeys(
        f"{on_one_line(question)} {on_one_line(str(row['answer']))}" for question, row in zip(asked, rows, strict=True)
    )
    languages = sorted({str(row["q_lang"]) for row in rows if row.get("q_lang")})
    return Pair(
        id=checked_id(str(PurePosixPath(image).with_suffix(""))),
        source=str(first.get("source") or file.path.stem),
        text="\n".join(reports or said),
        image=found,
        group=str(first.get("group") or "") or patient_of(first, [image]),
        licence=str(first.get("licence") or "unknown"),
        metadata={
            "questions": len(rows),
            **({"language": languages} if languages else {}),
            **({} if found else {"absent_image": image}),
        },
    )


READER = Reader(
    "questions",
    "questions and answers as JSON lines or a list (MedQuAD, VQA-RAD, SLAKE, MMed-RAG, RULE)",
    recognise_questions,
    read_questions,
    companions=images_of_list,
    ids="rows",
)
