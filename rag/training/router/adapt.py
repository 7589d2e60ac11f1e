"""``rag train router --add``: a trained router learns some images of yours, without the images that it was made from.

Fifty images of a scanner, a stain or a speciality that it has never seen are enough. What it knows is kept as the
prototypes in its file, each standing for a cluster of its own training images (rehearsal by exemplars, Rebuffi et al.
2017): the head is fitted anew on prototypes and new images together, the prototypes of the new images are added, and
the threshold of their domain becomes the one that new images from the same place pass at the stated rate, by
cross-conformal prediction (Vovk 2015): each image is measured by what was learned from the others.

The result is a file of its own, beside the index or wherever it is asked for; the router that it started from is never
written to. It has another fingerprint, so certificates made with the old one no longer hold.

    report = adapt_router(head, {"pathology": Path("slides")}, encoder, Path("indexes/mine/router.safetensors"))
    undo_adaptation(Path("indexes/mine/router.safetensors"))
"""

from __future__ import annotations

import math
import shutil
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rag.corpus.images import SUFFIXES, check_image
from rag.corpus.quarantine import Quarantined
from rag.encoders.protocols import ImageEncoder, Vectors
from rag.errors import InputError
from rag.progress import Progress, Silent
from rag.retrieval.domains import GENERAL, DomainSpec, load_domains
from rag.retrieval.head import TrainedHead
from rag.risk_control.bounds import clopper_pearson
from rag.training.router.fitting import cluster_centres, conformal_thresholds, fit_head
from rag.training.router.images import LabelledImage, encode_with_looks
from rag.training.router.recipe import RouterRecipe
from rag.training.router.temperature import Floats, Labels, fit_temperature
from rag.training.splits import TRAIN
from rag.types import sha256_of

MOST = 2_000  # images that one adaptation reads of a folder: more are a training of their own
_FOLDS = 5


@dataclass(frozen=True)
class Share:
    """How many of some images, with the 95% interval of the share (Clopper and Pearson) in [0, 1]."""

    hits: int
    of: int

    def __str__(self) -> str:
        if not self.of:
            return "not measured"
        low, high = (float(x) for x in clopper_pearson(self.hits, self.of))
        return f"{self.hits / self.of:.2f} ({low:.2f}–{high:.2f}, {self.of} images)"


@dataclass(frozen=True)
class AdaptationReport:
    """What an adaptation gave. ``before`` and ``after``: new images given their domain and not flagged, by the router
    as it was and, each image apart, by one that has learned the others. ``kept``: prototypes of other domains that
    still are of theirs."""

    file: str
    added: dict[str, int]
    before: dict[str, Share]
    after: dict[str, Share]
    kept: Share
    farthest: dict[str, tuple[float | None, float]]
    left_out: tuple[str, ...] = ()

    def words(self) -> str:
        """The report in words."""
        lines = list[str]()
        for domain, n in self.added.items():
            old, new = self.farthest[domain]
            was = "unknown before" if old is None else f"{old:.3f} before"
            lines.append(f"the router learned {n:,} images of {domain}, which reaches to distance {new:.3f} ({was})")
            lines.append(f"  right and not flagged: {self.before[domain]} before, {self.after[domain]} now")
        lines.append(f"of what it knew of other domains {self.kept} is still where it was")
        lines += [f"left out: {line}" for line in self.left_out]
        lines.append(f"written to {self.file}; certificates made with the router before no longer hold: rag calibrate")
        return "\n".join(lines)


