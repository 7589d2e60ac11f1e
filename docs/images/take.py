"""Takes the pictures of the page that the documents show, and the walk through it: ``rag serve`` and Chromium.

    python docs/images/take.py --indexes indexes --index demo

writes page-answer.png, page-image.png, page-viewer.png and walk.gif beside this file. Shown are the ontology, the notes
and the sample images of the demo, and test files of pydicom (MIT): nothing whose licence forbids it.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pydicom.data import get_testdata_file

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build"  # not tracked
MOST_BYTES = 2 << 20
WALK = {"width": 960, "height": 600}
COLOURS = 96


@contextmanager
def serving(indexes: Path, index: str) -> Iterator[str]:
    """A server of the index on a free port; gives its address."""
    command = [sys.executable, "-c", "from rag.cli import main; main()", "serve", "--indexes", str(indexes)]
    server = subprocess.Popen(
        [*command, "--index", index, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert server.stdout is not None
        yield next(found[0] for line in server.stdout if (found := re.search(r"http://[\d.:]+", line)))
    finally:
        server.terminate()
        server.wait(30)


def opened(browser: Browser, url: str, scheme: str, size: dict[str, int]) -> Page:
    context = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("#examples button")
    return page


def ask(page: Page, question: str) -> None:
    page.fill("#question", question)
    page.press("#question", "Enter")
    page.wait_for_selector("#view-ask .record")
    page.wait_for_timeout(900)


def slice_of_ct(folder: Path) -> str:
    """A test file of pydicom that its wheel brings."""
    found = get_testdata_file("J2K_pixelrep_mismatch.dcm", download=False)
    assert isinstance(found, str)
    return str(shutil.copy(found, folder / "ct-head.dcm"))


def retina(folder: Path) -> str:
    """Part of scikit-image's retina, so that the question is not about the very image of the index."""
    from rag.corpus.packaged import packaged_file

    with Image.open(packaged_file("skimage", "data", "retina.jpg")) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((705, 705)).save(folder / "fundus.png")
    return str(folder / "fundus.png")


def take_pictures(browser: Browser, url: str, fundus: str) -> None:
    page = opened(browser, url, "light", {"width": 1280, "height": 1000})
    ask(page, "What are drusen?")
    page.locator(".sentences li").nth(1).hover()
    page.wait_for_timeout(300)
    page.screenshot(path=HERE / "page-answer.png")
    page = opened(browser, url, "dark", {"width": 1280, "height": 1150})
    page.set_input_files("#file", fundus)
    ask(page, "What does this photograph show?")
    page.wait_for_selector(".card .thumbnail:enabled")
    page.wait_for_timeout(500)
    page.screenshot(path=HERE / "page-image.png")
    page = opened(browser, url, "dark", {"width": 1280, "height": 800})
    measure(page)
    page.screenshot(path=HERE / "page-viewer.png")


def measure(page: Page) -> None:
    """A CT slice in the viewer, windowed and measured."""
    page.set_input_files("#file", slice_of_ct(BUILD))
    page.locator("#picture .thumbnail:enabled").click()
    page.wait_for_selector(".viewer .stage[data-scale]")
    page.wait_for_timeout(400)
    drag(page, "Measure", (-150, -20), (150, -20))


def drag(page: Page, tool: str, begin: tuple[int, int], end: tuple[int, int]) -> None:
    page.get_by_role("button", name=re.compile(f"^{tool}")).click()
    box = page.locator(".viewer .stage").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x + begin[0], y + begin[1])
    page.mouse.down()
    page.mouse.move(x + end[0], y + end[1], steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)


