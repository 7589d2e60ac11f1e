"""Cases with their labels, for measuring retrieval: what belongs together, and what is said of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.corpus.source import read_source
from rag.errors import InputError
from rag.types import Document

LABEL_FIELDS = ("keywords", "labels", "label", "class", "cuis")
_SEPARATORS = re.compile(r"[,;|，；、]")
_SENTENCE = re.compile(r"[.!?:](?:\s|$)")
_MOST_WORDS = 6  # of a phrase that may be a keyword


@dataclass(frozen=True)
class Case:
    """The images and the text of one case; ``labels`` are in lower case, ``text`` is empty where there is none."""

    id: str
    group: str
    domain: str
    source: str
    text: str
    images: tuple[str, ...]
    labels: frozenset[str]


def read_labelled_cases(
    source: str | Path, *, split: str | None = None, domains: Collection[str] = (), label: str | None = None
) -> tuple[list[Case], Counter[str]]:
    """The cases of any corpus that ``rag ingest`` reads, and how many were left out, by reason.

    Args:
        split: only the rows of this split, of a file that names splits.
        domains: only cases of these, where there are any.
        label: the field that holds the labels; see :func:`case_labels`.

    Raises:
        InputError: the source cannot be read, or holds no case that is wanted.
    """
    documents: dict[str, list[Document]] = {}
    left_out: Counter[str] = Counter()
    for record in read_source(source, None, **({"split": split} if split is not None else {})):
        if not isinstance(record, Document):
            left_out["not readable"] += 1
        elif domains and record.domain not in domains:
            left_out[f"domain {record.domain}"] += record.kind == "image" or not record.text
        else:
            documents.setdefault(record.case_id, []).append(record)
    cases = [_case(identity, some, label) for identity, some in documents.items()]
    if not cases:
        of = f" of split {split!r}" if split is not None else ""
        why = "; left out: " + ", ".join(f"{n} ({reason})" for reason, n in left_out.items()) if left_out else ""
        raise InputError(f"{source} holds no case{of} to measure with{why}")
    return cases, left_out


def case_labels(metadata: Mapping[str, Any], text: str, field: str | None = None) -> frozenset[str]:
    """The labels of a case, in lower case; empty where it has none.

    They are those of ``field``, or of the first of LABEL_FIELDS that the case carries. A string is split at commas and
    semicolons. Without such a field a text that is a list of short phrases and no sentence is its own list of keywords.
    """
    values = [metadata.get(name) for name in ([field] if field else LABEL_FIELDS)]
    value = next((v for v in values if v not in (None, "", [])), None)
    if value is not None:
        parts = _SEPARATORS.split(value) if isinstance(value, str) else value if isinstance(value, list) else [value]
        return _folded(map(str, parts))
    phrases = _SEPARATORS.split(text)
    if field or _SENTENCE.search(text.strip()) or any(len(p.split()) > _MOST_WORDS for p in phrases):
        return frozenset()
    return _folded(phrases)


def fold_case(text: str) -> str:
    """What two texts must share to count as identical: everything but case and white space."""
    return " ".join(text.split()).casefold()


def _folded(parts: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, map(fold_case, parts)))


def _case(identity: str, documents: Sequence[Document], label: str | None) -> Case:
    first, text = documents[0], "\n".join(d.text for d in documents if d.text)
    return Case(
        id=identity,
        group=first.group_id,
        domain=first.domain,
        source=first.source,
        text=text,
        images=tuple(d.image for d in documents if d.kind == "image" and d.image),
        labels=case_labels(first.metadata, text, label),
    )
