"""BioASQ task B (Tsatsaronis et al. 2015): biomedical questions with snippets of PubMed.

As published: a JSON file of ``questions``, each with ``body``, ``type``, ``exact_answer``, ``snippets`` (``text``,
``document``). JSON lines of ``question``, ``exact_answer`` and ``snippets`` (``pmid``) are read as well. Yes/no
questions are closed; factoids and lists are open, right as far as the words of the first exact answer are said;
summaries, for which there is no exact answer, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from rag.errors import InputError
from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, LayoutRow, json_of, rows_of
from rag.evaluation.published.items import SIDES, GoldText, Item, side_in


@dataclass(frozen=True)
class BioAsqSuite(ChoiceSuite):
    """Questions of the types that are named.

    >>> BioAsqSuite(types="yesno").name
    'bioasq'

    Attributes:
        types: yesno, factoid, list: one, or several with commas between.
    """

    types: str | tuple[str, ...] = ("yesno", "factoid", "list")
    name: ClassVar[str] = "bioasq"
    collection: ClassVar[str] = "BioASQ"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        wanted = (self.types,) if isinstance(self.types, str) else self.types
        for file in folder.all("*.json", "*.jsonl"):
            for row in _rows(folder, file):
                kind = row.text("type")
                if kind not in wanted:
                    yield f"its type is {kind}"
                    continue
                given = tuple(_snippets(row))
                answer = _first(row.values.get("exact_answer"))
                side = side_in(answer) if kind == "yesno" else None
                if not answer or (kind == "yesno" and side is None):
                    yield "it has no exact answer"
                    continue
                text = row.text("body", "question")
                identity = row.text("id")
                yield Item(
                    identity, identity, text, side or answer, SIDES if side else {}, given=given, of={"form": kind}
                )


def _rows(folder: Folder, file: Any) -> Iterator[LayoutRow]:
    if file.suffix == ".jsonl":
        yield from rows_of(file)
        return
    held = json_of(file)
    questions = held.get("questions") if isinstance(held, dict) else None
    if not isinstance(questions, list):
        raise InputError(f"{file} holds no list 'questions', as files of BioASQ task B do")
    for number, row in enumerate(questions, start=1):
        yield LayoutRow(f"{file}, question {number}", row)


def _snippets(row: LayoutRow) -> Iterator[GoldText]:
    for n, snippet in enumerate(row.values.get("snippets") or ()):
        if isinstance(snippet, dict) and isinstance(text := snippet.get("text"), str) and len(text.split()) >= 4:
            source = str(snippet.get("pmid") or snippet.get("document") or row.text("id")).rsplit("/", 1)[-1]
            yield GoldText(f"{row.text('id')}-{n}-{source}", text)


def _first(exact: Any) -> str:
    """The first wording of the first exact answer."""
    while isinstance(exact, list):
        exact = exact[0] if exact else ""
    return str(exact or "")
