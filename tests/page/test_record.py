"""Every answer can be found again, verified, replayed, taken away and judged."""

from __future__ import annotations

import json
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

from playwright.sync_api import Page, expect

from rag.corpus.packaged import packaged_file

from .browsing import Open, ask, shot


def test_an_answer_is_found_in_the_history_as_it_was_given(page: Page) -> None:
    ask(page, "What is the capital of Spain?")
    ask(page, "What is drusen?")
    before = page.locator("#view-ask .sentences").inner_text()
    page.get_by_role("link", name="History").click()
    rows = page.locator(".history li")
    expect(rows.nth(0)).to_contain_text("What is drusen?")
    expect(rows.nth(0)).to_contain_text("Answered")
    expect(rows.nth(1)).to_contain_text("Not answered")
    shot(page, "history")
    rows.nth(0).get_by_role("link").click()
    expect(page.locator("#view-answer h2.asked")).to_have_text("What is drusen?")
    assert page.locator("#view-answer .sentences").inner_text() == before
    page.reload()
    expect(page.locator("#view-answer .card").first).to_be_visible()
    shot(page, "recorded")
    page.go_back()
    expect(rows.nth(0)).to_be_visible()


def test_a_record_is_verified_and_replayed(page: Page) -> None:
    ask(page, "What is drusen?")
    page.get_by_role("button", name="Verify").click()
    expect(page.locator(".audit-result .good")).to_have_text("The record holds.")
    assert page.locator(".checks .pass").count() >= 4
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".audit-result .good")).to_have_text("The same answer, from the same evidence.")


def test_a_report_of_an_answer_is_taken_away(page: Page) -> None:
    ask(page, "What is drusen?")
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    assert "extracellular material" in download.value.path().read_text()
    assert download.value.suggested_filename.endswith(".html")


def test_an_answer_is_judged_right_wrong_or_corrected(page: Page) -> None:
    ask(page, "What is drusen?")
    page.get_by_role("button", name="Right", exact=True).click()
    expect(page.locator(".feedback")).to_contain_text("It is on record with the answer.")
    ask(page, "Does study CXR2814 show cardiomegaly?")
    page.get_by_role("button", name="Correct it").click()
    page.get_by_label("The right answer").fill("no")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".feedback")).to_contain_text("It is on record with the answer.")


def test_an_answer_that_is_not_on_record_is_one_sentence(open_page: Open) -> None:
    page = open_page("/#/answers/a-20200101-aaaaaaaa", expected=("status of 404", "status of 422"))
    expect(page.locator("#view-answer .problem")).not_to_be_empty()
    assert page.locator("#view-answer .problem").inner_text().endswith(".")


def test_a_long_history_is_read_page_by_page(open_page: Open, site: str) -> None:
    for n in range(25):
        body = json.dumps({"question": f"What is drusen, asked {n} times?"}).encode()
        urlopen(HTTPRequest(f"{site}/v1/answers", body, {"Content-Type": "application/json"})).close()
    page = open_page("/#/history")
    rows = page.locator(".history li")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("asked 24 times")
    page.get_by_role("button", name="Older answers").click()
    expect(rows.nth(24)).to_contain_text("asked 0 times")


def test_the_image_of_a_question_is_on_record_with_it(page: Page) -> None:
    ask(page, "What does this photograph show?", packaged_file("skimage", "data", "retina.jpg"))
    page.get_by_role("link", name="History").click()
    page.locator(".history a").first.click()
    page.wait_for_selector("#view-answer .asked-image:enabled")
    assert page.locator("#view-answer .asked-image img").evaluate("(i) => i.complete && i.naturalWidth > 100")


def test_the_whole_record_is_verified_and_exported(page: Page) -> None:
    ask(page, "What is drusen?")
    page.get_by_role("link", name="History").click()
    page.get_by_role("button", name="Verify all").click()
    expect(page.locator("#view-history .good")).to_contain_text("hold")
    head = page.locator("#view-history code").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert head in download.value.path().read_text().splitlines()[-1]
