"""The card of a tuned generator: what it learned from, how, how well it went; and what it has seen, as hashes."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import BaseModel

import rag
from rag.generation.seen import Seen, SeenData, hash_of_file, hash_of_name, hashes_of_texts
from rag.training.generator.labelled import Lesson
from rag.training.generator.loop import Trace
from rag.training.generator.packing import MERGED
from rag.training.hyperparameters import Hyperparameters
from rag.training.run_folder import CARD

_LIBRARIES = ("torch", "transformers", "peft", "safetensors")


@dataclass(frozen=True)
class TuningFacts:
    """What the card tells. ``counts`` are (what, split or '', how many) of examples or pairs."""

    title: str
    purpose: str
    command: str
    base: str
    prompt: str
    recipe: Hyperparameters
    seen: Seen
    counts: Sequence[tuple[str, str, int]]
    left_out: Sequence[str]
    stages: dict[str, Trace]
    measured: Mapping[str, Sequence[BaseModel]]
    how: str


def seen_by(items: Iterable[Lesson]) -> Seen:
    """What learning from these questions shows a model: their groups, images and the texts that hold their answers.

    The words of a question count where they alone say what it is about: one from literature. "Is there an effusion?"
    is asked of many.
    """
    items = list(items)
    sources = sorted({(i.source, i.licence) for i in items})
    texts = [t for i in items for t in i.support] + [i.question for i in items if i.about == "literature"]
    return Seen(
        data=tuple(
            SeenData(
                source=source,
                licence=licence,
                examples=sum((i.source, i.licence) == (source, licence) for i in items),
                groups=len({i.group for i in items if (i.source, i.licence) == (source, licence)}),
            )
            for source, licence in sources
        ),
        groups=frozenset(hash_of_name(i.group) for i in items),
        texts=hashes_of_texts(texts),
        images=frozenset(hash_of_file(path) for path in {i.image for i in items if i.image}),
    )


def write_card(facts: TuningFacts, out: Path) -> None:
    """``seen.json``, and after it the card in Markdown: a folder with a card is finished."""
    facts.seen.write(out)
    if (out / MERGED).is_dir():
        facts.seen.write(out / MERGED)
    aside = out / f"{CARD}.new"
    aside.write_text(_card(facts), encoding="utf-8")
    aside.replace(out / CARD)


def _card(facts: TuningFacts) -> str:
    data = [[d.source, str(d.examples), str(d.groups), d.licence] for d in facts.seen.data]
    sections = [
        f"# {facts.title}",
        f"{facts.purpose} **Research use only. Not a medical device: do not use it for diagnosis or treatment.** The "
        "licences of its training data, below, bind its use as well; several exclude commercial use.",
        f"Base: `{facts.base}`. Prompt: `{facts.prompt}`. The weights here are adapters in PEFT's format and change "
        "that base alone.",
        "## Data",
        _table(["source", "questions or cases", "groups", "licence named by the records"], data),
        "What was learned from these, by split: "
        + (", ".join(f"{n:,} {what}{f' ({part})' if part else ''}" for what, part, n in facts.counts) or "nothing")
        + ".",
        *(["Left out: " + "; ".join(facts.left_out) + "."] if facts.left_out else []),
        "Groups (patients, articles), texts and images that it has seen are listed as hashes in `seen.json`. A "
        "certificate computed on any of them would be void, and `rag calibrate` refuses it.",
        "## Training",
        f"```\n{facts.command}\n```",
        *(_told(name, trace) for name, trace in facts.stages.items() if trace.losses),
        "Recipe: " + ", ".join(f"{name} {value}" for name, value in facts.recipe.model_dump().items()) + ".",
        f"Versions: clincite {rag.__version__}, python {platform.python_version()}, "
        + ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
        + f"; {platform.machine()}.",
        "## Measured",
        facts.how,
    ]
    for part, results in facts.measured.items():
        if not results:
            continue
        values = [list(m.model_dump().values()) for m in results]
        head = [name.replace("_", " ") for name in type(results[0]).model_fields]
        sections += [f"### {part}", _table(head, [[_cell(v) for v in row] for row in values])]
    sections += [
        "## Limits",
        "Nothing here measures a whole answer, a search or a clinical benefit: `rag evaluate` does the first two. "
        "Figures hold for questions like these, and weights trained on another machine differ in the last digits.",
    ]
    return "\n\n".join(sections) + "\n"


def tally(kinds: Iterable[str], part: str = "") -> list[tuple[str, str, int]]:
    """(kind, part, how many), the largest first."""
    return [(kind, part, n) for kind, n in Counter(kinds).most_common()]


def _told(name: str, trace: Trace) -> str:
    return (
        f"{name.capitalize()}: {len(trace.losses):,} steps over {trace.rows:,} examples in {trace.seconds / 60:.1f} "
        f"minutes; mean loss {trace.first:.3f} in the first tenth of the steps, {trace.last:.3f} in the last."
    )


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
