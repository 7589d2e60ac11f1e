"""``rag audit``: recorded answers."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

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
from rag.errors import InputError, StorageError

if TYPE_CHECKING:
    from rag.audit.ledger import Ledger
    from rag.audit.record import Entry
    from rag.indexing.store import IndexStore
    from rag.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Look up, verify, replay, export and redact recorded answers.")
AuditId = Annotated[str, typer.Argument(help="Id of a recorded answer, as 'rag ask' and 'rag audit list' show it.")]
SomeIndex = Annotated[str | None, typer.Option("--index", "-i", help="Name of the index.")]
Format = Literal["jsonl", "html", "questions"]
Kinds = Literal["answer", "feedback", "redaction", "all"]


@app.command("list", epilog="Example: rag audit list --index demo")
def audit_list(
    index: Index,
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
def audit_show(audit_id: AuditId, indexes: Indexes = None, as_json: Json = False) -> None:
    """A recorded answer, as it was given; with --json also how it came about."""
    from rag.audit.feedback import feedback_on

    store, entry = entry_of(settings_of(indexes), audit_id)
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
    from rag import console

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
    from rag.audit.verify import documents_in, verify

    if everything == (audit_id is not None):
        raise InputError("give the id of one answer, or --all with --index NAME")
    settings = settings_of(indexes)
    if everything:
        _verify_all(ledger_of(store_of(settings, _named(index))), expect, as_json)
        return
    store, entry = entry_of(settings, str(audit_id), index)
    report = verify(entry, documents_in(store), ledger_of(store).verify_chain(images=False, expect=expect))
    if as_json:
        print_json({"audit_id": audit_id, "ok": report.ok, "checks": [asdict(c) for c in report.checks]})
    else:
        from rag import console

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
    from rag.engine import Engine
    from rag.replay import replay

    settings = settings_of(indexes, profile)
    store, entry = entry_of(settings, audit_id, index)
    done = replay(Engine(store, settings), entry)
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


@app.command(
    "export",
    epilog="Examples: rag audit export --index demo --out ledger.jsonl · "
    "rag audit export a-20261123-7f3k2m9q --format html --out answer.html · "
    "rag audit export --index demo --format questions --out judged.jsonl",
)
def audit_export(
    audit_id: Annotated[str | None, typer.Argument(help="Only this answer (html, jsonl).")] = None,
    index: SomeIndex = None,
    format_: Annotated[
        Format | None, typer.Option("--format", help="[default: html for one answer, jsonl for a ledger]")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write [default: standard output].")] = None,
    texts: Annotated[
        bool, typer.Option("--texts/--no-texts", help="jsonl: with questions, evidence and answers, or hashes alone.")
    ] = True,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Write a ledger as JSONL that others can verify, one answer as a readable report, or judged answers as questions.

    How the JSONL is verified without this program stands in the documentation of rag.audit.export.
    Judged answers are not a random sample: a certificate from them speaks of questions like those that people judge.
    """
    from rag.audit.export import jsonl
    from rag.audit.feedback import labelled_questions

    settings = settings_of(indexes)
    chosen = format_ or ("html" if audit_id else "jsonl")
    if (chosen == "html" and audit_id is None) or (chosen == "questions" and audit_id is not None):
        raise InputError("html is a report of one answer, questions are of a whole ledger: give an id, or --index NAME")
    told: dict[str, Any] = {"format": chosen, "out": out and str(out)}
    if audit_id is not None:
        store, entry = entry_of(settings, audit_id, index)
        lines = [_report(store, entry)] if chosen == "html" else list(jsonl([entry], texts))
        told["entries"] = 1
        _write(out, lines, as_json)
    elif chosen == "jsonl":
        ledger = ledger_of(store_of(settings, _named(index)))
        told["entries"] = _write(out, jsonl(ledger.walk(), texts), as_json)
    else:
        labels = labelled_questions(ledger_of(store_of(settings, _named(index))))
        told |= {"questions": len(labels.rows), "skipped": labels.skipped}
        _write(out, [json.dumps(row, ensure_ascii=False) + "\n" for row in labels.rows], as_json)
    if out is not None:
        left = "".join(f"; {n} left out: {why}" for why, n in told.get("skipped", {}).items())
        say(told, f"wrote {told.get('questions', told.get('entries')):,} to {out}{left}", as_json)


