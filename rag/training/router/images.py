"""The images of a cases file, with their domains, groups and splits."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.errors import InputError

TRAIN, DEV, TEST = "train", "dev", "test"
_SHARES = ((TRAIN, 70), (DEV, 85), (TEST, 100))  # upper ends, in per cent of the groups


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

    Rows have a split (train, dev, test; others are left out) or none at all: then groups are divided 70 : 15 : 15 by
    the hash of their names. Images of the test split whose domain is not ``known`` are out of domain.

    Raises:
        InputError: no images, a domain to train on that is not ``known``, or a group in two splits.
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
    if not any(row.split for row in rows):
        rows = [LabelledImage(r.file, r.domain, r.group, _split_of(r.group), r.source, r.licence) for r in rows]
        unknown = [r for r in rows if r.domain not in known]
    else:
        rows = [row for row in rows if row.split in (TRAIN, DEV, TEST)]
        unknown = [r for r in rows if r.domain not in known and r.split != TEST]
    if unknown:
        raise InputError(
            f"{path}: the domain {unknown[0].domain!r} is not in the list of domains ({', '.join(sorted(known))}); "
            "add a [[domain]] of that id to knowledge/domains.toml, or correct the cases"
        )
    _check_groups(path, rows)
    images.inside = [r for r in rows if r.domain in known]
    images.outside = [r for r in rows if r.domain not in known]
    return images


def one_per_group(images: Sequence[LabelledImage]) -> list[int]:
    """The place of one image of each group, by the hash of its file: images of one patient are not independent."""
    chosen: dict[str, int] = {}
    for i in sorted(range(len(images)), key=lambda i: zlib.crc32(Path(images[i].file).name.encode())):
        chosen.setdefault(images[i].group, i)
    return sorted(chosen.values())


def _split_of(group: str) -> str:
    place = zlib.crc32(group.encode()) % 100
    return next(split for split, end in _SHARES if place < end)


def _check_groups(path: Path, rows: Sequence[LabelledImage]) -> None:
    splits = {(row.group, row.split) for row in rows}
    group, times = Counter(g for g, _ in splits).most_common(1)[0] if splits else ("", 0)
    if times > 1:
        raise InputError(f"{path}: the group {group!r} is in {times} splits; a patient must be in one only")
