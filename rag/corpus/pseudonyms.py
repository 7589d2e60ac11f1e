"""Identifiers that tie records together without naming anybody: keyed hashes of patients' and studies' numbers."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from rag.errors import InputError

_PSEUDONYM = re.compile(r"[a-z]+-[0-9a-f]{16}")


def pseudonym(kind: str, identifier: str, salt: str) -> str:
    """``<kind>-`` and 16 hexadecimal digits; the same for the same identifier and salt, and not to be turned back
    without the salt. An index keeps its own, so patients of two indexes cannot be matched.

    >>> pseudonym("patient", "00-12-34", "s") == pseudonym("patient", " 00-12-34", "s")
    True
    """
    digest = hmac.new(salt.encode(), f"{kind}\0{identifier.strip()}".encode(), hashlib.sha256).hexdigest()
    return f"{kind}-{digest[:16]}"


def is_pseudonym(identifier: str) -> bool:
    """Whether it has the form of one.

    >>> is_pseudonym("study-0123456789abcdef"), is_pseudonym("study-7")
    (True, False)
    """
    return _PSEUDONYM.fullmatch(identifier) is not None


def key_of(path: Path | None) -> str:
    """The key in a file, which only its owner may read and which is made if it is not there; without a path, a new key.

    Raises InputError if it cannot be read or written, or is too short to keep a secret.
    """
    made = secrets.token_hex(32)
    if path is None:
        return made
    try:
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(made)
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The key {str(path)!r} cannot be used: {getattr(error, 'strerror', error)}.") from error
    if len(key) < 16:
        raise InputError(f"The key {str(path)!r} has fewer than 16 characters; let a new one be made.")
    return key
