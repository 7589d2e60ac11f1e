"""``rag train router``: a domain head and an out-of-domain score on the frozen features of an image encoder.

The head is a multinomial logistic regression with balanced classes on the train split; its temperature and the
threshold of the out-of-domain score come from the dev split (one image of each group for the threshold), and the
figures of the report from the test split, which decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from rag.encoders.features import encode_with_features
from rag.encoders.protocols import ImageEncoder, Vectors
from rag.errors import InputError, MissingDependencyError
from rag.progress import Progress, Silent
from rag.retrieval.domains import load_domains
from rag.retrieval.head import TrainedHead
from rag.training.hyperparameters import Hyperparameters
from rag.training.router.images import Images, LabelledImage, one_per_group, read_images
from rag.training.router.temperature import (
    Floats,
    Labels,
    auroc,
    balanced_accuracy,
    conformal_threshold,
    expected_calibration_error,
    fit_temperature,
)
from rag.training.splits import DEV, TEST, TRAIN

PROTOTYPES = 100  # clusters of each domain; fewer where it has not four images for each
FALSE_ALARMS = 0.05
_STRENGTH = 10.0  # inverse regularisation of the head, on unit features
_BATCH = 256  # images between two ticks of the progress bar of encoders that do not tick themselves


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
    threshold: float
    false_alarm_rate: float
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

        counts = ", ".join(f"{n:,} {name}" for name, n in self.images.items())
        lines = [
            f"router for {', '.join(self.domains)} on {self.encoder} ({counts}): {self.file}",
            f"test: balanced accuracy {shown(self.balanced_accuracy)}, calibration error {shown(self.ece)} "
            f"(before the temperature {self.temperature:.3g}: {shown(self.ece_before)})",
            f"out of domain beyond distance {self.threshold:.4f}, for {self.false_alarm_rate:.0%} false alarms; "
            f"on test {shown(self.false_alarms)}",
        ]
        if self.auroc is not None:
            lines.append(f"out-of-domain images: AUROC {shown(self.auroc)}, flagged {shown(self.detected)}")
        lines += [f"  {source}: {share:.1%} flagged" for source, share in sorted(self.flagged.items())]
        if self.quarantined:
            lines.append(f"{self.quarantined} rows could not be used")
        return "\n".join(lines)


class RouterRecipe(Hyperparameters):
    """What decides a router besides its images.

    >>> RouterRecipe(false_alarms=0.01).seed
    0
    """

    domains: Path | None = Field(None, description="The list of domains; knowledge/domains.toml unless given.")
    false_alarms: float = Field(
        FALSE_ALARMS, gt=0, lt=1, description="Share of in-domain images that may be found out of domain."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="The same data and seed give the same router.")


def train_router(
    cases: Path,
    encoder: ImageEncoder,
    out: Path,
    recipe: RouterRecipe | None = None,
    *,
    ood: Path | None = None,
    progress: Progress | None = None,
) -> RouterReport:
    """Train a router for ``encoder`` from a cases file and write it to ``out``.

    Args:
        ood: a cases file whose images, of every split, belong to no domain; they are only measured on.

    Raises:
        InputError: the cases cannot be used: fewer than two domains, a domain that is not in the list or has no
            image in the train or dev split, too few groups for the false-alarm rate.
        MissingDependencyError: scikit-learn is not installed.
    """
    listen, how = progress or Silent(), recipe or RouterRecipe()
    images = read_images(cases, {d.id for d in load_domains(how.domains)}, listen.stage("reading cases"))
    names = _trainable(cases, images)
    outside = images.outside + _all_images(ood)
    listen_encode = listen.stage("encoding images", len(images.inside) + len(outside))
    parts = {split: images.of(split) for split in (TRAIN, DEV, TEST)}
    features = {split: _features(encoder, rows, listen_encode) for split, rows in parts.items()}
    labels = {s: np.array([names.index(r.domain) for r in rows], dtype=np.int64) for s, rows in parts.items()}
    tell = listen.stage("fitting", 2)
    weights, bias = fit_head(features[TRAIN], labels[TRAIN])
    tell(1)
    prototypes = cluster_centres(features[TRAIN], labels[TRAIN], PROTOTYPES, how.seed)
    tell(1)
    head = TrainedHead(names, encoder.fingerprint, weights, bias, 1.0, prototypes, 0.0)
    temperature = fit_temperature(head.logits(features[DEV]), labels[DEV])
    held_out = one_per_group(parts[DEV])
    threshold = conformal_threshold(head.distances(features[DEV][held_out]), how.false_alarms)
    if not np.isfinite(threshold):
        raise InputError(
            f"{cases}: {len(held_out)} groups in the dev split are too few for a false-alarm rate of "
            f"{how.false_alarms:.0%}; it needs {int(np.ceil(1 / how.false_alarms)) - 1}"
        )
    head = TrainedHead(names, encoder.fingerprint, weights, bias, temperature, prototypes, threshold)
    report = RouterReport(
        file=str(out),
        encoder=encoder.fingerprint,
        domains=names,
        images={split: len(rows) for split, rows in parts.items()} | {"out of domain": len(outside)},
        temperature=temperature,
        threshold=threshold,
        false_alarm_rate=how.false_alarms,
        quarantined=len(images.quarantined),
        **_measured(
            head, features[TEST], labels[TEST], parts[TEST], _features(encoder, outside, listen_encode), outside
        ),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    TrainedHead(
        names, encoder.fingerprint, weights, bias, temperature, prototypes, threshold, _about(report, images)
    ).save(out)
    return report


def fit_head(features: Vectors, labels: Labels) -> tuple[Vectors, Vectors]:
    """Weights (classes, width) and bias (classes,) of a multinomial logistic regression with balanced classes."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingDependencyError('scikit-learn is not installed: pip install "clincite[models]"') from error
    model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1000).fit(features, labels)
    weights, bias = model.coef_, model.intercept_
    if len(weights) == 1:  # of two classes scikit-learn keeps the second one's logit only
        weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights.astype(np.float32), bias.astype(np.float32)


