"""A question is asked, and the answer appears sentence by sentence beside its evidence."""

from __future__ import annotations

import base64
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from rag.corpus.packaged import packaged_file

from .browsing import Open, ask, shot

RETINA = packaged_file("skimage", "data", "retina.jpg")
_WATCH = """() => {
  window.seen = [];
  const name = (n) => n.matches?.(".sentences li") ? "sentence" : n.matches?.(".card") ? "evidence"
    : n.matches?.(".record") ? "record" : null;
  new MutationObserver((all) => all.forEach((m) => m.addedNodes.forEach((n) => {
    const found = n.nodeType === 1 ? [n, ...n.querySelectorAll(".sentences li, .card, .record")].map(name) : [];
    window.seen.push(...found.filter(Boolean));
  }))).observe(document.getElementById("result"), {childList: true, subtree: true});
}"""


def test_an_answer_has_its_evidence_beside_it(page: Page) -> None:
    ask(page, "What is drusen?")
    sentences = page.locator(".sentences li")
    expect(sentences.first).to_contain_text("extracellular material")
    expect(page.locator(".cards .card").first).to_contain_text("Drusen")
    expect(page.locator(".how")).to_contain_text("became evidence")
    expect(page.locator(".certificate")).to_contain_text("Not tested")
    expect(page.locator(".card").first.locator("footer")).to_contain_text("Licence: ")
    expect(page.locator(".how > .blocks")).to_be_hidden()  # the answer first, how it came about when asked for
    told, evidence = page.locator(".told").bounding_box(), page.locator(".evidence").bounding_box()
    assert told is not None and evidence is not None
    assert evidence["x"] >= told["x"] + told["width"], "on a wide screen the evidence is beside the answer"
    shot(page, "answer")
    shot(page, "answer-whole", whole=True)


def test_evidence_comes_first_then_sentences_then_the_decision(page: Page) -> None:
    page.evaluate(_WATCH)
    ask(page, "What is drusen?")
    seen = page.evaluate("window.seen")
    assert seen.index("evidence") < seen.index("sentence") < seen.index("record")
    assert seen.count("sentence") == page.locator(".sentences li").count(), "a sentence is written once, not again"


def test_a_study_is_answered_with_yes_and_one_caution_is_shown(page: Page) -> None:
    ask(page, "Does study CXR2814 show cardiomegaly?")
    expect(page.locator(".verdict")).to_have_text("Yes")
    expect(page.locator(".sentences .words")).to_have_text("“There is cardiomegaly.”")  # the verdict is said once
    expect(page.locator(".card mark")).to_have_text("There is cardiomegaly.")
    expect(page.locator(".how")).to_contain_text("that study’s own text was read whole")
    assert page.locator("text=not a medical device").count() == 1
    shot(page, "study", whole=True)


def test_several_questions_in_one_are_answered_one_by_one(page: Page) -> None:
    ask(page, "Does study CXR2814 show cardiomegaly? Does study EMOJI-1 show a pleural effusion?")
    expect(page.locator(".part-question")).to_have_text(
        ["Does study CXR2814 show cardiomegaly?", "Does study EMOJI-1 show a pleural effusion?"]
    )
    expect(page.locator(".part-verdict")).to_have_text(["Yes", "No"])
    expect(page.locator(".sentences .words")).to_have_text(["“There is cardiomegaly.”", "“No pleural effusion.”"])


def test_the_field_for_the_study_says_what_the_question_is_about(page: Page) -> None:
    page.fill("#study", "CXR2814")
    ask(page, "Is there cardiomegaly?")
    expect(page.locator(".verdict")).to_have_text("Yes")


def test_an_image_is_chosen_asked_about_and_compared(page: Page) -> None:
    ask(page, "What does this photograph show?", RETINA)
    expect(page.locator(".asked-image img")).to_be_visible()
    expect(page.locator(".card").first).to_contain_text("similar image")
    image = page.locator(".card .thumbnail img").first
    page.wait_for_function("(i) => i.complete && i.naturalWidth > 100", arg=image.element_handle())
    expect(page.locator(".how")).to_contain_text("Ophthalmology")
    expect(page.locator(".sentences .seen")).to_have_text(
        "[image] seen by the model in the image, not verified by a text"
    )
    page.evaluate("scrollTo(0, 0)")
    shot(page, "image")


