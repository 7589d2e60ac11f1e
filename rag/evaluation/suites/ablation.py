"""The papers' ablation on data that anybody can get: retrieval, number of contexts and training, each with and without.

A language model is asked labelled yes/no questions of three kinds (a study's report, literature, an image) in every
combination of

- retrieval: *none* (only what the question itself names: its study's report, its image), *all domains* searched
  together, or the domains that the *router* names;
- contexts: *fixed* k, the *gap* rule (MMed-RAG), or a *certified* policy of k, gap and least confidence (RULE's idea,
  with the guarantee of this package), chosen on one half of the patients and measured on the other;
- model: any that are named, as base, SFT and SFT + DPO.

What is measured is the model's first word and its probability, without verification, so that it is the model that is
compared and a question costs one pass. *Over-reliance* (RULE): of the answers right without retrieval, the share that
retrieval turns wrong. *Image effect*: accuracy with the right image minus with another patient's (see
:mod:`rag.evaluation.sight`), evidence unchanged.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from rag.answering.contexts import evidence_of, select_contexts
from rag.answering.eligibility import admit
from rag.answering.pipeline import Pipeline
from rag.errors import InputError
from rag.evaluation.ablation_plot import plot_ablation
from rag.evaluation.metrics import Estimate, bootstrap
from rag.evaluation.questions import LabelledQuestion, read_yes_no
from rag.evaluation.report import Report, Row
from rag.evaluation.sight import strangers
from rag.evaluation.suite import Sample, Subject, measured_index, need_engine
from rag.evaluation.suites.questions import SKIPPED
from rag.generation.base import Request
from rag.generation.chat import LanguageGenerator
from rag.generation.registry import load_generator
from rag.language.question import read_question
from rag.progress import Progress
from rag.retrieval.router import Router
from rag.risk_control.clusters import Groups
from rag.risk_control.policy import Outcomes, Policy, Setting
from rag.risk_control.procedure import Procedure, certify
from rag.types import Domain, Hit, Question

Retrieval = Literal["none", "all domains", "router"]
RETRIEVALS: tuple[Retrieval, ...] = ("none", "all domains", "router")
_WHOLE = 1e6  # a gap that no scores have
_TAUS = (0.5, 0.6, 0.7, 0.8, 0.9)


class Heard(NamedTuple):
    """P(yes) of one question under one combination: with its own image, and with another's (None: not about one)."""

    yes: float
    exchanged: float | None = None


class _Asked(NamedTuple):
    question: LabelledQuestion
    kind: str
    own: tuple[Hit, ...]
    found: dict[str, tuple[Hit, ...]]  # by retrieval
    stranger: str | None


