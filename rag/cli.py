"""The command line: parses, calls, prints. Exit codes: 0 fine, 2 bad input, 1 our fault or the machine's."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rag
from rag.errors import InputError, RagError
from rag.settings import Settings, load_settings

if TYPE_CHECKING:
    from rag.engine import Engine
    from rag.indexing.store import IndexStore

app = typer.Typer(
    name="rag",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="ClinCite: cited, risk-controlled answers from medical images, reports and literature.\n\n"
    "Research software, not a medical device.",
)
index_app = typer.Typer(no_args_is_help=True, help="List and inspect indexes.")
audit_app = typer.Typer(no_args_is_help=True, help="Look up and verify recorded answers.")
app.add_typer(index_app, name="index")
app.add_typer(audit_app, name="audit")

Index = Annotated[str, typer.Option("--index", "-i", help="Name of the index.")]
Indexes = Annotated[
    Path | None, typer.Option("--indexes", help="Folder of the indexes [default: $RAG_INDEXES or ./indexes].")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Name = Annotated[str, typer.Argument(help="Name of the index.")]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile name, or a TOML file of settings.")]


def main() -> None:
    """Entry point of the ``rag`` command."""
    wants_json = "--json" in sys.argv
    try:
        app(standalone_mode=False)
    except RagError as error:
        _fail(str(error), error.exit_code, wants_json)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing was published", 1, wants_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        usage = getattr(error, "format_message", None)  # a mistake in the command line, as click words it
        if usage is not None:
            _fail(f"{usage()} Try: rag --help", 2, wants_json)
        if os.environ.get("RAG_DEBUG"):
            raise
        _fail(f"internal error ({type(error).__name__}); run again with RAG_DEBUG=1 for the traceback", 1, wants_json)


def _fail(message: str, code: int, as_json: bool) -> None:
    message = " ".join(message.split())
    if as_json:
        sys.stdout.write(json.dumps({"error": message, "exit_code": code}) + "\n")
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        typer.echo(rag.__version__)
        raise typer.Exit


@app.command(epilog="Example: rag demo")
def demo(indexes: Indexes = None, as_json: Json = False) -> None:
    """Build the index 'demo' from real reports, an ontology, notes and sample images; answer six questions."""
    from rag.demo import run_demo

    settings = _settings(indexes)
    with _bars(as_json) as progress:
        shown = run_demo(settings, progress)
    if as_json:
        answers = [a.model_dump(mode="json") for _, a in shown.answers]
        certified = [a.model_dump(mode="json") for _, a in shown.certified]
        certificate = shown.calibration.certificate.model_dump(mode="json")
        _print_json(
            {"ingest": asdict(shown.report), "answers": answers, "certificate": certificate, "certified": certified}
        )
        return
    from rag import console
    from rag.demo import NEXT_STEPS

    console.show_ingest(shown.report)
    for title, answer in shown.answers:
        console.out.print(f"\n[bold magenta]{title}[/]")
        console.show_answer(answer)
    console.out.print("\n[bold magenta]A certificate, from questions whose answers are human codes[/]")
    console.out.print(shown.calibration.report(), markup=False, soft_wrap=True)
    for title, answer in shown.certified:
        console.out.print(f"\n[bold magenta]{title}[/]")
        console.show_answer(answer)
    console.out.print(f"\n{NEXT_STEPS}\n[dim]{console.NOTICE}[/]")


@app.command(
    epilog="Examples: rag ingest ./reports --index mine · rag ingest openi --index mine · "
    "rag ingest cases.jsonl --index mine --format cases"
)
def ingest(
    source: Annotated[str, typer.Argument(help="A file or folder, or a packaged corpus: openi, hpo, notes, samples.")],
    index: Index,
    format_: Annotated[str | None, typer.Option("--format", help="Format of the source [default: guessed].")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="Reader option, e.g. branches=eye,respiratory or split=train; repeatable."),
    ] = None,
    deidentify: Annotated[
        bool, typer.Option("--deidentify", help="Remove obvious identifiers first (not complete).")
    ] = False,
    sync: Annotated[bool, typer.Option("--sync", help="Also remove documents that have left this source.")] = False,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Add a corpus to an index, or bring it up to date. Unchanged documents are not encoded again."""
    from rag.encoders.registry import load_image_encoder, load_text_encoder
    from rag.ingest import Source
    from rag.ingest import ingest as run

    settings = _settings(indexes, profile)
    made = not (settings.indexes / index).exists()
    store = _store(settings, index, create=True)
    try:
        with _bars(as_json) as progress:
            report = run(
                [Source(source, format_, _reader_options(option or []))],
                store,
                load_text_encoder(settings.encoders),
                load_image_encoder(settings.encoders),
                remove_identifiers=deidentify,
                sync=sync,
                progress=progress,
            )
    except RagError:
        if made and not store.version():
            store.delete()  # a first ingest that failed leaves nothing behind
        raise
    if as_json:
        _print_json(asdict(report))
    else:
        from rag import console

        console.show_ingest(report)


