"""Commands that measure and certify: evaluate, synthesize-qa, calibrate."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rag.cli.shared import (
    Index,
    Indexes,
    Json,
    Profile,
    bars,
    engine_of,
    say,
    settings_of,
    store_of,
)
from rag.errors import InputError
from rag.settings import Settings, profile_text

if TYPE_CHECKING:
    from rag.evaluation.cases import Case

measuring = typer.Typer()
_ANSWERS = "answers"


class _Suites(TyperGroup):
    """``rag evaluate FILE`` is ``rag evaluate answers FILE``; other suites go by their name."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = args and (args[0] in self.commands or args == ["--help"])
        return super().parse_args(ctx, args if known or not args else [_ANSWERS, *args])


evaluate = typer.Typer(
    cls=_Suites,
    no_args_is_help=True,
    help="Measure an index or an encoder. Given a file, its yes/no questions are asked.",
    epilog="Examples: rag evaluate questions.jsonl --index demo · rag evaluate labels.csv --index demo · "
    "rag evaluate retrieval cases.jsonl --split test",
)
measuring.add_typer(evaluate, name="evaluate")


@evaluate.command(
    _ANSWERS, epilog="Examples: rag evaluate questions.jsonl --index demo · rag evaluate labels.csv --index demo"
)
def answers(
    labels: Annotated[Path, typer.Argument(help="JSONL of yes/no questions, or CSV of 0/1 findings by study.")],
    index: Index,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Compare the engine's yes/no answers with labels; nothing is written to the ledger.

    A JSONL row has id, question and answer (or chosen), and may have study, image and group. A CSV file has a study id
    in its first column and a finding in each other column.
    """
    from rag.evaluation.labels import evaluate_labels
    from rag.evaluation.questions import evaluate as ask_all
    from rag.evaluation.questions import read_questions

    engine = engine_of(settings_of(indexes, profile), index)
    if labels.suffix.lower() == ".csv":
        with bars(as_json) as progress:
            agreement = evaluate_labels(labels, engine, progress)
        found = {name: {"positives": o.yes_total, "f1": o.f1} for name, o in agreement.by_finding.items()}
        say({"macro_f1": agreement.macro_f1, "findings": found}, agreement.table(), as_json)
        return
    questions, skipped = read_questions(labels)
    with bars(as_json) as progress:
        outcome = ask_all(questions, engine, progress)
    outcome.skipped = skipped
    say(asdict(outcome) | {"balanced_accuracy": outcome.balanced_accuracy}, outcome.table(), as_json)


@evaluate.command(
    epilog="Examples: rag evaluate retrieval cases.jsonl --split test · "
    "rag evaluate retrieval cases.jsonl --split dev --index mine --learn-weights mine.toml"
)
def retrieval(
    source: Annotated[
        Path,
        typer.Argument(help="Cases with images and texts, as for rag ingest; with --index also JSONL questions."),
    ],
    split: Annotated[str | None, typer.Option(help="Only the rows of this split.")] = None,
    domain: Annotated[
        list[str] | None, typer.Option(help="Only cases of this domain; repeatable [default: all known domains].")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Field of the labels that like images share [default: keywords, label, …].")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Image or image-text encoder [default: encoders.image of the profile].")
    ] = None,
    compare: Annotated[str, typer.Option(help="Encoder to compare image→image with, or 'none'.")] = "imagenet",
    index: Annotated[
        str | None, typer.Option("--index", "-i", help="Measure the channels of this index and their fusion instead.")
    ] = None,
    learn_weights: Annotated[
        Path | None, typer.Option(help="With --index: learn the fusion's weights and write a profile with them.")
    ] = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """How well images find texts, texts find images and images find their like: every direction apart.

    Recall, MRR and nDCG per domain and pooled, with intervals by group, beside random order and what texts alone give.
    With --index the channels of an index are measured instead, alone and fused: like cases are relevant to a case, or
    the 'evidence' to a question. Learn weights on other cases than those that you report.
    """
    from rag.evaluation.cases import read_labelled_cases
    from rag.retrieval.domains import load_domains

    settings = settings_of(indexes, profile)
    domains = tuple(domain or (d.id for d in load_domains()))
    if index is None:
        if learn_weights is not None:
            raise InputError("--learn-weights needs --index: weights are those of an index's channels")
        cases, left_out = read_labelled_cases(source, split=split, domains=domains, label=label)
        _directions(cases, left_out, encoder or settings.encoders.image, compare, settings, as_json)
        return
    if encoder is not None:
        raise InputError("--encoder does not go with --index: an index is searched with the encoder that built it")
    _channels(source, split, domains, label, index, learn_weights, settings, as_json)


@evaluate.command(epilog="Example: rag evaluate assertion sentences.jsonl --where part=apart")
def assertion(
    sentences: Annotated[Path, typer.Argument(help="JSONL of sentence, concept and status.")],
    where: Annotated[str | None, typer.Option(help="Only rows whose field has this value, as FIELD=VALUE.")] = None,
    wrong: Annotated[bool, typer.Option("--wrong", help="Also list the rows that were read otherwise.")] = False,
    as_json: Json = False,
) -> None:
    """How well denied, doubted, past and present findings are told apart in labelled sentences.

    A row has a sentence, a concept (words of it) and a status: present, absent, uncertain, historical, hypothetical or
    family; affirmed, negated and possible are read as well. A status that the file never uses counts as present.
    """
    from rag.evaluation.assertion import evaluate_assertion, read_rows

    if where is not None and "=" not in where:
        raise InputError(f"--where {where!r} is not of the form FIELD=VALUE, for example part=apart")
    name, _, value = (where or "").partition("=")
    found = evaluate_assertion(read_rows(sentences, (name, value) if where else None))
    words = found.table()
    if wrong:
        words += "".join(f"\n{r.id}: {r.phrase!r} is {r.status}, read as {s}: {r.sentence}" for r, s in found.wrong)
    say(found.as_json(), words, as_json)


@evaluate.command(epilog="Example: rag evaluate reliance questions.jsonl --index demo")
def reliance(
    questions: Annotated[Path, typer.Argument(help="JSONL of yes/no questions with answers, each naming a study.")],
    index: Index,
    first: Annotated[bool, typer.Option("--first", help="The other report comes before the study's own.")] = False,
    seed: Annotated[int, typer.Option(help="Of the choice of the other report.")] = 0,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """How often an answer follows another patient's report that lies beside the study's own and says the opposite."""
    from rag.evaluation.questions import read_questions
    from rag.evaluation.reliance import evaluate_reliance
    from rag.findings.lexicon import Lexicon
    from rag.generation.reader import ReaderGenerator

    rows, _ = read_questions(questions)
    if not any(row.question.study for row in rows):
        raise InputError(
            f"{questions} names no study; over-reliance is measured on questions about studies of an index"
        )
    lexicon = Lexicon.load()
    store = store_of(settings_of(indexes, profile), index)
    with store.snapshot() as snapshot, bars(as_json) as progress:
        found = evaluate_reliance(rows, snapshot, ReaderGenerator(lexicon), lexicon, progress, first=first, seed=seed)
    say(asdict(found) | {"rate": found.rate}, found.table(), as_json)


@evaluate.command(epilog="Example: rag evaluate abstracts pubmedqa.jsonl")
def abstracts(
    questions: Annotated[Path, typer.Argument(help="JSONL of question, contexts (paragraphs) and yes, no or maybe.")],
    as_json: Json = False,
) -> None:
    """How often a question is answered rightly from the abstract given with it, as in PubMedQA."""
    from rag.evaluation.abstracts import evaluate_abstracts, read_abstracts
    from rag.findings.lexicon import Lexicon
    from rag.generation.reader import ReaderGenerator

    rows, lexicon = read_abstracts(questions), Lexicon.load()
    with bars(as_json) as progress:
        found = evaluate_abstracts(rows, ReaderGenerator(lexicon), lexicon, progress)
    say(found.as_json(), found.table(), as_json)


def _directions(
    cases: list[Case], left_out: dict[str, int], encoder: str, compare: str, settings: Settings, as_json: bool
) -> None:
    from rag.encoders.registry import load_image_encoder
    from rag.evaluation.retrieval import evaluate_retrieval

    ours, other = (settings.encoders.model_copy(update={"image": name}) for name in (encoder, compare))
    versus = load_image_encoder(other) if compare not in ("none", encoder) else None
    with bars(as_json) as progress:
        found = evaluate_retrieval(cases, load_image_encoder(ours), versus, progress, left_out=left_out)
    say(found.as_json(), found.table(), as_json)


def _channels(
    source: Path,
    split: str | None,
    domains: tuple[str, ...],
    label: str | None,
    index: str,
    out: Path | None,
    settings: Settings,
    as_json: bool,
) -> None:
    from rag.evaluation.cases import read_labelled_cases
    from rag.evaluation.fusion import measure_fusion, search_channels
    from rag.evaluation.queries import asks_questions, queries_of_cases, read_queries
    from rag.view import View

    view = View.open(store_of(settings, index), settings)
    if asks_questions(source):
        queries = read_queries(source)
    else:
        queries = queries_of_cases(
            read_labelled_cases(source, split=split, domains=domains, label=label)[0], view.snapshot, label
        )
    with bars(as_json) as progress:
        searched = search_channels(queries, view.searcher, view.snapshot, settings.retrieval, progress)
        report = measure_fusion(searched, settings.retrieval, out is not None, progress)
    words = report.table()
    if out is not None and report.learned is not None:
        note = (
            f"Weights of the fusion, learned from {len(queries)} queries of {source.name}"
            f"{f' (split {split})' if split else ''} on index {index!r}.\n"
            f"Gain of nDCG@10 over equal weights, cross-validated by group: {report.learned.gain}."
        )
        out.write_text(profile_text(report.learned.applied(settings), note), encoding="utf-8")
        words += f"\nwritten: {out}"
    say(report.as_json(), words, as_json)


@measuring.command("synthesize-qa", epilog="Example: rag synthesize-qa --index demo --out questions.jsonl --count 600")
def synthesize_qa(
    index: Index,
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Most questions; one a patient group.")] = 600,
    kind: Annotated[str, typer.Option(help="yes_no or multiple_choice.")] = "yes_no",
    seed: Annotated[int, typer.Option(help="The same index and seed give the same questions.")] = 0,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Make questions with known answers from an index's coded or asserted findings; each is marked synthetic."""
    from rag.evaluation.synthesis import rows_of, synthesize
    from rag.findings.lexicon import Lexicon

    if kind not in ("yes_no", "multiple_choice"):
        raise InputError(f"there is no kind {kind!r} of question; use yes_no or multiple_choice")
    _check_writable(out)
    with store_of(settings_of(indexes), index).snapshot() as snapshot, bars(as_json) as progress:
        documents = snapshot.documents("report")
        tell = progress.stage("reading labels", len(documents))
        made = synthesize(documents, Lexicon.load(), count=count, kind=kind, seed=seed, tell=tell)  # type: ignore[arg-type]
    with out.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(made))
    labels = ", ".join(sorted({q.labels for q in made}))
    say(
        {"questions": len(made), "labels": labels, "file": str(out)},
        f"{len(made)} questions ({labels}): {out}",
        as_json,
    )


