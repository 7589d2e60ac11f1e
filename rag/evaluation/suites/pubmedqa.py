"""PubMedQA (Jin et al., EMNLP 2019): yes, no or maybe from the abstract whose title asks.

As published: "ori_pqal.json", an object from PMID to ``QUESTION``, ``CONTEXTS``, ``final_decision``, with or without
"test_ground_truth.json", whose PMIDs alone are then asked. JSON lines of ``pmid``, ``question``, ``contexts`` and
``answer`` are read as well. A question's own abstract is the oracle's evidence (the published setting); ours has to
find it among all abstracts of the collection. What is withheld counts as *maybe*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, json_of, rows_of
from rag.evaluation.published.items import SIDES_OR_MAYBE, GoldText, Item


@dataclass(frozen=True)
class PubMedQaSuite(ChoiceSuite):
    """The questions that experts labelled.

    >>> PubMedQaSuite(limit=60).name
    'pubmedqa'
    """

    name: ClassVar[str] = "pubmedqa"
    collection: ClassVar[str] = "PubMedQA"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        truth = folder.maybe("test_ground_truth.json") if folder.maybe("ori_pqal.json", "data/ori_pqal.json") else None
        asked = set(json_of(truth)) if truth is not None and truth.name == "test_ground_truth.json" else None
        for row in rows_of(folder.find("ori_pqal.json", "data/ori_pqal.json", "*.jsonl")):
            contexts = row.values.get("CONTEXTS", row.values.get("contexts"))
            answer = row.text("final_decision", "answer").strip().lower()
            if not isinstance(contexts, list) or not all(isinstance(c, str) for c in contexts):
                raise InputError(f"{row.place}: a row needs 'CONTEXTS' or 'contexts', a list of paragraphs")
            if answer not in SIDES_OR_MAYBE:
                raise InputError(f"{row.place}: the answer is {answer!r}; it has to be yes, no or maybe")
            identity = row.text("pmid", "id")
            if asked is not None and identity not in asked:
                yield "not in the published test split"
                continue
            given = (GoldText(identity, "\n".join(contexts)),)
            yield Item(identity, identity, row.text("QUESTION", "question"), answer, SIDES_OR_MAYBE, given=given)