class Walk:
    """Pictures with how long each is seen, in milliseconds."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pictures: list[Image.Image] = []
        self.times: list[int] = []

    def see(self, ms: int) -> None:
        self.pictures.append(Image.open(io.BytesIO(self.page.screenshot())).convert("RGB"))
        self.times.append(ms)

    def type(self, selector: str, text: str) -> None:
        self.page.fill(selector, "")
        step = max(1, len(text) // 4)
        for n in range(step, len(text) + step, step):
            self.page.fill(selector, text[:n])
            self.see(350)

    def save(self, path: Path) -> None:
        """One palette for all, so that what does not change costs nothing."""
        sheet = Image.new("RGB", (WALK["width"], WALK["height"] * len(self.pictures)))
        for n, picture in enumerate(self.pictures):
            sheet.paste(picture, (0, n * WALK["height"]))
        palette = sheet.resize((WALK["width"] // 3, sheet.height // 3)).quantize(COLOURS)
        frames = [p.quantize(palette=palette, dither=Image.Dither.NONE) for p in self.pictures]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=self.times, loop=0, optimize=True)


def take_walk(browser: Browser, url: str, fundus: str) -> None:
    page = opened(browser, url, "light", WALK)
    walk = Walk(page)
    walk.see(2500)
    walk.type("#question", "What are drusen?")
    ask(page, "What are drusen?")
    walk.see(3500)
    page.keyboard.press("Escape")
    for _ in range(3):
        page.keyboard.press("j")
        page.wait_for_timeout(200)
        walk.see(1800)
    page.locator(".how > summary").click()
    page.locator(".how").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    page.mouse.wheel(0, 500)
    page.wait_for_timeout(300)
    walk.see(3500)
    page.evaluate("scrollTo(0, 0)")
    page.locator(".menu > summary").click()
    page.wait_for_timeout(200)
    walk.see(2200)
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("o")
    for n in range(3):
        page.wait_for_timeout(600)
        walk.see(2500 if n == 0 else 1800)
        page.keyboard.press("n")
    page.goto(f"{url}/#/ask")
    page.reload()
    page.wait_for_selector("#examples button")
    page.set_input_files("#file", fundus)
    page.wait_for_timeout(300)
    walk.type("#question", "What does this photograph show?")
    ask(page, "What does this photograph show?")
    page.wait_for_selector(".card .thumbnail:enabled")
    walk.see(4000)
    page.locator(".asked-image").click()
    page.wait_for_selector(".viewer .stage[data-scale]")
    page.wait_for_timeout(400)
    walk.see(1800)
    page.keyboard.press("c")
    page.wait_for_timeout(900)
    walk.see(2200)
    for _ in range(3):
        page.keyboard.press("+")
        page.wait_for_timeout(150)
        walk.see(900)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove").click()
    measure(page)
    walk.see(3000)
    drag(page, "Window", (0, 0), (120, 60))
    walk.see(2200)
    page.keyboard.press("i")
    page.wait_for_timeout(200)
    walk.see(1500)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="History").click()
    page.wait_for_selector("#view-history .history li")
    walk.see(2200)
    walk.type("#history-words", "drusen")
    page.wait_for_timeout(700)
    walk.see(2000)
    page.goto(f"{url}/#/ask")
    page.reload()
    page.wait_for_selector("#examples button")
    walk.type("#question", "What is the capital of France?")
    ask(page, "What is the capital of France?")
    walk.see(4000)
    walk.save(HERE / "walk.gif")
    size = (HERE / "walk.gif").stat().st_size
    print(f"walk.gif: {sum(walk.times) / 1000:.0f} s, {len(walk.times)} pictures, {size:,} bytes")
    if size > MOST_BYTES:
        sys.exit(f"walk.gif is larger than {MOST_BYTES:,} bytes; use fewer colours or pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indexes", type=Path, default=Path("indexes"))
    parser.add_argument("--index", default="demo")
    asked = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    with serving(asked.indexes, asked.index) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        BUILD.mkdir(exist_ok=True)
        fundus = retina(BUILD)
        take_pictures(browser, url, fundus)
        take_walk(browser, url, fundus)
        browser.close()


if __name__ == "__main__":
    main()
