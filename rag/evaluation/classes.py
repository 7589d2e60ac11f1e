"""Agreement of classes with intervals by group: balanced accuracy, macro F1, Matthews' correlation.

scikit-learn has each of the three; what it has not is their interval over resampled patients. All three are functions
of the table of counts, which is summed by group, so that a resample costs one product of matrices; a test compares the
values with scikit-learn's.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from rag.evaluation.metrics import Estimate, Floats, bootstrap_totals


def measure_classes(labels: Sequence[str], said: Sequence[str], groups: Sequence[str]) -> dict[str, Estimate]:
    """Balanced accuracy, macro F1 (over the labels that occur) and MCC; what is said beside the labels is wrong.

    >>> found = measure_classes(["yes", "yes", "no"], ["yes", "no", "no"], ["a", "b", "c"])
    >>> round(found["balanced_accuracy"].value, 2), round(found["MCC"].value, 2)
    (0.75, 0.5)

    Args:
        labels: what is right, one a question.
        said: what was said.
        groups: the unit of resampling.
    """
    if not labels:
        return {}
    classes = sorted(set(labels))
    others = sorted(set(said) - set(classes))
    width = len(classes) + len(others)
    row, column = {c: i for i, c in enumerate(classes)}, {c: i for i, c in enumerate([*classes, *others])}
    cells = np.zeros((len(labels), len(classes) * width))
    for n, (label, word) in enumerate(zip(labels, said, strict=True)):
        cells[n, row[label] * width + column[word]] = 1

    def statistics(totals: Floats) -> dict[str, Floats]:
        table = totals.reshape(len(totals), len(classes), width)
        hits = np.diagonal(table, axis1=1, axis2=2)
        true, told = table.sum(axis=2), table.sum(axis=1)
        n = true.sum(axis=1)
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # a resample may lack a class
            balanced = np.nanmean(hits / true, axis=1)
            f1 = np.where(true > 0, 2 * hits / (true + told[:, : len(classes)]), np.nan)
            covariance = hits.sum(axis=1) * n - (told[:, : len(classes)] * true).sum(axis=1)
            spread = np.sqrt((n**2 - (told**2).sum(axis=1)) * (n**2 - (true**2).sum(axis=1)))
            mcc = np.where(spread > 0, covariance / spread, 0.0)
            return {"balanced_accuracy": balanced, "macro_F1": np.nanmean(f1, axis=1), "MCC": mcc}

    return bootstrap_totals(cells, groups, statistics)