@app.command(
    "redact",
    epilog="Examples: rag audit redact --index demo --older-than 30d --why retention · "
    "rag audit redact a-20261123-7f3k2m9q --texts --why 'asked by mistake' · "
    "rag audit redact --index demo --group CXR2814 --why withdrawal",
)
def audit_redact(
    why: Annotated[str, typer.Option(help="The reason, which is recorded for good: name no patient in it.")],
    audit_id: Annotated[str | None, typer.Argument(help="Only this answer.")] = None,
    index: SomeIndex = None,
    older_than: Annotated[str | None, typer.Option(help="Answers older than this: 30d, 8w, 2y.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="All that this patient or article left in the ledger; repeatable.")
    ] = None,
    document: Annotated[
        list[str] | None, typer.Option(help="All that this document left in the ledger; repeatable.")
    ] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="Questions, evidence and answers as well, not only images.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Take images or texts out of the ledger for good. Every hash still verifies, and the redaction is recorded.

    Ids, spans, decisions and fingerprints stay. Backups and earlier exports are beyond its reach. A withdrawn patient's
    documents leave the index with 'rag index remove' and 'rag index compact --forget', and the ledger with --group.
    """
    from rag.audit import redaction

    about = bool(group or document)
    if [audit_id is not None, older_than is not None, about].count(True) != 1:
        raise InputError("say what to redact by one of: the id of an answer, --older-than, or --group and --document")
    settings = settings_of(indexes)
    what: Literal["images", "texts"] = "texts" if texts or about else "images"
    span = redaction.age(older_than) if older_than is not None else None
    ledger = ledger_of(entry_of(settings, audit_id, index)[0] if audit_id else store_of(settings, _named(index)))
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Take these {what} out of the ledger for good?")):
        raise InputError("nothing was redacted; confirm, or give --yes")
    if audit_id is not None:
        done = redaction.redact(ledger, audit_id, why, _who(), what)
    elif span is not None:
        done = redaction.redact_before(ledger, datetime.now(UTC) - span, why, _who(), what)
    else:
        done = redaction.redact_documents(ledger, why, _who(), document or (), group or ())
    words = f"redacted {done.parts} parts of {len(done.entries)} entries, removed {done.images} images"
    say(asdict(done), f"{words} ({done.audit_id})" if done.audit_id else f"nothing to take out; {words}", as_json)


@app.command(
    "feedback",
    epilog="Examples: rag audit feedback a-20261123-7f3k2m9q right · "
    "rag audit feedback a-20261123-7f3k2m9q corrected --correction 'No, the heart is normal.'",
)
def audit_feedback(
    audit_id: AuditId,
    mark: Annotated[Literal["right", "wrong", "corrected"], typer.Argument(help="The judgement.")],
    correction: Annotated[
        str | None, typer.Option(help="The right answer; begin with yes or no where it is one.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, in free words.")] = None,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Record whether an answer was right.

    Judged yes/no answers can serve as labelled questions: rag audit export --format questions.
    """
    from rag.audit.feedback import give_feedback

    store, _ = entry_of(settings_of(indexes), audit_id)
    given = give_feedback(ledger_of(store), audit_id, mark, correction=correction, reason=reason, caller=_who())
    say(asdict(given), f"recorded as {given.audit_id}: {audit_id} is {mark}", as_json)


def entry_of(settings: Settings, audit_id: str, index: str | None = None) -> tuple[IndexStore, Entry]:
    """The entry, from ``index`` or whichever index's ledger holds it."""
    from rag.engine import LEDGER
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


def _report(store: IndexStore, entry: Entry) -> str:
    from rag.audit.feedback import feedback_on
    from rag.audit.report import html_report
    from rag.audit.verify import documents_in, verify

    ledger = ledger_of(store)
    ledger.answered(entry.audit_id)
    lookup = documents_in(store)
    audit = verify(entry, lookup, ledger.verify_chain(images=False))
    return html_report(entry, lookup, audit, ledger.images, feedback_on(ledger, entry.audit_id))


def _named(index: str | None) -> str:
    if index is None:
        raise InputError("which index? Name it with --index NAME; see: rag index list")
    return index


def _who() -> str:
    """The person at the keyboard, as the machine knows them."""
    try:
        return f"cli ({getpass.getuser()})"
    except (OSError, KeyError):
        return "cli"


def _write(out: Path | None, lines: Iterable[str], as_json: bool) -> int:
    """Write lines to a file that its owner alone may read, or to standard output; returns how many."""
    if out is None:
        if as_json:
            raise InputError("--json describes the file that was written: name one with --out FILE")
        sys.stdout.writelines(lines)
        return 0
    written = 0
    try:
        with open(out, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            for line in lines:
                file.write(line)
                written += 1
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}; choose another file with --out") from error
    return written
