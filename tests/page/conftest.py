"""The page in a real browser, against the real server, over a small real index."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed (pip install clincite[dev])")
pytest.importorskip("fastapi", reason="the server's packages are not installed (pip install clincite[serve])")

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, sync_playwright

from .browsing import HOSTILE, Open

ROOT = Path(__file__).parents[2]
AXE = "4.14.1"
WIDE: ViewportSize = {"width": 1360, "height": 900}

CASES = [
    {
        "id": "SARC-1",
        "kind": "literature",
        "title": f"Zebrafishosis {HOSTILE}",
        "domain": "radiology",
        "text": f"Zebrafishosis is a made-up disease. {HOSTILE} It never occurs.",
        "group": "made-up",
        "licence": f"CC0 {HOSTILE}",
    },
    {
        "id": "EMOJI-1",
        "domain": "radiology",
        "text": "🫁🫀 Chest. There is cardiomegaly. No pleural effusion.",
        "group": "emoji",
        "licence": "CC0",
    },
]

_SERVE = """
import sys
from rag.server.run import serve
from rag.settings import Settings
serve(Settings.model_validate_json(sys.argv[1]), ("small",), lambda line: print(line, flush=True))
"""


@contextmanager
def serving(folder: Path, **settings: Any) -> Iterator[str]:
    """A server, in a process of its own, of the index ``small`` in ``folder``; gives its address."""
    whole = json.dumps({"indexes": str(folder), "serving": {"port": 0, **settings}})
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with (folder / "server.log").open("w") as log:
        command = [sys.executable, "-c", _SERVE, whole]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=env, text=True)
    assert server.stdout is not None
    address = next((found[0] for line in server.stdout if (found := re.search(r"http://[\d.:]+", line))), None)
    if address is None:
        pytest.fail(f"the server did not start: {(folder / 'server.log').read_text()[-2000:]}")
    threading.Thread(target=server.stdout.read, daemon=True).start()
    try:
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def site(copy_index: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose index ``small`` has two versions; the second added hostile and odd texts."""
    from rag import Index

    folder = tmp_path_factory.mktemp("served")
    copy_index(folder / "small")
    (folder / "made-up.jsonl").write_text("\n".join(map(json.dumps, CASES)))
    with Index.open(folder / "small") as index:
        index.ingest(folder / "made-up.jsonl")
    with serving(folder) as address:
        yield address


@pytest.fixture
def locked(copy_index: Callable[[Path], None], tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a server that asks for a key, and a key that may ask and no more."""
    from rag.server.access.keys import KeyFile

    copy_index(tmp_path / "small")
    key, _ = KeyFile(tmp_path / "keys.json").add("reader", ["ask"])
    with serving(tmp_path, keys=str(tmp_path / "keys.json")) as address:
        yield address, key


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium (or the one that CHROMIUM names); skips where it is absent.

    Not for the session: while Playwright's loop runs in this thread, no other test can run one of its own.
    """
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed (apt-get install chromium), so the page is not tested")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """What a page did besides being looked at."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)


@pytest.fixture
def open_page(browser: Browser, site: str) -> Iterator[Open]:
    """Opens the page; afterwards nothing may have gone wrong in it or have been asked of another origin."""
    opened: list[tuple[Page, Watched, tuple[str, ...]]] = []

    def opener(path: str = "/", *, at: str = site, expected: tuple[str, ...] = (), **options: Any) -> Page:
        context = browser.new_context(**({"viewport": WIDE, "reduced_motion": "reduce"} | options))
        context.set_default_timeout(30_000)
        page = context.new_page()
        opened.append((page, Watched(page), expected))
        page.goto(at + path)
        if at == site:
            page.wait_for_selector("#index option", state="attached")
        return page

    yield opener
    for page, watched, expected in opened:
        assert [e for e in watched.errors if not any(x in e for x in expected)] == []
        own = (page.url.split("#")[0], "blob:", "data:")
        assert [u for u in watched.requests if not u.startswith(own) and "evil.js" not in u] == []
        page.context.close()


@pytest.fixture
def page(open_page: Open) -> Page:
    return open_page()


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from npm, kept in the user's cache; skips where neither has it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clincite-tests"
    source = cache / f"axe-core-{AXE}.js"
    if not source.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed, so axe-core cannot be fetched and accessibility is not checked")
        folder = cache / f"fetch-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([npm, "pack", f"axe-core@{AXE}"], cwd=folder, capture_output=True, text=True, timeout=120)
        if done.returncode:
            pytest.skip(f"npm cannot fetch axe-core here: {done.stderr.strip()[-200:]}")
        with tarfile.open(folder / f"axe-core-{AXE}.tgz") as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            aside = folder / "axe.js"
            aside.write_bytes(member.read())
        aside.replace(source)
        shutil.rmtree(folder)
    return source.read_text()


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Another origin, with a script."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "evil.js").write_text("window.hacked = 1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
