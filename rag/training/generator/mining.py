"""Preference pairs from labelled files, from traces and from feedback: gather, keep apart, filter, count, write."""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from rag.answering.engine import Engine
from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.corpus.text import bounded_lines
from rag.errors import InputError
from rag.evaluation.cases import fold_case
from rag.evaluation.questions import read_yes_no
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.progress import Progress
from rag.training.generator.labelled import read_corpus, read_labelled
from rag.training.generator.observed import pairs_of_ledger, pairs_of_traces
from rag.training.generator.pairing import Answerer, PairMaker
from rag.training.generator.preferences import Preference, without_twins, write_pairs
from rag.training.generator.recipe import GeneratorRecipe
from rag.training.generator.sft import divide_cited

_LONGEST_LINE = 1_000_000


@dataclass(frozen=True)
class PairSources:
    """Where pairs come from, and what they must keep apart from.

    ``files`` are labelled, as for ``rag train generator``, and only their split 'train' is used; of ``engine``'s index
    the ledger's judged answers are taken, and the traces of the questions in ``traced``. ``apart`` are files
    (calibration questions, cases that a retriever has learned from, …) no group and no text of which may be in a pair.
    """

    files: Sequence[Path] = ()
    corpora: Sequence[str] = ()
    engine: Engine | None = None
    traced: Sequence[Path] = ()
    apart: Sequence[Path] = ()
    says: Answerer | None = field(default=None, repr=False)


class MiningReport(BaseModel):
    """What was mined. ``kinds`` and ``origins`` count the pairs kept, ``left_out`` what makes none, by the reason."""

    out: str
    pairs: int
    groups: int
    kinds: dict[str, int]
    origins: dict[str, int]
    left_out: dict[str, int]
    refused: list[tuple[str, str]]

    def words(self) -> str:
        """For a terminal."""
        lines = [f"{record} was left out: {reason}" for record, reason in self.refused[:20]]
        lines += [f"  {n:>6,}  {kind}" for kind, n in self.kinds.items()]
        lines.append("From: " + ", ".join(f"{origin} {n:,}" for origin, n in self.origins.items()))
        lines += [f"  {n:>6,} left out: {reason}" for reason, n in self.left_out.items()]
        lines.append(f"{self.pairs:,} pairs of {self.groups:,} groups are in {self.out}.")
        return "\n".join(lines)


def mine(
    sources: PairSources, out: Path, recipe: GeneratorRecipe, progress: Progress, *, most: int | None = None
) -> MiningReport:
    """Write the pairs to ``out``, and the report beside it (``<out>.summary.json``).

    ``most`` pairs of each kind are kept, by a draw that follows from the recipe's seed.

    Raises:
        InputError: a file does not do, or nothing comes of the sources.
    """
    texts, left_out = Texts(Lexicon.load()), Counter[str]()
    pairs: list[Preference] = []
    refused: list[Quarantined] = []
    if sources.files:
        made, refused = _of_files(sources, recipe, texts, progress, left_out)
        pairs += made
    if sources.engine is not None:
        pairs += pairs_of_ledger(sources.engine.ledger, texts, left_out)
        for file in sources.traced:
            questions, skipped = read_yes_no(file)
            left_out["traced question that is not answered by yes or no"] += skipped
            pairs += pairs_of_traces(questions, sources.engine, progress, left_out)
    kept = _kept(pairs, _apart(sources.apart), left_out)
    if most is not None:
        kept = _at_most(kept, most, recipe.seed, left_out)
    if not kept:
        why = ", ".join(f"{n} {reason}" for reason, n in left_out.most_common(3) if n)
        raise InputError(f"no pairs come of these sources{f' ({why})' if why else ''}; give more, or others")
    write_pairs(kept, out)
    report = MiningReport(
        out=str(out),
        pairs=len(kept),
        groups=len({p.group for p in kept}),
        kinds=dict(Counter(p.kind for p in kept).most_common()),
        origins=dict(Counter(p.origin for p in kept).most_common()),
        left_out={reason: n for reason, n in left_out.most_common() if n},
        refused=[(f"{q.source}, {q.record}", q.reason) for q in refused],
    )
    out.with_name(f"{out.name}.summary.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return report


def _of_files(
    sources: PairSources, recipe: GeneratorRecipe, texts: Texts, progress: Progress, left_out: Counter[str]
) -> tuple[list[Preference], list[Quarantined]]:
    corpus = read_corpus(d for name in sources.corpora for d in read_source(name)) if sources.corpora else None
    items, refused = read_labelled(sources.files, corpus, progress.stage("reading questions"))
    train = divide_cited(items)["train"]
    left_out["of another split than train"] += len(items) - len(train)
    maker = PairMaker(train, recipe, texts, sources.says)
    tell, pairs = progress.stage("making pairs", len(train)), []
    for item in train:
        made = maker.pairs(item)
        left_out["question that makes no pair"] += not made
        pairs += made
        tell(1)
    return pairs, refused


@dataclass(frozen=True)
class _Apart:
    """Names of groups, and folded texts in order, that no pair may have."""

    groups: frozenset[str]
    texts: list[str]

    def has(self, text: str) -> bool:
        """Whether one of the texts is this one, or begins with it: passages may be cut."""
        wanted = fold_case(text)
        at = bisect_left(self.texts, wanted)
        return bool(wanted) and at < len(self.texts) and self.texts[at].startswith(wanted)


def _apart(files: Sequence[Path]) -> _Apart:
    """Every group, study, id, and text of the files' rows, whatever their form."""
    groups: set[str] = set()
    texts: set[str] = set()
    for file in files:
        if not file.is_file():
            raise InputError(f"there is no file {file} to keep apart from")
        for number, line in bounded_lines(file, _LONGEST_LINE):
            try:
                row = json.loads(line or b"{}")
            except ValueError as error:
                raise InputError(f"{file}, line {number}: not JSON ({error})") from error
            groups |= {str(row[name]) for name in ("group", "study", "pmid") if row.get(name)}
            if not row.get("group") and not row.get("study") and row.get("id"):
                groups.add(str(row["id"]))
            said = [row.get(name) for name in ("text", "report")] + list(row.get("contexts") or ())
            texts |= {fold_case(t) for t in said if isinstance(t, str)}
    return _Apart(frozenset(groups), sorted(texts))


def _kept(pairs: Sequence[Preference], apart: _Apart, left_out: Counter[str]) -> list[Preference]:
    different = without_twins(pairs)
    left_out["pair that says the same twice, or is there already"] += len(pairs) - len(different)
    others = [p for p in different if p.group not in apart.groups]
    left_out["pair of a group that is to be kept apart"] += len(different) - len(others)
    clean = [p for p in others if not any(apart.has(s.text) for s in p.asking.passages)]
    left_out["pair with a text that is to be kept apart"] += len(others) - len(clean)
    return clean


def _at_most(pairs: Sequence[Preference], most: int, seed: int, left_out: Counter[str]) -> list[Preference]:
    draw = random.Random(f"{seed}:most")  # noqa: S311 - nothing secret
    order = draw.sample(range(len(pairs)), len(pairs))
    taken: Counter[str] = Counter()
    rows = []
    for n in order:
        taken[pairs[n].kind] += 1
        if taken[pairs[n].kind] <= most:
            rows.append(n)
    left_out[f"pair beyond the first {most:,} of its kind"] += len(pairs) - len(rows)
    return [pairs[n] for n in sorted(rows)]
