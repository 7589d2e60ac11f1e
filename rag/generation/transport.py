"""The wire to a language model server, with an end: so many bytes, so much time, and no header that was not meant.

A client library reads what it is sent to the end, and introduces itself with the version of Python, the kind of machine
and what it finds in the environment. Below it, here, every response has its limits and every request its list of
headers. Of what comes with an error status a little is read, for a word that says what was refused; the rest is not
and none of it is handed on: it may repeat the question, or never end.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

from rag.generation.completions import StreamError
from rag.generation.dialect import refused_by

if TYPE_CHECKING:
    from rag.settings import OpenAISettings

REFUSED = "X-Refused"  # the header of our own in which a refusal says what it refuses
_MOST_READ = 16_384
_SENT = {b"host", b"connection", b"accept", b"content-type", b"content-length", b"authorization"}


class BoundedTransport(httpx2.BaseTransport):
    """Requests through ``inner``. The pool timeout of a request is what is left of its time, for the response too.

    ``authorized``: whether the ``Authorization`` header is sent.
    """

    def __init__(self, inner: httpx2.BaseTransport, settings: OpenAISettings, authorized: bool) -> None:
        self._inner = inner
        self._settings = settings
        self._sent = _SENT if authorized else _SENT - {b"authorization"}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send, and give the response with a body that ends.

        Raises:
            StreamError: the answer is compressed; while its body is read: it is too long or comes too late.
        """
        deadline = time.monotonic() + request.extensions["timeout"]["pool"]
        headers = [(name, value) for name, value in request.headers.raw if name.lower() in self._sent]
        headers.append((b"Accept-Encoding", b"identity"))
        sent = httpx2.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )
        response = self._inner.handle_request(sent)
        if response.status_code != 200:
            told = {"Retry-After": response.headers.get("retry-after", ""), REFUSED: ""}
            if response.status_code in (400, 404, 422):
                told[REFUSED] = refused_by(_beginning(response, deadline))
            response.close()
            return httpx2.Response(response.status_code, headers=told)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise StreamError("sent a compressed answer, which was not asked for")
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Bounded(response.stream, self._settings, deadline)
        return response

    def close(self) -> None:
        self._inner.close()


def _beginning(response: httpx2.Response, deadline: float) -> str:
    """The first bytes of a refusal, as text."""
    read = b""
    assert isinstance(response.stream, httpx2.SyncByteStream)
    with contextlib.suppress(httpx2.HTTPError):
        for chunk in response.stream:
            read += chunk
            if len(read) > _MOST_READ or time.monotonic() > deadline:
                break
    return read[:_MOST_READ].decode("utf-8", "replace")


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, settings: OpenAISettings, deadline: float) -> None:
        self._stream = stream
        self._settings = settings
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        left = self._settings.max_response_bytes
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                most = self._settings.max_response_bytes
                raise StreamError(f"sent more than {most:,} bytes ('generation.openai.max_response_bytes')")
            yield chunk
            if time.monotonic() > self._deadline:
                raise StreamError(f"was not done within {self._settings.total_timeout:g} s")

    def close(self) -> None:
        self._stream.close()