@measuring.command(
    epilog="Example: rag calibrate questions.jsonl --index demo --alpha 0.1 --delta 0.05 --plot risk.png"
)
def calibrate(
    questions: Annotated[Path, typer.Argument(help="JSONL of yes/no questions with answers.")],
    index: Index,
    alpha: Annotated[float, typer.Option(help="Share of answers that may be wrong.")] = 0.1,
    delta: Annotated[float, typer.Option(help="Probability that the promise may fail.")] = 0.05,
    risk: Annotated[
        str, typer.Option(help="wrong-answer, or missed-evidence (how many contexts are enough).")
    ] = "wrong-answer",
    in_expectation: Annotated[
        bool,
        typer.Option(
            "--in-expectation",
            help="For missed-evidence: alpha holds on average (conformal risk control), whatever delta is.",
        ),
    ] = False,
    control: Annotated[str, typer.Option(help="fixed-sequence, holm or bonferroni.")] = "fixed-sequence",
    seed: Annotated[int, typer.Option(help="Of the split into ordering and testing groups.")] = 0,
    pooled: Annotated[
        bool,
        typer.Option(
            "--pooled",
            help="One certificate for all domains, true on average over a mixture like this one; by default each "
            "domain with enough groups has its own, and they share delta. Choose before seeing a result.",
        ),
    ] = False,
    allow_perfect: Annotated[
        bool,
        typer.Option("--allow-perfect", help="Every answer may be right: the labels were made without seeing answers."),
    ] = False,
    combine: Annotated[
        bool,
        typer.Option(
            "--combine",
            help="Weigh the generator's probability, the verifier's support, the agreement and the similarity of the "
            "evidence by what the ordering groups teach, in place of their product. Choose before seeing a result.",
        ),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Also write the risk-coverage curve: a PNG, and a CSV beside it.")
    ] = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Choose and certify how sure an answer must be, so that at most alpha of the answers are wrong."""
    from rag.evaluation.calibration import calibrate as run
    from rag.evaluation.calibration import calibrate_contexts
    from rag.evaluation.calibration import plot as draw
    from rag.evaluation.questions import read_questions

    if in_expectation and risk != "missed-evidence":
        raise InputError("--in-expectation is for --risk missed-evidence; wrong answers are certified with delta")
    if risk not in ("wrong-answer", "missed-evidence"):
        raise InputError(f"there is no risk {risk!r}; use wrong-answer or missed-evidence")
    if plot is not None:
        _check_writable(plot)
    rows, skipped = read_questions(questions)
    if not rows and not skipped:
        raise InputError(f"{questions} holds no questions; each line needs id, question and answer")
    if skipped:
        raise InputError(
            f"{questions}: {skipped} answers are neither yes nor no; the wrong-answer risk needs yes or no"
        )
    engine = engine_of(settings_of(indexes, profile), index)
    with bars(as_json) as progress:
        if risk == "missed-evidence":
            level = None if in_expectation else delta
            enough = calibrate_contexts(rows, engine, progress, alpha=alpha, delta=level, seed=seed)
            say(asdict(enough), f"{enough.groups} groups; {enough.why}", as_json)
            return
        result = run(
            rows,
            engine,
            progress,
            alpha=alpha,
            delta=delta,
            control=control,  # type: ignore[arg-type]
            seed=seed,
            pooled=pooled,
            allow_perfect=allow_perfect,
            combine=combine,
        )
    if plot is not None:
        draw(result, plot)
    shown = result.certificate.model_dump(mode="json", exclude={"parts": {"__all__": {"scores"}}})
    left = {domain: {"groups": groups, "needed": needed} for domain, groups, needed in result.uncovered}
    extra = {"questions": result.questions, "out_of_domain": result.outside, "uncovered": left}
    say(shown | extra, result.report(), as_json)


def _check_writable(path: Path) -> None:
    """Before long work, not after it."""
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder, or its folder does not exist")
