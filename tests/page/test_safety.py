"""Documents cannot act, nothing comes from elsewhere, and the page is light."""

from __future__ import annotations

from typing import Any

import httpx
from playwright.sync_api import Page, expect

from rag.corpus.packaged import packaged_file

from .browsing import HOSTILE, Open, ask


def test_markup_in_documents_is_text(open_page: Open) -> None:
    page = open_page()
    ask(page, "What is zebrafishosis?")
    card = page.locator(".card", has_text="Zebrafishosis is a made-up disease").first
    expect(card.locator("blockquote")).to_contain_text(HOSTILE)
    expect(card.locator("h3")).to_contain_text(HOSTILE)
    expect(card.locator("footer")).to_contain_text(HOSTILE)
    assert page.locator(".cards script, .cards img").count() == 0
    page.evaluate("location.hash = '#/indexes'")
    expect(page.locator("tr", has_text="made-up")).to_contain_text([HOSTILE])
    assert page.evaluate("window.hacked") is None


def test_markup_in_questions_and_addresses_is_text(open_page: Open) -> None:
    page = open_page(expected=("status of 4",))
    ask(page, f"What is drusen? {HOSTILE}")
    expect(page.locator(".asked")).to_contain_text(HOSTILE)
    page.goto(page.url.split("#")[0] + "#/answers/%3Cimg%20src=x%20onerror='window.hacked=1'%3E")
    expect(page.locator("#view-answer .problem")).not_to_be_empty()
    assert page.evaluate("window.hacked") is None


def test_scripts_of_other_origins_and_inline_ones_do_not_run(open_page: Open, elsewhere: str) -> None:
    page = open_page(expected=("Content Security Policy", "violates the following", "Refused to"))
    page.evaluate(
        """(address) => new Promise((done) => {
          const foreign = document.createElement("script");
          foreign.src = `${address}/evil.js`;
          foreign.onload = foreign.onerror = done;
          const inline = document.createElement("script");
          inline.textContent = "window.hacked = 1";
          const handler = document.createElement("div");
          handler.setAttribute("onclick", "window.hacked = 1");
          document.body.append(inline, handler, foreign);
          handler.click();
        })""",
        elsewhere,
    )
    assert page.evaluate("window.hacked") is None
    ask(page, "What is drusen?")
    expect(page.locator(".sentences li").first).to_be_visible()


def test_the_first_paint_is_quick_and_the_page_light(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    images: set[str] = set()
    sizes: dict[str, float] = {}

    def received(event: dict[str, Any]) -> None:
        if event["response"]["mimeType"].startswith("image/"):
            images.add(event["requestId"])

    session.on("Network.responseReceived", received)
    session.on("Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]}))
    page.reload()
    page.wait_for_selector("#index option", state="attached")
    ask(page, "What is drusen?")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    total = sum(size for request, size in sizes.items() if request not in images)
    print(f"first contentful paint {paint:.0f} ms, {total / 1000:.0f} kB in {len(sizes)} requests")
    assert paint < 1000
    assert 0 < total < 200_000


def test_an_upgrade_never_mixes_old_and_new_files(site: str) -> None:
    first = httpx.get(f"{site}/static/icon.svg")
    assert first.headers["Cache-Control"] == "no-cache"
    again = httpx.get(f"{site}/static/icon.svg", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_key_is_asked_for_sent_and_forgotten_with_the_tab(open_page: Open, locked: tuple[str, str]) -> None:
    address, key = locked
    page = open_page(at=address, expected=("status of 401", "status of 403"))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This server asks for a key")
    dialog.get_by_label("Key").fill("cck_wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_contain_text("The key is not known here.")
    dialog.get_by_label("Key").fill(key)
    dialog.get_by_role("button", name="Use this key").click()
    page.wait_for_selector("#index option", state="attached")
    ask(page, "What does this photograph show?", packaged_file("skimage", "data", "retina.jpg"))
    page.wait_for_selector(".card .thumbnail:enabled")  # images of the evidence need the key, too
    page.get_by_role("link", name="History").click()
    expect(page.locator("#view-history .empty")).to_have_text("The key lacks the scope 'audit'.")
    assert page.evaluate("localStorage.length") == 0
    other = page.context.new_page()
    other.goto(address)
    expect(other.get_by_role("dialog")).to_contain_text("This server asks for a key")
