"""How long and how much the server listens to a client before it is known who speaks.

Else a few that are silent, or that never end a line, would hold it for nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10  # of a request line and the headers below it; nothing here needs a tenth of it
HEAD_LINES = 100
_STEP = 16 << 10
_LINGER_S = 1.0  # a client that goes on sending may read the refusal so long, or until it has sent
_LINGER_BYTES = 256 << 10  # so much: closing at once would take it away
_DETAIL = (
    b'{"type": "about:blank", "title": "Request Header Fields Too Large", "status": 431, "detail": "the head of the '
    b'request is longer than 64 KiB or 100 lines; send what is long in the body"}'
)
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_DETAIL), _DETAIL)
)


def timely(receive: Receive, seconds: float) -> Receive:
    """``receive``, which gives a body up after ``seconds`` without a byte of it; what comes after it may take its time.

    The reader of the body gets HTTPException 408.
    """
    whole = False

    async def within() -> Message:
        nonlocal whole
        try:
            async with asyncio.timeout(None if whole else seconds):
                message = await receive()
        except TimeoutError as error:
            silence = f"nothing more of the body came for {seconds:g} seconds; send it again, whole"
            raise HTTPException(408, silence, {"Connection": "close"}) from error
        whole = not message.get("more_body", False)
        return message

    return within


def bounded_protocol(seconds: float) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, which hears no more than the head of a request may hold, whoever is calling.

    It hangs up on a client that takes longer than ``seconds`` for a head, and refuses (431) a head of more than
    ``HEAD_BYTES`` or ``HEAD_LINES``. uvicorn bounds none of these with this parser, and joins the pieces of a line to
    what came before, which takes longer with each: ten lines without an end held the server for twenty seconds.
    """

    class Bounded(HttpToolsProtocol):
        _waiting: asyncio.TimerHandle | None = None
        _unused = 0  # bytes received since the last head, piece of a body or request was whole
        _in_body = False
        _refused = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_a_head()

        def data_received(self, data: bytes) -> None:
            while data and not self._refused and not self.transport.is_closing():
                step, data = (data, b"") if self._in_body else (data[:_STEP], data[_STEP:])
                self._unused += len(step)
                super().data_received(step)
                if self._unused > HEAD_BYTES:
                    self._refuse()
            self._unused += len(data)
            if self._refused and self._unused > _LINGER_BYTES:
                self.transport.close()
            self._wait_for_a_head()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_waiting()

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            if len(self.headers) > HEAD_LINES:  # those after a body in chunks count, too
                self._refuse()

        def on_headers_complete(self) -> None:
            if not self._refused:  # a head that was refused begins nothing
                self._unused, self._in_body = 0, True
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self._refused:
                self._unused = 0
                super().on_body(body)

        def on_message_complete(self) -> None:
            if not self._refused:
                self._unused, self._in_body = 0, False
                super().on_message_complete()

        def _refuse(self) -> None:
            if self._refused:
                return
            self._refused = True
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(_TOO_LARGE)
                self.loop.call_later(_LINGER_S, self.transport.close)
            else:
                self.transport.close()  # the refusal would stand inside another answer

        def _wait_for_a_head(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:  # it is there, and being answered
                self._stop_waiting()
            elif self._waiting is None:
                self._waiting = self.loop.call_later(seconds, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return Bounded
