"""Questions that an index can answer, for somebody who has not asked it anything yet."""

from __future__ import annotations

from collections.abc import Iterator

from rag.indexing.catalogue import ALIVE
from rag.indexing.snapshot import Snapshot
from rag.language.lexicon import Lexicon

_LOOKED_AT = 20_000  # statements: enough to know what is common, and quick in an index of any size
_COMMON = (
    "SELECT concept FROM (SELECT s.concept, s.document FROM statements s JOIN documents d ON d.row = s.document"
    f" WHERE s.status = 'present' AND s.derived = 0 AND d.kind = 'report' AND {ALIVE} LIMIT {_LOOKED_AT})"
    " GROUP BY concept ORDER BY count(DISTINCT document) DESC, concept LIMIT 40"
)
_STUDY = (
    "SELECT d.case_id FROM statements s JOIN documents d ON d.row = s.document WHERE s.concept = :concept"
    f" AND s.status = 'present' AND s.derived = 0 AND d.kind = 'report' AND {ALIVE} ORDER BY d.row LIMIT 1"
)
_TITLED = f"SELECT d.body ->> '$.title' FROM documents d WHERE d.kind = 'literature' AND {ALIVE}"
_TERM = f"{_TITLED} AND json_extract(d.body, '$.metadata.synonyms') IS NOT NULL"


def example_questions(snapshot: Snapshot, lexicon: Lexicon) -> list[str]:
    """At most three: about a study, about the literature, and a count; fewer where the index holds less.

    >>> example_questions(engine.pipeline().snapshot, engine.pipeline().lexicon)             # doctest: +SKIP
    ['Does study CXR101 show cardiomegaly?', 'What is atelectasis?', 'How many reports mention a pleural effusion?']
    """
    findings = [(c, lexicon.concepts[c].name) for (c,) in snapshot.select(_COMMON, {}) if _is_finding(c, lexicon)]
    return [
        *_about_study(snapshot, findings[:1]),
        *_about_literature(snapshot, findings[2:]),
        *_counted(findings[1:2]),
    ]  # of another finding each


def _is_finding(concept: str, lexicon: Lexicon) -> bool:
    known = lexicon.concepts.get(concept)
    return known is not None and known.kind == "finding"


def _about_study(snapshot: Snapshot, findings: list[tuple[str, str]]) -> Iterator[str]:
    for concept, name in findings:
        for (case,) in snapshot.select(_STUDY, {"concept": concept}):
            yield f"Does study {case} show {name}?"


def _about_literature(snapshot: Snapshot, findings: list[tuple[str, str]]) -> Iterator[str]:
    """What is defined is asked for, a finding that is common here if there is one; else what some work is about."""
    for _, name in findings:
        if snapshot.select(f"{_TERM} AND d.body ->> '$.title' = :title COLLATE NOCASE LIMIT 1", {"title": name}):
            yield f"What is {name}?"
            return
    for (title,) in snapshot.select(f"{_TERM} ORDER BY d.row LIMIT 1", {}):
        yield f"What is {title.lower()}?"
        return
    for (title,) in snapshot.select(f"{_TITLED} ORDER BY d.row LIMIT 1", {}):
        yield title if title.endswith("?") else f"What is known about {title[:120].rstrip('.')}?"


def _counted(findings: list[tuple[str, str]]) -> Iterator[str]:
    for _, name in findings:
        yield f"How many reports mention {name}?"
