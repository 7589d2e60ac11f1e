"""A language model behind a server that speaks OpenAI's chat completions: vLLM, and many others.

Question, evidence and images leave this process here, and nowhere else: only if ``generation.kind = "openai"`` is set,
to the one address that is set, and the first use says so. Redirects, the environment's proxies and .netrc are not
followed. Errors name the server and what went wrong, and never repeat what it sent.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Generator as Steps
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import Any

from rag.errors import InputError, MissingDependencyError, RagError
from rag.generation.chat import Piece
from rag.generation.messages import Messages
from rag.generation.sse import StreamError, pieces, sse_events
from rag.settings import GenerationSettings
from rag.types import sha256_of

_log = logging.getLogger(__name__)
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_REFUSALS = {400, 404, 422}  # what servers say to a field that they do not know
_LONGEST_WAIT = 60.0  # seconds between tries, whatever the server asks for
_TOP = 20  # alternatives of the first token: the most that OpenAI and vLLM give
_BYTES_PER_TOKEN, _TOKENS_PER_PICTURE = 3, 1500  # on the safe side of what is usual


class _BusyError(Exception):
    """The server asks to come back; ``after`` in seconds, where it says."""

    def __init__(self, problem: str, after: float | None = None) -> None:
        super().__init__(problem)
        self.after = after


class _RefusedError(Exception):
    """The server does not accept the request as it is, ``perhaps_a_field`` of it that it does not know."""

    def __init__(self, problem: str, perhaps_a_field: bool) -> None:
        super().__init__(problem)
        self.perhaps_a_field = perhaps_a_field


def shared_model(settings: GenerationSettings) -> RemoteModel:
    """The model of these settings; one a process, so that the limit of requests is the process's.

    Raises:
        InputError: address or model are not set, or cannot be used.
        MissingDependencyError: httpx or tenacity is not installed.
    """
    key, proxy = settings.openai.api_key, settings.openai.proxy
    plain = settings.model_dump_json(exclude={"openai": {"api_key", "proxy"}})
    return _shared(plain, key.get_secret_value() if key else None, proxy.get_secret_value() if proxy else None)


@lru_cache(maxsize=8)
def _shared(settings: str, key: str | None, proxy: str | None) -> RemoteModel:
    return RemoteModel(GenerationSettings.model_validate_json(settings), key, proxy)


class RemoteModel:
    """See the module. Safe to use from several threads; ``concurrency`` of them at once."""

    def __init__(self, settings: GenerationSettings, key: str | None = None, proxy: str | None = None) -> None:
        try:
            import httpx
            import tenacity  # noqa: F401 - fails early
        except ImportError as error:
            raise MissingDependencyError('httpx and tenacity are not installed: pip install "clincite[llm]"') from error
        s = self._settings = settings.openai
        self._general = settings
        for name in ("base_url", "model"):
            if not getattr(s, name):
                raise InputError(f"setting 'generation.openai.{name}' is not set, and there is no default")
        self._url = _checked_url(s.base_url or "")
        headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {key}"} if key else {})}
        try:
            self._client = httpx.Client(
                headers=headers,
                timeout=httpx.Timeout(s.read_timeout, connect=s.connect_timeout, pool=s.total_timeout),
                limits=httpx.Limits(max_connections=s.concurrency),
                trust_env=False,
                proxy=proxy,
                verify=ssl.create_default_context(cafile=str(s.ca_file)) if s.ca_file else True,
            )
        except (OSError, ValueError, httpx.InvalidURL) as error:
            raise InputError(
                f"settings 'generation.openai': 'ca_file' or 'proxy' cannot be used ({type(error).__name__})"
            ) from error
        self._turns = threading.BoundedSemaphore(s.concurrency)
        self._asks_logprobs = s.logprobs
        self._told = False

    @cached_property
    def fingerprint(self) -> str:
        """Of address and model name. A server that changes the model under the same name goes unnoticed."""
        return f"openai:{self._settings.model}:{sha256_of(str(self._url))[:16]}"

    @property
    def window(self) -> int | None:
        return self._settings.window

    @property
    def parallel(self) -> int:
        return self._settings.concurrency

    def count(self, messages: Messages) -> int:
        """An estimate on the safe side: nobody here has the server's tokenizer."""
        text = len((messages.system + messages.user + "".join(p.label for p in messages.pictures)).encode())
        return text // _BYTES_PER_TOKEN + _TOKENS_PER_PICTURE * len(messages.pictures)

    def chat(self, messages: Messages) -> Steps[Piece, None, None]:
        """See :class:`~rag.generation.chat.ChatModel`. What fails before the answer begins is tried again."""
        deadline = time.monotonic() + self._settings.total_timeout
        self._tell()
        if not self._turns.acquire(timeout=self._settings.total_timeout):
            raise self._failed(f"had no free place within {self._settings.total_timeout:g} s")
        try:
            with self._explained(), self._opened(messages, deadline) as response:
                yield from pieces(self._data(response, deadline))
        finally:
            self._turns.release()

    # ------------------------------------------------------------------ the request

    @contextmanager
    def _opened(self, messages: Messages, deadline: float) -> Iterator[Any]:
        """A response that has begun well, after as many tries as it takes."""
        import httpx
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, stop_before_delay

        away = (_BusyError, httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
        retrying = Retrying(
            stop=stop_after_attempt(self._settings.attempts) | stop_before_delay(self._settings.total_timeout),
            wait=_wait,
            retry=retry_if_exception_type(away),
            reraise=True,
        )
        response = retrying(self._begun, messages, deadline)
        try:
            yield response
        finally:
            response.close()

    def _begun(self, messages: Messages, deadline: float) -> Any:
        try:
            return self._sent(messages, self._asks_logprobs, deadline)
        except _RefusedError as error:
            if not self._asks_logprobs or not error.perhaps_a_field:
                raise
        response = self._sent(messages, False, deadline)
        self._asks_logprobs = False  # it was that; the server need not be asked again
        return response

    def _sent(self, messages: Messages, logprobs: bool, deadline: float) -> Any:
        s, g = self._settings, self._general
        content: list[dict[str, Any]] = []
        for p in messages.pictures:
            content += [{"type": "text", "text": p.label}, {"type": "image_url", "image_url": {"url": p.data_url}}]
        body: dict[str, Any] = {
            "model": s.model,
            "messages": [
                {"role": "system", "content": messages.system},
                {
                    "role": "user",
                    "content": [*content, {"type": "text", "text": messages.user}] if content else messages.user,
                },
            ],
            "stream": True,
            "max_tokens": g.max_new_tokens,
            "temperature": g.temperature,
            "seed": g.seed,
            **({"logprobs": True, "top_logprobs": _TOP} if logprobs else {}),
        }
        request = self._client.build_request(
            "POST", self._url, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        if time.monotonic() > deadline:
            raise StreamError(f"gave no answer within {s.total_timeout:g} s")
        response = self._client.send(request, stream=True)
        if response.status_code == 200:
            if response.headers.get("content-encoding", "identity") != "identity":
                response.close()
                raise StreamError("sent a compressed answer, which was not asked for")
            return response
        response.close()  # unread: it may repeat the question, or never end
        if response.status_code in _AGAIN:
            raise _BusyError(f"answered with HTTP {response.status_code}", _after(response.headers.get("retry-after")))
        if response.status_code in _REFUSALS:
            raise _RefusedError(
                f"refused the request (HTTP {response.status_code}); check 'generation.openai.model', and whether "
                "prompt and images fit what it serves",
                response.status_code != 404,
            )
        if response.status_code in (401, 403):
            raise StreamError(f"refused the API key (HTTP {response.status_code}); set RAG_GENERATION__OPENAI__API_KEY")
        raise StreamError(f"answered with HTTP {response.status_code}")

    # ------------------------------------------------------------------ the response

    def _data(self, response: Any, deadline: float) -> Iterator[str]:
        """The events of a stream; of a server that does not stream, its whole answer as one event."""

        def timely() -> Iterator[bytes]:
            for chunk in response.iter_raw():
                yield chunk
                if time.monotonic() > deadline:
                    raise StreamError(f"was not done within {self._settings.total_timeout:g} s")

        most = self._settings.max_response_bytes
        if response.headers.get("content-type", "").startswith("application/json"):
            whole = bytearray()
            for chunk in timely():
                whole += chunk
                if len(whole) > most:
                    raise StreamError(f"sent more than {most:,} bytes ('generation.openai.max_response_bytes')")
            yield whole.decode("utf-8", "replace")
            return
        yield from sse_events(timely(), most)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever goes wrong as one sentence about this server."""
        import httpx

        try:
            yield
        except (StreamError, _BusyError, _RefusedError) as error:
            raise self._failed(str(error)) from error
        except httpx.ConnectError as error:
            raise self._failed("cannot be reached; check 'generation.openai.base_url' and that it runs") from error
        except httpx.ConnectTimeout as error:
            raise self._failed(f"did not accept a connection within {self._settings.connect_timeout:g} s") from error
        except httpx.TimeoutException as error:
            raise self._failed(f"was silent for {self._settings.read_timeout:g} s") from error
        except httpx.HTTPError as error:
            raise self._failed(f"broke off the connection ({type(error).__name__})") from error

    def _failed(self, problem: str) -> RagError:
        return RagError(f"the language model server {self._url.host} {problem}")

    def _tell(self) -> None:
        """Say once where data go; without handlers, Python's logging writes warnings to standard error."""
        if not self._told:
            self._told = True
            open_wire = ", unencrypted" if self._url.scheme == "http" and not _loopback(self._url.host) else ""
            _log.warning(
                "questions, evidence and images are sent to %s (model %s%s): setting 'generation.kind' is 'openai'",
                self._url.copy_with(path="/", query=None),
                self._settings.model,
                open_wire,
            )


def _checked_url(base: str) -> Any:
    import httpx

    try:
        url = httpx.URL(base.rstrip("/") + "/chat/completions")
    except (httpx.InvalidURL, ValueError) as error:
        raise InputError(f"setting 'generation.openai.base_url' is not a URL ({error})") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise InputError(
            "setting 'generation.openai.base_url' must be like https://host:port/v1, without user, query or fragment; "
            "a key belongs in RAG_GENERATION__OPENAI__API_KEY"
        )
    return url


def _loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _wait(state: Any) -> float:
    """As long as the server asks for, else longer and longer with some chance in it."""
    from tenacity import wait_random_exponential

    error = state.outcome.exception()
    asked = error.after if isinstance(error, _BusyError) else None
    return min(_LONGEST_WAIT, wait_random_exponential(multiplier=0.5, max=20)(state) if asked is None else asked)


def _after(value: str | None) -> float | None:
    """Seconds of a Retry-After header, which gives a number or a date; None where it gives neither."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