@app.command(
    epilog='Examples: rag ask "Does study CXR2814 show cardiomegaly?" --index demo · '
    'rag ask "What is seen?" --index demo --image fundus.jpg'
)
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    index: Index,
    image: Annotated[Path | None, typer.Option(help="An image the question is about.")] = None,
    study: Annotated[str | None, typer.Option(help="Answer from this study's own documents.")] = None,
    exclude_group: Annotated[
        list[str] | None, typer.Option(help="Patients or articles the search may not see.")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="Overrides the router.")] = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Answer a question, every sentence cited and verified; or say why not."""
    engine = _engine(_settings(indexes, profile), index)
    answer = engine.ask(
        question,
        image=str(image) if image else None,
        study=study,
        exclude_groups=tuple(exclude_group or ()),
        domain=domain,
    )
    if as_json:
        _print_json(answer.model_dump(mode="json"))
    else:
        from rag import console

        console.show_answer(answer)
        console.out.print(f"[dim]{console.NOTICE}[/]")


@app.command(epilog='Example: rag search "hyperinflated lungs" --index demo -k 5')
def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    index: Index,
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many passages.")] = 10,
    image: Annotated[Path | None, typer.Option(help="Search by this image, too.")] = None,
    study: Annotated[str | None, typer.Option(help="Only this study's own documents.")] = None,
    exclude_group: Annotated[
        list[str] | None, typer.Option(help="Patients or articles the search may not see.")
    ] = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Find the passages closest to a question, without answering it."""
    engine = _engine(_settings(indexes, profile), index)
    hits = engine.search(
        question, k, image=str(image) if image else None, study=study, exclude_groups=tuple(exclude_group or ())
    )
    if as_json:
        _print_json({"hits": [h.model_dump(mode="json") for h in hits], "index_version": engine.version})
    else:
        from rag import console

        console.show_hits(hits)


@app.command(epilog="Examples: rag evaluate questions.jsonl --index demo · rag evaluate labels.csv --index demo")
def evaluate(
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

    engine = _engine(_settings(indexes, profile), index)
    if labels.suffix.lower() == ".csv":
        with _bars(as_json) as progress:
            agreement = evaluate_labels(labels, engine, progress)
        found = {name: {"positives": o.yes_total, "f1": o.f1} for name, o in agreement.by_finding.items()}
        _say({"macro_f1": agreement.macro_f1, "findings": found}, agreement.table(), as_json)
        return
    questions, skipped = read_questions(labels)
    with _bars(as_json) as progress:
        outcome = ask_all(questions, engine, progress)
    outcome.skipped = skipped
    _say(asdict(outcome) | {"balanced_accuracy": outcome.balanced_accuracy}, outcome.table(), as_json)


@app.command("synthesize-qa", epilog="Example: rag synthesize-qa --index demo --out questions.jsonl --count 600")
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
    with _store(_settings(indexes), index).snapshot() as snapshot, _bars(as_json) as progress:
        documents = snapshot.documents("report")
        tell = progress.stage("reading labels", len(documents))
        made = synthesize(documents, Lexicon.load(), count=count, kind=kind, seed=seed, tell=tell)  # type: ignore[arg-type]
    with out.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows_of(made))
    labels = ", ".join(sorted({q.labels for q in made}))
    _say(
        {"questions": len(made), "labels": labels, "file": str(out)},
        f"{len(made)} questions ({labels}): {out}",
        as_json,
    )


