"""Servers on loopback: transformers' own, a proxy before it that fails as told, and one that says what it is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

Act = Callable[["Handler", dict[str, Any]], None]


@contextmanager
def transformers_serve(model: Path) -> Iterator[str]:
    """``transformers serve`` with one model, in a process of its own: yields its base URL."""
    script = Path(__file__).parent / "serve.py"
    with subprocess.Popen(
        [sys.executable, str(script), str(model)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stderr is not None
            heard = deque(maxlen=20)
            for line in process.stderr:
                heard.append(line)
                if running := re.search(r"running on (http://\S+)", line):
                    break
            else:
                raise RuntimeError("".join(heard))
            threading.Thread(target=process.stderr.read, daemon=True).start()  # lest it fill up
            yield f"{running[1]}/v1"
        finally:
            process.terminate()


class Handler(BaseHTTPRequestHandler):
    """One request: does the server's next act, or its usual one when none is left."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        with self.server.lock:
            self.server.requests.append({"body": body, "headers": self.headers, "path": self.path, "raw": raw})
            act = self.server.acts.popleft() if self.server.acts else self.server.usual
        try:
            act(self, body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has heard enough
        finally:
            self.close_connection = True

    def head(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def say(self, data: str | bytes) -> None:
        self.wfile.write(data.encode() if isinstance(data, str) else data)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Does its next act for a request, or its usual one; ``requests`` are those received."""

    daemon_threads = True

    def __init__(self, usual: Act) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.usual, self.acts = usual, deque[Act]()
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def serving(usual: Act) -> Iterator[Server]:
    with Server(usual) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# ---------------------------------------------------------------------- acts


def chunk(text: str | None = None, end: str | None = None, **more: Any) -> str:
    """One event of a stream."""
    choice = {"index": 0, "delta": {} if text is None else {"content": text}, "finish_reason": end, **more}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def saying(text: str, yes: float | None = None, pause: float = 0.0) -> Act:
    """Streams ``text`` word by word; with P(yes) of the first token, of two equally spelt alternatives each."""
    import math

    logprobs = None
    if yes is not None:
        split = {"Yes": yes * 0.5, " yes": yes * 0.4, "No": (1 - yes) * 0.5, "NO": (1 - yes) * 0.4, "The": 0.1}
        top = [{"token": t, "logprob": math.log(max(p, 1e-9))} for t, p in split.items()]
        logprobs = {"content": [{"token": "Yes", "logprob": top[0]["logprob"], "top_logprobs": top}]}

    def act(handler: Handler, body: dict[str, Any]) -> None:
        handler.head()
        handler.say(chunk("", delta={"role": "assistant"}))
        for n, word in enumerate(re.findall(r"\S+\s*|\s+", text)):
            handler.say(chunk(word, **({"logprobs": logprobs} if n == 0 and body.get("logprobs") else {})))
            time.sleep(pause)
        handler.say(chunk(end="stop") + "data: [DONE]\n\n")

    return act


def forwarding(base: str) -> Act:
    """Hands everything on to the server at ``base``, and its answer back as it comes."""

    def act(handler: Handler, body: dict[str, Any]) -> None:
        with httpx.stream("POST", f"{base}/chat/completions", json=body, timeout=60, trust_env=False) as response:
            handler.head(response.status_code, response.headers["content-type"])
            for data in response.iter_raw():
                handler.say(data)

    return act


def cutting(base: str) -> Act:
    """The real answer without its last event."""

    def act(handler: Handler, body: dict[str, Any]) -> None:
        answer = httpx.post(f"{base}/chat/completions", json=body, timeout=60, trust_env=False)
        handler.head()
        handler.say(answer.text.rstrip().rpartition("\n\n")[0] + "\n\n")

    return act


def status(code: int, text: str = "the patient has a secret", **headers: str) -> Act:
    def act(handler: Handler, body: dict[str, Any]) -> None:
        handler.head(code, "text/plain", **headers)
        handler.say(text)

    return act


def raw(data: str | bytes, kind: str = "text/event-stream") -> Act:
    def act(handler: Handler, body: dict[str, Any]) -> None:
        handler.head(kind=kind)
        handler.say(data)

    return act


def silent(seconds: float, kind: str = "text/event-stream") -> Act:
    """Begins, and then says nothing."""

    def act(handler: Handler, body: dict[str, Any]) -> None:
        handler.head(kind=kind)
        handler.say(chunk("The "))
        time.sleep(seconds)
        handler.say(chunk("end."))

    return act


def endless(data: str, pause: float = 0.0, code: int = 200, **headers: str) -> Act:
    def act(handler: Handler, body: dict[str, Any]) -> None:
        handler.head(code, **headers)
        while True:
            handler.say(data)
            time.sleep(pause)

    return act


def hanging_up(handler: Handler, body: dict[str, Any]) -> None:
    """Closes the connection without a word."""
    handler.connection.close()
