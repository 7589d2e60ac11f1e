"""What becomes of a record or a file that is not used: it is named, with the reason, and the build goes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One record that was not read, and why.

    ``empty`` marks a well-formed record that simply has nothing to say (a report without findings and impression);
    it is counted apart from the damaged ones.
    """

    source: str
    record: str
    reason: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """One file of a source that no wanted reader takes: its name within the source, its suffix, and why."""

    name: str
    suffix: str
    why: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A document that its source takes back: the id, why, and the edition of the file that says so (see Reader)."""

    id: str
    reason: str
    edition: str = ""
