"""Labelled files become what is known of each question: its right answer, the texts that support it, its image.

A row of a JSONL file is one of four, told by its fields:

- a *case* (no ``question``): ``image`` and/or ``text``; the text is what is to be said of the image, or of the report;
- a question about a *study*: ``study`` (a case of the corpus), or ``report`` (its text);
- a question from *literature*: ``contexts`` (texts), ``snippets`` (objects with a ``text``), or ``evidence`` (ids of
  documents of the corpus);
- a question about an *image*: ``image``.

The answer is ``answer``, ``chosen`` or ``exact_answer``; where that is only yes, no or maybe, ``long_answer`` or
``ideal_answer`` says why. ``retrieved_report`` is a text that misleads, ``rejected`` a wrong answer that a model gave.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.cases import MAX_LINE_BYTES
from rag.corpus.readers.pairs import path_inside
from rag.corpus.sentences import sentence_spans
from rag.corpus.text import bounded_lines, decode, on_one_line
from rag.errors import InputError
from rag.types import Document

About = Literal["study", "literature", "image"]
Corpus = Mapping[str, tuple[str, ...]]
DESCRIBE = "Describe the image."
SUMMARISE = "What does the report say?"
_SIDE = re.compile(r"\W*(yes|no|maybe)\b[\s,.;:]*", re.I)
_NEGATED = re.compile(r"\b(no|not|without|none|neither)\b", re.I)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question with what is known of it; cases without a question are asked to be described.

    ``side`` is 'Yes', 'No' or 'Maybe' for questions that want one, ``words`` the answer's sentences without it (perhaps
    none). ``support`` are texts that hold the answer, ``misleading`` texts that lead astray, ``wrong`` an answer that
    a model gave and that is not right.
    """

    id: str
    group: str
    split: str
    source: str
    licence: str
    about: About
    question: str
    side: str | None
    words: tuple[str, ...]
    support: tuple[str, ...] = ()
    misleading: tuple[str, ...] = ()
    wrong: str | None = None
    image: str | None = None
    domain: str = "general"


def read_corpus(documents: Iterable[Document | Quarantined]) -> dict[str, tuple[str, ...]]:
    """Texts by the id of their document and by that of their case."""
    texts: dict[str, tuple[str, ...]] = {}
    for d in documents:
        if isinstance(d, Document) and d.text.strip():
            text = on_one_line(d.text)
            texts[d.id] = (text,)
            if d.case_id != d.id:
                texts[d.case_id] = (*texts.get(d.case_id, ()), text)
    return texts


def read_labelled(
    files: Sequence[Path], corpus: Corpus | None = None, tell: Callable[[int], None] = lambda n: None
) -> tuple[list[Lesson], list[Quarantined]]:
    """The rows of the files, and those that cannot be learned from, with the reason.

    Args:
        files: JSONL, in the forms that the module tells.
        corpus: texts that ``study`` and ``evidence`` name; see :func:`read_corpus`.
        tell: told how many more rows were read.

    Raises:
        InputError: a file is missing, or none of its rows can be learned from; the message says why for the first.
    """
    found: list[Lesson] = []
    refused: list[Quarantined] = []
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {file}; give JSON lines of cases or labelled questions")
        before = len(refused)
        some = list(_rows(file, corpus or {}, refused, tell))
        if not some:
            why = f"; {refused[before].record}: {refused[before].reason}" if len(refused) > before else ""
            raise InputError(f"{file} holds nothing to learn from{why}")
        found += some
    return found, refused


def _rows(file: Path, corpus: Corpus, refused: list[Quarantined], tell: Callable[[int], None]) -> Iterator[Lesson]:
    source = file.parent.name if file.stem in ("cases", "train", "dev", "test") and file.parent.name else file.stem
    for number, line in bounded_lines(file, MAX_LINE_BYTES):
        if line is not None and not line.strip():
            continue
        tell(1)
        try:
            yield _labelled(_parsed(line), number, file.parent, source, corpus)
        except InputError as error:
            refused.append(Quarantined(str(file), f"line {number}", str(error)))


