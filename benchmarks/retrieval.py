"""Text retrieval on a collection in the layout of NFCorpus: docs.jsonl, queries.jsonl and qrels.tsv in one folder.

``python benchmarks/retrieval.py FOLDER``: ingests it into a temporary index and measures words, text and their fusion
through the index itself, as a user would: ``rag ingest``, then ``rag evaluate retrieval QUERIES --index``.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tables import Table, measured, report, saving

from rag.answering.opening import open_version
from rag.building.ingest import Source, ingest
from rag.cli.console import progress_bars
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.evaluation.fusion_weights import METRIC, POOLED, measure_fusion, search_channels
from rag.evaluation.queries import read_queries
from rag.indexing import IndexStore
from rag.settings import load_settings


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    folder = Path(argv[0]) if argv else Path("../shared/data/nfcorpus")
    if not (folder / "qrels.tsv").is_file():
        print(f"not measured: there is no {folder}/qrels.tsv")
        return
    settings = load_settings()
    with TemporaryDirectory() as scratch, progress_bars(False) as progress:
        store = IndexStore.create(Path(scratch) / "index")
        text, image = load_text_encoder(settings.encoders), load_image_encoder(settings.encoders)
        docs = Source(folder / "docs.jsonl", "cases")
        ingest([docs], store, Encoders(text, image, joint=False), progress=progress)
        queries = read_queries(_queries(folder, Path(scratch) / "queries.jsonl"))
        view = open_version(store, settings)
        searched = search_channels(queries, view.searcher, view.snapshot, settings.retrieval, progress)
        found = measure_fusion(searched, settings.retrieval, True, progress)
    print(found.table())
    rows = [(r.ranking, r.queries, str(r.metrics[METRIC])) for r in found.rows if r.queries_of == POOLED]
    table = Table(
        section="Finding",
        question=f"Does fusing words and vectors find better in {folder.name}?",
        columns=("ranking", "queries", f"{METRIC} (95%, by group)"),
        runs=(measured(rows),),
        command=f"python benchmarks/retrieval.py ../shared/data/{folder.name}",
    )
    report(f"finding-{folder.name}", table, save=save)


def _queries(folder: Path, out: Path) -> Path:
    """Queries with their judgements, as ``rag evaluate retrieval`` reads them."""
    evidence: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, _, document, grade = line.split("\t")
        if grade.isdecimal():
            evidence[query][document] = int(grade)
    rows = map(json.loads, (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines())
    asked = [{"id": r["id"], "question": r["text"], "evidence": evidence[r["id"]]} for r in rows]
    out.write_text("\n".join(map(json.dumps, asked)), encoding="utf-8")
    return out


if __name__ == "__main__":
    main(sys.argv[1:])
