"""``rag index``: list, inspect and change indexes."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from rag.cli.shared import (
    Indexes,
    Json,
    Name,
    Profile,
    Workers,
    bars,
    index_of,
    print_json,
    say,
    settings_of,
    store_of,
)
from rag.errors import InputError

app = typer.Typer(no_args_is_help=True, help="List, inspect and change indexes.")


@app.command("list", epilog="Example: rag index list")
def index_list(indexes: Indexes = None, as_json: Json = False) -> None:
    """The indexes, their versions and what they hold."""
    from rag.indexing.store import list_indexes

    rows = list_indexes(settings_of(indexes).indexes)
    if as_json:
        print_json({"indexes": [asdict(r) for r in rows]})
    else:
        from rag.cli import console

        console.show_indexes(rows)


@app.command("versions", epilog="Example: rag index versions demo")
def index_versions(name: Name, indexes: Indexes = None, as_json: Json = False) -> None:
    """The published versions of an index and what each changed."""
    rows = index_of(settings_of(indexes), name).versions()
    if as_json:
        print_json({"versions": [asdict(v) for v in rows]})
    else:
        from rag.cli import console

        console.show_versions(rows)


@app.command("drift", epilog="Example: rag index drift demo --last 200")
def index_drift(
    name: Name,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="Newest answers to look at.")] = 500,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Whether the questions answered under the certificate are still like those that it was computed from.

    Compares confidence, similarity of the best evidence and the router's probability by Kolmogorov-Smirnov tests; the
    probability of any false alarm is at most 1% at one look.
    """
    from rag.calibration.watch import watch

    found = watch(store_of(settings_of(indexes), name), last)
    say(asdict(found), found.table(), as_json)


@app.command("rollback", epilog="Example: rag index rollback demo 3")
def index_rollback(
    name: Name,
    version: Annotated[int, typer.Argument(help="The version to return to.")],
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Publish a new version with exactly the documents of an older one."""
    number = index_of(settings_of(indexes), name).rollback(version)
    say(
        {"index": name, "version": number},
        f"{name}: version {number} holds the documents of version {version}",
        as_json,
    )


@app.command("remove", epilog="Example: rag index remove mine --group patient-7")
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
    index = index_of(settings_of(indexes), name)
    count = index.remove(documents=document or (), sources=source or (), groups=group or ())
    number = index.version
    say({"index": name, "version": number, "removed": count}, f"{name}: {count} removed, version {number}", as_json)


@app.command("compact", epilog="Example: rag index compact demo")
def index_compact(
    name: Name,
    forget: Annotated[bool, typer.Option("--forget", help="Erase every version but the latest, for good.")] = False,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Merge segments and collect garbage; readers may stay open."""
    report = index_of(settings_of(indexes), name).compact(forget=forget)
    say(asdict(report), f"{name}: {report}", as_json)


@app.command("plan", epilog="Example: rag index plan 1000000 --dim 512 --memory 1")
def index_plan(
    n: Annotated[int, typer.Argument(min=1, help="How many vectors: passages or images.")],
    dim: Annotated[int, typer.Option(min=1, max=65_536, help="Their dimension.")] = 384,
    memory: Annotated[
        float | None, typer.Option(help="GiB that a searching process may take.", show_default="half of the machine's")
    ] = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """The vector backend that an index of this size would get, and its memory and disk, before anything is built."""
    from rag.indexing.plan import plan

    settings = settings_of(None, profile).vectors
    if memory is not None:
        if memory <= 0:
            raise InputError(f"--memory {memory:g}: give a number of GiB above 0")
        settings = settings.model_copy(update={"memory_gib": memory})
    made = plan(n, dim, settings)
    say(asdict(made) | {"fits": made.fits}, str(made), as_json)


@app.command("recall", epilog="Example: rag index recall mine")
def index_recall(
    name: Name,
    queries: Annotated[int, typer.Option(min=10, max=10_000, help="How many stored vectors to ask with.")] = 200,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Recall@10 of an index against brute force, for every pair of vector spaces that can be compared."""
    from rag.indexing.recall import measure_recall

    with store_of(settings_of(indexes), name).snapshot() as snapshot:
        rows = measure_recall(snapshot, queries)
    words = "\n".join(f"{r.asked} → {r.searched}: {r.recall:.4f} ({r.queries} queries, {r.backends})" for r in rows)
    say({"index": name, "recall": [asdict(r) for r in rows]}, words or f"{name}: no vectors", as_json)


@app.command("reencode", epilog="Example: rag index reencode mine --profile biomedclip")
def index_reencode(
    name: Name,
    workers: Workers = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Encode an index's documents again with the encoders that the settings name; earlier versions stay as they are."""
    index = index_of(settings_of(indexes, profile), name)
    before = index.version
    with bars(as_json) as progress:
        report = index.reencode(workers, progress)
    counted = ", ".join(f"{n:,} {space}" for space, n in sorted(report.encoded.items()))
    done = f"version {report.version} holds {report.documents:,} documents, encoded anew: {counted} vectors"
    nothing = f"version {before} has the vectors of these encoders already"
    say(asdict(report), f"{name}: {nothing if report.version == before else done}", as_json)


@app.command("reread", epilog="Example: rag index reread mine")
def index_reread(name: Name, indexes: Indexes = None, as_json: Json = False) -> None:
    """Read an index's reports for the statements that rag find counts, where today's rules have not read them yet."""
    index = index_of(settings_of(indexes), name)
    with bars(as_json) as progress:
        report = index.reread(progress)
    words = f"{name}: {report.read:,} of {report.reports:,} reports read, by {report.rules}"
    say(asdict(report), words, as_json)


@app.command("verify", epilog="Example: rag index verify demo")
def index_verify(name: Name, indexes: Indexes = None, as_json: Json = False) -> None:
    """Recompute every hash of an index and check every reference; exit code 1 if something is wrong."""
    report = index_of(settings_of(indexes), name).verify()
    found = "\n".join(report.problems) or "every hash holds"
    say(asdict(report) | {"sound": report.sound}, f"{name}: {found}", as_json)
    if not report.sound:
        raise typer.Exit(1)


@app.command("delete", epilog="Example: rag index delete mine --yes")
def index_delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    indexes: Indexes = None,
    as_json: Json = False,
) -> None:
    """Delete an index with its versions and its ledger of answers."""
    index = index_of(settings_of(indexes), name)
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Delete {name!r} with all its versions and its ledger?")):
        raise InputError(f"{name!r} was not deleted; to delete it without being asked, add --yes")
    index.delete()
    say({"index": name, "deleted": True}, f"{name}: deleted", as_json)
