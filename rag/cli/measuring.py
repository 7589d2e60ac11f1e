"""Commands that measure: the suites of evaluate."""

from __future__ import annotations

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
    from rag.evaluation.questions import read_questions
    from rag.evaluation.questions import score_verdicts as ask_all
    from rag.evaluation.suites.labels import evaluate_labels

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
    from rag.evaluation.suites.assertion import evaluate_assertion, read_rows

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
    from rag.evaluation.suites.reliance import evaluate_reliance
    from rag.generation.reader import ReaderGenerator
    from rag.language.clinical_text import Texts
    from rag.language.lexicon import Lexicon

    rows, _ = read_questions(questions)
    if not any(row.question.study for row in rows):
        raise InputError(
            f"{questions} names no study; over-reliance is measured on questions about studies of an index"
        )
    texts = Texts(Lexicon.load())
    store = store_of(settings_of(indexes, profile), index)
    with store.snapshot() as snapshot, bars(as_json) as progress:
        found = evaluate_reliance(rows, snapshot, ReaderGenerator(texts), texts, progress, first=first, seed=seed)
    say(asdict(found) | {"rate": found.rate}, found.table(), as_json)


@evaluate.command(epilog="Example: rag evaluate abstracts pubmedqa.jsonl")
def abstracts(
    questions: Annotated[Path, typer.Argument(help="JSONL of question, contexts (paragraphs) and yes, no or maybe.")],
    as_json: Json = False,
) -> None:
    """How often a question is answered rightly from the abstract given with it, as in PubMedQA."""
    from rag.evaluation.suites.abstracts import evaluate_abstracts, read_abstracts
    from rag.generation.reader import ReaderGenerator
    from rag.language.clinical_text import Texts
    from rag.language.lexicon import Lexicon

    rows, texts = read_abstracts(questions), Texts(Lexicon.load())
    with bars(as_json) as progress:
        found = evaluate_abstracts(rows, ReaderGenerator(texts), texts, progress)
    say(found.as_json(), found.table(), as_json)


def _directions(
    cases: list[Case], left_out: dict[str, int], encoder: str, compare: str, settings: Settings, as_json: bool
) -> None:
    from rag.encoders.registry import load_image_encoder
    from rag.evaluation.suites.retrieval import evaluate_retrieval

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
    from rag.answering.pipeline import Pipeline
    from rag.evaluation.cases import read_labelled_cases
    from rag.evaluation.fusion_weights import measure_fusion, search_channels
    from rag.evaluation.queries import asks_questions, queries_of_cases, read_queries

    view = Pipeline.open(store_of(settings, index), settings)
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
