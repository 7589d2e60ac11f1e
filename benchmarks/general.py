"""General questions about ontology terms: do their answers cite the definition of the term asked about?

Draws terms at random, among all of an index and among those that its reports name, and asks three questions about each;
a fourth turns the definition into a yes/no question. Literature first, and everything at once.

Needs the demo index (make demo): ``python benchmarks/general.py [INDEX [TERMS [SEED]]]``.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tables import Table, measured, report, saving

import rag
from rag.settings import Settings
from rag.types import Answer, Document

FORMS: dict[str, Callable[[Document], str]] = {
    "What is X?": lambda d: f"What is {_name(d)}?",
    "What does X look like?": lambda d: f"What does {_name(d)} look like?",
    "How is X recognised?": lambda d: f"How is {_name(d)} recognised?",
    "Is X (its definition)?": lambda d: f"Is {_name(d)} {_definition(d).split('.')[0][:200].lower()}?",
}


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    index = Path(argv[0]) if argv else Path("indexes/demo")
    count, seed = (int(argv[1]) if len(argv) > 1 else 30), (int(argv[2]) if len(argv) > 2 else 0)
    if not index.exists():
        print(f"not measured: needs the index {index}")
        return
    engines = {
        name: rag.Engine.open(index, Settings.model_validate({"retrieval": {"literature_first": first}}))
        for name, first in (("everything at once", False), ("literature first", True))
    }
    with engines["literature first"].store.snapshot() as snapshot:
        terms = [d for d in snapshot.terms() if _definition(d)]
        reports = [f" {' '.join(d.text.lower().split())} " for d in snapshot.documents("report")]
    named = [t for t in terms if any(f" {t.title.lower()}" in report for report in reports)]
    draw = random.Random(seed)
    lists = {"all terms": terms, "terms that reports name": named}
    chosen = {name: draw.sample(some, min(count, len(some))) for name, some in lists.items()}
    rows = []
    for (name, some), (form, write) in ((a, b) for a in chosen.items() for b in FORMS.items()):
        for how, engine in engines.items():
            answers = engine.ask_many([rag.Question(text=write(t)) for t in some], record=False)
            seen = Counter(what for t, a in zip(some, answers, strict=True) for what in _seen(t, a))
            contexts = [e.kind for a in answers for e in a.evidence]
            share = f"{contexts.count('report') / max(1, len(contexts)):.0%}"
            figures = (seen["answered"], seen["definition"], seen["report"], share)
            rows.append((f"{name} ({len(lists[name]):,})", form, how, len(some), *figures))
    table = Table(
        section="Reading",
        question="Do answers about a term of the ontology cite its definition?",
        columns=(
            "drawn from", "form", "search", "asked", "answered", "cite the definition", "cite a report",
            "reports among the contexts",
        ),
        runs=(measured(rows),),
        command=f"python benchmarks/general.py indexes/{index.name} {count} {seed}",
    )  # fmt: skip
    report("reading-terms", table, save=save)


def _seen(term: Document, answer: Answer) -> Iterator[str]:
    if answer.decision != "answered":
        return
    yield "answered"
    start = term.text.find(_definition(term))
    if any(c.document_id == term.id and c.end > start for c in answer.citations):
        yield "definition"
    kinds = {e.number: e.kind for e in answer.evidence}
    if any(kinds[c.number] == "report" for c in answer.citations):
        yield "report"


def _name(term: Document) -> str:
    """As in running text: "cardiomegaly", and "T-wave inversion" as it is."""
    first, rest = term.title[:1], term.title[1:]
    return term.title if rest[:1].isupper() or rest[:1] == "-" else first.lower() + rest


def _definition(term: Document) -> str:
    return term.text.split("\n")[0].removeprefix(f"{term.title}:").strip()


if __name__ == "__main__":
    main(sys.argv[1:])
