"""``rag train router``: a domain head and an out-of-domain score on the frozen features of an image encoder.

The head is a multinomial logistic regression with balanced classes on the train split, whose images are also seen as
other laboratories and scanners would give them (:mod:`rag.training.router.looks`). Its temperature and each domain's
threshold come from the dev split and, where there are several sources, from leaving one out at a time
(:mod:`rag.training.router.fitting`); the figures of the report from the test split, which decides nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoders.protocols import ImageEncoder, Vectors
from rag.errors import InputError
from rag.progress import Progress, Silent
from rag.retrieval.domains import load_domains
from rag.retrieval.head import TrainedHead
from rag.training.router.fitting import cluster_centres, conformal_thresholds, fit_head, reach_of_sources
from rag.training.router.images import Images, LabelledImage, encode_images, encode_with_looks, read_images
from rag.training.router.recipe import RouterRecipe
from rag.training.router.temperature import (
    Floats,
    Labels,
    auroc,
    balanced_accuracy,
    expected_calibration_error,
    fit_temperature,
)
from rag.training.splits import DEV, TEST, TRAIN


@dataclass(frozen=True)
class RouterReport:
    """What training gave, measured on the test split; rates and errors in [0, 1], None where nothing could be measured.

    ``flagged`` are the shares found out of domain among the test images of each source: in-domain sources give the
    false alarms, the others the detections.
    """

    file: str
    encoder: str
    domains: tuple[str, ...]
    images: dict[str, int]
    temperature: float
    thresholds: dict[str, float]
    false_alarm_rate: float
    unseen_alarm_rate: float | None = None
    balanced_accuracy: float | None = None
    ece_before: float | None = None
    ece: float | None = None
    false_alarms: float | None = None
    auroc: float | None = None
    detected: float | None = None
    flagged: dict[str, float] = field(default_factory=dict)
    quarantined: int = 0

    def table(self) -> str:
        """The report in words."""

        def shown(value: float | None) -> str:
            return "not measured" if value is None else f"{value:.4f}"

        reach = ", ".join(f"{far:.4f} from {domain}" for domain, far in self.thresholds.items())
        unseen = "too few sources" if self.unseen_alarm_rate is None else f"{self.unseen_alarm_rate:.0%} flagged"
        counts = ", ".join(f"{n:,} {name}" for name, n in self.images.items())
        lines = [
            f"router for {', '.join(self.domains)} on {self.encoder} ({counts}): {self.file}",
            f"test: balanced accuracy {shown(self.balanced_accuracy)}, calibration error {shown(self.ece)} "
            f"(before the temperature {self.temperature:.3g}: {shown(self.ece_before)})",
            f"out of domain beyond distance {reach}, for {self.false_alarm_rate:.0%} false alarms; on test "
            f"{shown(self.false_alarms)}",
            f"images of sources never seen, by leaving one out: {unseen}",
        ]
        if self.auroc is not None:
            lines.append(f"out-of-domain images: AUROC {shown(self.auroc)}, flagged {shown(self.detected)}")
        lines += [f"  {source}: {share:.1%} flagged" for source, share in sorted(self.flagged.items())]
        if self.quarantined:
            lines.append(f"{self.quarantined} rows could not be used")
        return "\n".join(lines)


def train_router(
    cases: Sequence[Path],
    encoder: ImageEncoder,
    out: Path,
    recipe: RouterRecipe | None = None,
    *,
    ood: Path | None = None,
    progress: Progress | None = None,
) -> RouterReport:
    """Train a router for ``encoder`` from cases files and write it to ``out``.

    Args:
        ood: a cases file whose images, of every split, belong to no domain; they are only measured on.

    Raises:
        InputError: the cases cannot be used: fewer than two domains, a domain that is not in the list or has no
            image in the train or dev split, too few groups for the false-alarm rate.
        MissingDependencyError: scikit-learn is not installed.
    """
    listen, how = progress or Silent(), recipe or RouterRecipe()
    specs = load_domains(how.domains)
    images = read_images(cases, {d.id for d in specs}, listen.stage("reading cases"))
    names = _trainable(cases, images)
    outside = images.outside + _all_images(ood)
    parts = {split: images.of(split) for split in (TRAIN, DEV, TEST)}
    number = {domain: n for domain, n in how.looks_of(specs).items() if domain in names}
    more = sum(number[row.domain] for row in parts[TRAIN])
    tell = listen.stage("encoding images", len(images.inside) + len(outside) + more)
    stained = {d.id for d in specs if d.stained}
    train = EncodedImages(parts[TRAIN], *encode_with_looks(encoder, parts[TRAIN], number, stained, how.seed, tell))
    dev, test, other = (encode_images(encoder, rows, tell) for rows in (parts[DEV], parts[TEST], outside))
    tell = listen.stage("fitting", 1)
    try:
        head, reach = fit_router(train, EncodedImages.plain(parts[DEV], dev), encoder.fingerprint, how)
    except InputError as error:
        raise InputError(f"{', '.join(map(str, cases))}: {error}") from error
    report = RouterReport(
        file=str(out),
        encoder=encoder.fingerprint,
        domains=names,
        images={split: len(rows) for split, rows in parts.items()} | {"looks": more, "out of domain": len(outside)},
        temperature=head.temperature,
        thresholds=dict(zip(names, map(float, head.thresholds), strict=True)),
        false_alarm_rate=how.false_alarms,
        unseen_alarm_rate=how.unseen_alarms if reach is not None else None,
        quarantined=len(images.quarantined),
        **_measured(head, EncodedImages.plain(parts[TEST], test), EncodedImages.plain(outside, other)),
    )
    tell(1)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace(head, about=_about(report, images)).save(out)
    return report


@dataclass(frozen=True)
class EncodedImages:
    """Images with the features (n, width) of their looks, of each image's own first; ``of`` (n,): the image of each."""

    rows: Sequence[LabelledImage]
    features: Vectors
    of: Labels

    @classmethod
    def plain(cls, rows: Sequence[LabelledImage], features: Vectors) -> EncodedImages:
        """Images that have only their own."""
        return cls(rows, features, np.arange(len(rows)))

    @property
    def own(self) -> Vectors:
        """(images, width)"""
        return self.features[: len(self.rows)]

    def labels(self, names: Sequence[str]) -> Labels:
        """(images,) places of their domains."""
        return np.array([names.index(row.domain) for row in self.rows], dtype=np.int64)


