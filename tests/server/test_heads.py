"""What a server hears before it knows who speaks: the head of a request, whatever strangers send for one."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from rag.server.web.patience import HEAD_BYTES, HEAD_LINES

from .conftest import Served, running

LINE = b"GET /v1/indexes HTTP/1.1\r\nHost: localhost\r\n"
IN_CHUNKS = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
ENDLESS = {
    "a request line": b"GET /",
    "a header's name": LINE,
    "a header's value": LINE + b"X-Long: ",
    "empty lines before a request": b"",
    "an extension of a chunk": IN_CHUNKS + b"Content-Type: application/json\r\n\r\n1;",
    "a header after the chunks": IN_CHUNKS + b"Content-Type: application/json\r\n\r\n0\r\nX-Late: ",
}


class Attacked(NamedTuple):
    url: str
    process: subprocess.Popen[str]

    def megabytes(self) -> float:
        """Of memory that the process holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def attacked(copied: Path) -> Iterator[Attacked]:
    """A server as people run it, in a process of its own."""
    command = [sys.executable, "-c", "from rag.cli import main; main()", "serve", "--indexes", str(copied)]
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield Attacked(process.stdout.readline().strip().removeprefix("ClinCite listens on "), process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_ten_endless_request_lines_hold_nobody_up(attacked: Attacked) -> None:
    """Before heads were bounded, health checks took more than twenty seconds and memory grew by 430 MB."""
    address, stop, sent = urlsplit(attacked.url), threading.Event(), itertools.count()

    def attack() -> None:
        while not stop.is_set():
            try:
                with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
                    connection.sendall(b"GET /")
                    while not stop.is_set():
                        connection.sendall(b"a" * 65536)
                        next(sent)
            except OSError:  # it hung up: once more
                time.sleep(0.01)

    def check() -> float:
        begin = time.monotonic()
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 200")
        return time.monotonic() - begin

    check()
    before = attacked.megabytes()
    attackers = [threading.Thread(target=attack) for _ in range(10)]
    for attacker in attackers:
        attacker.start()
    try:
        time.sleep(0.5)
        waits = sorted(check() for _ in range(100))
        grown = attacked.megabytes() - before
    finally:
        stop.set()
        for attacker in attackers:
            attacker.join()
    told = f"{statistics.median(waits) * 1e3:.1f} ms, at most {waits[-1] * 1e3:.0f} ms, {grown:.1f} MB more"
    print(f"health checks under ten endless lines ({next(sent) / 16:.0f} MB sent): {told}")
    assert next(sent) > 100, "somebody attacked"
    assert statistics.median(waits) < 0.1, told
    assert waits[-1] < 2, told
    assert grown < 50, told


@pytest.mark.parametrize("begin", ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_is_ended(served: Served, begin: bytes) -> None:
    address, sent = urlsplit(served.url), 0
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        with pytest.raises(OSError):
            connection.sendall(begin)
            while sent < 64 * HEAD_BYTES:
                connection.sendall((b"a" if begin else b"\r\n") * 4096)
                sent += 4096
        assert sent < 64 * HEAD_BYTES
    assert served.client.get("/healthz").status_code == 200


def replies(served: Served, *parts: bytes) -> bytes:
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_long_heads_are_named_and_usual_ones_are_served(served: Served) -> None:
    end = b"Connection: close\r\n\r\n"
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    many = b"".join(b"X-%d: y\r\n" % n for n in range(HEAD_LINES + 1))
    long = b"X-Long: " + b"y" * (HEAD_BYTES - 100) + b"\r\n"
    told = replies(served, health + many + end)
    assert told.startswith(b"HTTP/1.1 431") and told.count(b"HTTP/1.1") == 1
    assert b"application/problem+json" in told and b"64 KiB or 100 lines" in told
    assert replies(served, health + long * 2 + end).startswith(b"HTTP/1.1 431")
    assert replies(served, health + long + end).startswith(b"HTTP/1.1 200")
    assert replies(served, health + b"X-A: y\r\n" * (HEAD_LINES - 5) + end).startswith(b"HTTP/1.1 200")


def test_what_follows_in_the_same_packet_is_not_part_of_the_head(served: Served) -> None:
    """Several requests at once, and a body that is longer than any head."""
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    pipelined = (health + b"X-Long: " + b"y" * 20_000 + b"\r\n\r\n") * 8 + health + b"Connection: close\r\n\r\n"
    assert replies(served, pipelined).count(b"HTTP/1.1 200") == 9
    body = b'{"question": "' + b"x" * 300_000 + b'"}'
    head = b"POST /v1/answers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    assert b"HTTP/1.1 422" in replies(served, whole)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:10], body[10:200_000], body[200_000:]))
    assert b"HTTP/1.1 422" in replies(served, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")


def test_nothing_but_http_is_spoken(served: Served) -> None:
    wish = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    assert not replies_at_once(served, b"GET /v1/answers HTTP/1.1\r\nHost: localhost\r\n" + wish).startswith(
        b"HTTP/1.1 101"
    )


def replies_at_once(served: Served, request: bytes) -> bytes:
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def test_a_head_that_comes_drop_by_drop_has_an_end(copied: Path) -> None:
    with running(copied, silence_s=1.0) as one:
        address, begin = urlsplit(one.url), time.monotonic()
        with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
            connection.sendall(b"GET /")
            with pytest.raises(OSError):
                while time.monotonic() - begin < 15:
                    connection.sendall(b"a")
                    time.sleep(0.1)
        assert time.monotonic() - begin < 10
