"""A language model behind a server that speaks OpenAI's chat completions: vLLM, and many others.

Question, evidence and images leave this process here, and nowhere else: only if ``generation.kind = "openai"`` is set,
to the one address that is set, and the first use says so. Redirects, the environment's proxies, .netrc and the
``OPENAI_`` variables are not followed. Errors name the server and what went wrong, and never repeat what it sent.

The protocol is the ``openai`` library's. Its own retries are off: they try again after a silence, when the answer may
already have been paid for, and wait as long as a server asks, which ``generation.openai.total_timeout`` must bound.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from collections.abc import Generator as Steps
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property, lru_cache
from typing import Any, cast

from rag.errors import InputError, MissingDependencyError, RagError
from rag.generation.chat import Piece
from rag.generation.completions import StreamError, pieces
from rag.generation.dialect import Dialect, Refused
from rag.generation.messages import Messages
from rag.settings import GenerationSettings
from rag.types import sha256_of

_log = logging.getLogger(__name__)
_PATH = "/chat/completions"
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_FIELDS = {400, 422}  # what servers say to a field that they do not know
_ELSEWHERE = {301, 302, 303, 307, 308, 404, 405}  # and to an address that they do not know
_LONGEST_WAIT = 60.0  # seconds between tries, whatever the server asks for
_TOP = 20  # alternatives of the first token: the most that OpenAI and vLLM give
_BYTES_PER_TOKEN, _TOKENS_PER_PICTURE = 3, 1500  # on the safe side of what is usual


def shared_model(settings: GenerationSettings) -> RemoteModel:
    """The model of these settings; one a process, so that the limit of requests is the process's.

    Raises:
        InputError: address or model are not set, or cannot be used.
        MissingDependencyError: openai or tenacity is not installed.
    """
    key, proxy = settings.openai.api_key, settings.openai.proxy
    plain = settings.model_dump_json(exclude={"openai": {"api_key", "proxy"}, "memo": True})
    return _shared(plain, key.get_secret_value() if key else None, proxy.get_secret_value() if proxy else None)


@lru_cache(maxsize=8)
def _shared(settings: str, key: str | None, proxy: str | None) -> RemoteModel:
    return RemoteModel(GenerationSettings.model_validate_json(settings), key, proxy)


class RemoteModel:
    """See the module. Safe to use from several threads; ``concurrency`` of them at once."""

    def __init__(self, settings: GenerationSettings, key: str | None = None, proxy: str | None = None) -> None:
        try:
            import httpx2
            import openai
            import tenacity  # noqa: F401 - fails early

            from rag.generation.transport import BoundedTransport
        except ImportError as error:
            raise MissingDependencyError(
                'openai and tenacity are not installed: pip install "clincite[llm]"'
            ) from error
        s = self._settings = settings.openai
        self._general = settings
        for name in ("base_url", "model"):
            if not getattr(s, name):
                raise InputError(f"setting 'generation.openai.{name}' is not set, and there is no default")
        self._url = _checked_url(s.base_url or "")
        try:
            wire = httpx2.HTTPTransport(
                verify=ssl.create_default_context(cafile=str(s.ca_file)) if s.ca_file else True,
                trust_env=False,
                limits=httpx2.Limits(max_connections=s.concurrency),
                proxy=proxy,
            )
        except (OSError, ValueError, httpx2.InvalidURL) as error:
            raise InputError(
                f"settings 'generation.openai': 'ca_file' or 'proxy' cannot be used ({type(error).__name__})"
            ) from error
        self._client = openai.OpenAI(
            api_key=key or "none",  # never None: the library would look for one in the environment
            base_url=str(self._url).removesuffix(_PATH),
            max_retries=0,
            http_client=httpx2.Client(transport=BoundedTransport(wire, s, authorized=bool(key)), trust_env=False),
        )
        self._turns = threading.BoundedSemaphore(s.concurrency)
        self._dialect = Dialect(logprobs=s.logprobs)
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

    @property
    def may_think(self) -> bool:
        """Nobody here knows what the server's template makes the model say to itself first."""
        return True

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
            with self._explained(), closing(self._opened(messages, deadline)) as response:
                yield from pieces(response.chunks())
        finally:
            self._turns.release()

    # ------------------------------------------------------------------ the request

    def _opened(self, messages: Messages, deadline: float) -> _Response:
        """A response that has begun well, after as many tries as it takes."""
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

        retrying = Retrying(
            stop=stop_after_attempt(self._settings.attempts) | stop_before_delay(self._settings.total_timeout),
            wait=_wait,
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return retrying(self._begun, messages, deadline)

    def _begun(self, messages: Messages, deadline: float) -> _Response:
        """What a server refuses to be asked is asked otherwise, and from then on only so."""
        from openai import APIStatusError

        from rag.generation.transport import REFUSED

        dialect, tried, first = self._dialect, set[Dialect](), None
        guesses = dialect.guesses()
        while True:
            tried.add(dialect)
            try:
                response = self._sent(messages, dialect, deadline)
            except APIStatusError as error:
                if error.status_code not in _FIELDS:
                    raise
                first, refused = first or error, cast(Refused, error.response.headers.get(REFUSED, ""))
                if refused in ("length", "pictures", "model"):
                    raise
                mended = dialect.without(refused) or next((g for g in guesses if g not in tried), None)
                if mended is None or mended in tried:
                    raise first from None
                dialect = mended
                continue
            self._dialect = dialect
            return response

    def _sent(self, messages: Messages, dialect: Dialect, deadline: float) -> _Response:
        import httpx2
        from openai import omit

        s, g = self._settings, self._general
        left = deadline - time.monotonic()
        if left <= 0:
            raise StreamError(f"gave no answer within {s.total_timeout:g} s")
        content: list[dict[str, Any]] = []
        for p in messages.pictures:
            content += [{"type": "text", "text": p.label}, {"type": "image_url", "image_url": {"url": p.data_url}}]
        turns: list[Any] = dialect.turns(messages, content)
        logprobs = dialect.logprobs and messages.weighed  # they make a response ten times as long
        return _Response(
            self._client.chat.completions.with_raw_response.create(
                model=s.model or "",
                messages=turns,
                stream=True,
                max_tokens=g.max_new_tokens if dialect.limit == "max_tokens" else omit,
                max_completion_tokens=g.max_new_tokens if dialect.limit == "max_completion_tokens" else omit,
                temperature=g.temperature if dialect.sampling else omit,
                seed=g.seed if dialect.sampling else omit,
                timeout=httpx2.Timeout(s.read_timeout, connect=s.connect_timeout, pool=left),
                logprobs=True if logprobs else omit,
                top_logprobs=_TOP if logprobs else omit,
            )
        )

    # ------------------------------------------------------------------ what goes wrong

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever goes wrong as one sentence about this server; the library's errors may hold what the server sent."""
        import httpx2
        from openai import APIError

        try:
            yield
        except StreamError as error:
            raise self._failed(str(error)) from None
        except (APIError, httpx2.HTTPError) as error:
            raise self._failed(self._problem(error)) from None

    def _problem(self, error: Exception) -> str:
        import httpx2
        from openai import APIConnectionError, APIError, APIStatusError

        from rag.generation.transport import REFUSED

        s = self._settings
        if isinstance(error, APIStatusError):
            refused, code = error.response.headers.get(REFUSED, ""), error.status_code
            if refused == "model":
                return f"does not serve the model {s.model!r} (HTTP {code}); check 'generation.openai.model'"
            if code in _ELSEWHERE:
                return (
                    f"has no chat completions at {self._url.path} (HTTP {code}); check 'generation.openai.base_url', "
                    "which ends where /chat/completions begins, mostly in /v1"
                )
            if refused == "length":
                return (
                    f"says that prompt and answer are too long together (HTTP {code}); set 'generation.openai.window' "
                    "to what it takes, or 'generation.max_new_tokens' lower"
                )
            if refused == "pictures":
                return (
                    f"takes no images, or fewer (HTTP {code}); serve a model that sees, or set 'generation.images' to "
                    "what it takes, 0 for none"
                )
            if code in _FIELDS:
                return (
                    f"refused the request (HTTP {code}); check 'generation.openai.model', and whether prompt and "
                    "images fit what it serves"
                )
            if error.status_code in (401, 403):
                return f"refused the API key (HTTP {error.status_code}); set RAG_GENERATION__OPENAI__API_KEY"
            return f"answered with HTTP {error.status_code}"
        if isinstance(error, APIError) and not isinstance(error, APIConnectionError):
            return "reported an error in the middle of its answer"
        cause = error.__cause__ if isinstance(error, APIConnectionError) else error
        if isinstance(cause, httpx2.ConnectError):
            return "cannot be reached; check 'generation.openai.base_url' and that it runs"
        if isinstance(cause, httpx2.ConnectTimeout):
            return f"did not accept a connection within {s.connect_timeout:g} s"
        if isinstance(cause, httpx2.TimeoutException):
            return f"was silent for {s.read_timeout:g} s"
        return f"broke off the connection ({type(cause).__name__})"

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


class _Response:
    """A response that has begun with status 200, its body unread."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def chunks(self) -> Iterator[object]:
        """The JSON values of a stream; of a server that does not stream, its whole answer as one.

        Raises:
            StreamError: it is not JSON.
        """
        from openai import Stream

        http = self._raw.http_response
        try:
            kind = http.headers.get("content-type", "")
            if kind.startswith("text/html"):
                raise StreamError(
                    "sent a page for people; check 'generation.openai.base_url', which mostly ends in /v1"
                )
            if kind.startswith("application/json"):
                yield json.loads(http.read())
            else:
                yield from self._raw.parse(to=Stream[object])
        except (ValueError, RecursionError):
            raise StreamError("sent something that is not JSON") from None

    def close(self) -> None:
        self._raw.http_response.close()


def _checked_url(base: str) -> Any:
    import httpx2

    try:
        url = httpx2.URL(base.rstrip("/").removesuffix(_PATH) + _PATH)
    except (httpx2.InvalidURL, ValueError) as error:
        raise InputError(f"setting 'generation.openai.base_url' is not a URL ({error})") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise InputError(
            "setting 'generation.openai.base_url' must be like https://host:port/v1, without user, query or fragment; "
            "a key belongs in RAG_GENERATION__OPENAI__API_KEY"
        )
    return url


def _loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _may_pass(error: BaseException) -> bool:
    """Whether the server is busy, failing or away: nothing of an answer was begun."""
    import httpx2
    from openai import APIStatusError

    if isinstance(error, APIStatusError):
        return error.status_code in _AGAIN
    away = (httpx2.NetworkError, httpx2.ConnectTimeout, httpx2.RemoteProtocolError)
    return isinstance(error.__cause__, away)


def _wait(state: Any) -> float:
    """As long as the server asks for, else longer and longer with some chance in it."""
    from openai import APIStatusError
    from tenacity import wait_random_exponential

    error = state.outcome.exception()
    asked = _after(error.response.headers.get("retry-after")) if isinstance(error, APIStatusError) else None
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
