"""Sentences light up their evidence; what is not answered is a result of its own; every step is explained."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from .browsing import ask, shot, unfold


def test_pointing_at_a_sentence_lights_its_quote_in_context(page: Page) -> None:
    ask(page, "What is drusen?")
    sentence = page.locator(".sentences li").first
    number = sentence.locator(".chip").first.inner_text()
    sentence.hover()
    card = page.locator(f"#evidence-{number}")
    expect(card).to_have_class("card lit")
    expect(card.locator(".unfold")).to_have_count(0)
    quote = card.locator("mark.lit").inner_text()
    assert quote in sentence.inner_text()
    assert len(card.locator("blockquote").inner_text()) >= len(quote)
    page.mouse.move(5, 5)
    expect(page.locator("mark.lit")).to_have_count(0)
    sentence.focus()
    expect(card.locator("mark.lit")).to_have_text(quote)


def test_a_citation_leads_to_its_evidence_and_back(page: Page) -> None:
    ask(page, "What is drusen?")
    chip = page.locator(".sentences .chip").last
    number = chip.inner_text()
    chip.click()
    card = page.locator(f"#evidence-{number}")
    expect(card).to_be_focused()
    expect(card).to_be_in_viewport()
    card.locator(".cited-by button").first.click()
    assert page.evaluate("document.activeElement.matches('.sentences li')")


def test_quotes_are_right_beyond_the_basic_plane(page: Page) -> None:
    ask(page, "Does study EMOJI-1 show cardiomegaly?")
    expect(page.locator(".card mark")).to_have_text("There is cardiomegaly.")
    expect(page.locator(".card blockquote")).to_contain_text("🫁🫀 Chest.")


def test_not_answered_is_a_result_with_reason_advice_and_the_nearest_evidence(page: Page) -> None:
    ask(page, "What is the capital of France?")
    told = page.locator(".not-answered")
    expect(told.get_by_role("heading")).to_have_text("Not answered")
    expect(told).to_contain_text("None of the passages found bears on the question.")
    expect(told.locator("li").last).to_contain_text("nearest evidence")
    expect(page.locator("#evidence-title")).to_have_text("Nearest evidence")
    assert page.locator(".card").count() >= 1
    expect(page.locator("#live")).to_contain_text("Not answered.")
    shot(page, "not-answered")


def test_sentences_shown_before_the_decision_are_taken_back(page: Page) -> None:
    ask(page, "Does study CXR227 show a pleural effusion?")
    expect(page.locator(".not-answered")).to_contain_text("The sources contradict each other.")
    expect(page.locator(".withdrawn-label")).to_have_text("Statements found, not given as an answer")
    expect(page.locator(".verdict")).to_have_count(0)
    expect(page.locator(".answer")).to_have_class("answer withheld")
    sides = page.locator(".sides section")
    expect(sides.nth(0).get_by_role("heading")).to_have_text("For yes")
    expect(sides.nth(1).locator(".sentences li")).to_contain_text("no focal consolidation, pleural effusion")
    left, right = sides.nth(0).bounding_box(), sides.nth(1).bounding_box()
    assert left is not None and right is not None
    assert left["y"] == right["y"], "what contradicts stands side by side"
    shot(page, "withheld")


def test_the_curve_shows_the_cut_and_says_it_in_words(page: Page) -> None:
    ask(page, "What is drusen?")
    plot = page.locator(".curve svg")
    kept, left = plot.locator(".point.kept").count(), plot.locator(".point.left").count()
    assert kept == page.locator(".card").count()
    assert left >= 1
    cut = float(plot.locator("line.cut").get_attribute("x1") or 0)
    xs = [float(c.get_attribute("cx") or 0) for c in plot.locator("circle").all()]
    assert xs[kept - 1] < cut < xs[kept]
    words = plot.get_attribute("aria-label") or ""
    assert f"{kept} of {kept + left}" in words.replace("\u00a0", " ")
    assert page.locator(".curve-figure tbody tr").count() == kept + left


def test_it_is_told_where_an_answer_was_looked_up_and_why_there(page: Page) -> None:
    ask(page, "What is drusen?")
    unfold(page)
    expect(page.get_by_text("In literature: a question about medicine in general.")).to_be_visible()
    ask(page, "What is the capital of France?")
    unfold(page)
    expect(page.get_by_text("In every kind of evidence: a question about medicine in general,")).to_be_visible()


def test_references_are_links_that_say_nothing_of_where_they_were_followed(page: Page) -> None:
    ask(page, "What is microphthalmia?")
    link = page.get_by_role("link", name="PMID:2", exact=True)
    expect(link).to_have_attribute("href", "https://pubmed.ncbi.nlm.nih.gov/2/")
    expect(link).to_have_attribute("rel", "noreferrer noopener")


def test_long_passages_that_nothing_cites_are_folded_until_asked_for(page: Page) -> None:
    ask(page, "What is the capital of France?")
    number = page.locator(".card", has=page.locator(".unfold")).first.get_attribute("id")
    quote = page.locator(f"#{number} blockquote")
    hidden = "(q) => q.scrollHeight > q.clientHeight + 1"
    assert quote.evaluate(hidden)
    page.locator(f"#{number}").get_by_role("button", name="Whole passage").click()
    assert not quote.evaluate(hidden)


def test_what_was_told_early_gives_way_to_the_answer(page: Page) -> None:
    """A language model may be sent back to write again after its first sentences have been shown."""
    ask(page, "What is drusen?")
    audit_id = page.locator(".record .id").inner_text()
    told = page.evaluate(
        """async (id) => {
          const {AnswerView} = await import(new URL("static/js/answer.js", document.baseURI));
          const answer = await (await fetch(`v1/answers/${id}`)).json();
          const view = new AnswerView({text: "again"});
          view.evidence(answer.evidence);
          answer.sentences.forEach((s) => view.sentence({...s, text: "An earlier attempt."}, []));
          view.answer(answer);
          return [...view.element.querySelectorAll(".sentences .words")].map((w) => w.textContent)
            .every((text, n) => text === answer.sentences[n].text);
        }""",
        audit_id,
    )
    assert told
