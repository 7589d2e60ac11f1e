"""API keys: random, shown once, kept as hashes in a file that only its owner can read.

A key is ``cck_<id>_<secret>``. Its secret has 256 random bits, so one SHA-256 is as good as a slow password hash: there
is nothing to guess. The id finds the record; the comparison of hashes takes the same time whatever is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import InputError, StorageError

Scope = Literal["ask", "ingest", "audit", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MEANINGS: dict[Scope, str] = {
    "ask": "ask and search, see what indexes hold, and see and judge the answers that were given to this key",
    "ingest": "add corpora, and follow, cancel and resume jobs",
    "audit": "see, verify, replay and export all recorded answers",
    "admin": "roll back and compact indexes, follow, cancel and resume jobs, and read /metrics; it includes none of "
    "the others",
}
PREFIX = "cck_"
_KEY = re.compile(r"cck_([a-z2-7]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


class Key(BaseModel):
    """One key's record; the key itself is nowhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str
    created: datetime
    expires: datetime | None = None

    def expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


class KeyFile:
    """A JSON file of keys. A server notices changes at once, so that a revoked key is dead without a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: dict[str, Key] = {}

    def listed(self) -> list[Key]:
        """All keys, oldest first.

        Raises:
            InputError: the file is missing, or is not a file of keys.
        """
        self._follow()
        return list(self._keys.values())

    def find(self, presented: str) -> Key | None:
        """The record of a presented key, expired or not; None where there is none."""
        self._follow()
        match = _KEY.fullmatch(presented)
        known = self._keys.get(match[1]) if match else None
        same = hmac.compare_digest(_hash(presented), known.sha256 if known else _NOBODY)
        return known if same else None

    def add(self, name: str, scopes: Iterable[str], days: float | None = None) -> tuple[str, Key]:
        """Make a key; returns it, this once, and its record.

        Args:
            days: until it expires; None for never.

        Raises:
            InputError: a name or scope that is not one, or days that are not above 0.
            StorageError: the file cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} cannot name a key; use up to 64 letters, digits, spaces and . _ @ -")
        chosen = tuple(s for s in SCOPES if s in set(scopes))
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not chosen:
            raise InputError(f"there is no scope {(unknown or [''])[0]!r}; choose from: {', '.join(SCOPES)}")
        if days is not None and not 0 < days <= 36_500:
            raise InputError(f"a key cannot expire after {days:g} days; give a number above 0, at most 36500")
        now = datetime.now(UTC).replace(microsecond=0)
        number = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))
        whole = f"{PREFIX}{number}_{secrets.token_urlsafe(32)}"
        expires = now + timedelta(days=days) if days is not None else None
        key = Key(id=number, name=name, scopes=chosen, sha256=_hash(whole), created=now, expires=expires)
        with self._changing():
            self._write([*self._read(missing_ok=True), key])
        return whole, key

    def revoke(self, which: str) -> list[Key]:
        """Remove the key with this id, or all with this name; returns what was removed.

        Raises:
            InputError: there is none.
        """
        with self._changing():
            keys = self._read()
            gone = [k for k in keys if which in (k.id, k.name)]
            if not gone:
                raise InputError(f"there is no key {which!r} in {self.path}; see them with: rag serve keys list")
            self._write([k for k in keys if k not in gone])
        return gone

    def _follow(self) -> None:
        try:
            stat = self.path.stat()
        except FileNotFoundError as error:
            raise InputError(f"there is no file of keys {self.path}; make one with: rag serve keys add") from error
        seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if seen != self._seen:
            self._keys = {k.id: k for k in self._read()}
            self._seen = seen

    def _read(self, missing_ok: bool = False) -> list[Key]:
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            return [Key.model_validate(value) for value in values["keys"]]
        except FileNotFoundError as error:
            if missing_ok:
                return []
            raise InputError(f"there is no file of keys {self.path}; make one with: rag serve keys add") from error
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error.strerror}") from error
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path} is not a file of keys; move it away, or give another with --keys") from error

    def _write(self, keys: list[Key]) -> None:
        """A crash leaves the old file or the new one; nobody but the owner ever reads either."""
        text = json.dumps({"keys": [k.model_dump(mode="json") for k in keys]}, indent=2)
        aside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            aside.replace(self.path)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}") from error

    def _changing(self) -> FileLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}") from error
        return FileLock(f"{self.path}.lock", timeout=10)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
