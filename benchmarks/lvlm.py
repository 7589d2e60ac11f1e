"""The compact Med-LVLM beside the reader: right answers on data that it has not seen, seconds, memory.

Questions go through the product, search and verification included. Needs the demo index (make demo) for questions about
studies, and the folder of test data: ``python benchmarks/lvlm.py [answers] [speed] [DATA [INDEX]]``.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tables import Table, measured, report, saving

import rag
from rag.evaluation.questions import LabelledQuestion, agreement, ask_labelled
from rag.generation.base import Request
from rag.generation.registry import load_generator
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.progress import Silent
from rag.types import Draft, Evidence, sha256_of

# synthetic reports, about as long as the passages of an index
OWN = (
    "The heart is enlarged. No pleural effusion or pneumothorax. The lungs are clear. There is a calcified granuloma "
    "in the left base. The bony structures are intact and no acute fracture is identified. Stable mediastinum."
)
OTHER = (
    "The heart is normal in size. The mediastinum is unremarkable. There is a large left pleural effusion with "
    "adjacent compressive atelectasis. The right lung is clear. No pneumothorax is seen. Degenerative spine."
)
SPOKEN = ("Is the heart enlarged?", "Is there a pleural effusion?", "Are the lungs clear?", "Is there a fracture?",
          "What does the report say about the lungs?", "Is there a pneumothorax?")  # fmt: skip
PRECISIONS = ("float32", "bfloat16")


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    parts = [a for a in argv if a in ("answers", "speed")] or ["speed", "answers"]
    folders = [Path(a) for a in argv if a not in parts]
    data = folders[0] if folders else Path("../shared/data")
    index = folders[1] if len(folders) > 1 else Path("indexes/demo")
    if "speed" in parts:
        report("speed-lvlm", speed(), save=save)
    if "answers" in parts:
        if not (data / "unseen").exists():
            print(f"not measured: needs the data {data}")
            return
        report("reading-lvlm", answers(data, index), save=save)


# ------------------------------------------------------------------ speed


def speed() -> Table:
    import torch

    rows = []
    for precision in PRECISIONS:
        settings = rag.load_settings("compact-lvlm").generation
        chosen = settings.transformers.model_copy(update={"dtype": precision})
        texts = Texts(Lexicon.load())
        generator: Any = load_generator(settings.model_copy(update={"transformers": chosen}), texts)
        requests = [_request(q, contexts, texts.lexicon) for contexts in (1, 5) for q in SPOKEN]
        generator.generate(requests[0])
        for contexts in (1, 5):
            walls, firsts, works = [], [], []
            for request in [r for r in requests if len(r.evidence) == contexts] * 2:
                begin, work = time.perf_counter(), time.process_time()
                first = None
                for draft in generator.stream(request):
                    first = first or (time.perf_counter() - begin if _tells(draft) else None)
                walls.append(time.perf_counter() - begin)
                works.append(time.process_time() - work)
                firsts.append(first or walls[-1])
            medians = (round(statistics.median(times), 2) for times in (firsts, walls, works))
            rows.append((precision, contexts, len(walls), *medians, _resident()))
    return Table(
        section="Speed",
        question="How long does the compact Med-LVLM write, and how much memory has it?",
        columns=("weights", "contexts", "n", "first sentence p50 s (wanted: 1.5)", "answer p50 s (wanted: 3)",
                 "processor seconds p50", "resident MiB (wanted: 1,536)"),
        runs=(measured(rows, ("torch", "transformers")),),
        command="python benchmarks/lvlm.py speed",
        note=f"{torch.get_num_threads()} thread(s); resident memory of the process, both models once loaded.",
    )  # fmt: skip


def _request(question: str, contexts: int, lexicon: Lexicon) -> Request:
    texts = [OWN, *[OTHER] * (contexts - 1)]
    found = tuple(_evidence(n, text, "study" if n == 1 else "image") for n, text in enumerate(texts, start=1))
    return Request(rag.Question(text=question), read_question(question, lexicon), found)


def _evidence(number: int, text: str, channel: str) -> Evidence:
    return Evidence(
        number=number, document_id=f"d{number}", passage_id=f"d{number}/0", kind="report", domain="radiology", title="",
        source="synthetic", licence="none", case_id=f"c{number}", group_id=f"g{number}", channel=channel, score=1.0,
        text=text, start=0, sha256=sha256_of(text),
    )  # fmt: skip


def _tells(draft: Draft) -> bool:
    return bool(draft.sentences) or draft.refusal is not None


def _resident() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


# ------------------------------------------------------------------ right answers


def answers(data: Path, demo: Path) -> Table:
    rows = []
    with TemporaryDirectory() as folder:
        sets = [*_literature(data, Path(folder))]
        if demo.exists():
            sets.append(("study questions, unseen studies", demo, _studies(data)))
        for name, index, questions in sets:
            for writer, settings in _writers().items():
                engine = rag.Engine.open(index, settings)
                begin = time.perf_counter()
                said = ask_labelled(questions, engine, Silent())
                seconds = (time.perf_counter() - begin) / len(questions)
                found = agreement(questions, said, {})
                names = ("answered", "right", "yes_recalled", "no_recalled", "balanced_accuracy")
                shares = (round(found.metrics[n].value, 3) for n in names)
                rows.append((name, writer, found.counts["yes"], found.counts["no"], *shares, round(seconds, 2)))
                print(rows[-1], flush=True)
    return Table(
        section="Reading",
        question="Does the compact Med-LVLM answer better than the reader?",
        columns=("questions", "writer", "right answer yes", "no", "answered", "right if answered", "yes recalled",
                 "no recalled", "balanced accuracy", "s each"),
        runs=(measured(rows, ("torch", "transformers")),),
        command="python benchmarks/lvlm.py answers",
        note="Withheld answers recall nothing. No question, study or article is among what the model was trained on.",
    )  # fmt: skip


def _writers() -> dict[str, rag.Settings]:
    """The reader; the model for whatever is asked; and with the reader for studies and for what was refused."""
    names = ("compact-lvlm", "compact-lvlm-by-question")
    return {"reader": rag.load_settings(), **{name: rag.load_settings(name) for name in names}}


def _literature(data: Path, folder: Path) -> Iterator[tuple[str, Path, list[LabelledQuestion]]]:
    """Yes/no questions of each file, and an index of all of its passages together."""
    for name, file, passages, answer in (
        ("BioASQ 7B yes/no, snippets of 500 questions in one index", "bioasq_7b.jsonl", "snippets", "exact_answer"),
        ("PubMedQA yes/no, abstracts of 200 questions in one index", "pubmedqa_200.jsonl", "contexts", "answer"),
    ):
        rows = [json.loads(line) for line in (data / "unseen" / file).open(encoding="utf-8")]
        texts = sorted({p["text"] if isinstance(p, dict) else p for row in rows for p in row[passages]})
        source = folder / f"{Path(file).stem}.jsonl"
        kept = [t for t in texts if len(t.split()) >= 4]
        cases = [{"id": f"p{n}", "text": text, "kind": "literature", "group": f"p{n}"} for n, text in enumerate(kept)]
        source.write_text("".join(json.dumps(c) + "\n" for c in cases), encoding="utf-8")
        index = rag.Index.create(str(folder / source.stem))
        index.ingest(source)
        yes_no = [r for r in rows if r[answer] in ("yes", "no")]
        asked = [
            LabelledQuestion(str(n), rag.Question(text=r["question"]), r[answer], str(n)) for n, r in enumerate(yes_no)
        ]
        yield name, index.path, asked


def _studies(data: Path, seed: int = 0) -> list[LabelledQuestion]:
    """Every coded finding of the studies kept out of training, and as many findings that were not coded."""
    unseen = set((data / "unseen" / "openi_studies.txt").read_text().split())
    with (data / "iuxray" / "openi_labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["filename"] in unseen]
    pairs = [(row["filename"], f, row[f]) for row in rows for f in row if f not in ("filename", "normal")]
    yes, no = ([(s, f) for s, f, code in pairs if code == wanted] for wanted in "10")
    chosen = [(*p, "yes") for p in yes] + [(*p, "no") for p in random.Random(seed).sample(no, len(yes))]
    return [
        LabelledQuestion(
            f"{study}/{finding}",
            rag.Question(text=f"Does the study show {finding.replace('_', ' ').lower()}?", study=study),
            answer,
            study,
        )
        for study, finding, answer in chosen
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
