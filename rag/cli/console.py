"""How things look in a terminal: answers, hits, reports and progress bars."""

from __future__ import annotations

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from rag.cli.shared import print_json
from rag.cli.terminals import NARROW
from rag.cohorts.telling import count_in_words, warnings

if TYPE_CHECKING:
    from rag.audit.checks import AuditReport
    from rag.building.copying import CopyReport
    from rag.building.describe import Description
    from rag.building.report import IngestReport
    from rag.cohorts.criteria import Cohort
    from rag.corpus.duplicates import Alike
    from rag.corpus.quarantine import Foreign
    from rag.indexing.records import IndexSummary, VersionInfo
    from rag.progress import Progress
    from rag.types import Answer, Event, Hit

NOTICE = "Research software, not a medical device: do not use it for diagnosis or treatment."


class _Console(Console):
    """A console that does not end the process by itself where a pipe's reader has gone."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


out = _Console(highlight=False)
err = _Console(stderr=True, highlight=False)


class _Rate(ProgressColumn):
    """Finished units per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed and speed >= 10 else f"{speed:.1f}/s" if speed else "", style="cyan")


class _Bars:
    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def stage(self, name: str, total: int | None = None) -> Callable[[int], None]:
        if name in self._tasks:
            task = self._tasks[name]
            known = next(t.total for t in self._bars.tasks if t.id == task)
            self._bars.update(task, total=None if total is None or known is None else known + total)
        else:
            task = self._tasks[name] = self._bars.add_task(name, total=total)

        def advance(n: int) -> None:
            self._bars.advance(task, n)

        return advance


