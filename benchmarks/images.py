"""Questions about images: does who answers look at the image, and what do retrieval and training change?

    python benchmarks/images.py [sight] [ablation] [DATA [INDEX]] [--save]

``sight`` asks the compact Med-LVLM yes/no questions with right, exchanged and noised images: of the experts' keywords
of fundus photographs and histology tiles (split test of the cases), and closed VQA-RAD questions on images that it has
not seen. ``ablation`` runs the suite of that name; INDEX must hold the studies, the literature and the images'
neighbours (``rag ingest`` of each). EACH questions of a kind, from the environment, bound the time.
"""

from __future__ import annotations

import csv
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tables import Cell, Table, measured, report, saving

import rag
from rag.evaluation.metrics import Estimate
from rag.evaluation.questions import LabelledQuestion
from rag.evaluation.sight import Kind, Looked, effects_of_kinds, look
from rag.generation.base import Request
from rag.generation.registry import load_generator
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.progress import Silent
from rag.types import Question

DOMAINS = {"odir": "ophthalmology", "lc25000": "pathology"}
ASKED = ("Does this fundus photograph show {}?", "Is there {}?", "Does the eye have {}?")
NORMAL = ("Is this a normal fundus?", "Does the fundus look normal?")
TISSUE = ("Does this slide show {}?", "Is this {}?")
SEEN_OFTEN = 10  # training photographs that have a keyword, before it is asked for


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    parts = [a for a in argv if a in ("sight", "ablation")] or ["sight", "ablation"]
    folders = [Path(a) for a in argv if a not in parts]
    data = folders[0] if folders else Path("../shared/data")
    if not (data / "unseen").exists():
        print(f"not measured: needs the data {data}")
        return
    each = int(os.environ.get("EACH", "1000"))
    if "sight" in parts:
        report("reading-sight", sight(data, each), save=save)
    if "ablation" in parts:
        if len(folders) < 2:
            print("not measured: the ablation needs an index")
            return
        report("reading-ablation", ablation(data, folders[1], each), save=save)


# ------------------------------------------------------------------ the questions


def about_cases(data: Path, split: str, seed: int = 7) -> list[tuple[LabelledQuestion, str]]:
    """Yes/no questions on the experts' keywords, with the domain of each image."""
    rows = [json.loads(line) for line in (data / "cases" / "cases.jsonl").open(encoding="utf-8")]
    train = [r for r in rows if r["split"] == "train"]
    often = Counter(k for r in train if r["source"] == "odir" for k in _keywords(r))
    conditions = [k for k, n in often.items() if n >= SEEN_OFTEN and k != "normal fundus"]
    tissues = sorted({r["text"] for r in train if r["source"] == "lc25000"})
    chance, made = random.Random(seed), []
    for r in rows:
        if r["split"] != split or r["source"] not in DOMAINS:
            continue
        asked = _fundus(r, conditions, chance) if r["source"] == "odir" else _tissue(r, tissues, chance)
        for n, (text, yes) in enumerate(asked):
            image = str(data / "cases" / r["image"])
            question = Question(text=text, image=image, exclude_groups=(r["group"],))
            labelled = LabelledQuestion(f"{r['id']}#{n}", question, "yes" if yes else "no", r["group"])
            made.append((labelled, DOMAINS[r["source"]]))
    return made


def _keywords(row: dict[str, Any]) -> list[str]:
    return [k.strip() for k in row["text"].replace("，", ",").split(",")]


def _fundus(row: dict[str, Any], conditions: list[str], chance: random.Random) -> Iterator[tuple[str, bool]]:
    has = _keywords(row)
    there, absent = [c for c in conditions if c in has], [c for c in conditions if c not in has]
    if there and chance.random() < 0.75:
        yield chance.choice(ASKED).format(chance.choice(there)), True
    if absent and chance.random() < 0.45:
        yield chance.choice(ASKED).format(chance.choice(absent)), False
    if chance.random() < 0.6:
        yield chance.choice(NORMAL), has == ["normal fundus"]


def _tissue(row: dict[str, Any], tissues: list[str], chance: random.Random) -> Iterator[tuple[str, bool]]:
    other, yes = chance.choice([t for t in tissues if t != row["text"]]), chance.random() < 0.5
    yield chance.choice(TISSUE).format(row["text"] if yes else other), yes


def about_radiographs(data: Path) -> list[tuple[LabelledQuestion, str]]:
    """Closed VQA-RAD questions on images that the model was not trained on."""
    unseen = set((data / "unseen" / "vqa_rad_ids.txt").read_text().split())
    made = []
    for line in (data / "vqa_rad" / "train.jsonl").open(encoding="utf-8"):
        r = json.loads(line)
        answer = r["answer"].strip().lower()
        if r["id"] in unseen and answer in ("yes", "no"):
            question = Question(text=r["question"].strip(), image=str(data / "vqa_rad" / r["image"]))
            made.append((LabelledQuestion(r["id"], question, answer, r["group"]), "radiology"))
    return made


