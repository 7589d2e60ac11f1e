"""Questions with a right answer: yes or no, one of several options, or words. What all such collections share.

A collection brings its items; this measures them. Whoever is measured (the product, a language model asked directly,
texts of another system in a file) stands in the first row, what costs little in the rows below. Withheld answers are
wrong in ``accuracy``; ``right``, ``balanced_accuracy``, ``macro_F1`` and ``MCC`` are of the answers that were given,
and ``answered`` says how many these are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rag.answering.engine import Engine
from rag.answering.opening import open_without_index
from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.baselines import Baseline, ConstantAnswer, Trials, beside
from rag.evaluation.citing import JUDGED, measure_citations
from rag.evaluation.classes import measure_classes
from rag.evaluation.metrics import Estimate, bootstrap
from rag.evaluation.published.asking import Asker, HeardAnswer, ask_alone, read_texts, writer_of
from rag.evaluation.published.folder import Folder, sample_of
from rag.evaluation.published.items import WITHHELD, Item
from rag.evaluation.published.pool import pooled
from rag.evaluation.published.trials import ItemTrials, LongestOption, ModelTrials, ProductTrials
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
from rag.evaluation.selective import measure_selection
from rag.evaluation.suite import Sample, Subject
from rag.progress import Progress
from rag.risk_control.bounds import hoeffding_bentkus
from rag.risk_control.policy import Policy
from rag.settings import Settings

Asked = Literal["product", "model"]
_WHOLE = 1e6  # a gap that no scores have
_FIXED = 5
_KS = (1, 2, 4, 8)
_ALPHA, _DELTA = 0.2, 0.1  # of RULE's choice of k
_SMALLEST = 10  # items of a slice that is shown
OURS = "ours"


class Choices(NamedTuple):
    """Who answered, and what was heard of each item."""

    name: str
    heard: Sequence[HeardAnswer]


@dataclass(frozen=True)
class ChoiceSuite(ABC):
    """A collection of questions; a subclass says how it lies in a folder. See the module.

    Attributes:
        limit: about so many questions, drawn by ``seed`` in whole groups; 0 for all.
        seed: of the sample.
        only: a file of ids, one a line: only these.
        baselines: also measure what stands beside; without them the report says so.
        ask: "product", or "model" for the settings' language model asked directly.
        said: a JSONL file of ``id`` and ``text``: what another system said, in place of asking anybody.
    """

    limit: int = 0
    seed: int = 0
    only: Path | None = None
    baselines: bool = True
    ask: Asked = "product"
    said: Path | None = None
    name: ClassVar[str]
    collection: ClassVar[str]
    searches: ClassVar[bool] = True  # whether its evidence has to be found
    own: ClassVar[tuple[Baseline, ...]] = (LongestOption(),)  # baselines of such questions alone

    @abstractmethod
    def items(self, folder: Folder) -> Iterator[Item | str]:
        """The questions, or why a row is none.

        Raises:
            InputError: the folder does not look like the collection, or a row is not of its form.
        """

    def read(self, path: Path) -> Sample:
        left_out, items = Counter[str](), dict[str, Item]()
        for item in self.items(Folder(path, self.collection)):
            if isinstance(item, str):
                left_out[item] += 1
            elif item.id in items:
                raise InputError(f"{path}: the id {item.id!r} occurs twice")
            else:
                items[item.id] = item
        chosen = list(items.values())
        if self.only is not None:
            wanted = _ids(self.only)
            chosen = [item for item in chosen if item.id in wanted]
            left_out[f"not among the ids of {self.only.name}"] += len(items) - len(chosen)
        if not chosen:
            why = "; ".join(f"{n} left out: {reason}" for reason, n in left_out.items())
            raise InputError(f"{path} holds no question of {self.collection} to ask{f' ({why})' if why else ''}")
        sample = sample_of(chosen, self.limit, self.seed)
        left_out["not in the sample"] += len(chosen) - len(sample)
        return Sample(sample, +left_out)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        items = list(sample.rows)
        with _opened(subject, items, self._found, progress) as pipeline:
            asker = Asker(pipeline, progress)
            first = self._first(items, asker)
            beside = list(self._beside(items, asker)) if self.baselines else []
            measured = {"collection": self.collection, **_measured(subject, pipeline, self)}
            rows = list(_rows(items, [first, *beside]))
            rows += _slices(items, first) if self.baselines else []
            citations = measure_citations(
                [spoken.answer for spoken in first.heard], [item.given for item in items], pipeline.texts
            )
        if citations:
            rows.append(Row({"citations of": first.name}, {}, citations))
        notes = (*([JUDGED] if citations else ()), *(() if self.baselines else (NO_BASELINES,)))
        return Report(
            self.name, measured, tuple(rows), sample.left_out, (*notes, *self.notes(items)), _details(items, first)
        )

    @property
    def _found(self) -> bool:
        """Whether anything is searched for: a text that is there already, and a model asked directly, need nothing."""
        return self.searches and self.said is None and self.ask == "product"

    def notes(self, items: Sequence[Item]) -> tuple[str, ...]:
        """What a reader must know besides."""
        return ()

    def _first(self, items: Sequence[Item], asker: Asker) -> Choices:
        if self.said is not None:
            return Choices(f"the texts of {self.said.name}", read_texts(self.said, items, asker.pipeline.texts))
        if self.ask == "model":
            return Choices("the model alone", ask_alone(items, asker.pipeline, asker.progress))
        return Choices(OURS, asker.found(items))

    def _trials(self, items: Sequence[Item], asker: Asker) -> Trials:
        if self.said is not None:
            return ItemTrials(items)
        return ModelTrials(items, asker) if self.ask == "model" else ProductTrials(items, asker)

    def _beside(self, items: Sequence[Item], asker: Asker) -> Iterator[Choices]:
        for name, said in beside(self._trials(items, asker), *self.own):
            yield Choices(name, [HeardAnswer(label) for label in said])
        if self.said is not None or self.ask == "model":
            return
        if writer_of(asker.pipeline) is not None:
            yield Choices("the model alone", ask_alone(items, asker.pipeline, asker.progress))
        if asker.searches:
            yield from _with_policies(items, asker)


def _with_policies(items: Sequence[Item], asker: Asker) -> Iterator[Choices]:
    """Fixed numbers of contexts, RULE's, and the gap rule; all answer whatever their confidence."""
    selection = asker.pipeline.settings.selection
    by_k = {k: asker.found(items, Policy(k, _WHOLE, 0.0), f"asking with {k} contexts") for k in (*_KS, _FIXED)}
    yield Choices(f"fixed k = {_FIXED}", by_k[_FIXED])
    yield Choices("RULE's k", _chosen_k(items, {k: by_k[k] for k in _KS}))
    gap = Policy(selection.k_max, selection.gamma, 0.0)
    yield Choices("gap rule", asker.found(items, gap, "asking by the gap rule"))