@app.command(epilog="Example: rag calibrate questions.jsonl --index demo --alpha 0.1 --delta 0.05 --plot risk.png")
def calibrate(
    questions: Annotated[Path, typer.Argument(help="JSONL of yes/no questions with answers.")],
    index: Index,
    alpha: Annotated[float, typer.Option(help="Share of answers that may be wrong.")] = 0.1,
    delta: Annotated[float, typer.Option(help="Probability that the promise may fail.")] = 0.05,
    risk: Annotated[
        str, typer.Option(help="wrong-answer, or missed-evidence (how many contexts are enough).")
    ] = "wrong-answer",
    control: Annotated[str, typer.Option(help="fixed-sequence, holm or bonferroni.")] = "fixed-sequence",
    seed: Annotated[int, typer.Option(help="Of the split into ordering and testing groups.")] = 0,
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

    if risk not in ("wrong-answer", "missed-evidence"):
        raise InputError(f"there is no risk {risk!r}; use wrong-answer or missed-evidence")
    rows, skipped = read_questions(questions)
    if skipped or not rows:
        raise InputError(
            f"{questions}: {skipped} answers are neither yes nor no; the wrong-answer risk needs yes or no"
        )
    engine = _engine(_settings(indexes, profile), index)
    with _bars(as_json) as progress:
        if risk == "missed-evidence":
            enough = calibrate_contexts(rows, engine, progress, alpha=alpha, delta=delta, seed=seed)
            _say(asdict(enough), f"{enough.groups} groups; {enough.why}", as_json)
            return
        result = run(rows, engine, progress, alpha=alpha, delta=delta, control=control, seed=seed)  # type: ignore[arg-type]
    if plot is not None:
        draw(result, plot)
    _say(result.certificate.model_dump(mode="json"), result.report(), as_json)


@index_app.command("list", epilog="Example: rag index list")
def index_list(indexes: Indexes = None, as_json: Json = False) -> None:
    """The indexes, their versions and what they hold."""
    from rag.indexing.store import list_indexes

    rows = list_indexes(_settings(indexes).indexes)
    if as_json:
        _print_json({"indexes": [asdict(r) for r in rows]})
    else:
        from rag import console

        console.show_indexes(rows)


@index_app.command("versions", epilog="Example: rag index versions demo")
def index_versions(name: Name, indexes: Indexes = None, as_json: Json = False) -> None:
    """The published versions of an index and what each changed."""
    rows = _store(_settings(indexes), name).versions()
    if as_json:
        _print_json({"versions": [asdict(v) for v in rows]})
    else:
        from rag import console

        console.show_versions(rows)


@index_app.command("rollback", epilog="Example: rag index rollback demo 3")
def index_rollback(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version to return to.")],
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Publish a new version with exactly the documents of an older one."""
    number = _store(_settings(indexes), name).rollback(version)
    _say(
        {"index": name, "version": number},
        f"{name}: version {number} holds the documents of version {version}",
        as_json,
    )


@index_app.command("remove", epilog="Example: rag index remove mine --group patient-7")
def index_remove(
    name: Name,
    document: Annotated[list[str] | None, typer.Option(help="Document ids.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Names of sources.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="Patients or articles.")] = None,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Remove documents from the latest version; older versions and recorded answers keep them until compaction."""
    if not (document or source or group):
        raise InputError("say what to remove: --document, --source or --group")
    with _store(_settings(indexes), name).writer() as writer:
        count = writer.remove(document_ids=document or (), sources=source or (), groups=group or ())
        number = writer.publish(f"remove {count}")
    _say({"index": name, "version": number, "removed": count}, f"{name}: {count} removed, version {number}", as_json)


@index_app.command("compact", epilog="Example: rag index compact demo")
def index_compact(
    name: Name,
    forget: Annotated[bool, typer.Option("--forget", help="Erase every version but the latest, for good.")] = False,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Merge segments and collect garbage; readers may stay open."""
    report = _store(_settings(indexes), name).compact(() if forget else None)
    _say(asdict(report), f"{name}: {report}", as_json)


@index_app.command("verify", epilog="Example: rag index verify demo")
def index_verify(name: Name, indexes: Indexes = None, as_json: Json = False) -> None:
    """Recompute every hash of an index and check every reference; exit code 1 if something is wrong."""
    report = _store(_settings(indexes), name).verify()
    found = "\n".join(report.problems) or "every hash holds"
    _say(asdict(report) | {"sound": report.sound}, f"{name}: {found}", as_json)
    if not report.sound:
        raise typer.Exit(1)


@index_app.command("delete", epilog="Example: rag index delete mine --yes")
def index_delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Delete an index with its versions and its ledger of answers."""
    store = _store(_settings(indexes), name)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {name!r} with all its versions and its ledger?")):
        raise InputError(f"{name!r} was not deleted; to delete it without being asked, add --yes")
    store.delete()
    _say({"index": name, "deleted": True}, f"{name}: deleted", as_json)


@audit_app.command("list", epilog="Example: rag audit list --index demo")
def audit_list(
    index: Index,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest entries to list.")] = 20,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """The newest recorded answers of an index."""
    entries = _ledger(_store(_settings(indexes), index)).entries(limit)
    rows = [
        {
            "audit_id": e.answer.audit_id,
            "created": e.created,
            "decision": e.answer.decision,
            "question": e.answer.question.text,
        }
        for e in entries
    ]
    if as_json:
        _print_json({"entries": rows})
    else:
        for row in rows:
            typer.echo(f"{row['audit_id']}  {row['created']}  {row['decision']:<9}  {row['question'][:90]}")


@audit_app.command("show", epilog="Example: rag audit show a-20261123-7f3k2m9q")
def audit_show(audit_id: str, indexes: Indexes = None, as_json: Json = False) -> None:
    """A recorded answer, as it was given."""
    _, entry = _entry(_settings(indexes), audit_id)
    if as_json:
        _print_json({"created": entry.created, "sha256": entry.sha256, "answer": entry.answer.model_dump(mode="json")})
    else:
        from rag import console

        console.out.print(f"[dim]recorded {entry.created} · sha256 {entry.sha256}[/]")
        console.show_answer(entry.answer)


@audit_app.command("verify", epilog="Example: rag audit verify a-20261123-7f3k2m9q")
def audit_verify(audit_id: str, indexes: Indexes = None, as_json: Json = False) -> None:
    """Check a recorded answer against the ledger's hashes and the evidence as of its index version."""
    from rag.audit.verify import verify

    store, entry = _entry(_settings(indexes), audit_id)
    report = verify(
        entry, lambda document, version: store.snapshot(version).document(document), _ledger(store).verify_chain()
    )
    if as_json:
        _print_json({"audit_id": audit_id, "ok": report.ok, "checks": [asdict(c) for c in report.checks]})
    else:
        from rag import console

        console.show_audit(report)
    if not report.ok:
        raise typer.Exit(1)


def _reader_options(given: list[str]) -> dict[str, Any]:
    """``name=value``; a value with commas is a list."""
    options: dict[str, Any] = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise InputError(f"--option {item!r}: write it as name=value")
        options[name] = tuple(value.split(",")) if "," in value or name == "branches" else value
    return options


def _settings(indexes: Path | None, profile: str | None = None) -> Settings:
    return load_settings(profile, **({"indexes": indexes} if indexes is not None else {}))


def _store(settings: Settings, name: str, create: bool = False) -> IndexStore:
    from rag.indexing.store import IndexStore

    if not name or name in (".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise InputError(f"{name!r} is not a name for an index; use letters, digits, '-' and '_'")
    path = settings.indexes / name
    return IndexStore.create(path) if create and not path.exists() else IndexStore.open(path)


def _engine(settings: Settings, name: str) -> Engine:
    from rag.engine import Engine

    return Engine(_store(settings, name), settings)


def _ledger(store: IndexStore) -> Any:
    from rag.audit.ledger import Ledger
    from rag.engine import LEDGER

    return Ledger(store.path / LEDGER)


def _entry(settings: Settings, audit_id: str) -> tuple[IndexStore, Any]:
    """The entry, from whichever index's ledger holds it."""
    from rag.engine import LEDGER
    from rag.indexing.store import list_indexes

    problem: InputError | None = None
    for row in list_indexes(settings.indexes):
        if row.problem or not (settings.indexes / row.name / LEDGER).exists():
            continue
        store = _store(settings, row.name)
        try:
            return store, _ledger(store).get(audit_id)
        except InputError as error:
            problem = error
    raise problem or InputError(f"no ledger under {settings.indexes}: nothing has been asked there yet")


@contextmanager
def _bars(quiet: bool) -> Iterator[Any]:
    from rag.console import progress_bars

    with progress_bars(quiet) as progress:
        yield progress


def _say(value: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        _print_json(value)
    else:
        typer.echo(words)


def _print_json(value: Any) -> None:
    def plain(x: Any) -> Any:
        return asdict(x) if is_dataclass(x) and not isinstance(x, type) else str(x)

    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=plain) + "\n")
