"""Whether citations bear out what they are said to (ALCE, Gao et al. 2023), and whether they are the right ones.

ALCE asks a model of natural language inference. None is on PyPI with its weights, so the rules that verify answers
judge instead. They also decide which sentences an answer may keep, so for our own answers ``recall`` and ``precision``
are high by construction: what they tell is whether citations are superfluous. How far the rules agree with people is
measured by ``rag evaluate claims`` on HealthVer, which stands beside these figures in the documents. Two figures need
no judge of ours: ``words``, a sentence's words that its citations have (rouge-score's ROUGE-1 precision, stemmed), and
``right_source``, compared with what the collection names as evidence. ``exact`` is the share of quotes that stand in
their evidence letter by letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rag.errors import MissingDependencyError
from rag.evaluation.metrics import Estimate, bootstrap
from rag.language.clinical_text import Texts
from rag.types import Answer
from rag.verification.rules.entailment import judge

JUDGED = (
    "citation recall and precision are judged by the rules that verify answers, and not by a model; how far people "
    "agree with them is what rag evaluate claims tells"
)


class _Source(Protocol):
    """A text under its id."""

    @property
    def id(self) -> str: ...


def measure_citations(
    answers: Sequence[Answer | None], gold: Sequence[Sequence[_Source]], texts: Texts
) -> dict[str, Estimate]:
    """Over the answers that were given and cite something; nothing where none does.

    >>> measure_citations([None], [()], texts=None)                            # type: ignore[arg-type]
    {}

    Returns:
        recall: share of sentences that their citations, joined, bear out (1 of a sentence, 0 without citations).
        words: share of a sentence's words that its citations have; 1 does not mean that they say the same.
        precision: share of citations that bear out their sentence alone, or without which the others do not.
        exact: share of quotes that are in the evidence as they stand.
        right_source: share of cited documents that the collection names, where it names any.
    """
    values: dict[str, list[float]] = {"recall": [], "precision": [], "words": [], "exact": [], "right_source": []}
    owners: dict[str, list[int]] = {name: [] for name in values}

    def add(name: str, value: float, owner: int) -> None:
        values[name].append(float(value))
        owners[name].append(owner)

    for n, (answer, named) in enumerate(zip(answers, gold, strict=True)):
        if answer is None or answer.decision != "answered" or not answer.citations:
            continue
        shown = {e.number: e for e in answer.evidence}
        for number, sentence in enumerate(answer.sentences):
            cited = list(dict.fromkeys(c.number for c in answer.citations if c.sentence == number))
            whole = _supports(sentence.text, [shown[c].text for c in cited], texts)
            add("recall", whole, n)
            add("words", _shared_words(sentence.text, [shown[c].text for c in cited]), n)
            for one in cited:
                others = [shown[c].text for c in cited if c != one]
                alone = _supports(sentence.text, [shown[one].text], texts)
                add("precision", whole and (alone or not _supports(sentence.text, others, texts)), n)
        for c in answer.citations:
            e = shown[c.number]
            add("exact", e.text[c.start - e.start : c.end - e.start] == c.quote, n)
        if named:
            right = {source.id for source in named}
            for document in {c.document_id for c in answer.citations}:
                add("right_source", document in right, n)
    found = dict[str, Estimate]()
    for name, some in values.items():
        found |= bootstrap({f"citation_{name}": some}, owners[name]) if some else {}
    return found


def _supports(sentence: str, evidence: Sequence[str], texts: Texts) -> bool:
    return bool(evidence) and judge(sentence, "\n".join(evidence), texts).verdict == "supported"


def _shared_words(sentence: str, evidence: Sequence[str]) -> float:
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise MissingDependencyError('rouge-score is not installed: pip install "clincite[evaluation]"') from error
    return float(RougeScorer(["rouge1"], use_stemmer=True).score("\n".join(evidence), sentence)["rouge1"].precision)
