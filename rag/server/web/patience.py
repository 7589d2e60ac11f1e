"""How long the server waits for a client that is slow to speak; else a few silent ones would hold it for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive
from uvicorn.protocols.http.auto import AutoHTTPProtocol


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


def impatient(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which hangs up on a client that takes longer than ``seconds`` to send a request's head."""

    class Impatient(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait_for_a_head()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._wait_for_a_head()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._stop_waiting()

        def _wait_for_a_head(self) -> None:
            if self.cycle is not None and not self.cycle.response_complete:  # it is there, and being answered
                self._stop_waiting()
            elif self._waiting is None:
                self._waiting = self.loop.call_later(seconds, self.transport.close)

        def _stop_waiting(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

    return Impatient
