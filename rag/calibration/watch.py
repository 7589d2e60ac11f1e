"""Watching an index: are the questions that are answered under its certificate still like the calibration's?

Reads the ledger, takes the scores out of it, and keeps no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rag.answering.certificate import StoredCertificate
from rag.audit.ledger import LEDGER, Entry, Ledger
from rag.errors import InputError
from rag.indexing.store import IndexStore
from rag.risk_control.drift import LEAST, SCORES, Shift, scores_of, shifts
from rag.types import Answer

LEVEL = 0.01
_PAGE = 500


@dataclass(frozen=True)
class Drift:
    """What the ledger shows since the certificate was computed.

    Attributes:
        index: its name.
        since: when the certificate was computed.
        covered: answers under the certificate that were looked at, one for each study, image or question.
        outside: other answers of that time by reason, such as "out of domain"; they are not compared.
        shifts: one for each certificate and score with enough answers.
        level: probability of any false alarm at one look.
        drifted: some score has shifted.
    """

    index: str
    since: str
    covered: int
    outside: dict[str, int]
    shifts: tuple[Shift, ...]
    level: float
    drifted: bool

    def table(self) -> str:
        """For people: what was compared and what it says."""
        kinds = "; ".join(f"{n} {why}" for why, n in sorted(self.outside.items())) or "none"
        lines = [f"{self.index}: {self.covered} answers under the certificate of {self.since}, others: {kinds}"]
        if not self.shifts:
            return f"{lines[0]}\ntoo few to compare: it takes {LEAST} about different studies, images or questions"
        for s in self.shifts:
            word = "SHIFTED" if s.drifted else "as before"
            lines.append(
                f"{', '.join(s.domains)}: {s.score} {word}: KS {s.ks:.3f} (p = {s.p_value:.2g}), PSI {s.psi:.2f}, "
                f"median {s.median_then:.2f} then, {s.median_now:.2f} now ({s.calibration} then, {s.recent} now)"
            )
        if self.drifted:
            lines.append("questions are no longer like the calibration's: label some recent ones and run rag calibrate")
        return "\n".join(lines)


def watch(store: IndexStore, last: int = 500, level: float = LEVEL) -> Drift:
    """Compare the newest answers under an index's certificate with its calibration.

    Args:
        store: the index.
        last: most answers looked at for each part of the certificate.
        level: probability of a false alarm at one look, shared by all comparisons (Bonferroni); looking every day at
            overlapping windows raises more of them.

    Raises:
        InputError: the index has no certificate, or one that promises nothing.
    """
    certificate = StoredCertificate.load(store.path)
    if certificate is None or not any(part.scores for part in certificate.parts):
        raise InputError(
            f"index {store.name!r} has no certificate to compare with; compute one with: rag calibrate QUESTIONS.jsonl "
            f"--index {store.name}"
        )
    outside: Counter[str] = Counter()
    rows: dict[tuple[str, ...], list[tuple[float, ...]]] = {part.about: [] for part in certificate.parts}
    seen: set[str] = set()
    for answer in _after(Ledger(store.path / LEDGER), StoredCertificate.noted(store.path)):
        if answer.certificate.status != "valid":
            outside["out of domain" if answer.domain.out_of_domain else answer.certificate.status] += 1
            continue
        unit = answer.question.study or answer.question.image or answer.question.text
        about = (*answer.certificate.domains, *answer.certificate.forms)
        if about in rows and unit not in seen and len(rows[about]) < last:
            seen.add(unit)
            rows[about].append(scores_of(answer))
        if all(len(some) == last for some in rows.values()):
            break
    enough = [part for part in certificate.parts if part.scores and len(rows[part.about]) >= LEAST]
    each = level / max(1, len(enough) * len(SCORES))
    found: list[Shift] = []
    for part in enough:
        recent = dict(zip(SCORES, zip(*rows[part.about], strict=True), strict=True))
        found += shifts(part.scores, recent, part.about, each)
    covered = sum(map(len, rows.values()))
    drifted = any(s.drifted for s in found)
    return Drift(store.name, certificate.created, covered, dict(outside), tuple(found), level, drifted)


def _after(ledger: Ledger, number: int) -> Iterator[Answer]:
    """Answers recorded after an entry, newest first: a clock may have been set back, numbers only rise."""
    before: int | None = None
    while page := ledger.entries(_PAGE, before):
        for entry in page:
            if entry.number < number:
                return
            yield _answer(entry)
        before = page[-1].number


def _answer(entry: Entry) -> Answer:
    try:
        return entry.answer
    except ValueError as error:
        raise InputError(
            f"entry {entry.number} of the ledger cannot be read; check it with: rag audit verify {entry.audit_id}"
        ) from error
