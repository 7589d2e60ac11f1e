"""Is a certificate quiet where the world is not as it was tested? ``python benchmarks/stress.py [STUDIES] [SPLITS]``.

Certificates are computed on half of some real studies, with questions made from their human codes, and applied to the
other half: as tested, and under stress. Questions are asked that no report tells, or in words that nobody used; reports
come in another site's style or in another language, among other patients' reports, with a statement that contradicts
them, or not at all. What was made for the stress is synthetic; the reports are those of Open-i.

Beside it: no selection, one context alone, and MAPIE's controller of precision on the same confidences.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tables import Cell, Section, Table, measured, report, saving

from rag.answering.certificate import CertificatePart
from rag.answering.opening import open_without_index
from rag.answering.pipeline import Pipeline
from rag.calibration.division import Division
from rag.calibration.parts import certify_part
from rag.calibration.plan import CalibrationPlan, Level
from rag.calibration.risks import outcomes_of
from rag.calibration.synthesis import QuestionPlan, SyntheticQuestion, propose_questions
from rag.calibration.trials import Said, Trial
from rag.corpus.source import read_source
from rag.evaluation.questions import LabelledQuestion
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.language.reading import read_passage
from rag.risk_control.policy import SETTINGS, TAUS
from rag.settings import load_settings
from rag.types import Document, Hit, Passage, Question

SECTION: Section = "Risk control"
PACKAGES = ("numpy", "scipy", "MAPIE")
ALPHAS, DELTA = (0.03, 0.05, 0.1), 0.05
OTHERS = 4  # reports of other patients among the evidence
UNTOLD = "untold"  # the right answer where no report tells: any yes or no is wrong
_UNASKED = (
    "Is the {finding} larger than 9 cm?",
    "Is the {finding} due to trauma?",
    "Has the {finding} grown by more than 2 cm?",
)
_ODD = (
    "Could somebody spot {finding} when this examination was discussed?",
    "Did the radiologist pick up {finding} over coffee?",
    "Would a careful colleague call {finding} here?",
)
_STYLE = ((r"\bwithin normal limits\b", "wnl"), (r"\bnormal\b", "nl"), (r"\bright\b", "rt"), (r"\bleft\b", "lt"))
_STYLE += ((r"\bno evidence of\b", "neg for"), (r"\bbilateral\b", "bilat"), (r"\bwithout\b", "w/o"))
_GERMAN = {
    "cardiomegaly": "Kardiomegalie", "pleural_effusion": "Pleuraerguss", "pneumothorax": "Pneumothorax",
    "atelectasis": "Atelektase", "pneumonia": "Pneumonie", "consolidation": "Konsolidierung", "emphysema": "Emphysem",
    "nodule": "Rundherd", "scoliosis": "Skoliose", "pulmonary_edema": "Lungenödem", "rib_fracture": "Rippenfraktur",
}  # fmt: skip


class Asked(NamedTuple):
    """A question under stress: its words, its right answer, and what is found for it."""

    text: str
    answer: str
    hits: list[Hit]


@dataclass(frozen=True)
class World:
    """Studies, and the questions that their codes answer."""

    made: Sequence[SyntheticQuestion]
    reports: dict[str, Document]
    names: dict[str, str]
    texts: Texts

    def others(self, q: SyntheticQuestion, rng: random.Random) -> list[Hit]:
        """Reports of other patients, found by their words."""
        some = [d for d in rng.sample(sorted(self.reports), OTHERS + 1) if d != q.study][:OTHERS]
        return [_hit(self.reports[name], "text") for name in some]


Stress = Callable[[World, SyntheticQuestion, random.Random], Asked]


def _hit(document: Document, channel: str) -> Hit:
    whole = Passage(id=f"{document.id}#0", document_id=document.id, start=0, end=len(document.text), text=document.text)
    return Hit(passage=whole, document=document, score=1.0, channel=channel, ranks={channel: 1})


def _own(world: World, q: SyntheticQuestion, text: str | None = None, suffix: str = "") -> Hit:
    """The study's own report, or another text in its place or beside it."""
    document = world.reports[q.study]
    changed = {} if text is None else {"text": text, "id": document.id + suffix}
    return _hit(document.model_copy(update=changed), "study")


