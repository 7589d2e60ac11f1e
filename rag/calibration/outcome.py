"""What came of a calibration: statistics, a report in words, and the risk-coverage curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.answering.certificate import StoredCertificate, Tested
from rag.risk_control.policy import SETTINGS, Outcomes, Policy
from rag.risk_control.procedure import Certification
from rag.risk_control.strata import Stratum
from rag.types import ImageEffect


@dataclass(frozen=True)
class CalibratedPart:
    """One part of the certificate: its statistics, and its risk-coverage curve over thresholds.

    ``about`` are its domains, and its forms of question where it is about some alone. ``curve`` holds (tau, coverage,
    risk) at the chosen setting, over all its questions. ``by_form`` and ``silence`` describe the tested ones.
    """

    about: Stratum
    questions: int
    groups: int
    certification: Certification
    curve: tuple[tuple[float, float, float], ...]
    by_form: Mapping[str, Tested]
    silence: Tested | None

    def report(self) -> list[str]:
        c = self.certification
        low, high = c.interval
        risk = "nothing answered" if c.risk is None else f"{c.risk:.1%} (95% interval {low:.1%} to {high:.1%})"
        lines = [
            f"{', '.join(self.about)}: {self.questions} questions in {self.groups} groups; "
            f"{c.learning_groups} groups ordered the policies, {c.groups} tested them",
            c.why,
            f"coverage {c.coverage:.1%}, risk among answers {risk}, effective n {c.effective_n:.0f}; "
            f"{len(c.accepted)} of {c.policies} policies certified ({c.bound} bound, {c.control})",
            f"with {2 * self.groups} groups and the same risk, alpha = {c.alpha_with(2 * self.groups):.3f} "
            "would be certified about every other time",
        ]
        lines += [f"  {form}: {_in_words(seen)}" for form, seen in self.by_form.items()]
        if self.silence is not None:
            lines.append(f"  answers that the report does not mention it: {_in_words(self.silence)}")
        if c.policy is None:
            needed = c.groups_for(c.alpha)
            lines.append(
                f"at this risk alpha = {c.alpha:g} is out of reach with any number of groups"
                if needed is None
                else f"at this risk alpha = {c.alpha:g} would take about {needed} groups, for even odds"
            )
        return lines


@dataclass(frozen=True)
class Calibration:
    """The outcome of a calibration, and what was saved.

    ``parts`` are in the order of the certificate's. ``outside`` counts questions that the router found out of domain,
    and ``unlike`` those whose form or wording too few others have: the certificate is not about either.
    ``uncovered`` are domains (or forms in them) with too few groups: (name, how many they
    have, how many a certificate of their own would need beside the others). ``saved`` is False where nothing was
    certified and the index has a certificate that still holds, which then stays. ``image_effects`` say of which kinds
    of questions about images the answers depend on the image; blind kinds are not answered and count as silence.
    """

    parts: tuple[CalibratedPart, ...]
    certificate: StoredCertificate
    questions: int
    groups: int
    outside: int
    unlike: int
    uncovered: tuple[tuple[str, int, int], ...]
    saved: bool = True
    image_effects: tuple[ImageEffect, ...] = ()

    def report(self) -> str:
        """A few honest lines."""
        lines = [line for part in self.parts for line in (*part.report(), "")]
        certificate = self.certificate
        if len(self.parts) > 1:
            share = certificate.parts[0].delta
            lines.append(
                f"{len(self.parts)} certificates share delta = {certificate.delta:g}, {share:.3g} each: all hold at "
                f"once with probability at least {1 - certificate.delta:g}"
            )
        for domain, groups, needed in self.uncovered:
            lines.append(f"{domain}: no certificate, {groups} groups are too few; its own would need at least {needed}")
        if self.outside:
            lines.append(f"{self.outside} of {self.questions} questions are out of domain and outside the guarantee")
        if self.unlike:
            lines.append(
                f"{self.unlike} are unlike the others by form or wording, and the certificate is not about such"
            )
        lines.append(
            f"covers yes/no questions about: {', '.join(certificate.scope)}; of the forms: "
            f"{', '.join(certificate.forms)}; worded like these"
        )
        lines += [f"questions about images: {effect}" for effect in self.image_effects]
        if not self.saved:
            lines.append("nothing was certified, and the index keeps the certificate that it has, which still holds")
        return "\n".join(lines)


def _in_words(seen: Tested) -> str:
    low, high = seen.interval
    risk = "none answered" if seen.risk is None else f"{seen.risk:.1%} lost (95% interval {low:.1%} to {high:.1%})"
    return f"{seen.questions} questions in {seen.groups} groups, {seen.coverage:.1%} answered, {risk}"


def risk_coverage(
    outcomes: Outcomes, found: Certification, taus: Sequence[float]
) -> tuple[tuple[float, float, float], ...]:
    """(tau, coverage, risk) at the chosen setting; at the widest one where nothing was certified."""
    policy = found.policy or Policy(*SETTINGS[-1], 0.0)
    column = SETTINGS.index((policy.k, policy.gamma))
    confidence, correct = outcomes.confidence[:, column], outcomes.correct[:, column]
    rows = []
    for tau in taus:
        answered = (confidence >= tau) & (outcomes.route >= policy.rho)
        n = int(answered.sum())
        rows.append((tau, n / len(confidence), float((answered & ~correct).sum() / n) if n else 0.0))
    return tuple(rows)


def plot(calibration: Calibration, path: Path) -> None:
    """The risk-coverage curve of each part as a PNG, and the numbers as CSV beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    lines = ["domains,tau,coverage,risk"]
    for part in calibration.parts:
        rows = [(c, r) for _, c, r in part.curve if c > 0]
        axes.plot([c for c, _ in rows], [r for _, r in rows], marker="o", label=f"{', '.join(part.about)}: observed")
        lines += [f"{' '.join(part.about)},{t},{c:.6f},{r:.6f}" for t, c, r in part.curve]
    alpha = calibration.certificate.alpha
    axes.axhline(alpha, linestyle="--", color="tab:red", label=f"alpha = {alpha:g}")
    axes.set_xlabel("coverage: share of questions answered")
    axes.set_ylabel("risk: share of answers that are wrong")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    path.with_suffix(".csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
