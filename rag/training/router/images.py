"""The images of a cases file, with their domains, groups and splits."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.errors import InputError
from rag.training.splits import DEV, TEST, TRAIN, assign_splits


@dataclass(frozen=True)
class LabelledImage:
    """An image file and what is known of it."""

    file: str
    domain: str
    group: str
    split: str
    source: str
    licence: str


@dataclass
class Images:
    """The images of a cases file: in the domains to learn, and those of other domains in its test split."""

    inside: list[LabelledImage] = field(default_factory=list)
    outside: list[LabelledImage] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def of(self, split: str) -> list[LabelledImage]:
        return [image for image in self.inside if image.split == split]


def read_images(path: Path, known: Collection[str], count: Callable[[int], None] = lambda n: None) -> Images:
    """The images of a cases file.

    Splits are given as :func:`rag.training.splits.assign_splits` gives them; a test part may be missing. Rows that
    name the test split themselves and are of a domain that is not ``known`` are out of domain.

    Raises:
        InputError: no images, a domain to train on that is not ``known``, a group in two splits, nothing to train on.
    """
    images, rows = Images(), []
    for record in read_source(path, "cases"):
        count(1)
        if isinstance(record, Quarantined):
            images.quarantined.append(record)
        elif record.kind == "image" and record.image:
            split = str(record.metadata.get("split") or "")
            rows.append(
                LabelledImage(record.image, record.domain, record.group_id, split, record.source, record.licence)
            )
    if not rows:
        raise InputError(f"{path} has no usable image; each line needs an image, a domain and a group")
    try:
        parts = assign_splits(rows, needed=(TRAIN, DEV))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    unknown = [r for r, part in zip(rows, parts, strict=True) if part and r.domain not in known and r.split != TEST]
    if unknown:
        raise InputError(
            f"{path}: the domain {unknown[0].domain!r} is not in the list of domains ({', '.join(sorted(known))}); "
            "add a [[domain]] of that id to knowledge/domains.toml, or correct the cases"
        )
    kept = [replace(row, split=part) for row, part in zip(rows, parts, strict=True) if part]
    images.inside = [r for r in kept if r.domain in known]
    images.outside = [r for r in kept if r.domain not in known]
    return images


def one_per_group(images: Sequence[LabelledImage]) -> list[int]:
    """The place of one image of each group, by the hash of its file: images of one patient are not independent."""
    chosen: dict[str, int] = {}
    for i in sorted(range(len(images)), key=lambda i: zlib.crc32(Path(images[i].file).name.encode())):
        chosen.setdefault(images[i].group, i)
    return sorted(chosen.values())
