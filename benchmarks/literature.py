"""Questions about literature through the product: answered, right, citing what people cited, and silent where foreign.

The snippets of BioASQ 7B's 500 questions lie in one index; yes/no questions and the others are asked of it. Those of
BioASQ 8B and 9B are asked of the demo index, to which they are foreign, and PubMedQA's are read with their abstracts.
``python benchmarks/literature.py [PART ...] [PROFILE ...] [DATA [INDEX]] [--most N] [--save]``; N questions of a part
at most. Rows of other parts and profiles that were saved are kept.
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tables import Table, measured, report, saving

import rag
from rag.evaluation.suites.abstracts import AbstractSuite
from rag.progress import Silent
from rag.types import Answer

KINDS = ("yesno", "factoid", "list", "summary")
PARTS = (*KINDS, "foreign", "abstracts")
PROFILES = ("compact", "compact-lvlm-by-question", "compact-lvlm")


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    most = int(argv.pop(argv.index("--most") + 1)) if "--most" in argv else 500
    argv = [a for a in argv if a != "--most"]
    profiles = [a for a in argv if a in PROFILES] or list(PROFILES)
    parts = [a for a in argv if a in PARTS] or list(PARTS)
    folders = [Path(a) for a in argv if a not in (*PARTS, *PROFILES)]
    data = folders[0] if folders else Path("../shared/data")
    demo = folders[1] if len(folders) > 1 else Path("indexes/demo")
    if not (data / "unseen").exists():
        print(f"not measured: needs the data {data}")
        return
    rows = list(_measure(data, demo, parts, profiles, most))
    report("reading-literature", _table(rows), save=save, key=2)


def _table(rows: Sequence[Sequence[Any]]) -> Table:
    return Table(
        section="Reading",
        question="Are questions about literature answered, and by what bears on them?",
        columns=("questions", "profile", "asked", "answered", "right if answered", "balanced accuracy", "if answered",
                 "cite a gold snippet", "the model's reading", "sentences"),
        runs=(measured(rows, ("torch", "transformers")),),
        command="python benchmarks/literature.py",
        note="Withheld answers count as wrong in the first balanced accuracy (PubMedQA: accuracy, withheld is maybe). "
        "Factoids are right where an exact answer stands in the answer, lists as far as their items do; of summaries "
        "nobody counts it. Then shares of answers that no rule verified, and sentences of an answer.",
    )  # fmt: skip


def _measure(
    data: Path, demo: Path, parts: Sequence[str], profiles: Sequence[str], most: int
) -> Iterator[tuple[Any, ...]]:
    pooled = _lines(data / "unseen" / "bioasq_7b.jsonl")
    with TemporaryDirectory() as folder:
        index = _pooled(pooled, Path(folder)) if set(parts) & set(KINDS) else None
        for profile, part in ((profile, part) for part in parts for profile in profiles):
            settings = rag.load_settings(profile)
            if part == "abstracts":
                row: tuple[Any, ...] = _abstracts(data, settings, most)
            elif part == "foreign":
                if not demo.exists():
                    continue
                asked = _some(_lines(data / "bioasq" / "8b_9b.jsonl"), most)
                said = _answers(rag.Engine.open(demo, settings), asked)
                row = "BioASQ 8B and 9B, asked of the demo", len(asked), _share([_given(a) for a in said]), *[None] * 6
            else:
                assert index is not None
                asked = _some([r for r in pooled if r["type"] == part], most)
                said = _answers(rag.Engine.open(index, settings), asked)
                row = f"BioASQ 7B {part}, snippets pooled", len(asked), *_scored(asked, said)
            print(profile, row, flush=True)
            yield row[0], profile, *row[1:]


def _abstracts(data: Path, settings: rag.Settings, most: int) -> tuple[Any, ...]:
    """Reading alone: what is not answered counts as maybe."""
    suite = AbstractSuite()
    sample = suite.read(data / "unseen" / "pubmedqa_200.jsonl")
    found = suite.measure(settings, replace(sample, rows=_some(sample.rows, most)), Silent()).rows[0]
    n, answered = found.counts["questions"], found.counts["answered"]
    right, given = (round(found.metrics[m].value, 3) for m in ("accuracy", "right_of_the_answered"))
    return "PubMedQA with its abstract", n, round(answered / n, 3), given, right, *[None] * 4


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.open(encoding="utf-8")]


def _some(rows: Sequence[Any], most: int) -> list[Any]:
    return list(rows) if len(rows) <= most else random.Random(0).sample(list(rows), most)


def _pooled(rows: Sequence[dict[str, Any]], folder: Path) -> Path:
    texts = sorted({s["text"] for row in rows for s in row["snippets"] if len(s["text"].split()) >= 4})
    cases = [{"id": f"p{n}", "text": text, "kind": "literature", "group": f"p{n}"} for n, text in enumerate(texts)]
    source = folder / "snippets.jsonl"
    source.write_text("".join(json.dumps(c) + "\n" for c in cases), encoding="utf-8")
    index = rag.Index.create(str(folder / "snippets"))
    index.ingest(source)
    return Path(index.path)


def _answers(engine: rag.Engine, rows: Sequence[dict[str, Any]]) -> list[Answer]:
    return engine.ask_many([rag.Question(text=row["question"]) for row in rows], record=False)


def _given(answer: Answer) -> bool:
    return answer.decision == "answered"


def _scored(rows: Sequence[dict[str, Any]], answers: Sequence[Answer]) -> tuple[float | None, ...]:
    pairs = [(row, a) for row, a in zip(rows, answers, strict=True) if _given(a)]
    if rows[0]["type"] == "yesno":
        right = [a.verdict == _side(row) for row, a in pairs]
        sides = [
            _share([a.verdict == side for row, a in zip(rows, answers, strict=True) if _side(row) == side])
            for side in ("yes", "no")
        ]
        answered = [_share([a.verdict == side for row, a in pairs if _side(row) == side]) for side in ("yes", "no")]
        shares = _share(right), *(round(sum(s or 0.0 for s in both) / 2, 3) for both in (sides, answered))
    elif rows[0]["type"] in ("factoid", "list"):
        found = [_found(row, a.answer) for row, a in pairs]
        shares = (round(sum(found) / len(found), 3) if found else None), None, None
    else:
        shares = None, None, None
    gold = [_cites(a, [s["text"] for s in row["snippets"]]) for row, a in pairs]
    by_model = [any(c.verdict == "cited" for c in a.citations) for _, a in pairs]
    said = round(sum(len(a.sentences) for _, a in pairs) / len(pairs), 2) if pairs else None
    return _share([_given(a) for a in answers]), *shares, _share(gold), _share(by_model), said


def _side(row: dict[str, Any]) -> str:
    return str(row["exact_answer"]).lower()


def _found(row: dict[str, Any], text: str) -> float:
    """Of a factoid whether any wording that counts stands in ``text``, of a list the share of its items that do."""
    exact = row["exact_answer"] if isinstance(row["exact_answer"], list) else [row["exact_answer"]]
    there = [any(_plain(w) in _plain(text) for w in (e if isinstance(e, list) else [e])) for e in exact]
    return sum(there) / len(there) if row["type"] == "list" else float(any(there))


def _plain(text: Any) -> str:
    """Words alone, in lower case, with a space on both sides."""
    words = re.findall(r"[^\W_]+", str(text).lower())
    return f" {' '.join(words)} "


def _cites(answer: Answer, gold: Sequence[str]) -> bool:
    texts = {e.number: e.text for e in answer.evidence}
    return any(texts[c.number] in g for c in answer.citations for g in gold)


def _share(values: Sequence[bool]) -> float | None:
    return round(sum(values) / len(values), 3) if values else None


if __name__ == "__main__":
    main(sys.argv[1:])