def _chosen_k(items: Sequence[Item], by_k: Mapping[int, Sequence[HeardAnswer]]) -> list[HeardAnswer]:
    """RULE (Xia et al. 2024): the number of contexts is chosen on labelled questions, here on the other half of the
    groups: of those whose risk is certified (Hoeffding–Bentkus, Bonferroni), or of all where none is, the safest."""
    groups = sorted({item.group for item in items})
    half = {group: n % 2 for n, group in enumerate(groups)}
    said = [HeardAnswer(WITHHELD)] * len(items)
    for side in (0, 1):
        other = [n for n, item in enumerate(items) if half[item.group] != side]
        risk = {k: np.mean([1 - items[n].right(some[n].label) for n in other] or [1.0]) for k, some in by_k.items()}
        sure = [k for k, r in risk.items() if hoeffding_bentkus(r, len(other), _ALPHA) <= _DELTA / len(by_k)]
        best = min(sure or risk, key=lambda k: risk[k])
        for n, item in enumerate(items):
            if half[item.group] == side:
                said[n] = by_k[best][n]
    return said


# ---------------------------------------------------------------- figures


def _rows(items: Sequence[Item], answers: Sequence[Choices]) -> Iterator[Row]:
    """A table for the questions with options, one for the open ones."""
    for shown, mine in (
        ("closed", [n for n, item in enumerate(items) if not item.open]),
        ("open", [n for n, item in enumerate(items) if item.open]),
    ):
        for by in answers if mine else ():
            some, heard = [items[n] for n in mine], [by.heard[n] for n in mine]
            yield Row({"answered by": by.name, "questions": shown}, {"n": len(mine)}, figures_of(some, heard))


def figures_of(items: Sequence[Item], heard: Sequence[HeardAnswer]) -> dict[str, Estimate]:
    """The figures of one table row; see the module."""
    groups, right = [i.group for i in items], [i.right(h.label) for i, h in zip(items, heard, strict=True)]
    given = [h.label not in ("", WITHHELD) for h in heard]
    metrics = bootstrap({"accuracy": right, "answered": [float(g) for g in given]}, groups)
    if items[0].open:
        exact = [
            float(h.label.strip(" .").casefold() == i.answer.strip(" .").casefold())
            for i, h in zip(items, heard, strict=True)
        ]
        return {
            "words_found": metrics["accuracy"],
            "answered": metrics["answered"],
            **bootstrap({"exact": exact}, groups),
        }
    some = [n for n, g in enumerate(given) if g]
    metrics |= bootstrap({"right": [right[n] for n in some]}, [groups[n] for n in some]) or {"right": exactly(0.0)}
    classes = measure_classes(
        [items[n].answer for n in some], [heard[n].label for n in some], [groups[n] for n in some]
    )
    none = {name: exactly(0.0) for name in ("balanced_accuracy", "macro_F1", "MCC")}
    return {**metrics, **(classes or none)}


