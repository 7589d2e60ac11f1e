"""Checking a recorded answer: against the ledger's hashes, and against the evidence as of its index version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from rag.audit.chain import ChainReport, edited_parts
from rag.audit.record import EVIDENCE, Entry
from rag.errors import IndexStateError, InputError
from rag.indexing import IndexStore
from rag.indexing.snapshot import Snapshot
from rag.types import Answer, Document, sha256_of


@dataclass(frozen=True, slots=True)
class Check:
    """One named check, whether it held, and where it failed."""

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All checks of one entry."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


Lookup = Callable[[str, int], Document | None]


def documents_in(store: IndexStore) -> Lookup:
    """(document id, index version) -> the document as it was in that version; None where either is gone.

    It raises IndexStateError for a document that was edited in the catalogue since.
    """

    @cache
    def snapshot(version: int) -> Snapshot | None:
        try:
            return store.snapshot(version)
        except InputError:  # forgotten by a compaction
            return None

    def lookup(document: str, version: int) -> Document | None:
        then = snapshot(version)
        if then is None:
            return None
        if not then.intact(document):
            raise IndexStateError(f"{document} is not what was ingested: its hash differs")
        return then.document(document)

    return lookup


def check_entry(entry: Entry, lookup: Lookup, chain: ChainReport) -> AuditReport:
    """Verify ``entry``, which holds an answer; what a recorded redaction took out of it is not looked at.

    Args:
        entry: what the ledger holds.
        lookup: (document id, index version) -> the document as it was in that version, or None; see
            :func:`documents_in`.
        chain: the result of checking the whole ledger.
    """
    edited = _edited(entry)
    broken = f"broken at {chain.broken_at}: {chain.problem}"
    checks = [
        Check("the entry is as it was recorded", not edited, f"entry {entry.number}: {edited}" if edited else ""),
        Check("the ledger's chain is unbroken", chain.ok, f"{chain.entries} entries" if chain.ok else broken),
    ]
    try:
        answer = entry.answer
    except ValueError:
        return AuditReport((*checks, Check("the entry can be read", False, "its JSON is not an answer")))
    gone = ", ".join(entry.redacted)
    answer = answer.model_copy(update={"evidence": tuple(e for e in answer.evidence if _kept(entry, e.number))})
    answer = answer.model_copy(update={"citations": tuple(c for c in answer.citations if _kept(entry, c.number))})
    documents: dict[str, Document | None] = {}
    edits: list[str] = []
    for name in dict.fromkeys(e.document_id for e in answer.evidence):
        try:
            documents[name] = lookup(name, answer.index_version)
        except IndexStateError as problem:
            documents[name] = None
            edits.append(str(problem))
    checks += [
        _check("every document that is evidence still hashes to what was ingested", edits),
        _check("every piece of evidence still hashes to what was recorded", _evidence_hashes(answer)),
        _check(
            f"every piece of evidence stands in index version {answer.index_version}",
            _evidence_texts(answer, documents),
        ),
        _check("every quote stands in its document at its offsets", _quotes(answer, documents)),
        _check("every citation lies inside the evidence that it names", _citations(answer, entry)),
    ]
    if answer.image_citations or any(s.seen_by for s in answer.sentences):
        checks.append(_check("what was seen in the image cites the image that was asked about", _seen(answer, entry)))
    if gone:
        checks.append(Check("what is missing was redacted by a recorded entry", chain.ok, f"{gone}"))
    return AuditReport(tuple(checks))


def _edited(entry: Entry) -> str:
    """What of an entry is not as it was recorded."""
    expected = entry.expected_sha256
    if expected is not None and entry.sha256 != expected:
        return "its hash differs"
    return ", ".join(f"its part {name!r} was edited" for name in edited_parts(entry))


def _kept(entry: Entry, number: int) -> bool:
    return f"{EVIDENCE}{number}" not in entry.redacted


def _check(name: str, problems: list[str]) -> Check:
    return Check(name, not problems, "; ".join(problems[:3]))


def _evidence_hashes(answer: Answer) -> list[str]:
    return [f"evidence {e.number}" for e in answer.evidence if sha256_of(e.text) != e.sha256]


def _evidence_texts(answer: Answer, documents: dict[str, Document | None]) -> list[str]:
    problems = []
    for e in answer.evidence:
        document = documents[e.document_id]
        if document is None:
            problems.append(f"{e.document_id} is not in that version, or the version has been forgotten")
        elif document.text[e.start : e.start + len(e.text)] != e.text:
            problems.append(f"{e.document_id} reads differently")
    return problems


def _quotes(answer: Answer, documents: dict[str, Document | None]) -> list[str]:
    problems = []
    for c in answer.citations:
        document = documents.get(c.document_id)
        if document is None or document.text[c.start : c.end] != c.quote:
            problems.append(f"citation [{c.number}] of {c.document_id}")
    return problems


def _citations(answer: Answer, entry: Entry) -> list[str]:
    problems = []
    by_number = {e.number: e for e in answer.evidence}
    for c in answer.citations:
        e = by_number.get(c.number)
        inside = (
            e is not None and e.document_id == c.document_id and e.start <= c.start <= c.end <= e.start + len(e.text)
        )
        if not inside or c.sentence >= len(answer.sentences) or c.number not in answer.sentences[c.sentence].citations:
            problems.append(f"citation [{c.number}]")
    for n, sentence in enumerate(answer.sentences):
        cited = {c.number for c in answer.citations if c.sentence == n} | {
            m for m in sentence.citations if not _kept(entry, m)
        }
        bare = not sentence.citations and sentence.seen_by is None
        if bare or set(sentence.citations) - cited:
            problems.append(f"sentence {n + 1}")
    return problems


def _seen(answer: Answer, entry: Entry) -> list[str]:
    cited = {c.sentence: c for c in answer.image_citations}
    return [
        f"sentence {n + 1}"
        for n, sentence in enumerate(answer.sentences)
        if (sentence.seen_by is not None or n in cited)
        and (n not in cited or cited[n].seen_by != sentence.seen_by or cited[n].sha256 != entry.image_sha256)
    ] + [f"sentence {n + 1}, which there is not" for n in cited if n >= len(answer.sentences)]
