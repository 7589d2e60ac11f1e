"""A whole ingest of reports against the bare sentence-transformers loop over the same passages: paired runs."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tables import Table, measured, report, saving

from rag.building.ingest import ingest
from rag.building.source import Source
from rag.corpus.chunking import passages_of
from rag.corpus.source import read_source
from rag.encoders.encoders import Encoders
from rag.encoders.minilm import MiniLmEncoder, minilm_folder
from rag.encoders.text import SentenceEncoder
from rag.indexing import IndexStore
from rag.types import Document

REPORTS, PAIRS = 1000, 3


def main(argv: list[str]) -> None:
    _, save = saving(argv)
    reports = [d for d in read_source("openi") if isinstance(d, Document)][:REPORTS]
    texts = [p.text for d in reports for p in passages_of(d)]
    encoder = MiniLmEncoder()
    encoder.encode(texts[:64])
    bare = SentenceEncoder(str(minilm_folder()))._model
    rows = []
    with tempfile.TemporaryDirectory() as name:
        corpus = Path(name) / "reports.jsonl"
        lines = [{"id": d.id, "text": d.text, "kind": "report", "group_id": d.group_id} for d in reports]
        corpus.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        for pair in range(PAIRS):
            times = {}
            for what in ("ours", "bare") if pair % 2 == 0 else ("bare", "ours"):
                begin = time.perf_counter()
                if what == "ours":
                    with IndexStore.create(Path(name) / f"pair{pair}") as store:
                        ingest([Source(corpus)], store, Encoders(encoder))
                else:
                    bare.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
                times[what] = time.perf_counter() - begin
            rows.append(times)
    ratio = statistics.median(r["bare"] / r["ours"] for r in rows)
    mine, theirs = (len(texts) / statistics.median(r[k] for r in rows) for k in ("ours", "bare"))
    table = Table(
        section="Speed",
        question="Is a whole ingest of reports as fast as the bare sentence-transformers loop?",
        columns=("reports", "passages", "ingest, passages/s", "bare loop, passages/s", "speed ratio (wanted: 0.95)"),
        runs=(measured([(len(reports), len(texts), round(mine), round(theirs), round(ratio, 2))]),),
        command="python benchmarks/run.py ingest",
        note=f"Median of {PAIRS} pairs.",
    )
    report("speed-ingest-reports", table, save=save)


if __name__ == "__main__":
    main(sys.argv[1:])
