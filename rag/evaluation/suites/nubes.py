"""NUBes (Lima et al., LREC 2020): Spanish sentences of health records with negation, uncertainty and their scopes.

As published: texts with brat annotations ("SAMPLE-*/*.txt" beside ".ann"), a sentence a line. JSON lines of ``id``,
``text``, ``spans`` and ``relations`` are read as well. What a marker's scope holds is denied or doubted; spans of
disorders in no scope are present.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.published.brat import read_brat
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.phrases import PhraseItem, PhraseSuite
from rag.language.cues import Status

Spans = Mapping[str, tuple[str, int, int]]  # id -> type, start, end
_DISORDER = "DISO"


@dataclass(frozen=True)
class NubesSuite(PhraseSuite):
    """Spans in a scope, and disorders in none. The documents are the groups.

    >>> NubesSuite(limit=500).name
    'nubes'
    """

    name: ClassVar[str] = "nubes"
    collection: ClassVar[str] = "NUBes"
    words: ClassVar[str] = r"\b(?:no|sin|niega|ni|ningún|ninguna|ausencia|nunca|negativ[oa]s?)\b"

    def items(self, folder: Folder) -> Iterator[PhraseItem | str]:
        if folder.maybe("*.jsonl") is None:
            for held in read_brat(folder):
                spans = {s.id: (s.type, s.start, s.end) for s in held.spans.values()}
                yield from _phrases(held.id, held.id, held.text, spans, held.relations)
            return
        for row in rows_of(folder.find("*.jsonl")):
            identity, text = row.text("id"), row.text("text")
            try:
                spans = {str(n): (s["type"], int(s["start"]), int(s["end"])) for n, s in enumerate(row.values["spans"])}
                relations = [(str(k), str(a), str(b)) for k, a, b in row.values.get("relations", ())]
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"{row.place}: it needs 'spans' of type, start and end, and 'relations' of three"
                ) from error
            yield from _phrases(identity, identity.split(":")[0], text, spans, relations)


def _phrases(
    identity: str, group: str, text: str, spans: Spans, relations: Sequence[tuple[str, str, str]]
) -> Iterator[PhraseItem]:
    marked: dict[str, Status] = {}
    for _, marker, scope in relations:
        if marker in spans and scope in spans:
            kind = spans[marker][0]
            if kind.startswith("Neg"):
                marked[scope] = "absent"
            elif kind.startswith("Uncert"):
                marked.setdefault(scope, "uncertain")
    for key, (kind, start, end) in spans.items():
        inside = any(spans[s][1] <= start and end <= spans[s][2] for s in marked if s != key)
        status = marked.get(key, "present" if kind == _DISORDER and not inside else None)
        if status is None:
            continue
        before = text.rfind("\n", 0, start) + 1
        after = text.find("\n", end)
        line = text[before : after if after >= 0 else len(text)]
        yield PhraseItem(f"{identity}/{key}", group, line, (start - before, end - before), status)
