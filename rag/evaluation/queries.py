"""Queries for an index: from cases, by what they have in common with the index's, or from questions with evidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rag.errors import InputError
from rag.evaluation.cases import Case, case_labels, fold_case
from rag.evaluation.fusion_weights import Query
from rag.evaluation.questions import json_lines
from rag.indexing.snapshot import Snapshot
from rag.types import Document, Question

NEUTRAL = "What does this image show?"


def queries_of_cases(cases: Sequence[Case], snapshot: Snapshot, label: str | None = None) -> list[Query]:
    """Up to three queries a case: with its image alone, its text alone, and both; its own group is not searched.

    A document is relevant by the Jaccard index of its labels and the case's, fully where their texts are identical.
    Cases to which nothing in the index is relevant are left out.
    """
    by_text, by_label, documents = defaultdict(list), defaultdict(list), _quotable(snapshot)
    labels = [case_labels(d.metadata, d.text, label) for d in documents]
    for i, document in enumerate(documents):
        if document.text:
            by_text[fold_case(document.text)].append(i)
        for name in labels[i]:
            by_label[name].append(i)
    queries = []
    for case in cases:
        shared = {i for name in case.labels for i in by_label[name]}
        gains = {i: len(labels[i] & case.labels) / len(labels[i] | case.labels) for i in shared}
        gains |= dict.fromkeys(by_text[fold_case(case.text)] if case.text else (), 1.0)
        relevant = {documents[i].id: g for i, g in gains.items() if documents[i].group_id != case.group}
        if not relevant:
            continue
        image = case.images[0] if case.images else None
        for form, text, picture in (("image", NEUTRAL, image), ("text", case.text, None), ("both", case.text, image)):
            if text and (picture or form == "text"):
                question = Question(text=text, image=picture, exclude_groups=(case.group,))
                queries.append(Query(f"{case.id}:{form}", case.group, form, case.domain, question, relevant))
    return queries


def read_queries(path: Path) -> list[Query]:
    """Queries of a JSONL file: ``id``, ``question`` and ``evidence``, the ids of the relevant documents.

    ``evidence`` is a list, or an object from id to grade. Rows may have ``image`` (relative to the file), ``group``
    (not searched), ``domain`` and ``split``; rows without evidence are left out.

    Raises:
        InputError: the file cannot be read or a row is not of this form; the line is named.
    """
    queries = []
    for number, row in json_lines(path):
        evidence = row.get("evidence") or {}
        if not isinstance(row.get("id"), str) or not isinstance(row.get("question"), str):
            raise InputError(f"{path}, line {number}: a query needs the texts 'id' and 'question'")
        grades = evidence if isinstance(evidence, dict) else dict.fromkeys(map(str, evidence), 1.0)
        if not all(isinstance(g, int | float) for g in grades.values()):
            raise InputError(f"{path}, line {number}: 'evidence' is a list of ids, or an object from id to grade")
        gains = {key: float(g) for key, g in grades.items() if g > 0}
        if gains:
            group = str(row.get("group") or "")
            image = str(path.parent / row["image"]) if row.get("image") else None
            question = Question(text=row["question"], image=image, exclude_groups=(group,) if group else ())
            form, domain = "both" if image else "text", str(row.get("domain") or "general")
            split = str(row.get("split") or "")
            queries.append(Query(row["id"], group or row["id"], form, domain, question, gains, split))
    return queries


def asks_questions(path: Path) -> bool:
    """Whether a file holds questions, not cases: its first row has a ``question``."""
    return path.suffix == ".jsonl" and path.is_file() and any("question" in row for _, row in _first(path))


def _first(path: Path) -> list[tuple[int, dict[str, object]]]:
    return [row for row, _ in zip(json_lines(path), range(1), strict=False)]


def _quotable(snapshot: Snapshot) -> list[Document]:
    """The reports, and the images whose case has none: what channels bring for a case."""
    reports = snapshot.documents("report")
    told = {d.case_id for d in reports}
    return reports + [d for d in snapshot.documents("image") if d.case_id not in told]
