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
    rows = page.locator("#view-history .history li")
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
    kept = {
        "Report (HTML)": (".html", b"extracellular material"),
        "FHIR report": (".fhir.json", b"DiagnosticReport"),
        "DICOM report (SR)": (".dcm", b"DICM"),
    }
    for name, (suffix, content) in kept.items():
        page.locator(".menu > summary").click()
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert content in download.value.path().read_bytes()
        assert download.value.suggested_filename.endswith(suffix)
        expect(page.locator(".menu-items")).to_be_hidden()


def test_an_answer_is_copied_with_its_citations(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "Does study CXR2814 show cardiomegaly?")
    page.get_by_role("button", name="Copy with citations").click()
    expect(page.locator(".audit-result .good")).to_have_text("Copied, with its citations.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "Yes: “There is cardiomegaly.” [1]" in copied
    assert "[1] Chest X-ray report CXR2814 (open-i, CXR2814) “There is cardiomegaly.”" in copied
    assert page.locator(".record .id").inner_text() in copied


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
    rows = page.locator("#view-history .history li")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("asked 24 times")
    page.get_by_role("button", name="Older answers").click()
    expect(rows.nth(24)).to_contain_text("asked 0 times")


def test_the_history_is_searched_and_narrowed(page: Page) -> None:
    ask(page, "Does study CXR2814 show cardiomegaly?")
    page.get_by_role("button", name="Right", exact=True).click()
    expect(page.locator(".feedback")).to_contain_text("It is on record with the answer.")
    ask(page, "What is the capital of Italy?")
    page.get_by_role("link", name="History").click()
    rows = page.locator("#view-history .history li")
    page.get_by_label("Search").fill("capital ITALY")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("Not answered")
    page.get_by_label("Search").fill("cxr2814 cardiomegaly")
    page.get_by_label("Judgement").select_option("Judged")
    expect(rows.first).to_contain_text("Judged right")
    expect(rows.first.locator(".decision")).to_have_text("Yes")
    shot(page, "history-searched")
    page.get_by_label("Decision").select_option("Not answered")
    expect(page.locator("#view-history .empty")).to_have_text("No answer on record is like that.")
    page.get_by_label("Decision").select_option("Any")
    expect(rows.first).to_be_visible()
    page.get_by_label("From").fill("2999-01-01")
    expect(rows).to_have_count(0)


def test_the_image_of_a_question_is_on_record_with_it(page: Page) -> None:
    ask(page, "What does this photograph show?", packaged_file("skimage", "data", "retina.jpg"))
    page.get_by_role("link", name="History").click()
    page.locator("#view-history .history a").first.click()
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
