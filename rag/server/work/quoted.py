"""What stands behind a piece of an answer's evidence: its document, and its neighbours, as of the answer's version."""

from __future__ import annotations

from dataclasses import dataclass

from rag.audit.record import Entry
from rag.errors import InputError
from rag.indexing.snapshot import Snapshot
from rag.server.access.auth import Caller
from rag.server.web.problems import Problem
from rag.server.work.service import Served, Service
from rag.types import Document, Evidence


@dataclass(frozen=True, slots=True)
class Quoted:
    """One piece of evidence of a recorded answer, in its index."""

    served: Served
    entry: Entry
    evidence: Evidence

    def snapshot(self) -> Snapshot:
        """The answer's version of the index; to be closed. Raises Problem 410 where it has been erased."""
        try:
            return self.served.store.snapshot(self.entry.answer.index_version)
        except InputError as error:
            raise Problem(410, "the index version of this answer has been erased") from error

    def document(self, identity: str) -> Document | None:
        """A document as of the answer's version."""
        with self.snapshot() as snapshot:
            return snapshot.document(identity)


def quoted_evidence(service: Service, audit_id: str, number: int, caller: Caller) -> Quoted:
    """Raises Problem 404 where the caller has no such answer, or it no such evidence."""
    served, entry = service.entry(audit_id, caller)
    evidence = next((e for e in entry.answer.evidence if e.number == number), None)
    if evidence is None:
        raise Problem(404, "the answer has no evidence under this number")
    return Quoted(served, entry, evidence)
