"""The images of a cases file or a folder, with their domains, groups and splits, and their features."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.encoders.features import encode_with_features
from rag.encoders.protocols import ImageEncoder, Vectors
from rag.errors import InputError
from rag.training.router.looks import write_looks
from rag.training.splits import DEV, TEST, TRAIN, assign_splits

_AT_ONCE = 64  # images whose looks are on disk together


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
    """The images of cases files: in the domains to learn, and those of other domains in its test split."""

    inside: list[LabelledImage] = field(default_factory=list)
    outside: list[LabelledImage] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    def of(self, split: str) -> list[LabelledImage]:
        return [image for image in self.inside if image.split == split]


def read_images(paths: Sequence[Path], known: Collection[str], count: Callable[[int], None] = lambda n: None) -> Images:
    """The images of cases files.

    Splits are given as :func:`rag.training.splits.assign_splits` gives them; a test part may be missing. Rows that
    name the test split themselves and are of a domain that is not ``known`` are out of domain.

    Raises:
        InputError: no images, a domain to train on that is not ``known``, a group in two splits, nothing to train on.
    """
    images, rows = Images(), []
    names = ", ".join(map(str, paths))
    for record in (record for path in paths for record in read_source(path, "cases")):
        count(1)
        if isinstance(record, Quarantined):
            images.quarantined.append(record)
        elif record.kind == "image" and record.image:
            split = str(record.metadata.get("split") or "")
            rows.append(
                LabelledImage(record.image, record.domain, record.group_id, split, record.source, record.licence)
            )
    if not rows:
        raise InputError(f"{names} has no usable image; each line needs an image, a domain and a group")
    try:
        parts = assign_splits(rows, needed=(TRAIN, DEV))
    except InputError as error:
        raise InputError(f"{names}: {error}") from error
    unknown = [r for r, part in zip(rows, parts, strict=True) if part and r.domain not in known and r.split != TEST]
    if unknown:
        raise InputError(
            f"{names}: the domain {unknown[0].domain!r} is not in the list of domains ({', '.join(sorted(known))}); "
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


def encode_images(
    encoder: ImageEncoder, images: Sequence[LabelledImage], tell: Callable[[int], None] | None = None
) -> Vectors:
    """(n, width) features of images."""
    return encode_with_features(encoder, [image.file for image in images], tell)[1]


def encode_with_looks(
    encoder: ImageEncoder,
    images: Sequence[LabelledImage],
    number: Mapping[str, int],
    stained: Collection[str],
    seed: int,
    tell: Callable[[int], None] = lambda n: None,
) -> tuple[Vectors, npt.NDArray[np.int64]]:
    """Features of images, then of their other looks (:mod:`rag.training.router.looks`), and of which each is.

    Args:
        number: looks of each image, by domain.
        stained: the domains whose images are coloured by dyes.
        tell: called with the number of images and looks that were encoded.
    """
    features, of = [encode_images(encoder, images, tell)], list(range(len(images)))
    for domain, each in number.items():
        own = [i for i, image in enumerate(images) if image.domain == domain] if each else []
        for places in (own[start : start + _AT_ONCE] for start in range(0, len(own), _AT_ONCE)):
            with TemporaryDirectory() as folder:
                files = [images[i].file for i in places]
                paths = list(write_looks(files, each, Path(folder), seed=seed, stained=domain in stained))
                features.append(encode_with_features(encoder, paths, tell)[1])
            of += [i for i in places for _ in range(each)]
    return np.concatenate(features), np.array(of, dtype=np.int64)
