"""Does an ontology's vocabulary find better, when a question's terms bring their synonyms? By words alone.

``python benchmarks/synonyms.py COLLECTION…``: collections are as ``benchmarks/retrieval.py`` takes them, and names with
synonyms those of the Human Phenotype Ontology. A synonym's words count with a weight beside the question's own.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from retrieval import estimate, write_collection
from tables import Table, measured, report, saving

from rag.building.ingest import ingest
from rag.building.source import Source
from rag.corpus.readers.obo import obo_terms
from rag.corpus.source import locate
from rag.encoders.encoders import Encoders
from rag.evaluation.fusion_weights import METRIC
from rag.evaluation.metrics import measure_ranking
from rag.evaluation.queries import read_queries
from rag.indexing import IndexStore
from rag.indexing.snapshot import Snapshot
from rag.indexing.words.terms import terms_of
from rag.training.splits import TEST, assign_splits

WEIGHTS = (0.1, 0.3, 1.0)
_DEPTH, _LONGEST = 400, 6


class Nowhere:
    """A text encoder for which all is alike: vectors are not asked here."""

    fingerprint, dim = "nowhere", 2

    def encode(self, texts: list[str], *, kind: str = "passage", progress: object = None) -> np.ndarray:
        return np.tile(np.array([1.0, 0.0], np.float32), (len(texts), 1))


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    sources = list(map(Path, argv)) or [Path("../shared/data/nfcorpus"), Path("../shared/data/bioasq/8b_9b.jsonl")]
    missing = [str(source) for source in sources if not source.exists()]
    if missing:
        print(f"not measured: there is no {', '.join(missing)}")
        return
    names = vocabulary()
    table = Table(
        section="Finding",
        question="Do an ontology's synonyms find better, beside the question's own words?",
        columns=(
            "collection",
            "questions",
            "with a term",
            "their nDCG@10 by words",
            *(f"gain, weight {w:g}" for w in WEIGHTS),
        ),
        runs=(measured([row for source in sources for row in measure(source, names)]),),
        command="python benchmarks/synonyms.py",
        note="Train and dev parts, gains with 95% intervals. They do not, so questions are not expanded.",
    )
    report("finding-synonyms", table, save=save)


def vocabulary() -> dict[str, set[str]]:
    """Every name and synonym, in lower case, with the others of its term."""
    found: dict[str, set[str]] = defaultdict(set)
    for term in obo_terms(locate("hpo")):
        names = {term.name.lower(), *(synonym.lower() for synonym in term.synonyms)}
        for name in names:
            found[name] |= names - {name}
    return found


def measure(source: Path, names: Mapping[str, set[str]]) -> Iterator[tuple[str | int, ...]]:
    with TemporaryDirectory() as scratch:
        docs, asked = write_collection(source, Path(scratch))
        store = IndexStore.create(Path(scratch) / "index")
        ingest([Source(docs, "cases")], store, Encoders(Nowhere(), None, joint=False))
        queries = read_queries(asked)
        queries = [q for q, split in zip(queries, assign_splits(queries, needed=()), strict=True) if split != TEST]
        snapshot = store.snapshot()
        known = [(q, extra) for q in queries if (extra := expansion(q.question.text, names))]
        found = [[ndcg(snapshot, q.question.text, extra, w, q.gains) for w in (0.0, *WEIGHTS)] for q, extra in known]
        plain, *others = np.array(found).T
        some = [q for q, _ in known]
        gains = (str(estimate(other - plain, some)) for other in others)
        yield (docs.stem.removesuffix("-docs"), len(queries), len(known), str(estimate(plain, some)), *gains)


def expansion(question: str, names: Mapping[str, set[str]]) -> str:
    """Words of the synonyms of the terms that a question names, longest names first, which it has not itself."""
    words, found, start = re.findall(r"[a-z0-9'-]+", question.lower()), dict[str, None](), 0
    while start < len(words):
        for length in range(min(_LONGEST, len(words) - start), 0, -1):
            phrase = " ".join(words[start : start + length])
            name = next((n for n in (phrase, phrase.removesuffix("s")) if n in names and len(n) > 3), None)
            if name is not None:
                found |= dict.fromkeys(word for other in sorted(names[name]) for word in terms_of(other))
                start += length - 1
                break
        start += 1
    own = set(terms_of(question))
    return " ".join(word for word in found if word not in own)


def ndcg(snapshot: Snapshot, question: str, extra: str, weight: float, gains: Mapping[str, float]) -> float:
    scores: dict[int, float] = defaultdict(float)
    for text, share in ((question, 1.0), (extra, weight)):
        for row, score in snapshot.search_words(text, _DEPTH):
            scores[row] += share * score
    best: dict[str, float] = {}
    for (_, document), score in zip(snapshot.passages(list(scores)), scores.values(), strict=True):
        best[document.id] = max(best.get(document.id, 0.0), score)
    documents = [*best, *(name for name in gains if name not in best)]
    values = [[best.get(name) or -np.inf for name in documents]]
    return float(measure_ranking(values, [[gains.get(name, 0.0) for name in documents]])[METRIC][0])


if __name__ == "__main__":
    main(sys.argv[1:])
