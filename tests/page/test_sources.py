"""Sources opened at their quotes, studies found and read, counts as a table, and examples of the index at hand."""

from __future__ import annotations

import io
import json
import time
import zipfile
from pathlib import Path

import httpx
import pytest
from pdfs import pdf_of
from PIL import Image
from playwright.sync_api import Page, Route, expect

from rag.corpus.packaged import packaged_file

from .browsing import Open, ask, shot, violations

PAGES = [
    ["Guideline for drains"],
    ["The drain stays in place.", "A chest drain is removed when the lung has expanded."],
]


def ingest(site: str, name: str, content: bytes) -> None:
    """Adds a file to the index, and waits until it is in it."""
    done = httpx.post(f"{site}/v1/indexes/small/ingest", files={"file": (name, content)}).json()
    for _ in range(120):
        if done["state"] not in ("queued", "running"):
            break
        time.sleep(0.5)
        done = httpx.get(f"{site}/v1/jobs/{done['id']}").json()
    assert done["state"] == "done"


def test_a_citation_opens_its_source_at_the_quote_and_keys_go_on(page: Page) -> None:
    ask(page, "What is drusen?")
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("o")
    lit = page.locator(".reading mark.lit")
    expect(lit.first).to_be_in_viewport()
    first = lit.all_inner_texts()
    place = page.locator(".quotes .place")
    expect(place).to_contain_text("Quote 1 of ")
    expect(page.get_by_role("button", name="Previous quote")).to_be_disabled()
    page.keyboard.press("n")
    expect(place).to_contain_text("Quote 2 of ")
    expect(lit.first).to_be_visible()
    assert lit.all_inner_texts() != first
    shot(page, "source")
    page.keyboard.press("p")
    expect(place).to_contain_text("Quote 1 of ")
    page.go_back()
    page.go_back()
    page.go_back()
    expect(page.locator("#view-ask .sentences li").first).to_be_visible()


def test_a_report_is_read_with_its_sections_and_leads_to_its_study(page: Page) -> None:
    ask(page, "Does study CXR2814 show cardiomegaly?")
    page.get_by_role("link", name="Open at the quote").click()
    expect(page.locator(".reading mark.lit")).to_have_text("There is cardiomegaly.")
    expect(page.locator(".reading b").filter(has_text="IMPRESSION:")).to_be_visible()
    page.get_by_role("link", name="The study").click()
    expect(page.locator("#view-studies h2")).to_have_text("CXR2814")
    page.get_by_role("button", name="Ask about this study").click()
    expect(page.locator("#study")).to_have_value("CXR2814")


def test_a_quote_of_a_pdf_file_is_shown_where_it_is_printed(open_page: Open, site: str, tmp_path: Path) -> None:
    pytest.importorskip("pypdfium2", reason="PDF files need pypdfium2 (pip install clincite[pdf])")
    ingest(site, "guide.pdf", pdf_of(tmp_path / "guide.pdf", PAGES).read_bytes())
    page = open_page()
    ask(page, "When is a chest drain removed?")
    page.locator(".card", has_text="A chest drain is removed").get_by_role("link", name="Open at the quote").click()
    sheet, box = page.locator(".sheet img"), page.locator(".printed-box")
    page.wait_for_function("(i) => i.complete && i.naturalWidth > 100", arg=sheet.element_handle())
    outer, inner = sheet.bounding_box(), box.first.bounding_box()
    assert outer is not None and inner is not None
    assert outer["x"] < inner["x"] < inner["x"] + inner["width"] < outer["x"] + outer["width"]
    shot(page, "source-printed", whole=True)
    expect(page.locator(".parts a").first).to_have_text("page 1")  # the work's name is said once, above
    page.locator(".parts a").first.click()  # another page of the work
    expect(page.locator(".reading")).to_contain_text("Guideline for drains")
    expect(page.locator(".sheet")).to_have_count(0)


def test_a_study_is_completed_and_its_images_are_opened(page: Page, axe: str) -> None:
    page.fill("#study", "cxr281")
    expect(page.locator("#study-known option[value=CXR2814]")).to_have_count(1)
    page.get_by_role("link", name="Studies").click()
    page.get_by_label("Study", exact=True).filter(visible=True).fill("sample/retina")
    page.keyboard.press("Enter")
    expect(page.locator(".study-document")).to_contain_text("optic disc")
    found = violations(page, axe)
    page.locator(".source-image:enabled").click()
    page.wait_for_selector(".viewer .stage[data-scale]")
    page.keyboard.press("Escape")
    shot(page, "study-read")
    assert found == []


