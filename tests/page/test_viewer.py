"""The viewer: a CT series is turned, windowed and measured; pictures are zoomed, moved, inverted and compared."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from rag.corpus.images import load_image
from rag.corpus.packaged import packaged_file

from .browsing import Open, ask, shot, violations

RETINA = packaged_file("skimage", "data", "retina.jpg")
_GREY = """() => {
  const c = document.querySelector(".viewer canvas"), context = c.getContext("2d");
  return [...context.getImageData(c.width / 2, c.height / 2, 1, 1).data].slice(0, 3);
}"""


@pytest.fixture
def series(data: Path) -> list[str]:
    """Three CT slices, 512 x 512, 0.810547 mm apart in rows and columns."""
    return [str(data / "dicom" / "dcmqi" / f"ct-3slice_0{n}.dcm") for n in (3, 1, 2)]


def view(page: Page, selector: str) -> None:
    """Opens the viewer, and waits until it shows something."""
    page.locator(selector).first.click()
    page.wait_for_selector(".viewer .stage[data-scale]")


def spot(page: Page, dx: float = 0.0, dy: float = 0.0) -> tuple[float, float]:
    """A place by its distance from the centre of the stage."""
    box = page.locator(".viewer .stage").first.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2 + dx, box["y"] + box["height"] / 2 + dy


def changed(page: Page, before: list[int]) -> None:
    """Waits until the middle of the picture looks different."""
    page.wait_for_function(f"(before) => ({_GREY})().join() !== before.join()", arg=before)


def test_a_ct_series_is_turned_windowed_and_measured(open_page: Open, series: list[str]) -> None:
    page = open_page(expected=("willReadFrequently",))  # this test looks at pixels more often than the page does
    page.set_input_files("#file", series)
    expect(page.get_by_label("Slice that is asked about")).to_have_value("1")  # the middle one
    view(page, "#picture .thumbnail:enabled")
    place, readout = page.locator(".place"), page.locator(".readout")
    expect(place).to_have_text("2 of 3")
    expect(readout).to_contain_text("window 400, level 40 HU · 512 × 512")

    page.mouse.move(*spot(page))
    page.mouse.wheel(0, 60)
    expect(place).to_have_text("3 of 3")
    page.keyboard.press("[")
    expect(place).to_have_text("2 of 3")
    page.get_by_label("Frame", exact=True).fill("1")
    expect(place).to_have_text("1 of 3")

    before = page.evaluate(_GREY)
    page.mouse.move(*spot(page))
    page.mouse.down()
    page.mouse.move(*spot(page, 60, 90), steps=3)
    page.mouse.up()
    expect(readout).to_contain_text("window 480, level -80 HU")
    changed(page, before)
    page.get_by_label("Window", exact=True).select_option("Lung")
    expect(readout).to_contain_text("window 1500, level -600 HU")

    page.keyboard.press("Escape")
    view(page, "#picture .thumbnail:enabled")
    page.get_by_role("button", name="Measure").click()
    page.mouse.move(*spot(page, -100))
    page.mouse.down()
    page.mouse.move(*spot(page, 100), steps=3)
    page.mouse.up()
    stage = page.locator(".viewer .stage").bounding_box()
    assert stage is not None
    mm = 200 / (stage["height"] / 512) * 0.810547  # the slice fits by its height
    expect(readout).to_contain_text(" mm")
    assert float(readout.inner_text().split(" mm")[0]) == pytest.approx(mm, abs=0.3), "a pixel of the screen is 0.5 mm"
    expect(page.locator(".value")).to_contain_text("HU")
    shot(page, "viewer-ct")


def test_a_length_is_measured_with_the_keyboard_alone(page: Page, series: list[str]) -> None:
    page.set_input_files("#file", series[0])
    view(page, "#picture .thumbnail:enabled")
    page.keyboard.press("r")
    readout = page.locator(".readout")
    expect(readout).to_contain_text(f"{64 * 0.810547:.1f} mm")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    expect(readout).to_contain_text(f"{70 * 0.810547:.1f} mm")
    page.keyboard.press("Enter")  # now the other end
    page.keyboard.press("ArrowLeft")
    expect(readout).to_contain_text(f"{71 * 0.810547:.1f} mm")


def test_the_values_on_the_screen_are_those_of_the_file(page: Page, series: list[str]) -> None:
    grey = page.evaluate(
        """async (content) => {
          const [{send}, {windowed}] = await Promise.all(["frames", "window"].map((m) =>
            import(new URL(`static/js/viewer/${m}.js`, document.baseURI))));
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          const {frames: [frame]} = await send(new File([bytes], "slice.dcm"));
          const {data} = windowed(frame, frame.windows[0], false);
          return Array.from({length: 512 * 512}, (_, n) => data[4 * n]);
        }""",
        base64.b64encode(Path(series[0]).read_bytes()).decode(),
    )
    expected = load_image(Path(series[0])).convert("L").tobytes()
    assert max(abs(a - b) for a, b in zip(grey, expected, strict=True)) <= 1


def test_a_picture_is_zoomed_moved_and_inverted(open_page: Open) -> None:
    page = open_page(expected=("willReadFrequently",))
    ask(page, "What does this photograph show?", RETINA)
    view(page, ".card .thumbnail:enabled")
    level, stage = page.locator(".viewer .level"), page.locator(".viewer .stage")
    expect(level).to_have_text("100\u00a0%")
    page.get_by_role("button", name="Zoom in").click()
    expect(level).to_have_text("130\u00a0%")
    stage.hover()
    page.mouse.wheel(0, -400)
    expect(level).to_have_text("353\u00a0%")
    stage.focus()
    x = int(stage.get_attribute("data-x") or 0)
    page.keyboard.press("ArrowLeft")
    expect(stage).to_have_attribute("data-x", str(x + 40))
    before = page.evaluate(_GREY)
    page.keyboard.press("i")
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")
    changed(page, before)
    assert [a + b for a, b in zip(before, page.evaluate(_GREY), strict=True)] == [255, 255, 255]
    shot(page, "viewer")
    page.keyboard.press("0")
    expect(level).to_have_text("100\u00a0%")
    page.keyboard.press("Escape")
    expect(page.locator(".viewer")).to_have_count(0)


def test_two_pictures_stand_side_by_side_and_zoom_together(page: Page) -> None:
    ask(page, "What does this photograph show?", RETINA)
    page.wait_for_selector(".card .thumbnail:enabled")
    view(page, ".asked-image:enabled")
    page.keyboard.press("c")
    stages = page.locator(".viewer .stage[data-scale]")
    expect(stages).to_have_count(2)
    page.keyboard.press("+")
    expect(stages.nth(1)).to_have_attribute("data-scale", "1.300")
    page.get_by_label("Zoom together").uncheck()
    page.keyboard.press("+")
    expect(stages.nth(0)).to_have_attribute("data-scale", "1.690")
    expect(stages.nth(1)).to_have_attribute("data-scale", "1.300")
    shot(page, "viewer-compare")
    page.keyboard.press("c")
    expect(stages).to_have_count(1)


def test_the_viewer_is_accessible_with_a_series_and_two_pictures(open_page: Open, axe: str, series: list[str]) -> None:
    page = open_page(viewport={"width": 900, "height": 700})
    page.set_input_files("#file", series)
    view(page, "#picture .thumbnail:enabled")
    page.keyboard.press("c")
    page.keyboard.press("r")
    expect(page.locator(".viewer .stage[data-scale]")).to_have_count(2)
    assert violations(page, axe) == []


def test_a_question_without_an_image_does_not_load_the_viewer(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ask(page, "What is drusen?")
    assert not [url for url in asked if "/viewer" in url]


def test_a_dicom_file_that_cannot_be_shown_is_said_so(open_page: Open, tmp_path: Path) -> None:
    page = open_page(expected=("status of 422",))
    (tmp_path / "broken.dcm").write_bytes(bytes(128) + b"DICM" + b"nothing of use")
    page.set_input_files("#file", str(tmp_path / "broken.dcm"))
    expect(page.locator("#ask-problem")).not_to_be_empty()
    assert page.locator("#ask-problem").inner_text().endswith(".")
