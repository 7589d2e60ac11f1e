"""What is to be ingested: a corpus, what reads it, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from rag.corpus.source import Survey


@dataclass(frozen=True)
class Source:
    """A corpus to read.

    >>> Source("hpo", options={"branches": ("eye", "respiratory")}).format is None
    True

    Attributes:
        name: a path or a packaged name.
        format: of a reader; None or "auto" lets each file's content decide.
        options: for the readers that know them.
        label: what the source is called; documents of one name are one source's, wherever they are read. Unless given,
            a source is the folder it lies in.
        fold: of documents that say the same, also as one of the index does, one is kept, which names the others; see
            rag.corpus.duplicates.
        publish_every: a version is published whenever so many new documents are there, so that they can be searched
            while the rest is read; None: one version, when all is read.
    """

    named_only: ClassVar[bool] = False

    name: str | Path
    format: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    fold: bool = False
    publish_every: int | None = None

    def survey(self) -> Survey:
        """Its files and what reads them. Raises InputError if there is nothing to read."""
        from rag.corpus.source import survey

        return survey(self.name, self.format, named_only=self.named_only, **self.options)


class SentSource(Source):
    """A source that a stranger sent: its ``format`` may name a reader but no code; see ``rag.plugins.find``."""

    named_only = True