def _slices(items: Sequence[Item], first: Choices) -> Iterator[Row]:
    """By modality, form or domain, beside a constant answer to each slice; then what confidence is worth, and where
    search and reading fail."""
    kinds = dict.fromkeys((key, item.of[key]) for item in items for key in sorted(item.of))
    for key, value in sorted(kinds):
        mine = [n for n, item in enumerate(items) if item.of.get(key) == value and not item.open]
        if len(mine) < _SMALLEST:
            continue
        some = [items[n] for n in mine]
        found = figures_of(some, [first.heard[n] for n in mine])
        same = ConstantAnswer().answers(ItemTrials(some))
        constant = figures_of(some, [HeardAnswer(label) for label in same])
        figures = {"accuracy": found["accuracy"], "answered": found["answered"], "right": found["right"]}
        yield Row({"by": key, "of": value}, {"n": len(mine)}, {**figures, "a_constant": constant["accuracy"]})
    closed = [(i, h) for i, h in zip(items, first.heard, strict=True) if not i.open]
    sure = [(h.confidence, i.right(h.label)) for i, h in closed if h.confidence is not None and h.label != WITHHELD]
    if len(sure) >= _SMALLEST:
        worth = measure_selection([c for c, _ in sure], [r for _, r in sure])
        yield Row({"confidence of": first.name}, {"n": len(sure)}, {**worth, **_auroc(closed)})
    if any(item.given for item in items) and any(h.shown for h in first.heard):
        table = Counter(
            (bool({g.id for g in i.given} & set(h.shown)), bool(i.right(h.label) == 1)) for i, h in closed if i.given
        )
        counts = {
            f"{'evidence found' if found else 'not found'}, {'right' if right else 'not right'}": table[found, right]
            for found in (True, False)
            for right in (True, False)
        }
        yield Row({"quadrants of": first.name}, counts, {})


def _auroc(closed: Sequence[tuple[Item, HeardAnswer]]) -> dict[str, Estimate]:
    """Of P(yes), over questions of two sides."""
    from sklearn.metrics import roc_auc_score

    pairs = [
        (i.answer == "yes", h.probability)
        for i, h in closed
        if set(i.options) == {"yes", "no"} and h.probability is not None
    ]
    if len({label for label, _ in pairs}) < 2:
        return {}
    return {"AUROC": exactly(float(roc_auc_score([label for label, _ in pairs], [p for _, p in pairs])))}


def _details(items: Sequence[Item], first: Choices) -> dict[str, Any]:
    return {
        "outcomes": [
            {"id": i.id, "group": i.group, "answer": i.answer, "said": h.label, "confidence": h.confidence}
            for i, h in zip(items, first.heard, strict=True)
        ]
    }


# ---------------------------------------------------------------- who is asked


@contextmanager
def _opened(subject: Subject, items: Sequence[Item], found: bool, progress: Progress) -> Iterator[Pipeline]:
    """The engine's pipeline; or, with settings alone, one over the texts that the collection itself gives."""
    if isinstance(subject, Engine):
        yield subject.pipeline()
        return
    texts = {g.id: g.text for item in items for g in item.given}
    if texts and found:
        rows = ({"id": i, "text": text, "kind": "literature", "group": i} for i, text in texts.items())
        with pooled(rows, subject, progress) as engine:
            yield engine.pipeline()
    else:
        with open_without_index(subject) as pipeline:
            yield pipeline


def _measured(subject: Subject, pipeline: Pipeline, suite: ChoiceSuite) -> dict[str, str]:
    if suite.said is not None:
        return {"texts": suite.said.name}
    own = "the collection's own texts" if pipeline.snapshot.counts() else "none"
    index = (
        own if isinstance(subject, Settings) else f"{pipeline.name}, version {pipeline.fingerprints['index version']}"
    )
    return {"index": index, "generator": pipeline.fingerprints["generator"]}


def _ids(path: Path) -> set[str]:
    if not path.is_file():
        raise InputError(f"there is no file {path} of ids")
    return {line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()}
