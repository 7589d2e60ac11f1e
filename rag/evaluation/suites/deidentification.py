"""How much of the personal details in a text is found, and how much else is taken for one.

One JSON object a line: ``text``, and ``spans`` with ``start``, ``end`` (of characters) and ``type``; without spans, all
that is found is a false alarm. Presidio's form (a JSON array of ``full_text`` and ``spans`` with ``start_position``,
``end_position`` and ``entity_type``) is read as well, and so is a folder of texts with brat annotations, as MEDDOCAN
(Marimon et al., IberLEF 2019) was published. Beside the finders stands what needs no rule: every word with a capital or
a digit is taken for a detail.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from rag.corpus.identifiers import Identifier
from rag.corpus.scrub import Scrubber
from rag.errors import InputError
from rag.evaluation.published.brat import read_brat
from rag.evaluation.published.folder import Folder, sample_of
from rag.evaluation.questions import json_lines
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.progress import Progress

_CAPITAL = re.compile(r"\w*[A-ZÁÉÍÓÚÑÜ\d]\w*")


class MarkedText(NamedTuple):
    """A text and the personal details in it."""

    id: str
    text: str
    spans: tuple[Identifier, ...]

    @property
    def group(self) -> str:
        return self.id


@dataclass(frozen=True)
class DeidentificationSuite:
    """Finds identifiers in every text and compares; needs no index.

    A detail counts as found if every letter and digit of it is. A false alarm is something found that touches no marked
    detail; they are counted per 1,000 words.

    >>> DeidentificationSuite(finders=("rules", "presidio")).name
    'deid'

    Attributes:
        finders: which are asked; see ``deidentification.finders`` of the settings.
        of: types that the row "these" sums up.
        limit: so many texts, drawn by ``seed``; 0 for all.
        seed: of the sample.
        baselines: also count what capitals and digits alone would find.
    """

    finders: str | tuple[str, ...] = "rules"
    of: str | tuple[str, ...] = ()
    limit: int = 0
    seed: int = 0
    baselines: bool = True
    name: ClassVar[str] = "deid"

    def read(self, path: Path) -> Sample:
        if path.is_dir() and (lines := Folder(path, "a corpus of marked texts").maybe("*.jsonl")) is not None:
            path = lines
        if path.is_dir():
            held = read_brat(Folder(path, "a corpus of marked texts"))
            texts = [
                MarkedText(t.id, t.text, tuple(Identifier(s.start, s.end, s.type) for s in t.spans.values()))
                for t in held
            ]
            return self._sampled(texts)
        if path.suffix == ".json":
            rows = list(enumerate(json.loads(path.read_text("utf-8")), start=1))
        else:
            rows = list(json_lines(path))
        return self._sampled([_marked(row, f"{path}, row {number}", number) for number, row in rows])

    def _sampled(self, texts: list[MarkedText]) -> Sample:
        sample = sample_of(texts, self.limit, self.seed)
        return Sample(sample, +Counter({"not in the sample": len(texts) - len(sample)}))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        finders = _several(self.finders)
        scrubber, advance = Scrubber(finders=finders), progress.stage("reading", len(sample.rows))
        counts = {name: Counter[str]() for name in ("marked", "found", "touched")}
        alarms, words, missed = Counter[str](), 0, []
        for row in sample.rows:
            found = scrubber.find(row.text)
            words += len(row.text.split())
            for span in row.spans:
                hit = _covered(row.text, span, found)
                counts["marked"][span.kind] += 1
                counts["found"][span.kind] += hit == 1
                counts["touched"][span.kind] += hit > 0
                if hit < 1:
                    missed.append({"id": row.id, "start": span.start, "end": span.end, "type": span.kind})
            for one in found:
                alarms[one.kind] += all(one.end <= s.start or s.end <= one.start for s in row.spans)
            advance(1)
        kinds = [kind for kind, _ in counts["marked"].most_common()]
        of = _several(self.of)
        rows = [_row(kind, [kind], counts) for kind in kinds]
        rows += [_row("these", of, counts)] * bool(of) + [_row("all", kinds, counts)] * bool(kinds)
        total = alarms.total()
        per_word = {"per 1,000 words": exactly(1000 * total / max(words, 1))}
        rows.append(Row({"type": "false alarms"}, {"n": total}, per_word))
        if self.baselines:
            rows += _of_capitals(sample.rows, words)
        notes = () if self.baselines else (NO_BASELINES,)
        details = {"missed": missed, "false alarms by kind": dict(alarms), "words": words}
        return Report(self.name, {"finders": ", ".join(finders)}, tuple(rows), sample.left_out, notes, details)


def _of_capitals(texts: Iterable[MarkedText], words: int) -> list[Row]:
    """What is found, and what for nothing, where every word with a capital or a digit is taken for a detail."""
    hit, marked, alarms = 0, 0, 0
    for row in texts:
        found = [Identifier(m.start(), m.end(), "capital") for m in _CAPITAL.finditer(row.text)]
        marked += len(row.spans)
        hit += sum(_covered(row.text, span, found) == 1 for span in row.spans)
        alarms += sum(all(one.end <= s.start or s.end <= one.start for s in row.spans) for one in found)
    if not marked:
        return []
    return [
        Row({"type": "all, by capitals and digits"}, {"n": marked}, {"recall": exactly(hit / marked)}),
        Row(
            {"type": "false alarms of these"},
            {"n": alarms},
            {"per 1,000 words": exactly(1000 * alarms / max(words, 1))},
        ),
    ]


def _several(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _row(name: str, kinds: Iterable[str], counts: dict[str, Counter[str]]) -> Row:
    n, found, touched = (sum(counts[what][kind] for kind in kinds) for what in ("marked", "found", "touched"))
    metrics = {"recall": exactly(found / n), "at least in part": exactly(touched / n)} if n else {}
    return Row({"type": name}, {"n": n}, metrics)


def _covered(text: str, span: Identifier, found: list[Identifier]) -> float:
    """The share of a detail's letters and digits that was found."""
    inside = [at for at in range(span.start, span.end) if text[at].isalnum()]
    hidden = sum(any(one.start <= at < one.end for one in found) for at in inside)
    return hidden / len(inside) if inside else 1.0


def _marked(row: dict[str, Any], place: str, number: int) -> MarkedText:
    text = row.get("text", row.get("full_text"))
    try:
        spans = tuple(
            Identifier(
                int(span.get("start", span.get("start_position"))),
                int(span.get("end", span.get("end_position"))),
                str(span.get("type", span.get("entity_type"))),
            )
            for span in row.get("spans") or ()
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{place}: each of its spans needs start, end and type") from error
    if not isinstance(text, str) or any(not 0 <= s.start < s.end <= len(text) for s in spans):
        raise InputError(f"{place}: a row needs 'text', and spans that lie in it")
    return MarkedText(str(row.get("id", number)), text, spans)