def drawn(
    questions: list[tuple[LabelledQuestion, str]], each: int, seed: int = 1
) -> list[tuple[LabelledQuestion, str]]:
    """At most ``each`` of them; every patient's first question before anybody's second."""
    shuffled, turns = random.Random(seed).sample(questions, len(questions)), Counter[str]()
    ranked = []
    for q in shuffled:
        ranked.append((turns[q[0].group], len(ranked), q))
        turns[q[0].group] += 1
    return [q for _, _, q in sorted(ranked, key=lambda row: row[:2])][:each]


# ------------------------------------------------------------------ sight


def sight(data: Path, each: int) -> Table:
    questions = [*drawn(about_cases(data, "test"), each), *drawn(about_radiographs(data), each)]
    return marks(asked_of_the_model(questions))


def marks(looked: list[Looked]) -> Table:
    effects = effects_of_kinds(looked)
    rows = [
        (e.domain, e.form or "all", e.questions, e.groups, e.right, e.swapped, e.noised, *e.effect, e.status)
        for e in effects
    ]
    return Table(
        section="Reading",
        question="Does the compact Med-LVLM look at the image when it answers?",
        columns=("domain", "form", "questions", "patients", "right image", "another's image", "noise", "image effect",
                 "low", "high", "mark"),
        runs=(measured(rows, ("torch", "transformers")),),
        command="EACH=400 python benchmarks/images.py sight",
        note="Share right, silence counting half; no search, no text of other cases. Blind kinds are refused.",
    )  # fmt: skip


def asked_of_the_model(questions: list[tuple[LabelledQuestion, str]]) -> list[Looked]:
    """By the image alone, as the profile compact-lvlm asks it."""
    lexicon = Lexicon.load()
    generator = load_generator(rag.load_settings("compact-lvlm").generation, Texts(lexicon))
    read = {q.id: read_question(q.question.text, lexicon) for q, _ in questions}

    def say(q: LabelledQuestion, image: str, domain: str) -> str | None:
        draft = generator.generate(Request(q.question.model_copy(update={"image": image}), read[q.id], ()))
        return None if draft.refusal is not None else draft.verdict

    kinds = [(q, Kind(domain, read[q.id].form)) for q, domain in questions if read[q.id].yes_no]
    return list(look(kinds, say, Silent()))


# ------------------------------------------------------------------ ablation


def ablation(data: Path, index: Path, each: int) -> Table:
    engine = rag.Engine.open(index, rag.load_settings("compact-lvlm"))
    held = [q for q in about_studies(data) if engine.has_study(q.question.study or "")]
    questions = [*held, *about_literature(data), *(q for q, _ in about_cases(data, "dev"))]
    models = os.environ.get("MODELS", "sft=compact-lvlm")
    contexts = int(os.environ.get("CONTEXTS", "5"))
    plot = Path(os.environ["PLOT"]) if "PLOT" in os.environ else None
    found = rag.evaluate(engine, "ablation", questions, models=models, each=each, k=contexts, plot=plot)
    names = ("accuracy", "coverage", "over_reliance", "image_effect")
    rows = [(*r.of.values(), r.counts["questions"], *(_cell(r.metrics[name]) for name in names)) for r in found.rows]
    return Table(
        section="Reading",
        question="What do retrieval, the choice of contexts and training change? (the papers' ablation)",
        columns=("model", "questions about", "retrieval", "contexts", "n", "accuracy", "coverage", "over-reliance",
                 "image effect"),
        runs=(measured(rows, ("torch", "transformers")),),
        command="EACH=400 MODELS=base=…,sft=compact-lvlm,dpo=… python benchmarks/images.py ablation DATA INDEX",
        note="First words, unverified; unseen studies, BioASQ 7B, dev of the cases; 95% intervals. The base has the "
        "trained projector. 'certified': at most 0.2 wrong with probability 0.9, on half of the patients; no row where "
        "nothing was. Both ways of searching seldom differ.",
    )  # fmt: skip


def about_studies(data: Path, seed: int = 3) -> list[LabelledQuestion]:
    """Coded findings of studies kept out of training, and as many that were not coded."""
    unseen = set((data / "unseen" / "openi_studies.txt").read_text().split())
    with (data / "iuxray" / "openi_labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["filename"] in unseen]
    pairs = [(r["filename"], f, r[f]) for r in rows for f in r if f not in ("filename", "normal")]
    yes, no = ([(s, f) for s, f, code in pairs if code == wanted] for wanted in "10")
    sides = (("yes", yes), ("no", random.Random(seed).sample(no, len(yes))))
    return [
        LabelledQuestion(f"{s}/{f}", Question(text=f"Is there {f.replace('_', ' ').lower()}?", study=s), side, s)
        for side, some in sides
        for s, f in some
    ]


def about_literature(data: Path) -> list[LabelledQuestion]:
    rows = [json.loads(line) for line in (data / "unseen" / "bioasq_7b.jsonl").open(encoding="utf-8")]
    return [
        LabelledQuestion(f"bioasq-{n}", Question(text=r["question"]), r["exact_answer"], f"bioasq-{n}")
        for n, r in enumerate(rows)
        if r["exact_answer"] in ("yes", "no")
    ]


def _cell(e: Estimate) -> Cell:
    return None if e.value != e.value else str(e)


if __name__ == "__main__":
    main(sys.argv[1:])
