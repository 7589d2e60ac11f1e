"""``rag audit``, continued: what leaves the ledger, and what is added to it afterwards."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag.cli.audits import AuditId, SomeIndex, app, entry_of
from rag.cli.shared import Indexes, Json, bars, ledger_of, say, settings_of, store_of
from rag.errors import InputError, StorageError

if TYPE_CHECKING:
    from rag.audit.record import Entry
    from rag.indexing.store import IndexStore

Format = Literal["jsonl", "html", "fhir", "sr", "questions"]
ONE_ANSWER = ("html", "fhir", "sr")


@app.command(
    "export",
    epilog="Examples: rag audit export --index demo --out ledger.jsonl · "
    "rag audit export a-20261123-7f3k2m9q --format html --out answer.html · "
    "rag audit export a-20261123-7f3k2m9q --format fhir --out answer.json · "
    "rag audit export --index demo --format questions --out judged.jsonl",
)
def audit_export(
    audit_id: Annotated[str | None, typer.Argument(help="Only this answer (html, fhir, sr, jsonl).")] = None,
    index: SomeIndex = None,
    format_: Annotated[
        Format | None, typer.Option("--format", show_default="html for one answer, jsonl for a ledger")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="standard output")] = None,
    texts: Annotated[
        bool, typer.Option("--texts/--no-texts", help="jsonl: with questions, evidence and answers, or hashes alone.")
    ] = True,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Write a ledger as JSONL that others can verify, one answer as a report, or judged answers as questions.

    A report is a page (html), FHIR's DiagnosticReport with Provenance (fhir), or a DICOM structured report (sr).
    How the JSONL is verified without this program stands in the documentation of rag.audit.export.
    Judged answers are not a random sample: a certificate from them speaks of questions like those that people judge.
    """
    from rag.audit.export import jsonl
    from rag.audit.feedback import labelled_questions

    settings = settings_of(indexes)
    chosen = format_ or ("html" if audit_id else "jsonl")
    if (chosen in ONE_ANSWER and audit_id is None) or (chosen == "questions" and audit_id is not None):
        raise InputError(
            "html, fhir and sr are reports of one answer, questions are of a whole ledger: give an id, or --index NAME"
        )
    told: dict[str, Any] = {"format": chosen, "out": out and str(out)}
    if audit_id is not None:
        store, entry = entry_of(settings, audit_id, index)
        told["entries"] = _write(out, _rendered(store, entry, chosen, texts), as_json)
    elif chosen == "jsonl":
        ledger = ledger_of(store_of(settings, index))
        with bars(as_json or out is None) as progress:
            advance = progress.stage("writing", ledger.count())
            told["entries"] = _write(out, jsonl(_counted(ledger.walk(), advance), texts), as_json)
    else:
        labels = labelled_questions(ledger_of(store_of(settings, index)))
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
    thread: Annotated[str | None, typer.Option(help="All texts of this conversation, whoever held it.")] = None,
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
    if [audit_id is not None, older_than is not None, thread is not None, about].count(True) != 1:
        raise InputError(
            "say what to redact by one of: the id of an answer, --older-than, --thread, or --group and --document"
        )
    why, settings = redaction.reason(why), settings_of(indexes)
    what: Literal["images", "texts"] = "texts" if texts or about or thread else "images"
    span = redaction.age(older_than) if older_than is not None else None
    ledger = ledger_of(entry_of(settings, audit_id, index)[0] if audit_id else store_of(settings, index))
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Take these {what} out of the ledger for good?")):
        raise InputError("nothing was redacted; confirm, or give --yes")
    with bars(as_json) as progress:
        if audit_id is not None:
            done = redaction.redact(ledger, audit_id, why, _who(), what, progress)
        elif thread is not None:
            done = redaction.redact_thread(ledger, thread, why, _who())
        elif span is not None:
            done = redaction.redact_before(ledger, datetime.now(UTC) - span, why, _who(), what, progress)
        else:
            done = redaction.redact_documents(ledger, why, _who(), document or (), group or (), progress)
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
    index: SomeIndex = None,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Record whether an answer was right.

    Judged yes/no answers can serve as labelled questions: rag audit export --format questions.
    """
    from rag.audit.feedback import give_feedback

    store, _ = entry_of(settings_of(indexes), audit_id, index)
    given = give_feedback(ledger_of(store), audit_id, mark, correction=correction, reason=reason, caller=_who())
    say(asdict(given), f"recorded as {given.audit_id}: {audit_id} is {mark}", as_json)


def _rendered(store: IndexStore, entry: Entry, chosen: Format, texts: bool) -> Iterator[str | bytes]:
    """One answer, in its form."""
    if chosen == "sr":
        from rag.audit.sr import structured_report

        yield structured_report(entry)
    elif chosen == "fhir":
        from rag.audit.fhir import fhir_bundle

        yield fhir_bundle(entry, _report(store, entry))
    elif chosen == "html":
        yield _report(store, entry)
    else:
        from rag.audit.export import jsonl

        yield from jsonl([entry], texts)


def _report(store: IndexStore, entry: Entry) -> str:
    from rag.audit.checks import check_entry, documents_in
    from rag.audit.feedback import feedback_on
    from rag.audit.report import html_report

    ledger = ledger_of(store)
    ledger.answered(entry.audit_id)
    lookup = documents_in(store)
    audit = check_entry(entry, lookup, ledger.verify_chain(images=False))
    return html_report(entry, lookup, audit, ledger.images, feedback_on(ledger, entry.audit_id))


def _who() -> str:
    """The person at the keyboard, as the machine knows them."""
    try:
        return f"cli ({getpass.getuser()})"
    except (OSError, KeyError):
        return "cli"


def _counted(entries: Iterable[Entry], advance: Callable[[int], None]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        advance(1)


def _write(out: Path | None, lines: Iterable[str | bytes], as_json: bool) -> int:
    """Write lines to a file that its owner alone may read, or to standard output; returns how many."""
    if out is None:
        if as_json:
            raise InputError("--json describes the file that was written: name one with --out FILE")
        for line in lines:
            if isinstance(line, bytes):
                raise InputError("a structured report is a DICOM file, not text: name one with --out FILE")
            sys.stdout.write(line)
        return 0
    written = 0
    try:
        with open(out, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            for line in lines:
                file.write(line.encode() if isinstance(line, str) else line)
                written += 1
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}; choose another file with --out") from error
    return written
