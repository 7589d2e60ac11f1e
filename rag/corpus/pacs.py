"""A PACS over DICOMweb, mirrored into a folder that is ingested like any other.

``dicomweb-client`` speaks QIDO-RS and WADO-RS. What is ours is to keep a folder true to the PACS: what was added is
fetched, what was corrected is fetched again, what was deleted there is deleted here. DICOMweb has no feed of changes,
so each study's metadata is hashed and compared; an Orthanc's own feed also tells of corrected pixels.

Folders and files are called by pseudonyms of the UIDs, made with the key of the index that takes them in: so are the
documents, whose ids come from these names. The UIDs stand in the mirror's list alone. A mirror that was begun before
there were pseudonyms keeps its names, and its index its ids.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rag.corpus.pseudonyms import pseudonym
from rag.corpus.quarantine import Quarantined
from rag.errors import InputError, MissingDependencyError, StorageError
from rag.progress import Progress, Silent

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

MANIFEST = "mirror.json"
TIMEOUT_S = 60.0
_UID = re.compile(r"[0-9][0-9.]{0,63}")
_AS_STORED = (("application/dicom", "*"),)
_BULK_SHARE, _BULK_LEAST = 0.5, 10  # so many studies gone at once are a broken listing before they are a deletion


@dataclass(frozen=True)
class Pacs:
    """Where a PACS is and what is wanted of it.

    >>> Pacs("http://localhost:8042/dicom-web", filters={"ModalitiesInStudy": "CR"}).name
    'localhost-8042'

    Attributes:
        url: of its DICOMweb service.
        token: sent as a bearer token; over https, or to this machine alone.
        authority: PEM file of the certificate authority that signs its certificate, where the system knows none.
        filters: QIDO-RS attributes that studies must match.

    Raises:
        InputError: the address is none, or a token would travel in clear.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    authority: Path | None = None
    filters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise InputError(
                f"{self.url!r} is not the address of a DICOMweb service, as https://pacs.example/dicom-web"
            )
        if self.token and parts.scheme == "http" and not _is_here(parts.hostname):
            raise InputError(f"a token would travel to {parts.hostname} in clear: use https")
        if self.authority is not None and not self.authority.is_file():
            raise InputError(f"there is no file {self.authority}")

    @property
    def name(self) -> str:
        """Host and port, as a folder may be called."""
        parts = urlsplit(self.url)
        return re.sub(r"[^A-Za-z0-9.-]", "-", parts.netloc)


@dataclass
class Pulled:
    """What one look at a PACS changed in its mirror. Studies, by StudyInstanceUID."""

    studies: int = 0  # that the PACS has
    instances: int = 0  # fetched
    added: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    refused: list[Quarantined] = field(default_factory=list)


