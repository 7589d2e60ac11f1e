"""What of a router is fitted to features: the head, the prototypes, and how far each domain reaches.

A *source* is where images come from: a hospital, a scanner, a collection. Images of one source are more alike than
those of another will be, and what a router meets is another. So no source counts by its number of images alone, each
has prototypes of its own, and the reach is measured leaving one source out at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rag.encoders.protocols import Vectors
from rag.errors import MissingDependencyError
from rag.retrieval.head import rooted
from rag.training.router.images import LabelledImage, one_per_group
from rag.training.router.temperature import Floats, Labels, conformal_threshold

PROTOTYPES = 100  # clusters of each source in each domain; fewer where it has not four images for each
LEAST_SOURCES = 4  # with a second source in their domain, before the reach is measured by leaving one out
_STRENGTH = 10.0  # inverse regularisation of the head, on unit features
Strings = npt.NDArray[np.str_]


def fit_head(features: Vectors, labels: Labels, sources: Strings, weight: float = 1.0) -> tuple[Vectors, Vectors]:
    """Weights (classes, width) and bias (classes,) of a multinomial logistic regression with balanced classes.

    Within a class each source weighs by the square root of its number of examples.

    Args:
        sources: (n,) where each example comes from.
        weight: of an example on average, where it stands for that many.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingDependencyError('scikit-learn is not installed: pip install "clincite[models]"') from error
    weights = _balanced(labels, sources) * weight
    model = LogisticRegression(C=_STRENGTH, max_iter=1000).fit(features, labels, sample_weight=weights)
    coefficients, bias = model.coef_, model.intercept_
    if len(coefficients) == 1:  # of two classes scikit-learn keeps the second one's logit only
        coefficients, bias = np.concatenate([-coefficients, coefficients]) / 2, np.concatenate([-bias, bias]) / 2
    return coefficients.astype(np.float32), bias.astype(np.float32)


def _balanced(labels: Labels, sources: Strings) -> Floats:
    """(n,) weights with mean 1: classes weigh the same, and a class's sources as the roots of their sizes."""
    weights = np.ones(len(labels))
    for label in np.unique(labels):
        for source in np.unique(sources[labels == label]):
            own = (labels == label) & (sources == source)
            weights[own] = own.sum() ** -0.5
        weights[labels == label] /= weights[labels == label].sum()
    return np.asarray(weights * (len(labels) / weights.sum()))


def cluster_centres(features: Vectors, labels: Labels, sources: Strings, seed: int) -> tuple[Vectors, Labels, Strings]:
    """Prototypes, the class of each and its source: centres of at most PROTOTYPES clusters of each source in each
    class, one for four examples where it has few; rooted, see :func:`rag.retrieval.head.rooted`."""
    from sklearn.cluster import KMeans

    centres, owners, origins = list[Vectors](), list[int](), list[str]()
    for label in np.unique(labels):
        for source in np.unique(sources[labels == label]):
            own = rooted(features[(labels == label) & (sources == source)])
            model = KMeans(max(1, min(PROTOTYPES, len(own) // 4)), n_init=1, random_state=seed).fit(own)
            centres.append(model.cluster_centers_)
            owners += [int(label)] * len(centres[-1])
            origins += [str(source)] * len(centres[-1])
    found = np.concatenate(centres).astype(np.float16).astype(np.float32)  # as they will be read from the file
    unit = np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)
    return unit, np.array(owners, dtype=np.int64), np.array(origins)


def conformal_thresholds(distances: Floats, labels: Labels, rows: Sequence[LabelledImage], rate: float) -> Floats:
    """(domains,) the distance to each that a new image of it exceeds with probability at most ``rate``.

    One image of each group counts. Too few groups (fewer than 1 / rate - 1) give infinity.

    Args:
        distances: (n, domains) of held-out images to each domain.
        labels: (n,) their domains.
        rows: (n,) what is known of them.
    """
    thresholds = np.full(distances.shape[1], math.inf)
    for domain in range(distances.shape[1]):
        own = np.flatnonzero(labels == domain)
        chosen = own[one_per_group([rows[int(i)] for i in own])]
        thresholds[domain] = conformal_threshold(distances[chosen, domain], rate)
    return thresholds


def reach_of_sources(
    features: Vectors, labels: Labels, sources: Strings, prototypes: tuple[Vectors, Labels, Strings], rate: float
) -> float | None:
    """The distance to the nearest prototype that images of a source never seen exceed in a share ``rate`` of cases.

    Each image is measured by the prototypes of the other sources; each source weighs the same (conformal prediction
    over groups, Dunn et al. 2023, as far as a handful of sources can vouch for another). None with fewer than
    LEAST_SOURCES sources that have another one in their domain.

    Args:
        features: (n, width) of training images.
        prototypes: unit vectors, the class of each and its source.
    """
    alike, (_, owners, origins) = rooted(features) @ prototypes[0].T, prototypes
    far, weights = list[Floats](), list[Floats]()
    for source in np.unique(sources):
        others = origins != source
        shared = np.isin(labels, owners[others]) & (sources == source)
        if shared.any():
            far.append(1.0 - np.asarray(alike[shared][:, others].max(axis=1), dtype=np.float64))
            weights.append(np.full(len(far[-1]), 1.0 / len(far[-1])))
    if len(far) < LEAST_SOURCES:
        return None
    distances, shares = np.concatenate(far), np.concatenate(weights) / len(far)
    order = np.argsort(distances)
    return float(distances[order][np.searchsorted(np.cumsum(shares[order]), 1.0 - rate - 1e-12)])
