"""From records to what a retriever learns from: images with the text of their case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rag.corpus.quarantine import Quarantined
from rag.errors import InputError
from rag.training.splits import Split, assign_splits
from rag.types import Document

CONCEPTS = "cuis"  # the metadata field with a record's concept codes (UMLS), where it has any


@dataclass(frozen=True, slots=True)
class Example:
    """An image and the text of its case."""

    case: str
    image: str
    image_sha256: str
    text: str
    domain: str
    group: str
    split: str
    source: str
    licence: str
    concepts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Parts:
    """Examples by their use; ``skipped`` were given another split, or a domain that nothing was learned about."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    skipped: int


def read_examples(
    records: Iterable[Document | Quarantined],
    domains: Sequence[str] = (),
    tell: Callable[[int], None] = lambda n: None,
) -> tuple[list[Example], list[Quarantined]]:
    """One example for each image whose case has text (several texts are joined), and the records that were refused.

    ``domains`` keeps only these, where given. ``tell`` is told how many more records were read.

    Raises:
        InputError: there are no images, no texts, none of them together, or none of a domain.
    """
    images: list[Document] = []
    texts: dict[str, list[str]] = {}
    refused: list[Quarantined] = []
    for record in records:
        tell(1)
        if isinstance(record, Quarantined):
            refused.append(record)
        elif record.kind == "image":
            images.append(record)
        else:
            texts.setdefault(record.case_id, []).append(record.text)
    but = f" ({len(refused)} could not be read; {refused[0].record}: {refused[0].reason})" if refused else ""
    if not images:
        raise InputError(f"the records have no images{but}; a retriever learns from images with texts")
    if not texts:
        raise InputError(f"the records have no texts{but}; a retriever learns from images with texts")
    known = {image.domain for image in images if image.case_id in texts}
    if not known:
        raise InputError(f"no image shares its case with a text{but}; a retriever learns from images with texts")
    if unknown := [name for name in domains if name not in known]:
        raise InputError(
            f"there is no domain {unknown[0]!r} among the images with texts; they have {', '.join(sorted(known))}"
        )
    kept = [i for i in images if i.case_id in texts and (not domains or i.domain in domains)]
    named = {i.group_id: str(i.metadata["split"]) for i in images if i.metadata.get("split")}
    return [_example(image, texts[image.case_id], named.get(image.group_id, "")) for image in kept], refused


def _example(image: Document, texts: list[str], split: str) -> Example:
    """``split``: of its group, which another image may name, also one without a text."""
    concepts = image.metadata.get(CONCEPTS)
    return Example(
        case=image.case_id,
        image=str(image.image),
        image_sha256=str(image.image_sha256),
        text="\n".join(texts).strip(),
        domain=image.domain,
        group=image.group_id,
        split=str(image.metadata.get("split") or split),
        source=image.source,
        licence=image.licence,
        concepts=frozenset(map(str, concepts)) if isinstance(concepts, list) else frozenset(),
    )


def divide(examples: Sequence[Example]) -> Parts:
    """Train, dev and test examples by group; see :func:`rag.training.splits.assign_splits` for the rules and errors."""
    assigned = assign_splits(examples)
    learned = {e.domain for e, part in zip(examples, assigned, strict=True) if part == "train"}
    parts: dict[Split, list[Example]] = {"train": [], "dev": [], "test": []}
    for example, part in zip(examples, assigned, strict=True):
        if part is not None and example.domain in learned:
            parts[part].append(example)
    train, dev, test = (tuple(parts[name]) for name in ("train", "dev", "test"))
    return Parts(train, dev, test, len(examples) - len(train) - len(dev) - len(test))


def keys(examples: Sequence[Example]) -> npt.NDArray[np.int64]:
    """(n,) integers: equal for examples of one case or of one text, which are right answers to each other.

    Where one case has several texts, or one text several cases, the key is shared by all of them.
    """
    parent: dict[str, str] = {}

    def root(x: str) -> str:
        while parent.setdefault(x, x) != x:
            x = parent[x] = parent[parent[x]]
        return x

    for example in examples:
        parent[root(f"case {example.case}")] = root(f"text {example.text}")
    roots = {name: n for n, name in enumerate(dict.fromkeys(root(f"text {e.text}") for e in examples))}
    return np.array([roots[root(f"text {e.text}")] for e in examples], dtype=np.int64)
