"""The test kit of NegEx (Chapman et al. 2001): phrases of clinical sentences, affirmed or negated.

As published: "Annotations-1-120.txt", lines of number, phrase, sentence and "Affirmed" or "Negated", with tabs between.
A phrase that does not stand in its sentence is counted and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.published.folder import Folder
from rag.evaluation.published.phrases import PhraseItem, PhraseSuite
from rag.language.cues import Status

_LABELS: dict[str, Status] = {"affirmed": "present", "negated": "absent", "possible": "uncertain"}


@dataclass(frozen=True)
class NegationSuite(PhraseSuite):
    """Each sentence is a group of its own: the kit does not name its reports.

    >>> NegationSuite().name
    'negation'
    """

    name: ClassVar[str] = "negation"
    collection: ClassVar[str] = "the NegEx test kit"

    def items(self, folder: Folder) -> Iterator[PhraseItem | str]:
        file = folder.find("Annotations-1-120*.txt", "rsAnnotations*.txt", "*.txt")
        lines = file.read_text("utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            cells = [cell.strip().strip('"') for cell in line.split("\t")]
            if not line.strip() or (number == 1 and cells[-1].casefold() not in _LABELS):
                continue  # some copies have a heading
            if len(cells) < 4 or cells[-1].casefold() not in _LABELS:
                raise InputError(
                    f"{file}, line {number}: a line is number, phrase, sentence and Affirmed or Negated, with tabs"
                )
            status = _LABELS[cells[-1].casefold()]
            yield PhraseItem(f"{number}", cells[2], cells[2], cells[1], status)
