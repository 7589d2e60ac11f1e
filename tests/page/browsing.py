"""What the tests of the page do and look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page

SHOTS = Path(__file__).parents[2] / "build" / "screenshots"  # not tracked
HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"

Open = Callable[..., Page]


def ask(page: Page, question: str, image: Path | str | None = None) -> None:
    """Asks, and waits for the decision."""
    if image is not None:
        page.set_input_files("#file", str(image))
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector("#view-ask .record")


def unfold(page: Page) -> None:
    """Opens how the answer came about."""
    page.locator(".how > summary").click()


def shot(page: Page, name: str, *, whole: bool = False) -> None:
    """Keeps a screenshot as a test artefact."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=whole)


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core finds wrong, one line each."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {v['nodes'][0]['html'][:160]} {v['nodes'][0]['failureSummary'][:300]}" for v in found["violations"]
    ]
