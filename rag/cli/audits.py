"""``rag audit``: recorded answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.shared import (
    Index,
    Indexes,
    Json,
    ledger_of,
    print_json,
    settings_of,
    store_of,
)
from rag.errors import InputError

if TYPE_CHECKING:
    from rag.indexing.store import IndexStore
    from rag.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Look up and verify recorded answers.")


@app.command("list", epilog="Example: rag audit list --index demo")
def audit_list(
    index: Index,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest entries to list.")] = 20,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """The newest recorded answers of an index."""
    entries = ledger_of(store_of(settings_of(indexes), index)).entries(limit)
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
        print_json({"entries": rows})
    else:
        for row in rows:
            typer.echo(f"{row['audit_id']}  {row['created']}  {row['decision']:<9}  {row['question'][:90]}")


@app.command("show", epilog="Example: rag audit show a-20261123-7f3k2m9q")
def audit_show(audit_id: str, indexes: Indexes = None, as_json: Json = False) -> None:
    """A recorded answer, as it was given."""
    _, entry = entry_of(settings_of(indexes), audit_id)
    if as_json:
        print_json({"created": entry.created, "sha256": entry.sha256, "answer": entry.answer.model_dump(mode="json")})
    else:
        from rag import console

        console.out.print(f"[dim]recorded {entry.created} · sha256 {entry.sha256}[/]")
        console.show_answer(entry.answer)


@app.command("verify", epilog="Example: rag audit verify a-20261123-7f3k2m9q")
def audit_verify(audit_id: str, indexes: Indexes = None, as_json: Json = False) -> None:
    """Check a recorded answer against the ledger's hashes and the evidence as of its index version."""
    from rag.audit.verify import verify

    store, entry = entry_of(settings_of(indexes), audit_id)
    report = verify(
        entry, lambda document, version: store.snapshot(version).document(document), ledger_of(store).verify_chain()
    )
    if as_json:
        print_json({"audit_id": audit_id, "ok": report.ok, "checks": [asdict(c) for c in report.checks]})
    else:
        from rag import console

        console.show_audit(report)
    if not report.ok:
        raise typer.Exit(1)


def entry_of(settings: Settings, audit_id: str) -> tuple[IndexStore, Any]:
    """The entry, from whichever index's ledger holds it."""
    from rag.engine import LEDGER
    from rag.indexing.store import list_indexes

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