@dataclass(frozen=True)
class AblationSuite:
    """See the module. Rows are those of :func:`~rag.evaluation.questions.read_yes_no`.

    >>> AblationSuite(each=8).k
    5

    Attributes:
        models: ``name=MODEL`` pairs, separated by commas; the settings' own model unless given.
        each: most questions of a kind; the time taken grows with it.
        k: most contexts.
        alpha: tolerated share of wrong answers of the certified policy.
        delta: tolerated probability that it has more.
        seed: of the choice of questions, halves and images.
        plot: a file for the picture, PNG or SVG.
    """

    models: str = ""
    each: int = 40
    k: int = 5
    alpha: float = 0.2
    delta: float = 0.1
    seed: int = 0
    plot: Path | None = None
    name: ClassVar[str] = "ablation"

    def __post_init__(self) -> None:
        if self.each < 2 or self.k < 1:
            raise InputError("the ablation needs at least 2 questions of a kind and 1 context")

    def read(self, path: Path) -> Sample:
        rows, skipped = read_yes_no(path)
        return Sample(rows, Counter({SKIPPED: skipped} if skipped else {}))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        engine = need_engine(subject, self)
        pipeline, models = engine.pipeline(), self._models(engine.pipeline())
        asked = self._prepared([q.labelled() for q in sample.rows], pipeline)
        settings = self._settings(pipeline)
        advance = progress.stage("asking", len(asked) * len(models))
        rows: list[Row] = []
        for name, model in models.items():
            heard: dict[tuple[Retrieval, Setting], list[Heard]] = defaultdict(list)
            for one in asked:
                hear = _remembering(model, one, pipeline)
                for retrieval in RETRIEVALS:
                    for setting in settings if retrieval != "none" else settings[:1]:
                        heard[retrieval, setting].append(hear(_contexts(one, retrieval, setting)))
                advance(1)
            for kind in dict.fromkeys(one.kind for one in asked):
                rows += self._rows(name, kind, asked, heard, settings)
        notes = (
            f"at most {self.k} contexts; 'gap' cuts at {pipeline.settings.selection.gamma:g}; 'certified': at most "
            f"{self.alpha:g} wrong with probability {1 - self.delta:g}, chosen on half of the patients, measured on "
            "the others; no row where nothing could be certified",
        )
        if self.plot is not None:
            plot_ablation(rows, self.plot)
        measured = measured_index(engine) | {"models": ", ".join(models)}
        return Report(self.name, measured, tuple(rows), sample.left_out, notes)

    # ------------------------------------------------------------------ what is asked

    def _models(self, pipeline: Pipeline) -> dict[str, LanguageGenerator]:
        """By name; each is asked with whatever lies beside the image, for that is what is compared."""
        given = pipeline.settings.generation
        pairs = [p.partition("=") for p in filter(None, (p.strip() for p in self.models.split(",")))]
        if any(not (name and model) for name, _, model in pairs):
            raise InputError(f"the option 'models' is a list of NAME=MODEL, separated by commas; got {self.models!r}")
        named: dict[str, str | None] = {name: model for name, _, model in pairs}
        named = named or {"model": given.transformers.model}
        made = {}
        for name, model in named.items():
            writer = given.transformers.model_copy(update={"model": model})
            kind = given.language_model if given.language_model != "reader" else "transformers"
            update = {"kind": kind, "image_questions": "evidence", "transformers": writer}
            generator = load_generator(given.model_copy(update=update), pipeline.texts)
            if not isinstance(generator, LanguageGenerator):
                raise InputError(f"{kind!r} is no language model, and the ablation is of language models")
            made[name] = generator
        return made

    def _settings(self, pipeline: Pipeline) -> tuple[Setting, ...]:
        """Fixed k, the gap rule, and one context."""
        gap = (self.k, pipeline.settings.selection.gamma)
        return tuple(dict.fromkeys([(self.k, _WHOLE), gap, (1, _WHOLE)]))

    def _prepared(self, questions: Sequence[LabelledQuestion], pipeline: Pipeline) -> list[_Asked]:
        """A draw of each kind, yes and no in turn, with what both ways of searching find."""
        chance = random.Random(self.seed)  # noqa: S311
        kinds: dict[str, list[LabelledQuestion]] = defaultdict(list)
        for q in chance.sample(list(questions), len(questions)):
            kinds[_kind(q.question)].append(q)
        prepared = []
        for kind, some in kinds.items():
            sides = [[q for q in some if q.answer == answer] for answer in ("yes", "no")]
            drawn = [q for pair in zip(*sides, strict=False) for q in pair][: self.each]
            drawn += [q for q in some if q not in drawn][: self.each - len(drawn)]
            for q in drawn:
                unlike = strangers(q, some) if q.question.image else []
                stranger = chance.choice(unlike) if unlike else None
                prepared.append(_Asked(q, kind, *_searched(q.question, pipeline, self.k), stranger))
        return prepared

    # ------------------------------------------------------------------ what came of it

    def _rows(
        self,
        model: str,
        kind: str,
        asked: Sequence[_Asked],
        heard: dict[tuple[Retrieval, Setting], list[Heard]],
        settings: Sequence[Setting],
    ) -> Iterator[Row]:
        here = [i for i, one in enumerate(asked) if one.kind == kind]
        labels = np.array([asked[i].question.answer == "yes" for i in here])
        groups = [asked[i].question.group for i in here]
        alone = [heard["none", settings[0]][i] for i in here]
        for retrieval in RETRIEVALS:
            of = {"model": model, "questions about": kind, "retrieval": retrieval}
            by_setting = {s: [heard[retrieval, s][i] for i in here] for s in settings if (retrieval, s) in heard}
            for contexts, setting in (("fixed", settings[0]), ("gap", settings[1])):
                if setting in by_setting and not (retrieval == "none" and contexts == "gap"):
                    named = of | {"contexts": "-" if retrieval == "none" else contexts}
                    yield _row(named, by_setting[setting], alone, labels, groups, 0.5)
            if retrieval != "none":
                yield from self._certified(of | {"contexts": "certified"}, by_setting, alone, labels, groups)

    def _certified(
        self,
        of: dict[str, str],
        by_setting: dict[Setting, list[Heard]],
        alone: Sequence[Heard],
        labels: np.ndarray,
        groups: Sequence[str],
    ) -> Iterator[Row]:
        """The policy certified on one half of the patients, measured on the other; nothing where none could be."""
        named = Groups.from_ids(groups)
        first, rest = named.split(len(named) // 2, self.seed)
        columns = tuple(by_setting)
        yes = np.array([[h.yes for h in by_setting[s]] for s in columns]).T
        outcomes = Outcomes(
            tuple(str(i) for i in range(len(groups))),
            columns,
            (yes >= 0.5) == labels[:, None],
            np.maximum(yes, 1 - yes),
        )
        try:
            found = certify(
                outcomes.take(first),
                [groups[i] for i in first],
                self.alpha,
                self.delta,
                Procedure(_TAUS, seed=self.seed),
            )
        except InputError:  # too few patients for any certificate
            return
        if found.policy is None:
            return
        chosen = by_setting[found.policy.k, found.policy.gamma]
        yield _row(
            of,
            [chosen[i] for i in rest],
            [alone[i] for i in rest],
            labels[rest],
            [groups[i] for i in rest],
            found.policy.tau,
        )


def _kind(q: Question) -> str:
    return "report" if q.study is not None else "image" if q.image is not None else "literature"


def _searched(q: Question, pipeline: Pipeline, k: int) -> tuple[tuple[Hit, ...], dict[str, tuple[Hit, ...]]]:
    """What the question itself names, and what each way of searching finds beside it."""
    own: tuple[Hit, ...] = ()
    free = q
    if q.study is not None:
        (turn,) = pipeline.begin([q])
        own = turn.found.hits
        mine = tuple({h.document.group_id for h in own})
        free = q.model_copy(update={"study": None, "exclude_groups": (*q.exclude_groups, *mine)})
    found = {}
    for retrieval, searching in (
        ("all domains", replace(pipeline, router=_Everywhere(pipeline.router))),
        ("router", pipeline),
    ):
        (turn,) = searching.begin([free], depth=k + 1)
        hits = turn.found.hits
        if q.study is None and q.image is None:
            kept = {e.passage_id for e in admit(turn.asked, [evidence_of(n, h) for n, h in enumerate(hits, start=1)])}
            hits = tuple(h for h in hits if h.passage.id in kept)
        found[retrieval] = hits
    return own, found


class _Everywhere(Router):
    """The router's opinion, with every domain searched all the same."""

    def __init__(self, router: Router) -> None:
        self.__dict__ = router.__dict__

    def route(self, *args: Any, **options: Any) -> Domain:
        """See :meth:`rag.retrieval.router.Router.route`."""
        told = super().route(*args, **options)
        return told.model_copy(update={"searched": ()})


def _contexts(one: _Asked, retrieval: Retrieval, setting: Setting) -> tuple[Hit, ...]:
    """The question's own report first, then what was found, as far as the setting goes; at most k in all."""
    k, gamma = setting
    hits = one.found.get(retrieval, ())
    kept = select_contexts(hits, Policy(k, gamma, 0.0)).kept if hits else 0
    return (*one.own, *hits[: max(0, min(kept, k - len(one.own)))]) if retrieval != "none" else one.own


def _remembering(model: LanguageGenerator, one: _Asked, pipeline: Pipeline) -> Callable[[tuple[Hit, ...]], Heard]:
    """Asks the model, once for the same contexts."""
    known: dict[tuple[str, ...], Heard] = {}
    q = one.question.question
    asked = read_question(q.text, pipeline.lexicon, q.study)

    def ask(hits: tuple[Hit, ...], image: str | None) -> float:
        evidence = tuple(evidence_of(n, h) for n, h in enumerate(hits, start=1))
        said = model.opinion(Request(q.model_copy(update={"image": image}), asked, evidence))
        return 0.5 if said is None else said

    def hear(hits: tuple[Hit, ...]) -> Heard:
        key = tuple(h.passage.id for h in hits)
        if key not in known:
            exchanged = ask(hits, one.stranger) if one.stranger is not None else None
            known[key] = Heard(ask(hits, q.image), exchanged)
        return known[key]

    return hear


def _row(
    of: dict[str, str],
    heard: Sequence[Heard],
    alone: Sequence[Heard],
    labels: np.ndarray,
    groups: Sequence[str],
    tau: float,
) -> Row:
    """Accuracy is of the answers given; coverage of all questions."""
    yes = np.array([h.yes for h in heard])
    answered, right = np.maximum(yes, 1 - yes) >= tau, (yes >= 0.5) == labels
    before = (np.array([h.yes for h in alone]) >= 0.5) == labels
    metrics: dict[str, Estimate] = {}
    metrics |= _mean("accuracy", right, answered, groups)
    metrics |= _mean("coverage", answered, np.ones(len(labels), dtype=bool), groups)
    metrics |= _mean("over_reliance", answered & ~right, before, groups)
    seeing = np.array([h.exchanged is not None for h in heard])
    other = (np.array([0.5 if h.exchanged is None else h.exchanged for h in heard]) >= 0.5) == labels
    metrics |= _mean("image_effect", right.astype(float) - other.astype(float), seeing, groups)
    return Row(of, {"questions": len(labels)}, metrics)


def _mean(name: str, values: np.ndarray, of: np.ndarray, groups: Sequence[str]) -> dict[str, Estimate]:
    """The mean of some of the values, with its interval; not a number where there are none."""
    if not of.any():
        return {name: Estimate(math.nan, None, None)}
    return bootstrap({name: values[of].astype(float)}, [g for g, kept in zip(groups, of, strict=True) if kept])
