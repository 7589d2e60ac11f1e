"""Identifiers that tie records together without naming anybody: keyed hashes of patients' and studies' numbers."""

from __future__ import annotations

import hashlib
import hmac


def pseudonym(kind: str, identifier: str, salt: str) -> str:
    """``<kind>-`` and 16 hexadecimal digits; the same for the same identifier and salt, and not to be turned back
    without the salt. An index keeps its own, so patients of two indexes cannot be matched.

    >>> pseudonym("patient", "00-12-34", "s") == pseudonym("patient", " 00-12-34", "s")
    True
    """
    digest = hmac.new(salt.encode(), f"{kind}\0{identifier.strip()}".encode(), hashlib.sha256).hexdigest()
    return f"{kind}-{digest[:16]}"
