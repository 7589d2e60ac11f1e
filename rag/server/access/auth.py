"""Who is calling, and what they may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from rag.errors import RagError
from rag.server.access.keys import PREFIX, SCOPES, Key, KeyFile, Scope
from rag.server.access.limits import RateLimit
from rag.server.access.oidc import Provider, RefusedToken
from rag.server.web.problems import Problem, busy, log
from rag.settings import ServingSettings

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="clincite"'}


@dataclass(frozen=True)
class Caller:
    """Someone whose key or token holds. ``id`` names them in the ledger and in logs, and is no secret."""

    id: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes


EVERYONE = Caller("local", frozenset(SCOPES))  # a loopback server without keys: whoever sits at the machine


class Authenticator:
    """Keys and tokens by the settings; without either, everyone may do everything (on loopback alone)."""

    def __init__(self, settings: ServingSettings) -> None:
        self._keys = KeyFile(settings.keys) if settings.keys is not None else None
        if self._keys is not None:
            self._keys.listed()  # a file that cannot be used is said at the start
        self._provider = Provider(settings.oidc) if settings.oidc is not None else None
        self._limit = RateLimit(settings.requests_per_minute)

    @property
    def required(self) -> bool:
        return self._keys is not None or self._provider is not None

    async def caller(self, authorization: str | None) -> Caller:
        """The caller behind an Authorization header.

        Raises:
            Problem: 401 without a good key or token, 429 where they ask too often.
        """
        if not self.required:
            return EVERYONE
        scheme, _, credential = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not credential.strip():
            raise _unauthorised("this server asks for a key; send it as: Authorization: Bearer <key>")
        caller = await self._known(credential.strip())
        wait = self._limit.wait(caller.id)
        if wait:
            raise busy(wait, "this key asks more often than it may; wait as long as Retry-After says")
        return caller

    async def _known(self, credential: str) -> Caller:
        if credential.startswith(PREFIX) or self._provider is None:
            key = self._find(credential)
            if key is None:
                raise _unauthorised("the key is not known here")
            if key.expired(datetime.now(UTC)):
                raise _unauthorised("the key has expired; ask for a new one")
            return Caller(f"key:{key.id}", frozenset(key.scopes))
        try:
            subject, scopes = await run_in_threadpool(self._provider.check, credential)
        except RefusedToken as error:
            raise _unauthorised(str(error)) from error
        return Caller(f"oidc:{subject[:200]}", frozenset(scopes))

    def _find(self, credential: str) -> Key | None:
        try:
            return self._keys.find(credential) if self._keys is not None else None
        except RagError as error:  # somebody moved or broke the file: then nobody is let in
            log.error("%s", error)
            raise Problem(503, "the keys cannot be read at the moment; the server's log says where") from error


def _unauthorised(detail: str) -> Problem:
    return Problem(401, detail, headers=_CHALLENGE)


def require(*scopes: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the caller, if they have any of ``scopes``; none named: any caller."""

    async def checked(request: Request) -> Caller:
        caller: Caller = await request.app.state.auth.caller(request.headers.get("authorization"))
        if scopes and not any(caller.may(scope) for scope in scopes):
            more = "; 'admin' does not include it" if caller.may("admin") else ""
            raise Problem(403, f"the key lacks the scope {' or '.join(map(repr, scopes))}{more}")
        return caller

    return checked


Asker = Annotated[Caller, Depends(require("ask"))]
Ingester = Annotated[Caller, Depends(require("ingest"))]
Auditor = Annotated[Caller, Depends(require("audit"))]
Admin = Annotated[Caller, Depends(require("admin"))]
Anyone = Annotated[Caller, Depends(require())]