def test_the_slices_of_an_indexed_series_are_turned_in_order(open_page: Open, site: str, data: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in (1, 2, 3):
            archive.write(data / "dicom" / "dcmqi" / f"ct-3slice_0{n}.dcm", f"slice-{n}.dcm")
    ingest(site, "series.zip", packed.getvalue())
    study = httpx.get(f"{site}/v1/indexes/small/studies", params={"starting": "study-"}).json()["studies"][0]
    page = open_page(f"/#/studies/small/{study}")
    page.locator(".source-image:enabled").click()
    place = page.locator(".viewer .place")
    expect(place).to_have_text("2 of 3")
    page.keyboard.press("]")
    expect(place).to_have_text("3 of 3")
    expect(page.locator(".readout")).to_contain_text("window 400, level 40 HU")


def test_a_study_that_is_not_there_is_one_sentence(open_page: Open) -> None:
    page = open_page("/#/studies/small/NO-SUCH-STUDY", expected=("status of 404",))
    expect(page.locator("#view-studies .problem")).to_contain_text("holds no study 'NO-SUCH-STUDY'")


def test_a_patient_s_studies_stand_in_the_order_of_time(open_page: Open, site: str) -> None:
    rows = [
        {
            "id": f"T-{year}",
            "text": "The heart is normal.",
            "group": "timely",
            "domain": "radiology",
            "date": f"{year}-03",
        }
        for year in (2021, 2019, 2020)
    ]
    ingest(site, "timely.jsonl", "\n".join(map(json.dumps, rows)).encode())
    page = open_page("/#/studies/small/T-2020")
    dates = page.locator(".parts .date")
    expect(dates).to_have_text(["2019-03", "2020-03", "2021-03"])
    expect(page.locator(".parts [aria-current]")).to_contain_text("2020-03")


def test_the_reports_of_a_count_are_sorted_filtered_and_taken_away(page: Page, axe: str) -> None:
    ask(page, "How many reports mention cardiomegaly?")
    page.get_by_role("button", name="List the reports").click()
    rows = page.locator(".cohort-table tbody tr")
    expect(rows.first.locator(".quoted")).not_to_be_empty()
    whole = rows.count()
    studies = page.locator(".cohort-table tbody th")
    page.get_by_role("button", name="Study", exact=True).click()
    ascending = studies.all_inner_texts()
    page.get_by_role("button", name="Study", exact=True).click()
    expect(page.locator("th[data-column=study]")).to_have_attribute("aria-sort", "descending")
    assert sorted(studies.all_inner_texts()) == sorted(ascending)
    assert studies.all_inner_texts()[0] == ascending[-1]
    assert violations(page, axe) == []
    page.get_by_label("Filter").fill("CXR2814")
    expect(rows).to_have_count(1)
    assert whole > 1
    shot(page, "count-listed", whole=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert download.value.path().read_text().count("\n") > whole
    rows.first.get_by_role("link").click()
    expect(page.locator("#view-studies h2")).to_have_text("CXR2814")
    page.go_back()
    page.locator("#view-ask .record .id").click()  # on record it is the same
    expect(page.locator("#view-answer").get_by_role("button", name="List the reports")).to_be_visible()


def test_the_first_page_offers_examples_that_this_index_answers(page: Page) -> None:
    examples = page.locator("#examples button")
    expect(examples).to_have_count(3)
    for n in range(3):
        text = examples.nth(n).inner_text()
        ask(page, text)
        expect(page.locator(".not-answered")).to_have_count(0)
        page.locator("#anew").click()


def test_regions_are_laid_over_the_picture_with_their_phrase(open_page: Open) -> None:
    """The server's own looking is tested elsewhere; here stands what the page makes of what it says."""
    page = open_page(expected=("willReadFrequently",))
    heat = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 140, 0, 255)).save(heat, "PNG")
    region = {"score": 0.6, "uncertainty": 0.2, "standing": "", "cannot_say": None, "boxes": []}
    box = {"x0": 0.25, "y0": 0.25, "x1": 0.75, "y1": 0.75, "heat": 0.8}

    def said(route: Route) -> None:
        image = route.request.url.split(":", 2)[2].partition("/")[2]
        image = "/" + image.removesuffix("/regions") + "/image"
        found = [
            region | {"phrase": "optic disc", "boxes": [box], "image": image, "map": "/v1/heat.png"},
            region | {"phrase": "drusen", "image": image, "map": None, "cannot_say": "views of the image disagree"},
            region | {"phrase": "elsewhere", "image": "/v1/other/image", "map": None},
        ]
        route.fulfill(json={"audit_id": "a", "regions": found, "cannot_say": None})

    page.route("**/regions", said)
    page.route("**/v1/heat.png", lambda route: route.fulfill(body=heat.getvalue(), content_type="image/png"))
    ask(page, "What does this photograph show?", packaged_file("skimage", "data", "retina.jpg"))
    page.locator(".card .thumbnail:enabled").first.click()
    page.wait_for_selector(".viewer .stage[data-scale]")
    page.keyboard.press("g")
    legend = page.locator(".legend")
    expect(legend.get_by_role("checkbox", name="optic disc")).to_be_checked()
    expect(legend).to_contain_text("cannot say where: views of the image disagree")
    expect(legend).not_to_contain_text("elsewhere")
    page.get_by_label("Opacity of the heat map").fill("100")
    orange = """() => {
      const c = document.querySelector(".viewer canvas"), context = c.getContext("2d");
      const {data} = context.getImageData(c.width / 2, c.height / 2, 1, 1);
      return [...data].slice(0, 3).join() === "255,140,0";
    }"""
    page.wait_for_function(orange)
    shot(page, "viewer-regions")
    legend.get_by_role("checkbox", name="optic disc").uncheck()
    page.wait_for_function(f"() => !({orange})()")
