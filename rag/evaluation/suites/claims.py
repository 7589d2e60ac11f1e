"""How well the verifier tells evidence that supports a claim from evidence that refutes it or says neither.

One JSON object a line: ``claim``, ``evidence`` and ``label`` (supports, refutes, neutral), and perhaps ``id``, as in
HealthVer (Sarrouti et al. 2021, "Evidence-based Fact-Checking of Health-related Claims").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from rag.errors import InputError
from rag.evaluation.baselines import Trials, beside
from rag.evaluation.metrics import score_classes
from rag.evaluation.questions import json_lines
from rag.evaluation.report import NO_BASELINES, Report, Row, exactly
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

    Attributes:
        baselines: also measure what costs little (:mod:`rag.evaluation.baselines`).
    """

    baselines: bool = True
    name: ClassVar[str] = "claims"

    def read(self, path: Path) -> Sample:
        rows = [_claim(row, f"{path}, line {number}", number) for number, row in json_lines(path)]
        if not rows:
            raise InputError(f"{path} holds no rows; each line needs claim, evidence and label")
        return Sample(rows)

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        trials = ClaimTrials(sample.rows, Texts(Lexicon.load()))
        advance = progress.stage("judging claims", len(sample.rows))
        ours = trials.judged()
        advance(len(sample.rows))
        said = {"the rules": ours, **(dict(beside(trials, SharedWords())) if self.baselines else {})}
        notes = () if self.baselines else (NO_BASELINES,)
        return Report(self.name, {}, tuple(_row(*one, trials) for one in said.items()), sample.left_out, notes)


class ClaimTrials(Trials):
    """Claims that the rules judge by any statement; a claim is a group, for it may stand beside several statements."""

    def __init__(self, claims: Sequence[LabelledClaim], texts: Texts) -> None:
        self.claims, self.lexical = claims, texts
        super().__init__([c.claim for c in claims], [c.label for c in claims], [c.claim for c in claims])

    def judged(self) -> list[str]:
        """What the rules say of each claim and its own statement."""
        return [label_by_rules(claim, self.lexical) for claim in self.claims]

    def holds_evidence(self, row: int) -> bool:
        return True

    def from_evidence_of(self, rows: Sequence[int | None]) -> list[str]:
        given = [self.claims[row].evidence if row is not None else "" for row in rows]
        pairs = zip(self.claims, given, strict=True)
        return [label_by_rules(claim._replace(evidence=evidence), self.lexical) for claim, evidence in pairs]


@dataclass(frozen=True)
class SharedWords:
    """Half of a claim's words in the statement support it, or refute it with a negation on one side alone."""

    name: ClassVar[str] = "shared words"

    def answers(self, trials: Trials) -> list[str] | None:
        if not isinstance(trials, ClaimTrials):
            return None
        return [label_by_words(claim, trials.lexical) for claim in trials.claims]


def _row(name: str, said: Sequence[str], trials: Trials) -> Row:
    pairs = list(zip(trials.labels, said, strict=True))
    scores = score_classes(Counter(pairs), LABELS)
    metrics = {
        "macro_F1": exactly(sum(s.f1 for s in scores.values()) / len(LABELS)),
        "accuracy": exactly(sum(label == word for label, word in pairs) / len(pairs)),
        **{f"F1_{label}": exactly(scores[label].f1) for label in LABELS},
        "precision_supports": exactly(scores["supports"].precision),
        "precision_refutes": exactly(scores["refutes"].precision),
    }
    return Row({"judge": name}, {"claims": len(pairs)}, metrics)


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
