"""How well the verifier tells evidence that supports a claim from evidence that refutes it or says neither.

One JSON object a line: ``claim``, ``evidence`` and ``label`` (supports, refutes, neutral), and perhaps ``id``, as in
HealthVer (Sarrouti et al. 2021, "Evidence-based Fact-Checking of Health-related Claims"). Beside the verifier stand
what anybody gets without reading: the commonest label for all, and shared words with a negation on one side alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.errors import InputError
from rag.evaluation.metrics import score_classes
from rag.evaluation.questions import json_lines
from rag.evaluation.report import Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.language.clinical_text import Texts
from rag.language.cues import load_cues
from rag.language.lexicon import Lexicon
from rag.progress import Progress
from rag.verification.rules.entailment import judge

LABELS = ("supports", "refutes", "neutral")
_OF_VERDICT = {"supported": "supports", "contradicted": "refutes"}
_SHARED = 0.5  # of a claim's words, from which the baseline takes evidence to speak of it


class LabelledClaim(NamedTuple):
    """A claim, what is put beside it, and what that says of the claim."""

    id: str
    claim: str
    evidence: str
    label: str


@dataclass(frozen=True)
class ClaimSuite:
    """Judges every pair by the rules; needs no index.

    >>> ClaimSuite().name
    'claims'
    """

    name: ClassVar[str] = "claims"

    def read(self, path: Path) -> Sample:
        rows = [_claim(row, f"{path}, line {number}", number) for number, row in json_lines(path)]
        if not rows:
            raise InputError(f"{path} holds no rows; each line needs claim, evidence and label")
        return Sample(rows)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        texts = Texts(Lexicon.load())
        (commonest, _), *_ = Counter(row.label for row in sample.rows).most_common(1)
        judges: dict[str, Callable[[LabelledClaim], str]] = {
            "the rules": lambda row: label_by_rules(row, texts),
            "shared words": lambda row: label_by_words(row, texts),
            f"always {commonest}": lambda row: commonest,
        }
        advance = progress.stage("judging claims", len(sample.rows) * len(judges))
        rows = []
        for name, label in judges.items():
            counts = Counter[tuple[str, str]]()
            for row in sample.rows:
                counts[row.label, label(row)] += 1
                advance(1)
            scores = score_classes(counts, LABELS)
            right = sum(n for (said, found), n in counts.items() if said == found)
            metrics = {
                "macro_F1": exactly(sum(s.f1 for s in scores.values()) / len(LABELS)),
                "accuracy": exactly(right / len(sample.rows)),
                **{f"F1_{label}": exactly(scores[label].f1) for label in LABELS},
                "precision_supports": exactly(scores["supports"].precision),
                "precision_refutes": exactly(scores["refutes"].precision),
            }
            rows.append(Row({"judge": name}, {"claims": len(sample.rows)}, metrics))
        return Report(self.name, {}, tuple(rows), sample.left_out)


def label_by_rules(row: LabelledClaim, texts: Texts) -> str:
    """What the verifier's rules say."""
    return _OF_VERDICT.get(judge(row.claim, row.evidence, texts).verdict, "neutral")


def label_by_words(row: LabelledClaim, texts: Texts) -> str:
    """What half of the claim's words in the evidence say, with a negation on one side alone."""
    mine, theirs = texts.of(row.claim).words, texts.of(row.evidence).words
    if not mine or len(mine & theirs) < _SHARED * len(mine):
        return "neutral"
    negators = load_cues().negators | {"no", "without"}
    denied = [any(t.word in negators for _, _, s in texts.of(text).sentences for t in s.tokens) for text in row[1:3]]
    return "refutes" if denied[0] != denied[1] else "supports"


def _claim(row: dict[str, object], place: str, number: int) -> LabelledClaim:
    claim, evidence, label = row.get("claim"), row.get("evidence"), str(row.get("label", "")).lower()
    if not (isinstance(claim, str) and isinstance(evidence, str) and label in LABELS):
        raise InputError(f"{place}: a row needs 'claim', 'evidence' and 'label', one of: {', '.join(LABELS)}")
    return LabelledClaim(str(row.get("id", number)), claim, evidence, label)
