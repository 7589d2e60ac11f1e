"""``rag audit``: recorded answers."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import rag
from rag.cli.shared import (
    Index,
    Indexes,
    Json,
    Profile,
    bars,
    ledger_of,
    print_json,
    say,
    settings_of,
    store_of,
)
from rag.errors import InputError

if TYPE_CHECKING:
    from rag.audit.ledger import Ledger
    from rag.audit.record import Entry
    from rag.indexing.store import IndexStore
    from rag.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Look up, verify, replay, export and redact recorded answers.")
AuditId = Annotated[str, typer.Argument(help="Id of a recorded answer, as 'rag ask' and 'rag audit list' show it.")]
SomeIndex = Annotated[
    str | None,
    typer.Option("--index", "-i", help="Name of the index.", show_default="whichever has the answer, or the only one"),
]
Kinds = Literal["answer", "feedback", "redaction", "certificate", "all"]


@app.command("list", epilog="Example: rag audit list --index demo")
def audit_list(
    index: Index = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest entries to list.")] = 20,
    kind: Annotated[Kinds, typer.Option(help="Entries of this kind.")] = "answer",
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """The newest recorded answers of an index."""
    entries = ledger_of(store_of(settings_of(indexes), index)).entries(limit, kind=None if kind == "all" else kind)
    rows = [_row(e) for e in entries]
    if as_json:
        print_json({"entries": rows})
    else:
        for row in rows:
            typer.echo(f"{row['audit_id']}  {row['created']}  {row['decision']:<9}  {row['question'][:90]}")


@app.command("show", epilog="Example: rag audit show a-20261123-7f3k2m9q")
def audit_show(audit_id: AuditId, index: SomeIndex = None, indexes: Indexes = None, as_json: Json = False) -> None:
    """A recorded answer, as it was given; with --json also how it came about."""
    from rag.audit.feedback import feedback_on

    store, entry = entry_of(settings_of(indexes), audit_id, index)
    if entry.kind != "answer":
        from rag.audit.export import as_dict

        print_json(as_dict(entry))
        return
    judged = feedback_on(ledger_of(store), audit_id)
    if as_json:
        print_json(
            {
                "created": entry.created,
                "sha256": entry.sha256,
                "caller": entry.caller,
                "image_sha256": entry.image_sha256,
                "answer": entry.answer.model_dump(mode="json"),
                "working": entry.working.model_dump(mode="json"),
                "redacted": entry.redacted,
                "feedback": [asdict(f) for f in judged],
            }
        )
        return
    from rag.cli import console

    console.out.print(f"[dim]recorded {entry.created} · sha256 {entry.sha256}[/]")
    console.show_answer(entry.answer)
    for text in entry.working.dropped:
        typer.echo(f"dropped from the draft ({text.verdict}): {text.text}")
    if entry.redacted:
        typer.echo(f"redacted: {', '.join(entry.redacted)}")
    for f in judged:
        words = [
            f.mark,
            *(f"{name}: {text}" for name, text in (("correction", f.correction), ("reason", f.reason)) if text),
        ]
        typer.echo(f"judged {f.created} by {f.caller}: {'; '.join(words)}")


@app.command(
    "verify",
    epilog="Examples: rag audit verify a-20261123-7f3k2m9q · rag audit verify --all --index demo --expect HASH",
)
def audit_verify(
    audit_id: Annotated[str | None, typer.Argument(help="Id of a recorded answer.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Check the whole ledger of an index.")] = False,
    index: SomeIndex = None,
    expect: Annotated[
        str | None, typer.Option(help="A head hash printed earlier: shows whether the end was cut off since.")
    ] = None,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Check a recorded answer against the ledger's hashes and the evidence as of its index version; or all entries.

    A chain shows every edited, removed or moved entry, but not that its end is missing: note the head hash that --all
    prints, somewhere else, and give it to --expect later.
    """
    from rag.audit.checks import check_entry, documents_in

    if everything == (audit_id is not None):
        raise InputError("give the id of one answer, or --all for the whole ledger of an index")
    settings = settings_of(indexes)
    if everything:
        _verify_all(ledger_of(store_of(settings, index)), expect, as_json)
        return
    store, entry = entry_of(settings, str(audit_id), index)
    report = check_entry(entry, documents_in(store), ledger_of(store).verify_chain(images=False, expect=expect))
    if as_json:
        print_json({"audit_id": audit_id, "ok": report.ok, "checks": [asdict(c) for c in report.checks]})
    else:
        from rag.cli import console

        console.show_audit(report)
    if not report.ok:
        raise typer.Exit(1)


def _verify_all(ledger: Ledger, expect: str | None, as_json: bool) -> None:
    with bars(as_json) as progress:
        report = ledger.verify_chain(expect=expect, advance=progress.stage("checking the ledger", ledger.count()))
    if report.ok:
        words = f"verified: {report.entries:,} entries, {report.redacted:,} redacted parts, head {report.head}"
    else:
        words = f"NOT verified: {report.broken_at}: {report.problem}"
    say({"ok": report.ok, **asdict(report)}, words, as_json)
    if not report.ok:
        raise typer.Exit(1)


@app.command("replay", epilog="Example: rag audit replay a-20261123-7f3k2m9q")
def audit_replay(
    audit_id: AuditId, index: SomeIndex = None, indexes: Indexes = None, profile: Profile = None, as_json: Json = False
) -> None:
    """Answer a recorded question again, from the same index version by the same policy, and say what differs.

    Exit code 0 means identical, up to rounding; 1 means different, or impossible to answer again.
    """
    settings = settings_of(indexes, profile)
    store, _ = entry_of(settings, audit_id, index)
    done = rag.Engine(store, settings).replay(audit_id)
    if as_json:
        told = {name: [change._asdict() for change in getattr(done, name)] for name in ("changed", "differences")}
        print_json(asdict(done) | told)
    else:
        typer.echo(f"{done.outcome}: {done.why} (index version {done.index_version})")
        for title, changes in (("changed", done.changed), ("differs", done.differences)):
            for change in changes:
                typer.echo(f"  {title}: {change.name}: {_short(change.then)} -> {_short(change.now)}")
        for note in done.notes:
            typer.echo(f"  note: {note}")
    if done.outcome != "identical":
        raise typer.Exit(1)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}…"


def entry_of(settings: Settings, audit_id: str, index: str | None = None) -> tuple[IndexStore, Entry]:
    """The entry, from ``index`` or whichever index's ledger holds it."""
    from rag.audit.ledger import LEDGER
    from rag.indexing.store import list_indexes

    if index is not None:
        store = store_of(settings, index)
        return store, ledger_of(store).get(audit_id)
    problem: InputError | None = None
    for row in list_indexes(settings.indexes):
        if row.problem or not (settings.indexes / row.name / LEDGER).exists():
            continue
        store = store_of(settings, row.name)
        try:
            return store, ledger_of(store).get(audit_id)
        except InputError as error:
            problem = error
    raise problem or InputError(f"no answer {audit_id!r}: nothing has been asked under {settings.indexes} yet")


def _row(entry: Entry) -> dict[str, Any]:
    """An entry in one line."""
    row = {"audit_id": entry.audit_id, "created": entry.created, "decision": entry.kind, "question": ""}
    with suppress(ValueError):  # an entry that somebody damaged is still listed
        if entry.kind == "answer":
            answer = entry.answer
            row |= {"decision": answer.decision, "question": answer.question.text, "caller": entry.caller}
        else:
            row |= {"decision": entry.fields.get("mark", entry.kind), "caller": entry.caller}
            row["question"] = entry.fields.get("about") or entry.fields.get("why", "")
    return row