def as_tested(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    return Asked(q.question, q.answer, [_own(world, q)])


def questions_that_no_report_tells(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    return Asked(rng.choice(_UNASKED).format(finding=world.names[q.finding]), UNTOLD, [_own(world, q)])


def words_that_nobody_used(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    there = q.answer == "yes" if q.asks != "absence" else q.answer == "no"
    text = rng.choice(_ODD).format(finding=world.names[q.finding])
    answer = ("yes" if there else "no") if q.asks in ("presence", "absence") else UNTOLD
    return Asked(text, answer, [_own(world, q)])


def another_sites_style(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    text = world.reports[q.study].text
    for pattern, short in _STYLE:
        text = re.sub(pattern, short, text, flags=re.I)
    lines = [f"- {s.strip().rstrip('.').upper()}" for s in re.split(r"(?<=[.])\s+", text) if s.strip()]
    return Asked(q.question, q.answer, [_own(world, q, "\n".join(lines))])


def among_other_patients(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    return Asked(q.question, q.answer, [*world.others(q, rng), _own(world, q)])


def contradicted(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    """A second text of the study says the opposite, where one thing is asked for; of what the report is silent about,
    the answer then follows it.
    """
    if q.asks not in ("presence", "absence"):
        return as_tested(world, q, rng)
    there = (q.answer == "yes") != (q.asks == "absence")
    name = world.names[q.finding]
    plain = read_question(f"Is there {name}?", world.texts.lexicon)
    said = read_passage(plain, world.reports[q.study].text, world.texts).mentioned
    flipped = {"yes": "no", "no": "yes"}[q.answer]
    opposite = f"There is no {name}." if there else f"There is {name}."
    answer = UNTOLD if said else flipped
    return Asked(q.question, answer, [_own(world, q), _own(world, q, opposite, "/second")])


def own_report_missing(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    return Asked(q.question, q.answer, world.others(q, rng))


def another_language(world: World, q: SyntheticQuestion, rng: random.Random) -> Asked:
    there = (q.answer == "yes") != (q.asks == "absence")
    name = _GERMAN.get(q.finding, "Befund")
    said = f"Nachweis: {name}, deutlich ausgeprägt." if there else f"Kein Anhalt für {name}."
    text = f"Röntgenaufnahme des Thorax in zwei Ebenen. {said} Sonst altersentsprechend."
    return Asked(q.question, q.answer, [_own(world, q, text)])


STRESSES: tuple[Stress, ...] = (
    as_tested, questions_that_no_report_tells, words_that_nobody_used, another_sites_style, among_other_patients,
    contradicted, own_report_missing, another_language,
)  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """What was said to each question under one stress, from all contexts and from the first alone."""

    trials: list[Trial]
    first: list[Trial]
    answers: list[str]


def ask(world: World, stress: Stress, pipeline: Pipeline) -> Answers:
    """Every question under a stress; trials say the same under all settings, since all evidence is given."""
    rng, rows = random.Random(stress.__name__), Answers([], [], [])
    for q in world.made:
        asked = stress(world, q, rng)
        rows.answers.append(asked.answer)
        for kept, into in ((asked.hits, rows.trials), (asked.hits[:1], rows.first)):
            if into is rows.first and len(asked.hits) == 1:
                into.append(rows.trials[-1])
                continue
            turn = pipeline.begin_with(Question(text=asked.text, study=q.study), kept)
            answer = pipeline.finish(turn)
            said = Said(answer.side, answer.confidence, turn.signals, answer.verdict == "not_mentioned")
            posed = turn.posed
            into.append(
                Trial(
                    posed.scope,
                    turn.domain,
                    (said,) * len(SETTINGS),
                    (),
                    posed.form,
                    frozenset(posed.wording),
                    posed.unread,
                )
            )
    return rows


class Given(NamedTuple):
    """Of some questions: which are answered, and which of these wrongly."""

    answered: np.ndarray
    wrong: np.ndarray


Rule = Callable[[Answers, Sequence[int]], Given]


def _given(answers: Answers, rows: Sequence[int], keep: Callable[[Trial], bool], first: bool = False) -> Given:
    trials = answers.first if first else answers.trials
    answered = np.array([trials[r].outcomes[0].verdict is not None and keep(trials[r]) for r in rows])
    wrong = np.array([trials[r].outcomes[0].verdict != answers.answers[r] for r in rows])
    return Given(answered, answered & wrong)


def rules(tested: Answers, groups: Sequence[str], half: Sequence[int], alpha: float, seed: int) -> dict[str, Rule]:
    """The methods, each calibrated on one half of the studies as tested."""
    found: dict[str, Rule] = {
        "no selection": lambda a, rows: _given(a, rows, lambda t: True),
        "one context": lambda a, rows: _given(a, rows, lambda t: True, first=True),
    }
    said = [(tested.trials[r].outcomes[0], tested.answers[r]) for r in half]
    spoken = [(s.confidence, s.verdict == answer) for s, answer in said if s.verdict is not None]
    tau = _mapie(np.array([c for c, _ in spoken]), np.array([r for _, r in spoken]), alpha)
    found["MAPIE, precision"] = lambda a, rows: _given(a, rows, lambda t: t.outcomes[0].confidence >= tau)

    questions = [LabelledQuestion(str(r), Question(text="?"), tested.answers[r], groups[r]) for r in half]
    trials = [tested.trials[r] for r in half]
    outcomes = outcomes_of(questions, trials, lambda q, s: s.verdict != q.answer)
    how = CalibrationPlan(seed=seed)
    sample = Division.of(questions, trials, outcomes, how.procedure)
    (cell,) = sample.cells(by_form=False)
    rows = np.array(sample.cells(by_form=False)[cell], dtype=np.int64)
    _, part = certify_part(sample, (cell,), rows, Level(alpha, DELTA), how)
    for name, everything in (("ours, whatever is asked", True), ("ours", False)):
        found[name] = lambda a, rows, everything=everything: _given(
            a, rows, lambda t: _sure(part, t) and (everything or _inside(sample, t))
        )
    return found


def _inside(sample: Division, trial: Trial) -> bool:
    like = sample.familiar.knows(trial.features) and sample.familiar.reads(trial.unread)
    return trial.scope == "study" and trial.form in sample.forms and like


def _sure(part: CertificatePart, trial: Trial) -> bool:
    if part.policy is None or part.combiner is None:
        return False
    return round(part.combiner.at(trial.form)(trial.outcomes[0].signals), 4) >= part.policy.tau


def _mapie(confidence: np.ndarray, right: np.ndarray, alpha: float) -> float:
    """The lowest threshold whose precision MAPIE controls; above 1 where there is none, or no MAPIE."""
    try:
        from mapie.risk_control import BinaryClassificationController, precision
    except ImportError:
        return 2.0
    controller = BinaryClassificationController(
        lambda x: np.column_stack([1 - x, x]),
        precision,
        target_level=1 - alpha,
        confidence_level=1 - DELTA,
        list_predict_params=np.array([tau for tau in TAUS if tau <= confidence.max()]),  # one without answers voids all
    )
    controller.calibrate(confidence, right.astype(int))
    valid = np.ravel(controller.valid_predict_params)
    return float(valid.min()) if len(valid) else 2.0


def build(studies: int, pipeline: Pipeline, seed: int = 0) -> World:
    """That many coded studies, with two questions each."""
    documents = [d for d in read_source("openi") if isinstance(d, Document) and d.kind == "report" and d.case_id]
    made = propose_questions(documents, pipeline.lexicon, QuestionPlan(count=2 * studies, each=2, seed=seed))
    reports = {d.case_id: d for d in documents if d.case_id}
    return World(made, reports, {q.finding: pipeline.lexicon.name(q.finding) for q in made}, pipeline.texts)


def compare(
    world: World, said: dict[str, Answers], splits: int, alphas: Sequence[float] = ALPHAS
) -> list[tuple[Cell, ...]]:
    """(alpha, stress, method, splits in which the risk on the other half exceeds alpha, risk, coverage, right)."""
    groups = [q.group for q in world.made]
    names = np.array(sorted(set(groups)))
    sums: dict[tuple[float, str, str], np.ndarray] = {}
    for alpha in alphas:
        for seed in range(splits):
            first = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2].tolist())
            half = [r for r, g in enumerate(groups) if g in first]
            rest = [r for r, g in enumerate(groups) if g not in first]
            for method, rule in rules(said["as tested"], groups, half, alpha, seed).items():
                for stress, answers in said.items():
                    given = rule(answers, rest)
                    n, lost = int(given.answered.sum()), int(given.wrong.sum())
                    row = np.array(
                        [n > 0 and lost / n > alpha, lost, n, (n - lost) / len(rest), n / len(rest)], dtype=float
                    )
                    sums[alpha, stress, method] = sums.get((alpha, stress, method), 0) + row
    rows: list[tuple[Cell, ...]] = []
    for (alpha, stress, method), total in sums.items():
        broken, lost, n, right, covered = total
        risk = round(lost / n, 4) if n else None
        rows.append(
            (
                alpha,
                stress,
                method,
                round(broken / splits, 2),
                risk,
                round(covered / splits, 3),
                round(right / splits, 3),
            )
        )
    return sorted(rows, key=lambda row: (row[0], list(said).index(str(row[1]))))


def answers_under_stress(world: World, pipeline: Pipeline) -> dict[str, Answers]:
    """By the name of the stress."""
    return {stress.__name__.replace("_", " "): ask(world, stress, pipeline) for stress in STRESSES}


def main() -> None:
    argv, save = saving(sys.argv[1:])
    studies, splits = (int(a) for a in (*argv, *("600", "20")[len(argv) :]))
    with open_without_index(load_settings()) as pipeline:
        world = build(studies, pipeline)
        said = answers_under_stress(world, pipeline)
    rows = compare(world, said, splits)
    table = Table(
        section=SECTION,
        question="Does a certificate keep quiet where the world is not as it was tested?",
        columns=("alpha", "stress", "method", "splits over alpha", "wrong among answers", "answered", "right"),
        runs=(measured(rows, PACKAGES),),
        command=f"python benchmarks/stress.py {studies} {splits}",
        note=f"{len(world.made):,} questions about {studies:,} studies, read by the reader; {splits} random halves, "
        "certified at delta = 0.05 on one as tested, applied to the other under stress; shares of its questions. Where "
        "no report tells, or words ask for something else, any yes or no is wrong.",
    )
    report("guarantees-stress", table, save=save)


if __name__ == "__main__":
    main()