def _parsed(line: bytes | None) -> dict[str, Any]:
    if line is None:
        raise InputError(f"it is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        row = json.loads(decode(line))
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not JSON ({error})") from error
    if not isinstance(row, dict):
        raise InputError("it is JSON, but not an object in braces")
    return {name: value for name, value in row.items() if value is not None}


def _labelled(row: Mapping[str, Any], number: int, folder: Path, source: str, corpus: Corpus) -> Lesson:
    image = str(path_inside(folder, _text(row, "image"))) if row.get("image") else None
    text = on_one_line(_text(row, "text"))
    if "question" not in row:
        about: About = "image" if image else "study"
        question, side, words = (DESCRIBE if image else SUMMARISE), None, _sentences(text)
        support = () if image else tuple(filter(None, [text]))
        if not words:
            raise InputError("it has no 'question', and no 'text' to say")
    else:
        question = on_one_line(_text(row, "question").replace("<image>", " "))
        side, words = _answer(row)
        support = _support(row, corpus)
        about = "study" if row.get("study") or row.get("report") else "literature" if support else "image"
        if not support and not image:
            raise InputError(
                "nothing holds its answer: it names no 'image', 'report', 'study', 'contexts' or 'evidence'"
            )
        if not question:
            raise InputError("its 'question' is empty")
    identity = str(row.get("id") or row.get("pmid") or f"{source}/{number}")
    wrong = on_one_line(_text(row, "rejected")) or None
    return Lesson(
        id=identity,
        group=str(row.get("group") or row.get("study") or row.get("pmid") or identity),
        split=_text(row, "split"),
        source=_text(row, "source") or source,
        licence=_text(row, "licence") or "not stated",
        about=about,
        question=question,
        side=side,
        words=words,
        support=support,
        misleading=tuple(filter(None, [on_one_line(_text(row, "retrieved_report"))])),
        wrong=wrong,
        image=image,
        domain=_text(row, "domain") or "general",
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        raise InputError(f"its {name!r} is not text")
    return value


def _first_text(value: Any) -> str:
    """A text, or the first text of a list (BioASQ gives several wordings)."""
    while isinstance(value, list) and value:
        value = value[0]
    return on_one_line(value) if isinstance(value, str) else ""


def _answer(row: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """'Yes', 'No', 'Maybe' or None, and the sentences that say the rest."""
    short = next((t for n in ("answer", "chosen", "exact_answer") if (t := _first_text(row.get(n)))), "")
    long = next((t for n in ("long_answer", "ideal_answer") if (t := _first_text(row.get(n)))), "")
    if not short and not long:
        raise InputError("it has no 'answer'")
    said = _SIDE.match(short)
    side = said[1].capitalize() if said else _implied(short, _first_text(row.get("rejected")))
    rest = (short[said.end() :] if said else short) if "exact_answer" not in row else ""
    words = long or rest or ("" if side else short)
    if side and (again := _SIDE.match(words)):
        words = words[again.end() :]
    return side, _sentences(words)


def _implied(chosen: str, rejected: str) -> str | None:
    """The side of an answer that does not begin with one, from the wrong answer that does."""
    said = _SIDE.match(rejected)
    if said is None:
        return None
    negated, wrong = bool(_NEGATED.search(chosen)), said[1].lower()
    return "No" if wrong == "yes" and negated else "Yes" if wrong == "no" and not negated else None


def _support(row: Mapping[str, Any], corpus: Corpus) -> tuple[str, ...]:
    given = row.get("contexts") or row.get("snippets") or ([row["report"]] if row.get("report") else [])
    if not isinstance(given, list):
        raise InputError("its 'contexts' are not a list of texts")
    texts = [c.get("text") if isinstance(c, dict) else c for c in given]
    found = [on_one_line(t) for t in texts if isinstance(t, str)]
    if len(found) < len(texts):
        raise InputError("its 'contexts' are not a list of texts")
    evidence = row.get("evidence") or ()
    for name in [row["study"]] if row.get("study") and not found else list(evidence):
        if str(name) not in corpus:
            raise InputError(f"it names {str(name)!r}, which no given corpus holds: name the corpus that has its text")
        found += corpus[str(name)]
    return tuple(dict.fromkeys(filter(None, found)))


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(s for a, b in sentence_spans(text) if (s := text[a:b].strip()) and re.search(r"\w", s))