def adapt_router(
    base: TrainedHead,
    folders: Mapping[str, Path],
    encoder: ImageEncoder,
    out: Path,
    recipe: RouterRecipe | None = None,
    *,
    progress: Progress | None = None,
) -> AdaptationReport:
    """Write to ``out`` what ``base`` becomes by the images in the folders, one for each domain.

    A folder within a folder is one patient or slide; images that lie in none are each their own. A file that is there
    already is kept aside for :func:`undo_adaptation`.

    Raises:
        InputError: an unknown domain, a folder without enough images for the rate of false alarms, or with too many.
    """
    listen, how = progress or Silent(), recipe or RouterRecipe()
    specs = load_domains(how.domains)
    for domain in folders:
        _check_domain(domain, {d.id for d in specs})
    read = {domain: read_folder(domain, folder) for domain, folder in folders.items()}
    for domain, (images, _) in read.items():
        groups, least = len({image.group for image in images}), math.ceil(1 / how.false_alarms) - 1
        if groups < least:
            raise InputError(
                f"{folders[domain]} has images of {groups} patients or slides; for {how.false_alarms:.0%} false alarms "
                f"it needs {least}: add more (images in one folder within it count as one patient's)"
            )
    new = _New.encoded(encoder, base, [row for images, _ in read.values() for row in images], specs, how, listen)
    tell = listen.stage("fitting", _FOLDS + 1)
    places, (distances, logits) = np.arange(len(new.rows)), new.cross_fitted(base, how, tell)
    reach = conformal_thresholds(distances, new.labels, new.rows, how.false_alarms)
    known = np.full(len(new.names), 0.0)
    known[: len(base.domains)] = base.thresholds
    thresholds = np.where(np.isfinite(reach), np.maximum(reach, known), known).astype(np.float32)
    head = replace(
        new.learned(base, places >= 0, how),
        thresholds=thresholds,
        temperature=max(base.temperature, fit_temperature(logits, new.labels)),
        about=_about(base, read),
    )
    tell(1)
    right = (logits.argmax(axis=1) == new.labels) & ((distances / thresholds).min(axis=1) <= 1)
    was = (base.logits(new.features).argmax(axis=1) == new.labels) & (base.strangeness(new.features) <= 1)
    of = {domain: new.labels == new.names.index(domain) for domain in folders}
    others = ~np.isin(base.owners, [new.names.index(domain) for domain in folders])
    stayed = head.logits(_unrooted(base.prototypes)).argmax(axis=1) == base.owners
    out.parent.mkdir(parents=True, exist_ok=True)
    _keep_aside(out)
    head.save(out)
    return AdaptationReport(
        file=str(out),
        added={domain: int(own.sum()) for domain, own in of.items()},
        before={domain: _share(was[own]) for domain, own in of.items()},
        after={domain: _share(right[own]) for domain, own in of.items()},
        kept=_share(stayed[others]),
        farthest={d: (float(known[i]) or None, float(thresholds[i])) for d in folders for i in [new.names.index(d)]},
        left_out=tuple(f"{q.record}: {q.reason}" for _, spoilt in read.values() for q in spoilt),
    )


def undo_adaptation(out: Path) -> str:
    """Take the last adaptation back, and say what is used now.

    Raises:
        InputError: the router there was not adapted.
    """
    if kept := _kept(out):
        kept[-1].replace(out)
        return f"{out} is again as it was before the last images were added"
    if not out.is_file() or "added" not in TrainedHead.load(out).about:
        raise InputError(f"there is nothing to undo: no images were added to a router at {out}")
    out.unlink()
    return f"{out} is gone: the router of the image model is used again"


