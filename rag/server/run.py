"""From settings to a server that listens, and stops cleanly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NamedTuple

import uvicorn

from rag.errors import InputError, StorageError
from rag.indexing.mounts import shared_file_system, shared_warning
from rag.server.app import create_app
from rag.server.web.guard import is_loopback
from rag.server.web.patience import bounded_protocol
from rag.server.web.problems import log_to_stderr
from rag.server.web.tracing import Tracer
from rag.server.work.service import Service
from rag.server.work.workers import settle
from rag.settings import GenerationSettings, ServingSettings, Settings

_BACKLOG = 2048


class BoundServer(NamedTuple):
    """A server whose indexes are open and whose address is bound; ``server.run(sockets=[listener])`` serves."""

    server: uvicorn.Server
    listener: socket.socket
    service: Service

    @property
    def url(self) -> str:
        host, port = self.listener.getsockname()[:2]
        scheme = "https" if self.service.settings.serving.tls_certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def serve(settings: Settings, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Listen, and return when the process is told to stop (SIGINT, SIGTERM) and has finished what it began.

    Args:
        names: the indexes to serve, the first being the default; none means all that are not empty.
        say: where the lines of the start go.

    Raises:
        RagError: see ``prepare``.
    """
    prepared = bind(settings, names)
    log_to_stderr()
    settle()
    for line in _start(prepared):
        say(line)
    with prepared.listener:
        prepared.server.run(sockets=[prepared.listener])


def bind(settings: Settings, names: Sequence[str], tracer: Tracer | None = None) -> BoundServer:
    """Bind the address and open the indexes.

    Raises:
        InputError: an index that is not there or empty, a file of keys that cannot be used, an address beyond
            loopback without authentication, or a memo.
        IndexStateError: an index that is damaged, or of other encoders.
        StorageError: the address is taken or not this machine's.
    """
    serving = settings.serving
    check_address(serving)
    check_privacy(settings.generation)
    service, stopping = Service(settings, names), asyncio.Event()
    app = create_app(service, tracer, stopping)
    listener = _bound(serving)
    try:
        service.open()
        listener.listen(_BACKLOG)  # from now on nobody is turned away, even before the first is accepted
    except BaseException:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        http=bounded_protocol(serving.silence_s),
        ws="none",  # nothing here speaks it
        lifespan="on",
        access_log=False,  # it would print addresses; the guard logs routes
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=int(serving.shutdown_s) + 1,
        ssl_certfile=serving.tls_certificate,
        ssl_keyfile=serving.tls_key,
    )
    return BoundServer(_Server(config, stopping), listener, service)


def check_address(serving: ServingSettings) -> None:
    """Beyond loopback nobody is served without a key or a token.

    Raises:
        InputError: the settings say otherwise, or name half of a certificate.
    """
    if not is_loopback(serving.host) and serving.keys is None and serving.oidc is None:
        raise InputError(
            f"listening on {serving.host} without authentication is refused; make a key with: rag serve keys add, and "
            "give its file with --keys"
        )
    if (serving.tls_certificate is None) != (serving.tls_key is None):
        raise InputError("serving.tls_certificate and serving.tls_key go together; give both or neither")


def check_privacy(generation: GenerationSettings) -> None:
    """What strangers are told is kept by the ledger alone, from which it can be redacted.

    Raises:
        InputError: the settings have a memo, too.
    """
    if generation.memo.folder is not None:
        raise InputError("'generation.memo' keeps texts that nobody can redact, and is for measurements; serve without")


class _Server(uvicorn.Server):
    """Tells those who follow jobs when it is to stop, so that it need not wait for them."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._stopping.set()


def _bound(serving: ServingSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only where the protocol is named; else a lone client waits 40 ms an answer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((serving.host, serving.port))
    except OSError as error:
        listener.close()
        raise StorageError(f"cannot listen on {serving.host}:{serving.port}: {error.strerror or error}") from error
    listener.set_inheritable(True)
    return listener


def _start(prepared: BoundServer) -> list[str]:
    service, serving = prepared.service, prepared.service.settings.serving
    auth = [n for n, on in (("API keys", serving.keys), ("OIDC tokens", serving.oidc)) if on]
    served = ", ".join(f"{n} (version {service.index(n).engine.version})" for n in service.names)
    lines = [
        f"ClinCite listens on {prepared.url}",
        f"indexes: {served}",
        f"authentication: {' and '.join(auth) if auth else 'off (this machine only)'}",
    ]
    if serving.workers > 1:
        lines.insert(2, f"answering: {serving.workers} processes")
    if kind := shared_file_system(service.settings.indexes):
        lines.append(f"warning: {shared_warning(service.settings.indexes, kind)}")
    if prepared.url.startswith("http:") and not is_loopback(serving.host):
        lines.append("warning: keys travel unencrypted; put TLS in front, or set serving.tls_certificate and tls_key")
    return [*lines, "research software, not a medical device"]