@dataclass
class Mirror:
    """The folder, and what it holds.

    >>> mirror = Mirror.open(Path("mirror"), Pacs("http://localhost:8042/dicom-web"))           # doctest: +SKIP
    >>> mirror.pull().added                                                                     # doctest: +SKIP

    Attributes:
        studies: study → hash of the metadata that it was fetched with.
        seen: how far an Orthanc's feed was read; None of another server.
        pending: it holds changes that no index has taken yet; see :meth:`settle`.
        key: with which its names are made; empty if they are the UIDs.
    """

    folder: Path
    pacs: Pacs
    studies: dict[str, str] = field(default_factory=dict)
    seen: int | None = None
    pending: bool = False
    key: str = field(default="", repr=False)

    @classmethod
    def open(cls, folder: Path, pacs: Pacs, key: str) -> Mirror:
        """The mirror in a folder, which is made where it is not there.

        Raises:
            InputError: its list is damaged, or it is of another PACS, of other studies, or of another index.
        """
        file = folder / MANIFEST
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return cls(folder, pacs, key=key)
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            whose = (str(kept["url"]), dict(kept["filters"]))
            mark = kept.get("key", "")
            mirror = cls(folder, pacs, dict(kept["studies"]), kept["seen"], bool(kept["pending"]), key if mark else "")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file} is damaged: delete the folder {folder}, and it is fetched anew") from error
        if whose != (pacs.url, dict(pacs.filters)):
            raise InputError(f"{folder} mirrors {whose[0]} {whose[1] or ''}; give {pacs.url} another folder")
        if mark not in ("", _mark(key)):
            raise InputError(f"{folder} is the mirror of another index; give this one a folder of its own")
        return mirror

    def pull(self, progress: Progress | None = None, *, allow_bulk: bool = False) -> Pulled:
        """Bring it up to date. A study that was fetched whole is noted at once, so that a killed run goes on.

        Args:
            progress: told of studies.
            allow_bulk: believe the PACS that half of the mirror's studies or more are gone.

        Raises:
            InputError: the address answers, and not as DICOMweb does; or most studies are gone, which is not allowed.
            MissingDependencyError: ``dicomweb-client`` is not installed.
            StorageError: the PACS does not answer.
        """
        client = _connect(self.pacs)
        with _answers(self.pacs):
            there = _listed(client, self.pacs)
            done, gone = Pulled(len(there)), [uid for uid in self.studies if uid not in there]
            if len(gone) >= _BULK_LEAST and len(gone) >= _BULK_SHARE * len(self.studies) and not allow_bulk:
                raise InputError(
                    f"the PACS at {self.pacs.url} no longer lists {len(gone)} of {len(self.studies)} studies, and "
                    "nothing was changed here; if they were deleted there, say so with --allow-bulk"
                )
            feed = _Feed.of(client, self.pacs, self.seen)
            advance = (progress or Silent()).stage("following the PACS", len(there))
            for uid in there:
                with _set_aside(uid, self.pacs, done):
                    self._fetch(client, uid, feed, done)
                advance(1)
            for uid in gone:
                shutil.rmtree(self.folder / self._name("study", uid), ignore_errors=True)
                self._note(uid, None)
                done.withdrawn.append(uid)
            self.seen = feed.last
            self._save()
        return done

    def settle(self) -> None:
        """Note that an index has taken all changes."""
        self.pending = False
        self._save()

    def _fetch(self, client: DICOMwebClient, uid: str, feed: _Feed, done: Pulled) -> None:
        """Fetch a study that changed, by its metadata or as the feed has it: beside the old one, then in its place."""
        from pydicom import dcmwrite

        metadata = sorted(_canonical(instance) for instance in client.retrieve_study_metadata(uid))
        stated, known = hashlib.sha256(json.dumps(metadata).encode()).hexdigest(), self.studies.get(uid)
        if known == stated and uid not in feed.studies:
            return
        name = self._name("study", uid)
        place, arriving = self.folder / name, self.folder / f".{name}"
        shutil.rmtree(arriving, ignore_errors=True)
        arriving.mkdir()
        for instance in client.iter_study(uid, media_types=_AS_STORED):
            own = str(instance.get("SOPInstanceUID", ""))
            if not _UID.fullmatch(own):
                done.refused.append(Quarantined(self.pacs.url, uid, "An instance without a usable SOPInstanceUID."))
                continue
            dcmwrite(arriving / f"{self._name('image', own)}.dcm", instance, enforce_file_format=True)
            done.instances += 1
        shutil.rmtree(place, ignore_errors=True)
        arriving.rename(place)
        self._note(uid, stated)
        (done.added if known is None else done.corrected).append(uid)

    def _name(self, kind: str, uid: str) -> str:
        return pseudonym(kind, uid, self.key) if self.key else uid

    def _note(self, uid: str, stated: str | None) -> None:
        if stated is None:
            del self.studies[uid]
        else:
            self.studies[uid] = stated
        self.pending = True
        self._save()

    def _save(self) -> None:
        kept = {"url": self.pacs.url, "filters": dict(self.pacs.filters), "seen": self.seen, "pending": self.pending}
        kept["key"] = _mark(self.key) if self.key else ""
        new = self.folder / f".{MANIFEST}"
        new.write_text(json.dumps({**kept, "studies": self.studies}, indent=1), encoding="utf-8")
        new.replace(self.folder / MANIFEST)