def read_folder(domain: str, folder: Path) -> tuple[list[LabelledImage], list[Quarantined]]:
    """The images of a folder, each once, and the files that are images by name and cannot be read.

    Raises:
        InputError: no such folder, no image in it, or more than MOST.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder} with images of {domain}")
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if len(files) > MOST:
        raise InputError(f"{folder} has {len(files):,} images; {MOST:,} are added at most: train a router of your own "
                         "with rag train router CASES.jsonl")  # fmt: skip
    rows, spoilt, seen = list[LabelledImage](), list[Quarantined](), set[str]()
    for file in files:
        inner = file.relative_to(folder).parts
        try:
            sha256 = check_image(file).sha256
        except InputError as error:
            spoilt.append(Quarantined(str(folder), "/".join(inner), str(error)))
            continue
        if sha256 not in seen:
            seen.add(sha256)
            group = inner[0] if len(inner) > 1 else sha256
            rows.append(LabelledImage(str(file), domain, f"{domain}/{group}", TRAIN, "added", sha256))
    if not rows:
        raise InputError(f"{folder} has no image that can be read; PNG, JPEG, TIFF, BMP, WebP, GIF and DICOM are")
    return rows, spoilt


@dataclass(frozen=True)
class _New:
    """The images that are added: what is known of them, the place of their domain in ``names``, and the features of
    their looks, of each image's own first; ``of`` is the place of the image that each look is of."""

    rows: Sequence[LabelledImage]
    names: tuple[str, ...]
    labels: Labels
    looks: Vectors
    of: npt.NDArray[np.int64]

    @classmethod
    def encoded(
        cls, encoder: ImageEncoder, base: TrainedHead, rows: Sequence[LabelledImage], specs: Sequence[DomainSpec],
        how: RouterRecipe, listen: Progress,
    ) -> _New:  # fmt: skip
        domains = sorted({row.domain for row in rows})
        names = (*base.domains, *(d for d in domains if d not in base.domains))
        tell = listen.stage("encoding images", len(rows))
        stained = {d.id for d in specs if d.stained}
        number = {domain: n for domain, n in how.looks_of(specs).items() if domain in domains}
        looks, of = encode_with_looks(encoder, rows, number, stained, how.seed, tell)
        return cls(rows, names, np.array([names.index(row.domain) for row in rows], dtype=np.int64), looks, of)

    @property
    def features(self) -> Vectors:
        """(n, width) of the images as they are."""
        return self.looks[: len(self.rows)]

    def learned(self, base: TrainedHead, chosen: npt.NDArray[np.bool_], how: RouterRecipe) -> TrainedHead:
        """The router that has learned the chosen ones; its thresholds mean nothing yet."""
        among = chosen[self.of]
        features, labels = self.looks[among], self.labels[self.of[among]]
        known = _unrooted(base.prototypes)
        new = np.full(len(features), "added")
        centres, owners, _ = cluster_centres(self.features[chosen], self.labels[chosen], new[: chosen.sum()], how.seed)
        together = np.concatenate([known, features]), np.concatenate([base.owners, labels])
        sources = np.concatenate([np.full(len(known), "known"), new])
        # what the prototypes stand for: as many examples as the base had, so that the logits keep their scale
        weights, bias = fit_head(*together, sources, weight=_examples(base) / len(together[1]))
        return replace(
            base,
            domains=self.names,
            weights=weights,
            bias=bias,
            prototypes=np.concatenate([base.prototypes, centres]),
            owners=np.concatenate([base.owners, owners]),
            thresholds=np.ones(len(self.names), dtype=np.float32),
        )

    def cross_fitted(self, base: TrainedHead, how: RouterRecipe, tell: Callable[[int], None]) -> tuple[Floats, Floats]:
        """(n, domains) distances and logits of each image, by a router that has learned the other patients only."""
        folds = np.array([zlib.crc32(row.group.encode()) % _FOLDS for row in self.rows])
        distances, logits = (np.zeros((len(self.rows), len(self.names))) for _ in range(2))
        for fold in range(_FOLDS):
            if (held := folds == fold).any() and not held.all():
                head = self.learned(base, ~held, how)
                distances[held], logits[held] = head.distances(self.features[held]), head.logits(self.features[held])
            tell(1)
        return distances, logits


def _check_domain(domain: str, known: Collection[str]) -> None:
    if domain not in known or domain == GENERAL:
        names = ", ".join(sorted(set(known) - {GENERAL}))
        raise InputError(
            f"there is no domain {domain!r} to add images to; use one of {names}, or add it to knowledge/domains.toml"
        )


def _examples(base: TrainedHead) -> int:
    """Images that a router was trained on; of one that does not say, as many as its prototypes may stand for."""
    return int(base.about.get("examples", 4 * len(base.prototypes)))


def _unrooted(prototypes: Vectors) -> Vectors:
    """The unit features whose roots the prototypes are."""
    squares = np.sign(prototypes) * prototypes**2
    return np.asarray(squares / np.linalg.norm(squares, axis=1, keepdims=True), dtype=np.float32)


def _share(hits: npt.NDArray[np.bool_]) -> Share:
    return Share(int(hits.sum()), len(hits))


def _about(base: TrainedHead, read: Mapping[str, tuple[list[LabelledImage], list[Quarantined]]]) -> dict[str, Any]:
    """What the file says of itself: what the base said, and the hash of the images that were added; no paths."""
    added = [
        {"domain": domain, "images": len(rows), "sha256": sha256_of(" ".join(sorted(r.licence for r in rows)))}
        for domain, (rows, _) in sorted(read.items())
    ]
    return {**base.about, "added": [*base.about.get("added", []), *added]}


def _kept(out: Path) -> list[Path]:
    """The files that came before, the oldest first."""
    numbered = out.parent.glob(f"{out.stem}-before-*{out.suffix}")
    return sorted(numbered, key=lambda p: (len(p.name), p.name))


def _keep_aside(out: Path) -> None:
    """A copy of the file that will be written over, under the next number; a crash leaves no half of one."""
    if out.is_file():
        kept = out.with_name(f"{out.stem}-before-{len(_kept(out)) + 1}{out.suffix}")
        half = kept.with_name(f".{kept.name}.new")
        shutil.copyfile(out, half)
        half.replace(kept)