@contextmanager
def progress_bars(quiet: bool = False) -> Iterator[Progress]:
    """Bars with rate and remaining time on standard error."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<34}"),
        BarColumn(None),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=err, disable=quiet) as bars:
        yield _Bars(bars)


def show_answer(answer: Answer, quiet: bool = False) -> None:
    """The answer with its citations, quotes and sources; ``quiet`` leaves the table of evidence out."""
    answered = answer.decision == "answered"
    lines: list[Text | Table] = []
    if not answered:
        lines.append(Text(f"Not answered: {answer.reason}.", style="bold yellow"))
    for n, sentence in enumerate(answer.sentences):
        marks = "".join(f"[{c}]" for c in sentence.citations) or ("[image]" if sentence.seen_by else "")
        lines.append(Text.assemble((sentence.text, "bold" if answered else ""), " ", (marks, "cyan")))
        lines += [
            Text.assemble("   ", ("[image] ", "cyan"), (f"{seen.label} ({seen.seen_by})", "dim"))
            for seen in answer.image_citations
            if seen.sentence == n
        ]
        for c in answer.citations:
            if c.sentence == n:
                lines.append(
                    Text.assemble(
                        "   ",
                        (f"[{c.number}] ", "cyan"),
                        (f"{c.document_id}, {c.source}, characters {c.start}-{c.end}, {c.verdict}", "dim"),
                    )
                )
                references = next((e.references for e in answer.evidence if e.number == c.number), ())
                if references:
                    lines.append(Text(f"       references: {', '.join(references[:6])}", style="dim"))
    where = f"{answer.domain.name} ({answer.domain.probability:.2f})" + (
        ", out of domain" if answer.domain.out_of_domain else ""
    )
    where += f", searched {', '.join(answer.domain.searched) or 'every domain'}"
    if answer.domain.why:
        where += f", {' and '.join(answer.domain.kinds) or 'every kind of evidence'}: {answer.domain.why}"
    took = f"{answer.timings_ms['total']:.0f} ms"
    foot = [f"confidence {answer.confidence:.2f}", answer.certificate.status, f"audit {answer.audit_id}", took]
    lines += [Text(where, style="dim"), Text(" · ".join(foot), style="dim")]
    if answered and answer.reason:
        lines.append(Text(answer.reason, style="dim"))
    if answer.table is not None:
        table = Table(*map(escape, answer.table.columns), title=escape(answer.table.title), header_style="bold")
        for row in answer.table.rows:
            table.add_row(*map(escape, row))
        lines.append(table)
    asked = answer.question.text if len(answer.question.text) < 300 else answer.question.text[:297] + "…"
    if answer.question.image:
        asked += f"  ({answer.question.image})"
    out.print(
        Panel(Group(*lines), title=Text(asked), title_align="left", border_style="green" if answered else "yellow")
    )
    if not answered and not answer.sentences and answer.evidence and not quiet:
        out.print(Text("Nearest evidence:", style="dim"))
        for e in answer.evidence[:3]:
            out.print(Text(f"   [{e.number}] {e.document_id} ({e.source}): {e.text[:120]}", style="dim"))


def show_events(events: Iterable[Event]) -> Answer:
    """Sentences as they pass verification; the answer that they became is returned."""
    answer: Answer | None = None
    for event in events:
        if event.sentence is not None:
            marks = "".join(f"[{n}]" for n in event.sentence.citations)
            marks = "[image]" if event.sentence.seen_by else marks
            out.print(Text.assemble(event.sentence.text, " ", (marks, "cyan")), soft_wrap=True)
        answer = event.answer or answer
    assert answer is not None, "a stream ends with its answer"
    return answer


def show_table(table: Table) -> None:
    """A table; where the window is too narrow for one, what would be its rows, a line for each cell."""
    for column in table.columns:
        column.overflow = "fold"  # names are never cut
    if out.width >= NARROW:
        out.print(table)
        return
    names = [str(column.header) for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        for name, cell in zip(names, row, strict=True):
            out.print(f"[bold]{name}[/] {cell}", soft_wrap=True)
        out.print()


def print_events(events: Iterable[Event]) -> Answer:
    """Events as JSON, a line each; the answer that they became is returned."""
    answer: Answer | None = None
    for event in events:
        print_json(event.model_dump(mode="json", exclude_defaults=True))
        sys.stdout.flush()
        answer = event.answer or answer
    assert answer is not None, "a stream ends with its answer"
    return answer


def show_hits(hits: Sequence[Hit]) -> None:
    table = Table("#", "document", "kind", "channel", "score", "text", "source", header_style="bold")
    for n, h in enumerate(hits, start=1):
        ranks = ", ".join(f"{c} {r}" for c, r in sorted(h.ranks.items()))
        text = " ".join(h.passage.text.split()) or f"(image {h.document.image})"
        table.add_row(
            str(n),
            escape(h.document.id),
            h.document.kind,
            ranks,
            f"{h.score:.3f}",
            escape(text[:160]),
            escape(h.document.source),
        )
    show_table(table)


def show_cohort(found: Cohort) -> None:
    """How many reports, how sure that is, counts by value, and a page of quotes."""
    out.print(Text(count_in_words(found), style="bold"), soft_wrap=True)
    for told in warnings(found):
        out.print(Text(told, style="dim"), soft_wrap=True)
    if found.cells:
        table = Table(*(escape(by) for by in found.question.by), "reports", header_style="bold")
        for cell in found.cells:
            table.add_row(*(escape(v) for v in cell.values), f"{cell.reports:,}")
        show_table(table)
    for hit in found.hits:
        told = ", ".join(filter(None, (hit.document_id, hit.source, hit.date, hit.series and f"series {hit.series}")))
        out.print(Text.assemble((hit.case_id, "cyan"), (f"  {told}", "dim")))
        for s in hit.statements:
            quote = " ".join(s.quote.split())
            out.print(Text.assemble("   ", f"“{quote}”", (f" characters {s.start}-{s.end}", "dim")), soft_wrap=True)
    if found.following is not None:
        out.print(f"[dim]{found.count - found.following:,} more: --offset {found.following}, or --export hits.csv[/]")


def show_ingest(report: IngestReport, *, dry_run: bool = False) -> None:
    """What an ingest did, or would do; what was not read last."""
    kinds = ", ".join(f"{n:,} {k}" for k, n in sorted(report.by_kind.items()))
    out.print(
        f"{'[bold]Nothing was written.[/] It would be: ' if dry_run else ''}"
        f"[bold]{escape(report.index)}[/] version {report.version}: {report.added:,} added, "
        f"{report.updated:,} updated, {report.removed:,} removed, {report.unchanged:,} unchanged "
        f"({kinds}; {report.passages:,} passages); "
        f"{report.empty:,} empty records skipped, {len(report.quarantined):,} quarantined",
        soft_wrap=True,
    )
    for space, plan in report.plans.items():
        out.print(f"[dim]{escape(space)}: {escape(plan)}[/]", soft_wrap=True)
    out.print(f"[dim]files: {', '.join(f'{n:,} {reader}' for reader, n in sorted(report.files.items()))}[/]")
    s = report.seconds
    out.print(f"[dim]reading {s['read']:.1f} s, encoding {s['encode']:.1f} s, storing {s['store']:.1f} s[/]")
    if report.images_a_second:
        rates = ", ".join(f"{what} {rate:,.0f}" for what, rate in report.images_a_second.items())
        stored = f"; {report.passages / s['store']:,.0f} passages/s written" if s["store"] else ""
        out.print(f"[dim]images/s: {rates}{stored}[/]")
    for q in report.quarantined[:50]:
        out.print(f"[yellow]  quarantined[/] {escape(q.source)} {escape(q.record)}: {escape(q.reason)}", soft_wrap=True)
    if len(report.quarantined) > 50:
        out.print(f"[yellow]  … and {len(report.quarantined) - 50} more (all of them with --json)[/]")
    show_foreign(report.foreign)
    _show_identifiers(report)
    if report.alike:
        show_duplicates(report.alike, report.folded)
    _show_ids("updated", report.changed)
    _show_ids("removed: no longer in the source", report.left)
    _show_ids("removed: withdrawn by the source", report.withdrawn)
    _show_ids("flagged: another record says that they were retracted or corrected", report.marked)
    _show_ids("kept, though not seen: something of their files cannot be read", report.kept)
    apart = [f"{theirs} is here {ours}" for theirs, ours in report.apart.items()]
    _show_ids(
        "kept apart: another source has the same ids (if it is the same source, moved, say so with --name)", apart
    )


def _show_identifiers(report: IngestReport) -> None:
    """How many identifiers of each kind were found in how many documents, which ones first, and what became of them."""
    became = {
        "warn": "left in; --deidentify mask replaces them",
        "mask": "replaced by [REMOVED]",
        "require": "set aside",
    }
    of_files = ("header of its file", "pixels")  # of which an ingest changes nothing
    inside = [one for one in report.identifiers if one.field not in of_files]
    files = [one for one in report.identifiers if one.field in of_files]
    stay = "set aside" if report.deidentification == "require" else "these stay where they are; see rag deidentify"
    for some, what, then in (
        (inside, "documents", became.get(report.deidentification, "")),
        (files, "image files, in header or picture", stay),
    ):
        if some:
            kinds, ids = Counter[str](), list(dict.fromkeys(one.document for one in some))
            for one in some:
                kinds[one.kind] += one.count
            first = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
            found = f"{_counted(kinds)} in {len(ids):,} {what} ({escape(then)})"
            out.print(f"[yellow]  identifiers of people[/]: {found}: {escape(first)}", soft_wrap=True)


def show_duplicates(alike: Sequence[Alike], folded: Mapping[str, str]) -> None:
    """Which documents are like which, those of several patients or articles first."""
    across = sum(one.across > 1 for one in alike)
    out.print(
        f"{len(alike):,} documents have others like them, {across:,} of them in more than one patient or article; "
        f"{len(folded):,} say nothing new beside another of their study, or of the literature",
        soft_wrap=True,
    )
    for one in sorted(alike, key=lambda one: -one.across)[:30]:
        some = ", ".join(one.ids[:6]) + (f", … ({len(one.ids):,})" if len(one.ids) > 6 else "")
        how = "equal" if one.equal else "alike"
        where = f"[yellow]of {one.across:,} patients or articles[/]" if one.across > 1 else "of one"
        kind = {"image": "images", "report": "reports"}.get(one.kind, "pieces of literature")
        out.print(f"  {kind} {how}, {where}: {escape(some)}", soft_wrap=True)


def show_copies(made: CopyReport) -> None:
    """What was copied without identities, and what was not."""
    header = _counted(made.header) or "nothing"
    out.print(
        f"[bold]{escape(made.target)}[/]: {made.images:,} images (elements of headers: {header}; {made.blackened:,} "
        f"lines of text blackened), {made.texts:,} texts ({_counted(made.identifiers) or 'no identifiers found'}); "
        f"{len(made.quarantined):,} set aside",
        soft_wrap=True,
    )
    for q in made.quarantined[:50]:
        out.print(f"[yellow]  set aside[/] {escape(q.record)}: {escape(q.reason)}", soft_wrap=True)
    show_foreign(made.foreign)
    if not made.blackened:
        out.print("[dim]Text burnt into pixels, if there was any, is still there.[/]")


def show_description(made: Description) -> None:
    """What a corpus holds."""
    table = Table.grid(padding=(0, 2))
    sized = f"{made.characters:,} characters in {made.passages:,} passages, {made.image_bytes / 1e6:,.1f} MB of images"
    twice = f"{made.duplicates:,}, {made.across_groups:,} of them across groups" if made.duplicates else ""
    rows = {
        "files": _counted(made.files) + (f"; {len(made.foreign):,} of no format" if made.foreign else ""),
        "documents": _counted(made.by_kind),
        "domains": _counted(made.domains),
        "licences": _counted(made.licences),
        "languages": _counted(made.languages) or "not stated",
        "encodings other than UTF-8": _counted(made.encodings),
        "columns": "; ".join(", ".join(f"{k}={v}" for k, v in one.items()) for one in made.columns),
        "cases and groups": f"{made.cases:,} cases of {made.groups:,} groups",
        "size": sized,
        "exact duplicates": twice,
        "empty, set aside": f"{made.empty:,}, {len(made.quarantined):,}",
        "text vectors": made.estimate,
    }
    for name, value in rows.items():
        if value:
            table.add_row(f"[bold]{name}[/]", escape(value))
    show_table(table)
    for q in made.quarantined[:20]:
        out.print(f"[yellow]  would be set aside[/] {escape(q.record)}: {escape(q.reason)}", soft_wrap=True)
    show_foreign(made.foreign)


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda one: -one[1])
    return ", ".join(f"{n:,} {name[:60]}" for name, n in ordered[:12]) + (", …" if len(ordered) > 12 else "")


def _show_ids(what: str, ids: Sequence[str]) -> None:
    if ids:
        more = f", … and {len(ids) - 10:,} more (all of them with --json)" if len(ids) > 10 else ""
        out.print(f"  {what}: {escape(', '.join(ids[:10]))}{more}", soft_wrap=True)


def show_foreign(foreign: Sequence[Foreign]) -> None:
    """Files of no wanted format: counted by suffix and reason, with the first names of each."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for f in foreign:
        by_reason.setdefault((f.suffix or "no suffix", f.why), []).append(f.name)
    for (suffix, why), names in sorted(by_reason.items()):
        some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        n = f"{len(names):,} file{'s' if len(names) > 1 else ''} not read"
        out.print(f"[yellow]  {n}[/] ({escape(suffix)}: {escape(why)}): {escape(some)}", soft_wrap=True)