def cluster_centres(features: Vectors, labels: Labels, most: int, seed: int) -> Vectors:
    """Unit vectors: centres of at most ``most`` clusters of each class, one for four examples where it has few."""
    from sklearn.cluster import KMeans

    centres = []
    for label in np.unique(labels):
        own = features[labels == label]
        model = KMeans(max(1, min(most, len(own) // 4)), n_init=1, random_state=seed).fit(own)
        centres.append(model.cluster_centers_)
    found = np.concatenate(centres).astype(np.float16).astype(np.float32)  # as they will be read from the file
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def _trainable(cases: Path, images: Images) -> tuple[str, ...]:
    """The domains to learn, in order. Raises InputError where there is nothing to learn or to calibrate with."""
    names = tuple(sorted({row.domain for row in images.inside}))
    if len(names) < 2:
        raise InputError(f"{cases} has images of {len(names)} known domain(s) only; a router needs at least two")
    for split in (TRAIN, DEV):
        have = {row.domain for row in images.of(split)}
        if missing := [name for name in names if name not in have]:
            raise InputError(
                f"{cases}: the domain {missing[0]!r} has no image in the {split} split; add some, or give no split"
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


def _features(encoder: ImageEncoder, rows: Sequence[LabelledImage], tell: Any) -> Vectors:
    files = [row.file for row in rows]
    return encode_with_features(encoder, files, tell)[1]


def _measured(
    head: TrainedHead,
    features: Vectors,
    labels: Labels,
    rows: Sequence[LabelledImage],
    other: Vectors,
    outside: Sequence[LabelledImage],
) -> dict[str, Any]:
    """The figures of the test split and of images out of domain, as far as there are any."""
    found: dict[str, Any] = {"flagged": {}}
    inside: Floats = np.zeros(0)
    if len(rows):
        logits, inside = head.logits(features), head.distances(features)
        found["balanced_accuracy"] = balanced_accuracy(logits, labels)
        found["ece_before"] = expected_calibration_error(logits, labels)
        found["ece"] = expected_calibration_error(logits / head.temperature, labels)
        found["false_alarms"] = float((inside > head.threshold).mean())
        found["flagged"] |= _by_source(inside > head.threshold, rows)
    if len(outside):
        far = head.distances(other)
        found["detected"] = float((far > head.threshold).mean())
        found["flagged"] |= _by_source(far > head.threshold, outside)
        found["auroc"] = auroc(inside, far) if len(rows) else None
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
    return {"figures": figures, "data": data, "use": "research only, under the licences of the data"}
