"""NFCorpus (Boteva et al., ECIR 2016): questions of lay people, and articles of PubMed.

As published in BEIR: "corpus.jsonl" (``_id``, ``title``, ``text``), "queries.jsonl" (``_id``, ``text``) and
"qrels/test.tsv" (``query-id``, ``corpus-id``, ``score``). Files "docs.jsonl", "queries.jsonl" and "qrels.tsv" in
trec_eval's form (query, 0, document, grade) are read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.searching import SearchCollection, SearchQuery, SearchSuite


@dataclass(frozen=True)
class NfCorpusSuite(SearchSuite):
    """Graded judgements of the test split.

    >>> NfCorpusSuite(limit=50).name
    'nfcorpus'
    """

    name: ClassVar[str] = "nfcorpus"
    collection: ClassVar[str] = "NFCorpus"

    def collected(self, folder: Folder) -> SearchCollection:
        documents = {
            row.text("_id", "id"): " ".join(filter(None, [row.text("title", default=""), row.text("text")]))
            for row in rows_of(folder.find("corpus.jsonl", "docs.jsonl"))
        }
        queries = {row.text("_id", "id"): row.text("text") for row in rows_of(folder.find("queries.jsonl"))}
        gains: dict[str, dict[str, float]] = {}
        for query, document, grade in _judgements(folder.find("qrels/test.tsv", "qrels.tsv")):
            if grade > 0:
                gains.setdefault(query, {})[document] = grade
        return SearchCollection(
            documents, [SearchQuery(i, t, gains.get(i, {})) for i, t in queries.items() if i in gains]
        )


def _judgements(path: Path) -> Iterator[tuple[str, str, float]]:
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        cells = line.split("\t")
        if cells[0] == "query-id" or not line.strip():
            continue
        if len(cells) == 4:  # trec_eval's
            cells = [cells[0], *cells[2:]]
        try:
            query, document, grade = cells[0], cells[1], float(cells[2])
        except (IndexError, ValueError) as error:
            raise InputError(
                f"{path}, line {number}: a judgement is a query, a document and a grade, with tabs"
            ) from error
        yield query, document, grade
