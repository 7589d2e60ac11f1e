"""What the reader quotes for an open question, and what it refuses to."""

from __future__ import annotations

import pytest

from rag.generation.base import Request
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.types import Draft, Evidence, Question

TEXTS = (
    ("Vasovagal syncope", "The mechanisms responsible for this are complex and involve depression of cardiac output."),
    ("Muscle overaction", "Excessive action of the superior rectus, seen as elevation in adduction."),
    ("Sick sinus syndrome", "Manifestations include severe sinus bradycardia and sinus pauses."),
    ("Photopsia", "Flashes of light that persist when the lids are closed."),
)


def ask(question: str, texts: Texts) -> Draft:
    evidence = tuple(
        Evidence(
            number=number, document_id=title, passage_id=f"{title}#0", kind="literature", domain="general", title=title,
            source="s", licence="l", case_id=title, group_id=title, channel="text", score=0.9, text=text,
            start=0, sha256="0",
        )
        for number, (title, text) in enumerate(TEXTS, start=1)
    )  # fmt: skip
    return ReaderGenerator(texts).generate(
        Request(Question(text=question), read_question(question, texts.lexicon), evidence)
    )


@pytest.mark.parametrize(
    "question",
    [
        "What is the mechanism of action of pexidartinib?",
        "What is the main manifestation of Liebenberg syndrome?",
    ],
)
def test_what_is_asked_about_must_be_met_not_only_how_it_is_asked(question: str, texts: Texts) -> None:
    refusal = ask(question, texts).refusal
    assert refusal is not None
    assert "none of the passages found" in refusal


def test_a_question_whose_words_are_met_is_answered_by_the_passage_that_meets_them(texts: Texts) -> None:
    draft = ask("Which flashes of light persist?", texts)
    assert [q.number for s in draft.sentences for q in s.quotes] == [4]


def judged(number: int, text: str, relevance: float) -> Evidence:
    return Evidence(
        number=number, document_id=f"d{number}", passage_id=f"d{number}#0", kind="literature", domain="general",
        title="", source="s", licence="l", case_id=f"d{number}", group_id=f"d{number}", channel="text", score=0.9,
        text=text, start=0, sha256="0", relevance=relevance,
    )  # fmt: skip


def quoted(question: str, evidence: tuple[Evidence, ...], texts: Texts) -> list[int]:
    asked = read_question(question, texts.lexicon)
    draft = ReaderGenerator(texts).generate(Request(Question(text=question), asked, evidence))
    return [q.number for s in draft.sentences for q in s.quotes]


def test_a_passage_that_does_not_name_what_is_asked_about_is_not_quoted(texts: Texts) -> None:
    other = judged(1, "Ranibizumab is a fragment of an antibody that binds all forms of vascular growth factor.", 0.99)
    own = judged(2, "Bevacizumab, approved in 2004, binds the same factor.", 0.95)
    assert quoted("Which growth factor does bevacizumab bind?", (other, own), texts) == [2]


def test_a_list_is_answered_by_more_sentences_than_a_fact(texts: Texts) -> None:
    genes = ("BRCA1 in some", "TP53 in young women", "PTEN and its loss", "CHEK2 by one allele", "ATM more rarely")
    evidence = tuple(judged(n, f"Hereditary breast cancer: {gene}.", 0.99) for n, gene in enumerate(genes, start=1))
    assert len(quoted("Which genes are mutated in hereditary breast cancer?", evidence, texts)) == len(genes)
    assert len(quoted("Which gene is mutated in hereditary breast cancer?", evidence, texts)) < len(genes)


def test_a_definition_that_begins_with_its_term_says_it_once(texts: Texts) -> None:
    term = judged(1, "Drusen: Drusen are deposits below the retina.", 0.99).model_copy(update={"title": "Drusen"})
    question = "What are drusen?"
    asked = read_question(question, texts.lexicon)
    draft = ReaderGenerator(texts).generate(Request(Question(text=question), asked, (term,), 4, lambda *_: None))
    assert [s.text for s in draft.sentences] == ["Drusen: “Drusen are deposits below the retina.”"]
    (quote,) = draft.sentences[0].quotes
    assert term.text[quote.start : quote.end] == "Drusen are deposits below the retina."


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Which is more common, drusen or cataract?", False),
        ("What are the treatments of emphysema?", False),  # of the edema below it tells one
        ("What clears within hours of treatment of edema?", True),
    ],
)
def test_what_is_said_of_one_thing_answers_nothing_about_another(question: str, told: bool, texts: Texts) -> None:
    evidence = (
        judged(1, "Drusen are common deposits below the retina.", 0.99),
        judged(2, "Pulmonary edema clears within hours of treatment.", 0.99),
    )
    assert bool(quoted(question, evidence, texts)) == told


def test_a_choice_is_answered_by_what_speaks_of_both(texts: Texts) -> None:
    both = judged(1, "Drusen are more common than cataract in this group.", 0.99)
    assert quoted("Which is more common, drusen or cataract?", (both,), texts) == [1]


@pytest.mark.parametrize(
    ("question", "text", "told"),
    [
        ("What is pneumothorax?", "A pneumothorax is air in the pleural space.", True),
        ("What is pneumothorax?", "Cysts without a wall occur in several diseases, also beside a pneumothorax.", False),
        ("What is the meaning of pneumothorax?", "Chest pain is common in pneumothorax.", False),
        ("What does not cause pneumothorax?", "Smoking can cause a pneumothorax.", False),
        ("Why does aspirin cure pneumothorax?", "A pneumothorax is air in the pleural space.", False),
        ("Why does aspirin cure pneumothorax?", "Aspirin can cure a pneumothorax because it thins the blood.", True),
        ("What does not cause pneumothorax?", "Coughing does not cause a pneumothorax.", True),
    ],
)
def test_what_a_thing_is_what_is_not_so_and_why_are_told_by_what_says_it(
    question: str, text: str, told: bool, texts: Texts
) -> None:
    assert bool(quoted(question, (judged(1, text, 0.99),), texts)) == told
