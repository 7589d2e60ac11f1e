"""Time to verify an answer of five sentences against ten passages, without a cross-encoder.

Passages and sentences are those of tests/data/verdicts.jsonl in ever new combinations, and what the process remembers
of earlier texts is forgotten before each: ``python benchmarks/verification.py``.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path

from tables import Table, measured, report, saving

from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.types import Draft, Evidence
from rag.verification.citations import parse
from rag.verification.verify import verify

RUNS, SENTENCES, PASSAGES, PER_PASSAGE = 200, 5, 10, 4
PAIRS = Path(__file__).parent.parent / "tests" / "data" / "verdicts.jsonl"


def main(argv: list[str]) -> None:
    _, save = saving(argv)
    rows = [json.loads(line) for line in PAIRS.open(encoding="utf-8")]
    texts = sorted({row["evidence"] for row in rows})
    said = {text: [row["sentence"] for row in rows if row["evidence"] == text] for text in texts}
    lexicon, chance = Lexicon.load(), random.Random(0)
    asked = read_question("What does the study show?", lexicon)
    parsing, verifying = [], []
    for _ in range(RUNS):
        drawn = chance.sample(texts, PASSAGES * PER_PASSAGE)
        groups = [drawn[i : i + PER_PASSAGE] for i in range(0, len(drawn), PER_PASSAGE)]
        evidence = [passage(n, " ".join(group)) for n, group in enumerate(groups, start=1)]
        answer = " ".join(
            f"{chance.choice(said[chance.choice(groups[n])])} [{n + 1}]"
            for n in chance.sample(range(PASSAGES), SENTENCES)
        )
        begin = time.perf_counter()
        sentences = parse(answer, evidence, Texts(lexicon))
        parsing.append(1000 * (time.perf_counter() - begin))
        begin = time.perf_counter()
        verify(Draft(sentences=sentences, confidence=1.0), asked, evidence, Texts(lexicon))
        verifying.append(1000 * (time.perf_counter() - begin))
    steps = (("finding the spans that free text cites", parsing), ("verification (wanted: 20)", verifying))
    figures = [
        (name, RUNS, round(statistics.median(times), 1), round(statistics.quantiles(times, n=20)[18], 1))
        for name, times in steps
    ]
    table = Table(
        section="Speed",
        question="How long does verifying five sentences against ten passages take, without a cross-encoder?",
        columns=("step", "runs", "median ms", "p95 ms"),
        runs=(measured(figures),),
        command="python benchmarks/run.py verification",
    )
    report("speed-verifying", table, save=save)


def passage(number: int, text: str) -> Evidence:
    return Evidence(
        number=number, document_id=f"d{number}", passage_id=f"d{number}#0", kind="literature", domain="general",
        title="", source="s", licence="l", case_id=f"d{number}", group_id=f"d{number}", channel="text", score=1.0,
        text=text, start=0,
        sha256="0",
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