def show_indexes(rows: Sequence[IndexSummary]) -> None:
    table = Table("index", "version", "documents", "size", "created", header_style="bold")
    for r in rows:
        if r.problem:
            table.add_row(escape(r.name), "-", f"[red]{escape(r.problem)}[/]", "", "")
        else:
            documents = ", ".join(f"{n:,} {k}" for k, n in sorted(r.documents.items()))
            table.add_row(escape(r.name), str(r.version), documents or "empty", f"{r.bytes / 1e6:.1f} MB", r.created)
    show_table(table)


def show_versions(rows: Sequence[VersionInfo]) -> None:
    table = Table("version", "published", "added", "updated", "removed", "documents", "note", header_style="bold")
    for v in rows:
        table.add_row(
            str(v.number),
            v.created,
            f"{v.added:,}",
            f"{v.updated:,}",
            f"{v.removed:,}",
            f"{v.documents:,}",
            escape(v.note),
        )
    show_table(table)


def show_models(rows: Sequence[dict[str, str | int]]) -> None:
    table = Table("model", "state", "size", "folder", "licence", header_style="bold")
    for r in rows:
        size = f"{int(r['bytes']) / 1e6:.0f} MB" if r["bytes"] else ""
        table.add_row(*(escape(str(x)) for x in (r["name"], r["state"], size, r["folder"], r["licence"])))
    show_table(table)


def show_audit(report: AuditReport) -> None:
    for check in report.checks:
        out.print(
            f"  {'[green]ok  [/]' if check.ok else '[red]FAIL[/]'} {escape(check.name)}[dim] {escape(check.detail)}[/]"
        )
    out.print("[green]verified[/]" if report.ok else "[red]NOT verified[/]")
