"""The index page: what is in an index and under which licences, its versions, and its door for new sources."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .browsing import Open, ask, shot

REPORT = """<eCitation><uId id="{0}"/><pmcId id="{0}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="FINDINGS">The quokkaline is widened. No pneumothorax.</AbstractText>
<AbstractText Label="IMPRESSION">Widened quokkaline.</AbstractText></Abstract></Article>
</MedlineCitation></eCitation>"""


@pytest.fixture
def indexes_page(open_page: Open) -> Page:
    page = open_page("/#/indexes")
    expect(page.locator(".index-detail h2")).to_have_text("small")
    return page


def served(page: Page, number: int) -> None:
    """Waits until the page shows that this version is served."""
    expect(page.locator(".index-list a[aria-current] .meta")).to_contain_text(f"version {number} ")
    expect(page.locator("tbody tr", has_text="served now").locator("td").first).to_have_text(str(number))


def version(page: Page) -> int:
    found = re.search(r"version (\d+)", page.locator(".index-list a[aria-current] .meta").inner_text())
    assert found is not None
    return int(found[1])


def test_corpora_are_listed_with_counts_and_licences(indexes_page: Page) -> None:
    row = indexes_page.locator("tr", has_text="open-i")
    expect(row).to_contain_text("CC BY-NC-ND 4.0")
    expect(row).to_contain_text(re.compile(r"2\d\d"))
    expect(indexes_page.locator("tr", has_text="small 2025-01-16").first).to_contain_text("literature")
    shot(indexes_page, "indexes", whole=True)


def test_going_back_asks_first_and_publishes_what_the_version_held(indexes_page: Page) -> None:
    page = indexes_page
    now = version(page)
    page.get_by_role("button", name="Go back to version 1").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is deleted")
    shot(page, "rollback")
    dialog.get_by_role("button", name="Cancel").click()
    assert version(page) == now
    page.get_by_role("button", name="Go back to version 1").click()
    dialog.get_by_role("button", name="Go back to 1").click()
    served(page, now + 1)
    page.get_by_role("button", name=f"Go back to version {now}").click()
    dialog.get_by_role("button", name=f"Go back to {now}").click()
    served(page, now + 2)


def test_files_are_added_with_progress_and_a_bad_one_is_set_aside_by_name(indexes_page: Page, tmp_path: Path) -> None:
    page = indexes_page
    now = version(page)
    (tmp_path / "good.xml").write_text(REPORT.format("CXR90001"))
    (tmp_path / "broken.xml").write_text("<eCitation><uId id=")
    page.set_input_files("#sources", [str(tmp_path / "good.xml"), str(tmp_path / "broken.xml")])
    page.get_by_role("button", name="Add to the index").click()
    expect(page.locator(".job")).to_contain_text("1 added", timeout=60_000)
    expect(page.locator(".quarantine li")).to_have_count(1)
    expect(page.locator(".quarantine")).to_contain_text("broken.xml")
    served(page, now + 1)
    page.locator(".job").scroll_into_view_if_needed()
    shot(page, "ingest")
    page.get_by_role("link", name="Ask").click()
    ask(page, "Does study CXR90001 show a pneumothorax?")
    expect(page.locator(".verdict")).to_have_text("No")


def test_sources_that_hold_nothing_readable_change_nothing_and_say_so(indexes_page: Page, tmp_path: Path) -> None:
    page = indexes_page
    now = version(page)
    (tmp_path / "broken.xml").write_text("<eCitation><uId id=")
    page.set_input_files("#sources", str(tmp_path / "broken.xml"))
    page.get_by_role("button", name="Add to the index").click()
    expect(page.locator(".job-state")).to_contain_text("Failed", timeout=60_000)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    assert version(page) == now


def test_an_ingest_can_be_cancelled_and_publishes_nothing(indexes_page: Page, tmp_path: Path) -> None:
    page = indexes_page
    now = version(page)
    rows = ({"id": f"long-{n}", "text": f"Case {n}. The heart is enlarged. " * 20} for n in range(4000))
    (tmp_path / "long.jsonl").write_text("\n".join(map(json.dumps, rows)))
    page.set_input_files("#sources", str(tmp_path / "long.jsonl"))
    page.get_by_role("button", name="Add to the index").click()
    page.locator(".job").get_by_role("button", name="Cancel").click()
    expect(page.locator(".job-state")).to_contain_text("Cancelled", timeout=60_000)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.reload()
    expect(page.locator(".index-detail h2")).to_have_text("small")
    assert version(page) == now