def test_an_image_is_pasted_or_dropped_and_removed(page: Page) -> None:
    content = base64.b64encode(RETINA.read_bytes()).decode()
    send = """([kind, content, name]) => {
      const data = new DataTransfer();
      const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
      data.items.add(new File([bytes], name, {type: "image/jpeg"}));
      const options = {bubbles: true, cancelable: true};
      const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, ...options})
        : new DragEvent("drop", {dataTransfer: data, ...options});
      document.body.dispatchEvent(event);
    }"""
    for kind in ("paste", "drop"):
        page.evaluate(send, [kind, content, f"{kind}.jpg"])
        expect(page.locator("#picture .name")).to_have_text(f"{kind}.jpg")
        page.get_by_role("button", name="Remove").click()
        expect(page.locator("#picture")).to_be_hidden()


def test_a_file_that_is_no_image_is_refused_at_once(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    page.set_input_files("#file", str(tmp_path / "notes.txt"))
    expect(page.locator("#ask-problem")).to_contain_text("is not an image")


def test_a_file_that_was_refused_does_not_let_the_question_go_on_without_it(page: Page, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    page.set_input_files("#file", RETINA)
    page.set_input_files("#file", str(tmp_path / "notes.txt"))  # in place of the first
    page.fill("#question", "What is seen?")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-problem")).to_contain_text("choose another image, or remove it")
    expect(page.locator("#result")).to_be_hidden()
    page.get_by_role("button", name="Remove").click()
    expect(page.locator("#picture")).to_be_hidden()
    ask(page, "What is drusen?")
    expect(page.locator("#result")).to_be_visible()


def test_problems_are_one_sentence_and_not_a_dead_end(open_page: Open) -> None:
    page = open_page(expected=("status of 422",))
    page.press("#question", "Enter")
    expect(page.locator("#ask-problem")).to_have_text("Write a question first.")
    page.fill("#study", "NO-SUCH-STUDY-1")
    page.fill("#question", "Is there an effusion?")
    page.press("#question", "Enter")
    expect(page.locator(".outcome .problem")).to_contain_text("no study 'NO-SUCH-STUDY-1'")
    page.fill("#study", "")
    ask(page, "What is drusen?")
    expect(page.locator(".outcome .problem")).to_have_count(0)


def test_a_server_that_cannot_be_reached_is_named(open_page: Open) -> None:
    page = open_page(expected=("ERR_INTERNET_DISCONNECTED",))
    page.context.set_offline(True)
    page.fill("#question", "What is drusen?")
    page.press("#question", "Enter")
    expect(page.locator(".outcome .problem")).to_have_text("The server cannot be reached. Is it still running?")


def test_an_answer_on_its_way_can_be_stopped(page: Page) -> None:
    page.route("**/v1/answers", lambda route: None)  # a server that takes its time
    page.fill("#question", "What is drusen?")
    page.press("#question", "Enter")
    expect(page.locator(".progress")).to_contain_text("Reading the question")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".outcome .problem")).to_have_text("Stopped.")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled()


def test_witnesses_that_differ_stand_side_by_side(page: Page) -> None:
    """The server's own hearing of them is tested elsewhere; here stands what the page makes of it."""

    def heard(route: Route) -> None:
        response = route.fetch()
        second = '"second_opinion": {"model": "compact-lvlm", "probability": 0.1}, "audit_id"'
        route.fulfill(response=response, body=response.text().replace('"audit_id"', second))

    page.route("**/v1/answers", heard)
    ask(page, "Does study CXR2814 show cardiomegaly?")
    expect(page.locator(".witnesses section").first).to_contain_text("The report, as it was readYes")
    expect(page.locator(".witnesses section").last).to_contain_text("A second model, compact-lvlmNo (90 %)")
    shot(page, "witnesses")


def test_a_count_is_a_small_table_beside_its_quotes(page: Page) -> None:
    ask(page, "How many reports mention cardiomegaly?")
    expect(page.locator(".sentences li").first).to_contain_text("assert cardiomegaly")
    expect(page.locator("table.counts th[scope=row]")).to_have_text("cardiomegaly")
    expect(page.locator("table.counts thead th").nth(1)).to_have_text("present")
    shot(page, "count")


def test_a_short_question_goes_on_from_the_one_before_until_one_begins_anew(page: Page) -> None:
    ask(page, "Does study CXR2814 show cardiomegaly?")
    ask(page, "and a pneumothorax?")
    expect(page.locator(".taken")).to_contain_text("Does study CXR2814 show a pneumothorax?")
    expect(page.locator(".verdict")).to_be_visible()
    expect(page.locator("#turns li")).to_have_text(["Does study CXR2814 show cardiomegaly?Yes"])
    ask(page, "and an effusion?")
    expect(page.locator("#turns li").nth(1)).to_contain_text("Taken to mean: Does study CXR2814 show a pneumothorax?")
    shot(page, "conversation")
    page.click("#anew")
    expect(page.locator("#turns")).to_be_hidden()
    ask(page, "and a pneumothorax?")
    expect(page.locator(".taken")).to_have_text("")
