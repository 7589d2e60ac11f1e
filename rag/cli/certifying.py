"""Commands that certify: synthesize-qa makes questions where people have none, calibrate makes the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import rag
from rag.cli.shared import Index, Indexes, Json, Profile, bars, engine_of, index_of, say, settings_of
from rag.errors import InputError
from rag.plugins import find

app = typer.Typer()


@app.command("synthesize-qa", epilog="Example: rag synthesize-qa --index demo --out questions.jsonl --count 600")
def synthesize_qa(
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    index: Index = None,
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most questions.")] = 600,
    kind: Annotated[str, typer.Option(help="yes_no or multiple_choice.")] = "yes_no",
    each: Annotated[int, typer.Option(min=1, max=100, help="Most questions about one patient.")] = 1,
    seed: Annotated[int, typer.Option(help="The same index and seed give the same questions.")] = 0,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Make questions with known answers from an index's coded or asserted findings; each is marked synthetic."""
    _check_writable(out)
    asked = index_of(settings_of(indexes), index)
    with bars(as_json) as progress:
        made = rag.synthesize(
            asked,
            count=count,
            kind=kind,  # type: ignore[arg-type]
            seed=seed,
            each=each,
            progress=progress,
        )
    rag.write_questions(out, made)
    labels = ", ".join(sorted({q.labels for q in made}))
    say(
        {"questions": len(made), "labels": labels, "file": str(out)},
        f"{len(made)} questions ({labels}): {out}",
        as_json,
    )


@app.command(epilog="Example: rag calibrate questions.jsonl --index demo --alpha 0.1 --delta 0.05 --plot risk.png")
def calibrate(
    questions: Annotated[Path, typer.Argument(help="JSONL of yes/no questions with answers.")],
    index: Index = None,
    alpha: Annotated[float, typer.Option(help="Share of answers that may be wrong (or what the risk counts).")] = 0.1,
    delta: Annotated[float, typer.Option(help="Probability that the promise may fail.")] = 0.05,
    risk: Annotated[
        str,
        typer.Option(
            help="wrong-answer, missed-evidence (how many contexts are enough: compute it first), or another that "
            "plugs in, by name or dotted path."
        ),
    ] = "wrong-answer",
    in_expectation: Annotated[
        bool,
        typer.Option(
            "--in-expectation",
            help="For risks about evidence: alpha holds on average (conformal risk control), whatever delta is.",
        ),
    ] = False,
    control: Annotated[str, typer.Option(help="fixed-sequence, holm or bonferroni.")] = "fixed-sequence",
    seed: Annotated[int, typer.Option(help="Of the split into ordering and testing groups.")] = 0,
    per: Annotated[
        str,
        typer.Option(
            help="What has a certificate of its own, where it has enough groups, and shares delta: each domain; each "
            "form of question (presence, side, …) in a domain; or all, true on average over a mixture like this one. "
            "Choose before seeing a result.",
        ),
    ] = "domain",
    allow_perfect: Annotated[
        bool,
        typer.Option("--allow-perfect", help="Every answer may be right: the labels were made without seeing answers."),
    ] = False,
    combine: Annotated[
        bool,
        typer.Option(
            "--combine/--no-combine",
            help="Weigh all signals (the generator's probability, the verifier's support, what the evidence says, a "
            "second witness, the form of question) by what the ordering groups teach, or take the product of the "
            "first two. Choose before seeing a result.",
        ),
    ] = True,
    plot: Annotated[
        Path | None, typer.Option(help="Also write the risk-coverage curve: a PNG, and a CSV beside it.")
    ] = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Choose and certify how sure an answer must be, so that at most alpha of the answers are wrong."""
    from rag.calibration.calibrate import calibrate_contexts
    from rag.calibration.outcome import plot as draw
    from rag.evaluation.questions import labelled_rows

    of_evidence = find("risk", risk).about == "evidence"
    if in_expectation and not of_evidence:
        raise InputError("--in-expectation is for risks about evidence; answers are certified with delta")
    if plot is not None:
        if of_evidence:
            raise InputError("--plot draws risk against coverage, and a risk about evidence has no coverage")
        _check_writable(plot)
    plan = rag.CalibrationPlan(control, seed, per, allow_perfect, combine, risk)  # type: ignore[arg-type]
    rows = labelled_rows(questions)
    engine = engine_of(settings_of(indexes, profile), index)
    with bars(as_json) as progress:
        if of_evidence:
            level = None if in_expectation else delta
            enough = calibrate_contexts(engine, rows, alpha=alpha, delta=level, plan=plan, progress=progress)
            say(enough.model_dump(mode="json"), enough.report(), as_json)
            return
        result = rag.calibrate(engine, rows, alpha=alpha, delta=delta, plan=plan, progress=progress)
    if plot is not None:
        draw(result, plot)
    shown = result.certificate.model_dump(mode="json", exclude={"familiar": True, "parts": {"__all__": {"scores"}}})
    left = {domain: {"groups": groups, "needed": needed} for domain, groups, needed in result.uncovered}
    extra = {"questions": result.questions, "out_of_domain": result.outside, "unlike": result.unlike, "uncovered": left}
    if result.image_effects:
        extra["image_effects"] = [effect.model_dump(mode="json") for effect in result.image_effects]
    say(shown | extra, result.report(), as_json)


def _check_writable(path: Path) -> None:
    """Before long work, not after it."""
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder, or its folder does not exist")
