"""An index as people hold it: the verbs of ``rag ingest`` and ``rag index``, for Python, server and commands.

What fills an index is imported when one is filled: who only asks need not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.building.report import IngestReport, ReencodeReport
from rag.building.reread import RereadReport, reread
from rag.building.source import Source
from rag.cohorts.asking import read_typed_cohort
from rag.cohorts.criteria import Cohort, CohortHit, CohortQuestion, Page
from rag.cohorts.find import find, find_all
from rag.errors import InputError
from rag.indexing import IndexStore, Snapshot
from rag.indexing.compact import CompactReport
from rag.indexing.records import VersionInfo
from rag.indexing.verify import VerifyReport
from rag.language.lexicon import Lexicon
from rag.language.vocabulary import lexicon_of, typed_words_of
from rag.progress import Progress
from rag.retrieval.compatibility import check_encoders
from rag.settings import Deidentify, Settings

if TYPE_CHECKING:
    from rag.corpus.scrub import Scrubber
    from rag.encoders.encoders import Encoders

AnySource = str | Path | Source


class Index:
    """Documents, their passages and vectors, in versions: one folder. Cheap to open; models load when they are needed.

    An index is named as the command line names it ("mine", in the folder ``settings.indexes``), or by its path.

    >>> index = Index.create("mine")                                                     # doctest: +SKIP
    >>> report = index.ingest("cases.jsonl", reader="cases", workers=4)                  # doctest: +SKIP
    >>> report.added, index.version, [v.note for v in index.versions()]                  # doctest: +SKIP
    """

    def __init__(self, store: IndexStore, settings: Settings) -> None:
        """Use ``create`` or ``open``."""
        self.store = store
        self.settings = settings
        self._known: Lexicon | None = None

    @classmethod
    def create(cls, where: str | Path, settings: Settings | None = None) -> Index:
        """Make an empty index, or open the one that is there.

        Raises:
            InputError: the name is not usable, or something that is not an index is there.
            StorageError: the machine refused; nothing is left behind.
        """
        chosen = settings or Settings()
        return cls(IndexStore.create(index_path(where, chosen), chosen.vectors), chosen)

    @classmethod
    def open(cls, where: str | Path, settings: Settings | None = None) -> Index:
        """Open an index that exists.

        Raises:
            InputError: there is no such index; the message lists those that exist.
            IndexStateError: it is damaged, another program's file, or of a newer format.
        """
        chosen = settings or Settings()
        return cls(IndexStore.open(index_path(where, chosen), chosen.vectors), chosen)

    @property
    def name(self) -> str:
        """Of its folder, as commands and routes name it."""
        return self.store.name

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.store.path

    @property
    def version(self) -> int:
        """The latest published version; 0 where nothing has been published."""
        return self.store.version()

    def versions(self) -> list[VersionInfo]:
        """All published versions, oldest first, and what each changed."""
        return self.store.versions()

    def ingest(
        self,
        source: AnySource | Iterable[AnySource],
        reader: str | None = None,
        *,
        deidentify: Deidentify | None = None,
        sync: bool = False,
        workers: int | str | None = None,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Add a corpus, or bring it up to date, and publish one version. Unchanged documents are not encoded again.

        >>> index.ingest(["openi", Source("hpo", options={"branches": ("eye",)})]).by_kind     # doctest: +SKIP

        Args:
            source: a file, a folder or a packaged corpus (openi, hpo, pubmed, notes, samples), or several; a
                :class:`~rag.building.source.Source` also carries options of its reader.
            reader: the format of a source that names none; guessed unless given.
            deidentify: what becomes of people's identifiers: off, warn, mask or require; as the settings say unless
                given. The report lists what was found where.
            sync: also remove documents that have left these sources.
            workers: encode in so many processes, or on a Ray cluster: 'ray' or 'ray://host:port'.
            progress: told of what is read, encoded and built.

        Raises:
            InputError: a source does not exist or holds nothing readable; records that cannot be read are listed in the
                report and stop nothing.
            IndexStateError: the index holds vectors of other encoders than the settings name.
            StorageError: the disk refused; the index is as it was.
        """
        from rag.building.ingest import ingest
        from rag.encoders.encoders import Encoders

        some = [source] if isinstance(source, AnySource) else list(source)
        sources = [s if isinstance(s, Source) else Source(s, reader) for s in some]
        with Encoders.opened(self.settings.encoders, None if workers is None else str(workers)) as encoders:
            encoders = self._bridged(encoders)
            by_space = {"text": encoders.text, "image": encoders.image, "joint": encoders.image}
            check_encoders(self.store, self.store.spaces(), by_space | {"bridge": encoders.bridge}, self.settings)
            scrubber = scrubber_of(self.settings, deidentify)
            return ingest(sources, self.store, encoders, scrubber=scrubber, sync=sync, progress=progress)

    def reencode(self, workers: int | str | None = None, progress: Progress | None = None) -> ReencodeReport:
        """Encode all documents again with the encoders of the settings; earlier versions stay as they are.

        >>> Index.open("mine", load_settings("biomedclip")).reencode().encoded                 # doctest: +SKIP
        """
        from rag.building.reencode import reencode
        from rag.encoders.encoders import Encoders

        with Encoders.opened(self.settings.encoders, None if workers is None else str(workers)) as encoders:
            return reencode(self.store, self._bridged(encoders), progress)

    def reread(self, progress: Progress | None = None) -> RereadReport:
        """Read the reports again for the statements that ``find`` counts, where the rules of reading have changed.

        >>> Index.open("mine").reread().read                                                   # doctest: +SKIP
        """
        return reread(self.store, progress)

    def read_cohort(self, question: str) -> CohortQuestion:
        """What a question about many reports asks for, in the vocabulary of this index.

        Raises:
            InputError: a part of the words names nothing that is known.
        """
        with self.store.snapshot() as snapshot:
            lexicon = self._lexicon(snapshot)
            return read_typed_cohort(question, typed_words_of(snapshot, lexicon), lexicon, snapshot.counts())

    def find(self, question: str | CohortQuestion, page: Page | None = None) -> Cohort:
        """Count the reports that say something, exactly, and quote a page of them. No model is needed.

        >>> index.find("How many reports mention cardiomegaly?").count                         # doctest: +SKIP

        Raises:
            InputError: a part of the words names nothing that is known.
            IndexStateError: the reports have not been read: the message says what to run.
        """
        asked = self.read_cohort(question) if isinstance(question, str) else question
        with self.store.snapshot() as snapshot:
            return find(snapshot, self._lexicon(snapshot), asked, page, self.name)

    def find_all(self, question: str | CohortQuestion) -> Iterator[CohortHit]:
        """Every report that meets the question, with its quotes: what a file is written from."""
        asked = self.read_cohort(question) if isinstance(question, str) else question
        with self.store.snapshot() as snapshot:
            yield from find_all(snapshot, self._lexicon(snapshot), asked, self.name)

    def _bridged(self, encoders: Encoders) -> Encoders:
        """With the encoder of the index's bridge of languages, where it has one and the settings name none."""
        if encoders.bridge is not None or (held := self.store.spaces().get("bridge")) is None:
            return encoders
        from rag.encoders.registry import load_bridge_encoder

        return replace(encoders, bridge=load_bridge_encoder(self.settings.encoders, held.fingerprint))

    def _lexicon(self, snapshot: Snapshot) -> Lexicon:
        self._known = lexicon_of(snapshot, self._known)
        return self._known

    def remove(self, *, documents: Sequence[str] = (), sources: Sequence[str] = (), groups: Sequence[str] = ()) -> int:
        """Publish a version without these documents, sources, patients or articles; returns how many documents left.

        Older versions and recorded answers keep them until ``compact(forget=True)``.

        >>> index.remove(groups=["patient-7"])                                                 # doctest: +SKIP
        """
        if not (documents or sources or groups):
            raise InputError("say what to remove: documents, sources or groups")
        with self.store.writer() as writer:
            count = writer.remove(document_ids=documents, sources=sources, groups=groups)
            writer.publish(f"remove {count}")
        return count

    def rollback(self, version: int) -> int:
        """Publish a new version with exactly the documents of an older one; returns the new number.

        >>> index.rollback(1)                                                                  # doctest: +SKIP
        """
        return self.store.rollback(version)

    def compact(self, *, forget: bool = False) -> CompactReport:
        """Merge segments and collect garbage; readers may stay open. ``forget`` erases every version but the latest.

        >>> print(index.compact(forget=True))                                                  # doctest: +SKIP
        """
        return self.store.compact(() if forget else None)

    def verify(self) -> VerifyReport:
        """Recompute every hash and check every reference; problems are listed, not raised.

        >>> index.verify().sound                                                               # doctest: +SKIP
        """
        return self.store.verify()

    def delete(self) -> None:
        """Remove the index with its versions and its ledger of answers, for good."""
        self.store.delete()

    def close(self) -> None:
        """Close the idle connections."""
        self.store.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def scrubber_of(settings: Settings, mode: Deidentify | None = None) -> Scrubber:
    """Who looks for identifiers, by the settings; ``mode`` counts more than theirs."""
    from rag.corpus.scrub import Scrubber

    chosen = settings.deidentification
    return Scrubber(mode or chosen.mode, chosen.finders, pixels=chosen.pixels)


def index_path(where: str | Path, settings: Settings) -> Path:
    """The folder of an index: a name lies in ``settings.indexes``; a path, or a text with a separator, is a path."""
    if isinstance(where, Path) or "/" in where or "\\" in where:
        return Path(where)
    if where in ("", ".", "..") or "\0" in where:
        raise InputError(f"{where!r} is not a name for an index; use letters, digits, '-' and '_'")
    return settings.indexes / where
