"""The picture of an ablation: accuracy with its interval, for each kind of question, way and model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.errors import InputError
from rag.evaluation.report import Row


def plot_ablation(rows: Sequence[Row], path: Path) -> None:
    """Accuracy with its interval: a panel for each kind of question, a colour for each model.

    Raises:
        InputError: the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    kinds = list(dict.fromkeys(r.of["questions about"] for r in rows))
    models = list(dict.fromkeys(r.of["model"] for r in rows))
    figure, panels = pyplot.subplots(1, len(kinds), figsize=(5 * len(kinds), 4.5), sharey=True, squeeze=False)
    for panel, kind in zip(panels[0], kinds, strict=True):
        ways = list(dict.fromkeys(_way(r) for r in rows if r.of["questions about"] == kind))
        for n, model in enumerate(models):
            points = [
                (ways.index(_way(r)), r.metrics["accuracy"])
                for r in rows
                if (r.of["questions about"], r.of["model"]) == (kind, model)
            ]
            at = [x + 0.18 * (n - (len(models) - 1) / 2) for x, _ in points]
            values = np.array([e.value for _, e in points])
            low = values - np.array([e.value if e.low is None else e.low for _, e in points])
            high = np.array([e.value if e.high is None else e.high for _, e in points]) - values
            panel.errorbar(at, values, yerr=[low, high], fmt="o", capsize=2, label=model)
        panel.set_xticks(range(len(ways)), ways, rotation=60, ha="right")
        panel.set_title(f"questions about {kind}s" if kind != "literature" else "questions about literature")
        panel.axhline(0.5, linestyle=":", color="grey")
    panels[0][0].set_ylabel("accuracy of the answers given")
    panels[0][0].set_ylim(0, 1.05)
    panels[0][-1].legend()
    figure.tight_layout()
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"the plot cannot be written to {path}: {error}") from error
    finally:
        pyplot.close(figure)


def _way(row: Row) -> str:
    return "no retrieval" if row.of["retrieval"] == "none" else f"{row.of['retrieval']}, {row.of['contexts']}"
