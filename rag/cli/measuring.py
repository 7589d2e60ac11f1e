"""Commands that measure: ``rag evaluate`` and its suites."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

import rag
from rag.cli.shared import (
    Index,
    Indexes,
    Json,
    Option,
    Profile,
    bars,
    engine_of,
    options_of,
    say,
    settings_of,
)
from rag.errors import InputError
from rag.plugins import names

if TYPE_CHECKING:
    from rag.evaluation.report import Report
    from rag.evaluation.suite import Subject, Suite

_ANSWERS, _ANY = "answers", "suite"
SomeIndex = Annotated[str | None, typer.Option("--index", "-i", help="Name of the index, for suites that need one.")]


class _Suites(TyperGroup):
    """``rag evaluate FILE`` is ``rag evaluate answers FILE``; suites without a command of their own go by ``suite``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            named = args[0] in names("suite") or (":" in args[0] and not Path(args[0]).exists())
            args = [_ANY if named else _ANSWERS, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Suites,
    no_args_is_help=True,
    help="Measure an index or an encoder. Given a file, its yes/no questions are asked.",
    epilog="Examples: rag evaluate questions.jsonl --index demo · rag evaluate labels.csv --index demo · "
    "rag evaluate retrieval cases.jsonl --split test",
)


@app.command(
    _ANSWERS, epilog="Examples: rag evaluate questions.jsonl --index demo · rag evaluate labels.csv --index demo"
)
def answers(
    labels: Annotated[Path, typer.Argument(help="JSONL of yes/no questions, or CSV of 0/1 findings by study.")],
    baselines: Annotated[
        bool,
        typer.Option(
            "--baselines/--no-baselines", help="Also measure what costs little; each asks every question again."
        ),
    ] = True,
    index: Index = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Compare the engine's yes/no answers with labels; nothing is written to the ledger.

    A JSONL row has id, question and answer (or chosen), and may have study, image and group. A CSV file has a study id
    in its first column and a finding in each other column.
    """
    from rag.evaluation.suite import named_suite

    engine = engine_of(settings_of(indexes, profile), index)
    suites = named_suite("labels" if labels.suffix.lower() == ".csv" else "questions", baselines=baselines)
    _run(engine, suites, labels, as_json)


@app.command(
    _ANY,
    epilog="Examples: rag evaluate pubmedqa --data pubmedqa --limit 60 · rag evaluate vqa-rad --data vqa_rad --index "
    "demo --profile vllm --ask model · rag evaluate slake --data slake --said texts.jsonl",
)
def suite(
    name: Annotated[str, typer.Argument(help="A suite's name, or package.module:attribute.")],
    source: Annotated[Path | None, typer.Argument(help="The suite's file or folder.", show_default=False)] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The same: the folder in which a collection lies as published.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="A sample of about so many rows.", show_default="all")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the sample.", show_default="0")] = None,
    baselines: Annotated[
        bool | None,
        typer.Option("--baselines/--no-baselines", help="Whether what costs little is measured, too."),
    ] = None,
    ask: Annotated[
        str | None, typer.Option(help="'product', or 'model': the profile's language model, asked directly.")
    ] = None,
    said: Annotated[
        Path | None, typer.Option(help="JSONL of id and text: what another system said, in place of asking.")
    ] = None,
    option: Option = None,
    index: SomeIndex = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Any suite, of this package or of another that is installed, with its options by name."""
    from rag.evaluation.suite import named_suite

    if (source is None) == (data is None):
        raise InputError("give the suite's data once: as an argument or with --data")
    given = {"limit": limit, "seed": seed, "baselines": baselines, "ask": ask, "said": said}
    chosen = named_suite(name, **{k: v for k, v in given.items() if v is not None}, **options_of(option))
    _run(_subject(index, indexes, profile), chosen, source or data or Path(), as_json)


@app.command(
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
        list[str] | None, typer.Option(help="Only cases of this domain; repeatable.", show_default="all known domains")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Field of the labels that like images share.", show_default="keywords, label, …")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Image or image-text encoder.", show_default="encoders.image of the profile")
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
    from rag.evaluation.suites.channels import ChannelSuite
    from rag.evaluation.suites.retrieval import RetrievalSuite

    settings, domains = settings_of(indexes, profile), tuple(domain or ())
    if index is None:
        if learn_weights is not None:
            raise InputError("--learn-weights needs --index: weights are those of an index's channels")
        settings.encoders.image = encoder or settings.encoders.image
        _run(settings, RetrievalSuite(split, domains, label, compare), source, as_json)
        return
    if encoder is not None:
        raise InputError("--encoder does not go with --index: an index is searched with the encoder that built it")
    _run(engine_of(settings, index), ChannelSuite(split, domains, label, learn_weights), source, as_json)


@app.command(epilog="Example: rag evaluate assertion sentences.jsonl --where part=apart")
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
    from rag.evaluation.suites.assertion import AssertionSuite

    found = _measure(settings_of(None), AssertionSuite(where), sentences, as_json)
    words = found.table()
    if wrong:
        words += "".join(
            f"\n{r['id']}: {r['phrase']!r} is {r['status']}, read as {r['read']}: {r['sentence']}"
            for r in found.details["wrong"]
        )
    say(found.json(), words, as_json)


@app.command(epilog="Example: rag evaluate claims healthver.jsonl")
def claims(
    pairs: Annotated[Path, typer.Argument(help="JSONL of claim, evidence and label: supports, refutes or neutral.")],
    as_json: Json = False,
) -> None:
    """How well the verifier tells evidence that supports a claim from evidence that refutes it or says neither."""
    from rag.evaluation.suites.claims import ClaimSuite

    _run(settings_of(None), ClaimSuite(), pairs, as_json)


@app.command(epilog="Example: rag evaluate reliance questions.jsonl --index demo")
def reliance(
    questions: Annotated[Path, typer.Argument(help="JSONL of yes/no questions with answers, each naming a study.")],
    index: Index = None,
    first: Annotated[bool, typer.Option("--first", help="The other report comes before the study's own.")] = False,
    seed: Annotated[int, typer.Option(help="Of the choice of the other report.")] = 0,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """How often an answer follows another patient's report that lies beside the study's own and says the opposite."""
    from rag.evaluation.suites.reliance import RelianceSuite

    _run(engine_of(settings_of(indexes, profile), index), RelianceSuite(first, seed), questions, as_json)


@app.command(
    epilog="Examples: rag evaluate abstracts pubmedqa.jsonl · rag evaluate abstracts pubmedqa.jsonl --index demo"
)
def abstracts(
    questions: Annotated[Path, typer.Argument(help="JSONL of question, contexts (paragraphs) and yes, no or maybe.")],
    index: SomeIndex = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """How often a question is answered rightly from the abstract given with it, as in PubMedQA.

    With --index the abstracts are read with the terms of that index's ontologies, too.
    """
    _run(_subject(index, indexes, profile), "abstracts", questions, as_json)


@app.command(epilog="Example: rag evaluate compare before.json after.json")
def compare(
    before: Annotated[Path, typer.Argument(help="What `rag evaluate … --json` wrote.")],
    after: Annotated[Path, typer.Argument(help="The same suite, later or of another system.")],
    as_json: Json = False,
) -> None:
    """What moved between two reports, and where both hold the same questions, whether by more than chance."""
    from rag.evaluation.compare import compare_reports, read_report

    found = compare_reports(read_report(before), read_report(after))
    say(found.json(), found.table(), as_json)


@app.command(epilog="Example: rag evaluate report build/evaluation/*.json --html report.html")
def report(
    reports: Annotated[list[Path], typer.Argument(help="What `rag evaluate … --json` wrote, one or several.")],
    html: Annotated[
        Path | None, typer.Option(help="Write one page with tables and pictures; needs nothing else.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables as Markdown.")] = None,
    as_json: Json = False,
) -> None:
    """Reports gathered: as one HTML page with reliability diagrams and risk by coverage, as Markdown, or printed."""
    from rag.evaluation.compare import read_report
    from rag.evaluation.page import page_of, report_of

    held = [read_report(path) for path in reports]
    found = [report_of(one) for one in held]
    text = "\n\n".join(f"# {one.suite}\n\n{one.table()}" for one in found)
    written = {}
    for path, content in ((html, page_of(found) if html is not None else ""), (markdown, text + "\n")):
        if path is None:
            continue
        try:
            path.write_text(content, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}; name another file") from error
        written[path.suffix.lstrip(".") or "file"] = str(path)
    say({"reports": held, "written": written}, "\n".join(f"written: {p}" for p in written.values()) or text, as_json)


def _subject(index: str | None, indexes: Path | None, profile: str | None) -> Subject:
    settings = settings_of(indexes, profile)
    return settings if index is None else engine_of(settings, index)


def _measure(subject: Subject, suite: str | Suite, source: Path, as_json: bool) -> Report:
    with bars(as_json) as progress:
        return rag.evaluate(subject, suite, source, progress=progress)


def _run(subject: Subject, suite: str | Suite, source: Path, as_json: bool) -> None:
    found = _measure(subject, suite, source, as_json)
    say(found.json(), found.table(), as_json)
