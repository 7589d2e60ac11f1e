"""Bearer tokens of an identity provider: signature, issuer, audience and expiry checked with PyJWT."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from rag.errors import InputError
from rag.server.access.keys import SCOPES, Scope
from rag.settings import OidcSettings

_FRESH_S = 3600.0  # how long fetched keys serve
_PAUSE_S = 60.0  # between two fetches, whatever unknown key ids strangers send
_MOST_BYTES = 1 << 20


class RefusedToken(Exception):  # noqa: N818
    """Why a token is not accepted, in words for its sender."""


class Provider:
    """The provider that the settings name. Blocks while it fetches keys, so ask it from a thread."""

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = -_FRESH_S
        address = urlsplit(settings.jwks)
        self._remote = address.scheme in ("https", "http")
        if address.scheme == "http" and address.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise InputError(f"serving.oidc.jwks {settings.jwks!r}: keys come by https only")
        if not self._remote:
            self._keys = _parsed(Path(settings.jwks).read_bytes() if Path(settings.jwks).is_file() else None, settings)

    def check(self, token: str) -> tuple[str, tuple[Scope, ...]]:
        """The subject and the scopes of a good token.

        Raises:
            RefusedToken: it is not for us, not signed by the provider, or over.
        """
        settings = self._settings
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=list(settings.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
                leeway=30,
            )
        except jwt.ExpiredSignatureError as error:
            raise RefusedToken("the token has expired; get a new one") from error
        except jwt.InvalidAudienceError as error:
            raise RefusedToken("the token is for another audience") from error
        except jwt.InvalidIssuerError as error:
            raise RefusedToken("the token is of another issuer") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise RefusedToken("the token is not valid here") from error
        listed = claims.get(settings.scope_claim, ())
        words = listed.split() if isinstance(listed, str) else listed if isinstance(listed, list) else ()
        return str(claims["sub"]), tuple(s for s in SCOPES if s in words)

    def _key(self, kid: str | None) -> jwt.PyJWK:
        with self._lock:
            age = time.monotonic() - self._fetched
            if self._remote and (age > _FRESH_S or (kid not in self._keys and age > _PAUSE_S)):
                self._fetched = time.monotonic()
                self._keys = _fetch(self._settings) or self._keys
            if kid is None and len(self._keys) == 1:
                return next(iter(self._keys.values()))
            if kid not in self._keys:
                raise RefusedToken("the token is signed by a key that the provider does not list")
            return self._keys[kid]


def _fetch(settings: OidcSettings) -> dict[str | None, jwt.PyJWK]:
    """The provider's keys; none where it cannot be reached, and then those known go on serving."""
    try:
        with urllib.request.urlopen(settings.jwks, timeout=10) as answer:  # noqa: S310 - https, named by the operator
            return _parsed(answer.read(_MOST_BYTES), settings)
    except (urllib.error.URLError, OSError, InputError):
        return {}


def _parsed(content: bytes | None, settings: OidcSettings) -> dict[str | None, jwt.PyJWK]:
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(content or b""))
    except (ValueError, jwt.PyJWTError, TypeError, AttributeError) as error:
        raise InputError(f"serving.oidc.jwks {settings.jwks!r} is not a JSON Web Key Set; check the path") from error
    return {key.key_id: key for key in found.keys}
