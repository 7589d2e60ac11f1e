"""Commands of every day: demo, ingest, ask, search."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

import rag
from rag.cli import terminals
from rag.cli.shared import (
    Generator,
    Index,
    Indexes,
    IntoIndex,
    Json,
    Profile,
    Workers,
    bars,
    engine_of,
    index_of,
    options_of,
    print_json,
    settings_of,
    store_of,
)
from rag.cli.terminals import words
from rag.errors import InputError, RagError

app = typer.Typer()


@app.command(epilog="Example: rag demo")
def demo(indexes: Indexes = None, as_json: Json = False) -> None:
    """Build the index 'demo' from real reports, an ontology, notes and sample images; answer six questions."""
    from rag.cli.demo import run_demo

    settings = settings_of(indexes)
    with bars(as_json) as progress:
        shown = run_demo(settings, progress)
    if as_json:
        answers = [a.model_dump(mode="json") for _, a in shown.answers]
        certified = [a.model_dump(mode="json") for _, a in shown.certified]
        certificate = shown.calibration.certificate.model_dump(mode="json", exclude={"parts": {"__all__": {"scores"}}})
        print_json(
            {"ingest": asdict(shown.report), "answers": answers, "certificate": certificate, "certified": certified}
        )
        return
    from rag.cli import console
    from rag.cli.demo import NEXT_STEPS

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
    source: Annotated[str, typer.Argument(help="A file or folder, or a packaged corpus (openi, hpo, pubmed, notes).")],
    index: IntoIndex,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="A reader: its name, or package.module:attribute.", show_default="auto, by content"
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="Reader option, e.g. branches=eye,respiratory or split=train; repeatable."),
    ] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", help="Column of a table, as text=Report or text=Findings+Impression; repeatable."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="What the source is called, if it moves or comes in several places.", show_default="its folder"
        ),
    ] = None,
    deidentify: Annotated[
        Literal["off", "warn", "mask", "require"] | None,  # rag.settings.Deidentify, which the help need not load
        typer.Option(
            help="Identifiers of people: ignore, count, remove them, or set aside what has any.",
            show_default="warn",
        ),
    ] = None,
    workers: Workers = None,
    publish_every: Annotated[
        int | None,
        typer.Option(
            help="Publish a version after so many new documents, so that they can be searched while the rest is read.",
            show_default="one version at the end",
        ),
    ] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Also remove documents that have left this source.")] = False,
    fold: Annotated[
        bool,
        typer.Option(
            "--fold", help="Keep documents of a study, or literature, that say the same once (extra duplicates)."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen; write nothing.")] = False,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Add a corpus to an index, or bring it up to date. Unchanged documents are not encoded again."""
    settings = settings_of(indexes, profile)
    corpus = rag.Source(source, format_, options_of(option, map_), label=name, fold=fold, publish_every=publish_every)
    made = not (settings.indexes / index).exists()
    if dry_run:
        from rag.building.describe import preview
        from rag.building.index import scrubber_of
        from rag.cli import console

        would = preview(
            corpus, None if made else store_of(settings, index), scrubber=scrubber_of(settings, deidentify), sync=sync
        )
        print_json(asdict(would)) if as_json else console.show_ingest(would, dry_run=True)
        return
    mine = index_of(settings, index, create=True)
    try:
        with bars(as_json) as progress:
            report = mine.ingest(
                corpus,
                deidentify=deidentify,
                sync=sync,
                workers=workers,
                progress=progress,
            )
    except RagError:
        if made and not mine.version:
            with suppress(RagError):  # another process has begun to write it
                mine.store.delete(timeout_s=0)  # a first ingest that failed leaves nothing behind
        raise
    if as_json:
        print_json(asdict(report))
    else:
        from rag.cli import console

        console.show_ingest(report)


@app.command(
    epilog='Examples: rag ask "Does study CXR2814 show cardiomegaly?" --index demo · '
    'rag ask "What is seen?" --index demo --image fundus.jpg · rag ask "…" --index demo --profile medgemma --stream'
)
def ask(
    question: Annotated[str, typer.Argument(help="The question.")],
    index: Index = None,
    image: Annotated[Path | None, typer.Option(help="An image the question is about.")] = None,
    study: Annotated[str | None, typer.Option(help="Answer from this study's own documents.")] = None,
    exclude_group: Annotated[
        list[str] | None, typer.Option(help="Patients or articles the search may not see.")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="Overrides the router.")] = None,
    thread: Annotated[
        str | None, typer.Option(help="Name of a conversation: its last turns say what a short question means.")
    ] = None,
    generator: Generator = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Print sentences as they pass verification; with --json, events by line.")
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option(
            "--ledger/--no-ledger",
            help="Record the answer. Without, as on a disk that is only read, it cannot be audited, and says so.",
        ),
    ] = True,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Answer a question, every sentence cited and verified; or say why not."""
    from rag.types import Question

    terminals.check_heard()
    engine = engine_of(settings_of(indexes, profile, generator), index)
    asked = Question(
        text=words(question),
        image=str(image) if image else None,
        study=words(study or ""),
        exclude_groups=tuple(map(words, exclude_group or ())),
        domain=domain,
        thread=_checked(thread),
    )
    if stream or not as_json:
        from rag.cli import console
    if stream:
        events = engine.stream(asked, record=ledger, caller="cli")
        answer = console.print_events(events) if as_json else console.show_events(events)
    else:
        answer = engine.ask(asked, record=ledger, caller="cli")
    with terminals.shown(answer.audit_id):
        if as_json and not stream:
            print_json(answer.model_dump(mode="json"))
        elif not as_json:
            console.show_answer(answer)
            console.out.print(f"[dim]{console.NOTICE}[/]")


def _checked(thread: str | None) -> str | None:
    from rag.types import THREAD

    if thread is not None and re.fullmatch(THREAD, thread) is None:
        raise InputError(f"--thread {thread!r}: use up to 64 letters, digits, '.', '_' and '-'")
    return thread


@app.command(epilog='Example: rag search "hyperinflated lungs" --index demo -k 5')
def search(
    question: Annotated[str, typer.Argument(help="What to look for.")],
    index: Index = None,
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
    engine = engine_of(settings_of(indexes, profile), index)
    hits = engine.search(
        words(question),
        k,
        image=str(image) if image else None,
        study=words(study or ""),
        exclude_groups=tuple(map(words, exclude_group or ())),
    )
    if as_json:
        print_json({"hits": [h.model_dump(mode="json") for h in hits], "index_version": engine.version})
    else:
        from rag.cli import console

        console.show_hits(hits)
