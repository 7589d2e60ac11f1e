"""What becomes of a record that cannot be used: it is named and set aside, and the build goes on."""

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
