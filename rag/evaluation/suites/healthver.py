"""HealthVer (Sarrouti et al., Findings of EMNLP 2021): does a statement from an article support a claim or refute it?

As published: "healthver_test.csv" (or dev, train) of ``id``, ``claim``, ``evidence``, ``label`` (Supports, Refutes,
Neutral), ``topic_ip`` and ``question``; JSON lines of the same are read as well. Ours is the verifier that decides
which sentences an answer may keep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rag.errors import InputError
from rag.evaluation.baselines import Baseline, Trials
from rag.evaluation.published.asking import Asker, HeardAnswer
from rag.evaluation.published.choice import OURS, Choices, ChoiceSuite
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.items import Item
from rag.evaluation.suites.claims import ClaimTrials, LabelledClaim, SharedWords

_OPTIONS = {"supports": "the evidence supports the claim", "refutes": "the evidence refutes the claim"}
OPTIONS = {**_OPTIONS, "neutral": "it does neither"}


@dataclass(frozen=True)
class ClaimItem(Item):
    """A claim, which is its group, beside one statement."""

    evidence: str = ""

    @property
    def labelled(self) -> LabelledClaim:
        """As the verifier judges it."""
        return LabelledClaim(self.id, self.group, self.evidence, self.answer)


@dataclass(frozen=True)
class HealthVerSuite(ChoiceSuite):
    """Claims of one split. A claim is the unit of statistics: it stands beside several statements.

    >>> HealthVerSuite(split="dev").name
    'healthver'

    Attributes:
        split: test, dev or train.
    """

    split: str = "test"
    name: ClassVar[str] = "healthver"
    collection: ClassVar[str] = "HealthVer"
    searches: ClassVar[bool] = False
    own: ClassVar[tuple[Baseline, ...]] = (SharedWords(),)

    def items(self, folder: Folder) -> Iterator[Item | str]:
        seen: dict[str, int] = {}
        for row in rows_of(folder.find(f"healthver_{self.split}.csv", f"{self.split}.csv", f"{self.split}.jsonl")):
            label = row.text("label").strip().casefold()
            if label not in OPTIONS:
                raise InputError(f"{row.place}: the label is {label!r}; it has to be Supports, Refutes or Neutral")
            claim, evidence = row.text("claim"), row.text("evidence")
            number = row.text("id")
            seen[number] = seen.get(number, 0) + 1
            identity = number if seen[number] == 1 else f"{number}-{seen[number]}"  # published ids repeat
            text = f"Claim: {claim}\nEvidence: {evidence}"
            yield ClaimItem(identity, claim, text, label, OPTIONS, evidence=evidence)

    def _first(self, items: Sequence[Item], asker: Asker) -> Choices:
        if self.said is not None or self.ask == "model":
            return super()._first(items, asker)
        judged = ClaimTrials(_claims(items), asker.pipeline.texts).judged()
        return Choices(OURS, [HeardAnswer(label) for label in judged])

    def _trials(self, items: Sequence[Item], asker: Asker) -> Trials:
        if self.said is not None or self.ask == "model":
            return super()._trials(items, asker)
        return ClaimTrials(_claims(items), asker.pipeline.texts)


def _claims(items: Sequence[Item]) -> list[LabelledClaim]:
    return [item.labelled for item in items if isinstance(item, ClaimItem)]
