"""Encoding reports against the bare sentence-transformers loop over the same texts: paired runs, median ratio."""

from __future__ import annotations

import statistics
import sys
import time

from rag.corpus.chunking import passages_of
from rag.corpus.source import read
from rag.encoders.text import SentenceEncoder
from rag.types import Document

TEXTS, PAIRS = 1000, 3


def main(argv: list[str]) -> None:
    encoder = SentenceEncoder()
    documents = [d for d in read("openi") if isinstance(d, Document)]
    texts = [p.text for d in documents[:: max(1, len(documents) // TEXTS)] for p in passages_of(d)]
    bare = encoder._model
    encoder.encode(texts[:64])
    rows = []
    for pair in range(PAIRS):
        times = {}
        for name in ("ours", "bare") if pair % 2 == 0 else ("bare", "ours"):
            begin = time.perf_counter()
            if name == "ours":
                encoder.encode(texts)
            else:
                bare.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
            times[name] = time.perf_counter() - begin
        rows.append(times)
    ratio = statistics.median(r["bare"] / r["ours"] for r in rows)
    print("| texts | ours, texts/s | bare loop, texts/s | speed ratio (median of pairs) |\n|---:|---:|---:|---:|")
    ours, theirs = (len(texts) / statistics.median(r[k] for r in rows) for k in ("ours", "bare"))
    print(f"| {len(texts)} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