def fit_router(
    train: EncodedImages, dev: EncodedImages, encoder: str, how: RouterRecipe
) -> tuple[TrainedHead, float | None]:
    """The router that ``train`` makes, and how far sources never seen reach, where that could be measured.

    Raises:
        InputError: too few groups in ``dev`` for the rate of false alarms.
    """
    names = tuple(sorted({row.domain for row in train.rows}))
    labels, sources = train.labels(names), np.array([row.source for row in train.rows])
    weights, bias = fit_head(train.features, labels[train.of], sources[train.of])
    prototypes = cluster_centres(train.own, labels, sources, how.seed)
    unset = np.ones(len(names), dtype=np.float32)
    head = TrainedHead(names, encoder, weights, bias, 1.0, *prototypes[:2], unset)
    thresholds = _dev_thresholds(head, dev, how.false_alarms)
    reach = reach_of_sources(train.own, labels, sources, prototypes, how.unseen_alarms)
    head = replace(
        head,
        temperature=fit_temperature(head.logits(dev.own), dev.labels(names)),
        thresholds=np.maximum(thresholds, reach or 0.0).astype(np.float32),
    )
    return head, reach


def _dev_thresholds(head: TrainedHead, dev: EncodedImages, rate: float) -> Floats:
    """Each domain's own, where it has groups enough for the rate; else that of all domains together.

    Raises:
        InputError: too few groups even so.
    """
    labels, distances = dev.labels(head.domains), head.distances(dev.own)
    own = conformal_thresholds(distances, labels, dev.rows, rate)
    right = distances[np.arange(len(labels)), labels][:, None]
    together = conformal_thresholds(right, 0 * labels, dev.rows, rate)[0]
    if not np.isfinite(together):
        raise InputError(
            f"{len({row.group for row in dev.rows})} groups in the dev split are too few for a false-alarm rate of "
            f"{rate:.0%}; it needs {math.ceil(1 / rate) - 1}"
        )
    return np.where(np.isfinite(own), own, together)


def _trainable(cases: Sequence[Path], images: Images) -> tuple[str, ...]:
    """The domains to learn, in order. Raises InputError where there is nothing to learn or to calibrate with."""
    files = ", ".join(map(str, cases))
    names = tuple(sorted({row.domain for row in images.inside}))
    if len(names) < 2:
        raise InputError(f"{files} has images of {len(names)} known domain(s) only; a router needs at least two")
    for split in (TRAIN, DEV):
        have = {row.domain for row in images.of(split)}
        if missing := [name for name in names if name not in have]:
            raise InputError(
                f"{files}: the domain {missing[0]!r} has no image in the {split} split; add some, or give no split"
            )
    return names


def _all_images(ood: Path | None) -> list[LabelledImage]:
    from rag.corpus.source import read_source
    from rag.types import Document

    if ood is None:
        return []
    found = [r for r in read_source(ood) if isinstance(r, Document) and r.kind == "image" and r.image]
    if not found:
        raise InputError(f"{ood} has no usable image to measure the out-of-domain score with")
    return [LabelledImage(r.image or "", r.domain, r.group_id, TEST, r.source, r.licence) for r in found]


def _measured(head: TrainedHead, test: EncodedImages, outside: EncodedImages) -> dict[str, Any]:
    """The figures of the test split and of images out of domain, as far as there are any."""
    found: dict[str, Any] = {"flagged": {}}
    inside: Floats = np.zeros(0)
    if len(test.rows):
        labels, logits, inside = test.labels(head.domains), head.logits(test.own), head.strangeness(test.own)
        found["balanced_accuracy"] = balanced_accuracy(logits, labels)
        found["ece_before"] = expected_calibration_error(logits, labels)
        found["ece"] = expected_calibration_error(logits / head.temperature, labels)
        found["false_alarms"] = float((inside > 1).mean())
        found["flagged"] |= _by_source(inside > 1, test.rows)
    if len(outside.rows):
        far = head.strangeness(outside.own)
        found["detected"] = float((far > 1).mean())
        found["flagged"] |= _by_source(far > 1, outside.rows)
        found["auroc"] = auroc(inside, far) if len(test.rows) else None
    return found


def _by_source(flags: Any, rows: Sequence[LabelledImage]) -> dict[str, float]:
    names = np.array([row.source for row in rows])
    return {str(name): float(flags[names == name].mean()) for name in np.unique(names)}


def _about(report: RouterReport, images: Images) -> dict[str, Any]:
    """What the file says of itself: figures, and the data it was made from with their licences; no paths."""
    figures = {k: v for k, v in asdict(report).items() if k not in ("file", "encoder", "domains")}
    used = [row for row in images.inside if row.split in (TRAIN, DEV)]
    sources = Counter((row.source, row.domain) for row in used)
    licences = {row.source: row.licence for row in used}
    data = [
        {"source": source, "domain": domain, "images": n, "licence": licences[source]}
        for (source, domain), n in sorted(sources.items())
    ]
    examples = report.images[TRAIN]
    return {
        "figures": figures,
        "examples": examples,
        "data": data,
        "use": "research only, under the licences of the data",
    }
