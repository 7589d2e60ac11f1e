"""Text retrieval on collections with judgements: words, vectors, their fusion, and the shipped reranker.

``python benchmarks/retrieval.py COLLECTION``: a folder in the layout of NFCorpus (docs.jsonl, queries.jsonl, qrels.tsv)
or a file in BioASQ's, whose snippets are pooled. It is ingested into a temporary index and measured through the index
itself, as a user would: ``rag ingest``, then ``rag evaluate retrieval QUERIES --index``. With ``--prepare FOLDER`` its
documents and questions are written there, to train a reranker on, and nothing is measured.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tables import Table, measured, report, saving

from rag.answering.opening import open_version
from rag.building.ingest import ingest
from rag.building.source import Source
from rag.cli.console import progress_bars
from rag.encoders.encoders import Encoders
from rag.encoders.registry import load_text_encoder
from rag.evaluation.fusion_weights import CHANNELS, METRIC, Query, Searched, Weights, search_channels
from rag.evaluation.metrics import Estimate, bootstrap
from rag.evaluation.queries import read_queries
from rag.indexing import IndexStore
from rag.progress import Progress
from rag.settings import Settings, load_settings
from rag.training.splits import assign_splits

LICENCES = {
    "nfcorpus": "NFCorpus: academic use; abstracts under NLM's terms",
    "bioasq": "CC BY 2.5 (BioASQ); abstracts under NLM's terms",
}
WITHOUT: Weights = tuple(float(channel != "rerank") for channel in CHANNELS)


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    source = Path(argv[0]) if argv else Path("../shared/data/nfcorpus")
    if not source.exists():
        print(f"not measured: there is no {source}")
        return
    if "--prepare" in argv:
        folder = Path(argv[argv.index("--prepare") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        print("wrote", *write_collection(source, folder))
        return
    with TemporaryDirectory() as scratch, progress_bars(False) as progress:
        rows = list(measure(source, Path(scratch), progress))
    table = Table(
        section="Finding",
        question=f"What do fusing and ranking again find in {source.name}?",
        columns=("queries", "n", "words", "text", "fused", "with the reranker", "gain (95%, by question)"),
        runs=(measured(rows),),
        command=f"python benchmarks/retrieval.py {source}",
        note=f"{METRIC}. Of files that the reranker learned from, its dev and test parts say how good it is.",
    )
    report(f"finding-{source.stem.replace('_', '-')}", table, save=save)


def measure(source: Path, scratch: Path, progress: Progress) -> Iterator[tuple[str | int, ...]]:
    settings = load_settings(retrieval={"reranker": "compact"})
    docs, asked = write_collection(source, scratch)
    store = IndexStore.create(scratch / "index")
    ingest([Source(docs, "cases")], store, Encoders(load_text_encoder(settings.encoders), None, joint=False))
    queries = read_queries(asked)
    splits = assign_splits(queries, needed=())
    parts = {"all": queries}
    if source.name in ("nfcorpus", "8b_9b.jsonl"):
        parts = {name: [q for q, s in zip(queries, splits, strict=True) if s == name] for name in ("dev", "test")}
        yield ("all", len(queries), *plain(queries, store, load_settings(), progress), "", "")
    for name, some in parts.items():
        searched = search(some, store, settings, progress)
        fused, again = (searched.metrics(w)[METRIC] for w in (WITHOUT, weights(settings)))
        shown = [
            estimate(values, some)
            for values in (only(searched, "words"), only(searched, "text"), fused, again, again - fused)
        ]
        yield (name, len(some), *map(str, shown))


def plain(queries: Sequence[Query], store: IndexStore, settings: Settings, progress: Progress) -> Iterator[str]:
    """Without a reranker."""
    searched = search(queries, store, settings, progress)
    for values in (only(searched, "words"), only(searched, "text"), searched.metrics(WITHOUT)[METRIC]):
        yield str(estimate(values, queries))


def search(queries: Sequence[Query], store: IndexStore, settings: Settings, progress: Progress) -> Searched:
    view = open_version(store, settings)
    return search_channels(queries, view.searcher, view.snapshot, settings.retrieval, progress)


def weights(settings: Settings) -> Weights:
    """Those of the settings, by channel; only their proportions matter."""
    return tuple(settings.retrieval.weights.get(channel, 1.0) for channel in CHANNELS)


def only(searched: Searched, channel: str) -> np.ndarray:
    return searched.metrics(tuple(float(channel == other) for other in CHANNELS))[METRIC]


def estimate(values: np.ndarray, queries: Sequence[Query]) -> Estimate:
    return bootstrap({METRIC: values}, [q.group for q in queries])[METRIC]


def write_collection(source: Path, out: Path) -> tuple[Path, Path]:
    """Documents as ``rag ingest`` reads them, and questions with evidence as ``rag evaluate retrieval`` does."""
    documents, asked = _nfcorpus(source) if source.is_dir() else _bioasq(source)
    name = "nfcorpus" if source.is_dir() else "bioasq"
    common = {"kind": "literature", "source": name, "licence": LICENCES[name]}
    docs, questions = out / f"{name}-docs.jsonl", out / f"{name}.jsonl"
    docs.write_text("\n".join(json.dumps({"id": i, "text": t, **common}) for i, t in documents.items()), "utf-8")
    questions.write_text("\n".join(map(json.dumps, asked)), "utf-8")
    return docs, questions


def _nfcorpus(folder: Path) -> tuple[dict[str, str], list[dict[str, object]]]:
    evidence: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines():
        query, _, document, grade = line.split("\t")
        if grade.isdecimal():
            evidence[query][document] = int(grade)
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [{"id": r["id"], "question": r["text"], "evidence": evidence[r["id"]]} for r in rows]
    docs = (json.loads(line) for line in (folder / "docs.jsonl").read_text(encoding="utf-8").splitlines())
    return {d["id"]: d["text"] for d in docs}, asked


def _bioasq(file: Path) -> tuple[dict[str, str], list[dict[str, object]]]:
    """Every snippet of every question is a document."""
    ids: dict[str, str] = {}
    asked = []
    for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
        found = [ids.setdefault(snippet["text"], f"b{len(ids)}") for snippet in row["snippets"]]
        asked.append({"id": row["id"], "question": row["question"], "evidence": found})
    return {name: text for text, name in ids.items()}, asked


if __name__ == "__main__":
    main(sys.argv[1:])
