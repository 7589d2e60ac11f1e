"""Reports are read for what they say, and that is kept as statements: at ingest, and again when the rules change.

Nothing is encoded and no version is published: a document's statements follow from its text and from the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from rag.cohorts.statements import read_document, rules_of
from rag.indexing import IndexStore
from rag.language.clinical_text import Texts
from rag.language.vocabulary import lexicon_of
from rag.progress import Progress, Silent


@dataclass
class RereadReport:
    """How many reports were read now, and by which rules; ``reports`` are all that the latest version has."""

    index: str
    version: int
    rules: str
    reports: int = 0
    read: int = 0


def reread(store: IndexStore, progress: Progress | None = None, *, again: bool = True) -> RereadReport:
    """Read the latest version's reports that were never read or, ``again``, not by today's rules and lexicon.

    >>> reread(store).read                                                        # doctest: +SKIP
    3934

    Raises:
        IndexStateError: another writer holds the index.
        StorageError: the machine refused; what was read before is kept, and the next run goes on from there.
    """
    with store.snapshot() as snapshot:
        texts = Texts(lexicon_of(snapshot))
        reports = sum(count.documents for count in snapshot.counts() if count.kind == "report")
        made = RereadReport(store.name, snapshot.version, rules_of(texts.lexicon), reports)
    if not reports:
        return made
    advance = (progress or Silent()).stage(f"reading the reports of {store.name}", reports)
    for read in store.read_anew(partial(read_document, texts=texts), made.rules, again=again):
        made.read += read
        advance(read)
    return made
