"""The page works with a keyboard alone, on small screens, in the dark, and axe-core finds nothing wrong."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from rag.corpus.packaged import packaged_file

from .browsing import Open, ask, shot, unfold, violations

_SEEN = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  if (e.id === "question") return getComputedStyle(e.closest("form")).boxShadow.includes("0px 0px 0px 1px");
  return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
}"""
VIEWS = ("/", "/#/history", "/#/indexes", "/#/studies/small/CXR2814")
SHOWN = {"history": "#view-history .history li", "indexes": ".index-detail table", "studies": ".study-document"}


def focused(page: Page, selector: str) -> bool:
    return bool(page.evaluate("(s) => document.activeElement.matches(s)", selector))


def test_everything_is_done_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page("/#/history")
    page.keyboard.press("Tab")
    assert focused(page, ".skip")
    page.keyboard.press("Enter")
    assert focused(page, "#main")
    page.keyboard.press("/")
    assert focused(page, "#question")
    page.keyboard.type("What is drusen?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".record")
    page.keyboard.press("Escape")  # out of the question, so that letters are keys again
    page.keyboard.press("j")
    assert focused(page, ".sentences li:first-child")
    expect(page.locator("mark.lit").first).to_be_visible()
    page.keyboard.press("j")
    assert focused(page, ".sentences li:nth-child(2)")
    page.keyboard.press("k")
    page.keyboard.press("Tab")
    assert focused(page, ".chip")
    page.keyboard.press("Enter")
    assert focused(page, "#evidence-1")
    page.keyboard.press("2")
    assert focused(page, "#evidence-2")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Next and previous sentence")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("h")
    expect(page.locator("#view-history .history li").first).to_be_visible()
    page.keyboard.press("i")
    expect(page.locator(".index-detail h2")).to_be_visible()


def test_focus_is_seen(open_page: Open) -> None:
    page = open_page("/#/history")
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    for _ in range(8):
        assert page.evaluate(_SEEN), page.evaluate("document.activeElement.outerHTML.slice(0, 100)")
        page.keyboard.press("Tab")


def test_single_key_shortcuts_can_be_turned_off(page: Page) -> None:
    page.locator("#open-help").click()
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    assert "history" not in page.url


@pytest.mark.parametrize("width", [320, 640, 768])  # 640: a screen of 1280 at 200%
def test_small_screens_never_scroll_sideways(width: int, open_page: Open) -> None:
    page = open_page(viewport={"width": width, "height": 640})
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert page.evaluate(fits)
    ask(page, "What is drusen?")
    assert page.evaluate(fits)
    shot(page, f"narrow-{width}", whole=True)
    for path in VIEWS[1:]:
        page.evaluate("(h) => { location.hash = h; }", path[1:])
        page.wait_for_selector(SHOWN[path.split("/")[2]])
        assert page.evaluate(fits), path
        shot(page, f"narrow-{width}-{path.split('/')[2]}", whole=True)


def test_light_and_dark_follow_the_system_and_the_choice(open_page: Open) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = open_page(color_scheme="light"), open_page(color_scheme="dark")
    colours = [light.evaluate(ground), dark.evaluate(ground)]
    assert colours[0] != colours[1]
    dark.get_by_role("button", name="Use light colours").click()
    assert dark.evaluate(ground) == colours[0]
    dark.reload()
    assert dark.evaluate(ground) == colours[0], "the choice is remembered"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_in_any_state(scheme: Literal["light", "dark"], open_page: Open, axe: str) -> None:
    page = open_page(color_scheme=scheme)
    found = {"empty": violations(page, axe)}
    shot(page, f"{scheme}-empty")
    ask(page, "What is drusen?")
    page.locator(".sentences li").first.focus()
    unfold(page)
    page.locator(".curve-figure summary").click()
    page.locator(".menu > summary").click()
    found["answer"] = violations(page, axe)
    page.evaluate("scrollTo(0, 0)")
    shot(page, f"{scheme}-answer")
    ask(page, "Does study CXR227 show a pleural effusion?")
    found["not answered"] = violations(page, axe)
    shot(page, f"{scheme}-not-answered")
    ask(page, "What does this photograph show?", packaged_file("skimage", "data", "retina.jpg"))
    page.wait_for_selector(".card .thumbnail:enabled")
    found["image"] = violations(page, axe)
    page.locator(".card .thumbnail").first.click()
    found["enlarged"] = violations(page, axe)
    page.keyboard.press("Escape")
    page.locator("#open-help").click()
    found["shortcuts"] = violations(page, axe)
    page.keyboard.press("Escape")
    page.locator("#open-key").click()
    found["key"] = violations(page, axe)
    page.keyboard.press("Escape")
    page.evaluate("location.hash = '#/history'")
    page.wait_for_selector("#view-history .history li")
    found["history"] = violations(page, axe)
    page.locator("#view-history .history a").first.click()
    page.wait_for_selector("#view-answer .record")
    found["recorded"] = violations(page, axe)
    page.locator("#view-answer .open-source").first.click()
    page.wait_for_selector(".reading mark.lit")
    found["source"] = violations(page, axe)
    shot(page, f"{scheme}-source")
    page.evaluate("location.hash = '#/studies/small/CXR2814'")
    page.wait_for_selector(".study-document")
    found["study"] = violations(page, axe)
    page.evaluate("location.hash = '#/indexes'")
    page.wait_for_selector(".index-detail table")
    found["indexes"] = violations(page, axe)
    shot(page, f"{scheme}-indexes")
    page.get_by_role("button", name="Go back to version 1").click()
    found["confirmation"] = violations(page, axe)
    assert {state: wrong for state, wrong in found.items() if wrong} == {}