def _mark(key: str) -> str:
    """By which a key is known again, and not found out."""
    return pseudonym("key", "of a mirror", key)


def _listed(client: DICOMwebClient, pacs: Pacs) -> list[str]:
    """The studies that the PACS has, each once, in their order."""
    found = client.search_for_studies(search_filters=dict(pacs.filters), get_remaining=True)
    uids = [str(study["0020000D"]["Value"][0]) for study in found]
    if bad := next((uid for uid in uids if not _UID.fullmatch(uid)), None):
        raise InputError(f"the PACS at {pacs.url} lists a study whose UID is none: {bad[:80]!r}")
    return list(dict.fromkeys(uids))


def _canonical(instance: Mapping[str, Any]) -> str:
    """Metadata without where it was fetched from: bulk data are named by address."""
    kept = {tag: {k: v for k, v in value.items() if k != "BulkDataURI"} for tag, value in instance.items()}
    return json.dumps(kept, sort_keys=True)


@dataclass(frozen=True)
class _Feed:
    """What an Orthanc says has changed since: studies by UID. Empty, without a number, of any other server."""

    studies: frozenset[str]
    last: int | None

    @classmethod
    def of(cls, client: DICOMwebClient, pacs: Pacs, since: int | None) -> _Feed:
        root, session = pacs.url.rsplit("/", 1)[0], client._session
        last, studies = since or 0, set[str]()
        while True:
            reply = session.get(f"{root}/changes", params={"since": last, "limit": 1000}, timeout=TIMEOUT_S)
            try:
                found = reply.json() if reply.ok else {}
                changes, last = list(found["Changes"]), int(found["Last"])
            except (ValueError, KeyError, TypeError):
                return cls(frozenset(), None)
            if since is not None:  # the first time everything is fetched anyway
                for change in changes:
                    if change.get("ChangeType") == "NewInstance":
                        parent = session.get(f"{root}/instances/{change['ID']}/study", timeout=TIMEOUT_S)
                        if parent.ok:
                            studies.add(str(parent.json()["MainDicomTags"]["StudyInstanceUID"]))
            if found.get("Done", True):
                return cls(frozenset(studies), last)


def _connect(pacs: Pacs) -> DICOMwebClient:
    try:
        from dicomweb_client.api import DICOMwebClient
        from requests import Session
    except ImportError as error:
        raise MissingDependencyError('dicomweb-client is not installed: pip install "clincite[pacs]"') from error
    session = Session()
    session.trust_env = False  # no proxy or .netrc that nobody named
    session.max_redirects = 0
    if pacs.authority is not None:
        session.verify = str(pacs.authority)
    headers = {"Authorization": f"Bearer {pacs.token}"} if pacs.token else None
    return DICOMwebClient(pacs.url, session=session, headers=headers, timeout=TIMEOUT_S)


@contextmanager
def _answers(pacs: Pacs) -> Iterator[None]:
    """Network's errors in a sentence of ours."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise InputError(f"the PACS at {pacs.url} refuses ({status}): give a token with --token-file") from error
        raise InputError(f"{pacs.url} does not answer as DICOMweb does ({status}): is that its address?") from error
    except requests.exceptions.SSLError as error:
        raise InputError(
            f"the certificate of {pacs.url} is not trusted: give its authority with --authority"
        ) from error
    except requests.RequestException as error:
        raise StorageError(f"the PACS at {pacs.url} does not answer ({type(error).__name__})") from error
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{pacs.url} does not answer as DICOMweb does: is that its address?") from error


@contextmanager
def _set_aside(uid: str, pacs: Pacs, done: Pulled) -> Iterator[None]:
    """One study that the PACS lists and does not give stops no other; what is here of it stays."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in (401, 403):
            raise
        done.refused.append(Quarantined(pacs.url, uid, f"The PACS lists the study and does not give it ({status})."))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
