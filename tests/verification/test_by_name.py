"""A property asked for by its name is told by a sentence that has it, and by no definition of the thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.types import Evidence
from rag.verification.rules.by_name import bare_choice, names_nothing, sought, why_untold

DEFINITION = "Glaucoma is a disorder of the eye in which the optic nerve is damaged."


def told(text: str) -> Evidence:
    return Evidence(
        number=1,
        document_id="d",
        passage_id="p",
        kind="literature",
        domain="ophthalmology",
        source="synthetic",
        licence="Apache-2.0",
        case_id="d",
        group_id="d",
        title="Glaucoma",
        start=0,
        sha256="0" * 64,
        text=text,
        score=1.0,
        channel="text",
    )


@pytest.mark.parametrize(
    ("question", "name", "telling"),
    [
        ("What is the incidence of glaucoma?", "frequency", "It affects about 2% of people over 40."),
        ("How common is glaucoma?", "frequency", "Glaucoma is more common in the elderly."),
        ("What is the 5-year survival rate of glaucoma?", "survival", "Few of these patients die of it."),
        ("What is the cost of glaucoma?", "cost", "Drops are priced at $20 a month."),
        ("How expensive is glaucoma?", "cost", "Drops are expensive."),
        ("Which dose is given in glaucoma?", "dose", "Timolol 2.5 mg is given twice daily."),
        ("At what age does glaucoma begin?", "age", "It begins in childhood."),
        ("What is the treatment of glaucoma?", "treatment", "Trabeculectomy is a surgical procedure that lowers it."),
        ("What are the symptoms of glaucoma?", "symptoms", "Severe pain and a headache may come suddenly."),
        ("What is the ICD code of glaucoma?", "code", "ICD-10: H40."),
        ("What is the opposite of glaucoma?", "word", "The opposite is a low pressure."),
        ("How does glaucoma manifest?", "symptoms", "A halo around lights is the first symptom."),
        ("Prognosis of glaucoma?", "outlook", "It is progressive."),
        ("List the complications of glaucoma.", "complications", "It can cause blindness."),
        ("What are the side effects of glaucoma drops?", "side effects", "They cause a slow pulse."),
        ("When are beta blockers contraindicated in glaucoma?", "contraindications", "Avoid them in asthma."),
        ("How can glaucoma be prevented?", "prevention", "Nothing is known to prevent it."),
        ("How is glaucoma diagnosed?", "diagnosis", "The pressure is measured with a tonometer."),
        ("What are the stages of glaucoma?", "stages", "Its last stage is absolute."),
        ("Who is at risk for glaucoma?", "risk", "It is more common in the myopic."),
        ("How is trachoma transmitted, and glaucoma?", "transmission", "It spreads from eye to eye."),
        ("Which gene is mutated in glaucoma?", "genes", "MYOC is mutated in some families."),
        ("How long does an attack of glaucoma last?", "duration", "An attack lasts some hours."),
        ("What is a synonym of glaucoma?", "synonyms", "It is also known as green star."),
        ("What is the mode of inheritance of glaucoma?", "inheritance", "It is autosomal recessive."),
        ("Who discovered glaucoma?", "discovery", "It was first described by Hippocrates."),
        ("How many people have glaucoma?", "frequency", "It is found in 1 in 200 persons."),
        ("How many kinds of glaucoma are there?", "number", "There are two main kinds of it."),
    ],
)
def test_it_is_told_by_a_sentence_that_has_it_and_by_no_definition(
    question: str, name: str, telling: str, texts: Texts
) -> None:
    asked = read_question(question, texts.lexicon)
    wanted = sought(asked)
    assert wanted is not None and wanted.property.name == name
    assert "glaucoma" in wanted.subject
    why = why_untold(asked, [told(DEFINITION)], texts)
    assert why is not None and why.endswith(wanted.property.meaning)
    assert why_untold(asked, [told(f"{DEFINITION} {telling}")], texts) is None


@pytest.mark.parametrize(
    "question",
    [
        "What is glaucoma?",
        "What does glaucoma look like?",
        "What is the mechanism of action of timolol?",
        "What is the role of pressure in glaucoma?",
        "What is the mechanism of the treatment of glaucoma?",
        "How does the treatment of glaucoma work?",
        "List two medications included in the combination.",
        "Is the incidence of glaucoma high?",
        "What is the difference between glaucoma and cataract?",
    ],
)
def test_questions_for_no_such_property_are_left_alone(question: str, texts: Texts) -> None:
    asked = read_question(question, texts.lexicon)
    assert sought(asked) is None
    assert why_untold(asked, [told(DEFINITION)], texts) is None


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("What is the treatment of glaucoma?", "What is the treatment of glaucoma?"),
        ("What is the treatment of glaucoma?", "(See the page about treatment.)"),
        ("What is the treatment of glaucoma?", "Research on it hopes to find ways to treat glaucoma."),
        ("What is the treatment of glaucoma?", "Also called: Treatment-resistant glaucoma."),
        ("How many kinds of glaucoma are there?", "In 3 of 4 patients the kinds of glaucoma were not told."),
        ("What is the incidence of glaucoma?", "A biopsy is rarely performed."),
    ],
)
def test_what_states_nothing_of_it_tells_no_property(question: str, sentence: str, texts: Texts) -> None:
    asked = read_question(question, texts.lexicon)
    assert why_untold(asked, [told(sentence)], texts) is not None


@pytest.mark.parametrize(
    ("question", "name", "telling", "beside"),
    [
        ("What causes glaucoma?", "cause", "It is due to a raised pressure.", DEFINITION),
        (
            "What is the most common cause of glaucoma?",
            "rank",
            "The leading cause of glaucoma is age.",
            "Main lens.",
        ),
        (
            "What is the function of the iris?",
            "function",
            "The iris controls light.",
            "Any anomaly of its function.",
        ),
        ("Which drugs cause glaucoma?", "drugs", "Corticosteroids can raise the pressure.", "Glaucoma is a disorder."),
        (
            "What is the incubation time of glaucoma?",
            "incubation",
            "It begins 5 days after contact.",
            "It lasts for days.",
        ),
        ("Who discovered glaucoma?", "discovery", "It was first described in Greece.", "A halo is the first sign."),
        ("What is the normal eye pressure?", "size", "The pressure is normally 10 to 21 mmHg.", "The pressure is low."),
    ],
)
def test_a_property_is_told_by_its_words(question: str, name: str, telling: str, beside: str, texts: Texts) -> None:
    asked = read_question(question, texts.lexicon)
    wanted = sought(asked)
    assert wanted is not None and wanted.property.name == name
    assert why_untold(asked, [told(telling)], texts) is None
    assert why_untold(asked, [told(beside)], texts) is not None


def test_a_dose_of_a_drug_in_a_disease_is_one_of_the_drug(texts: Texts) -> None:
    asked = read_question("What is the dose of timolol in glaucoma?", texts.lexicon)
    assert why_untold(asked, [told("High doses of steroids cause glaucoma.")], texts) is not None
    assert why_untold(asked, [told("Timolol is given in a dose of one drop.")], texts) is None


def test_a_property_of_something_else_is_none_of_what_is_asked(texts: Texts) -> None:
    wanted = sought(read_question("How is trachoma treated?", texts.lexicon))
    assert wanted is not None
    cataract, trachoma = texts.sentence("Cataract"), texts.sentence("Trachoma")
    assert not wanted.told_by(texts.sentence("It is treated by surgery."), cataract, texts.lexicon)
    assert wanted.told_by(texts.sentence("It is treated by surgery."), trachoma, texts.lexicon)


@pytest.mark.parametrize("question", ["Pneumonia or atelectasis?", "pneumonia vs. atelectasis", "A mass or a nodule?"])
def test_two_names_without_a_verb_ask_nothing(question: str, texts: Texts) -> None:
    assert " and " in bare_choice(read_question(question, texts.lexicon), texts)


@pytest.mark.parametrize(
    "question",
    ["Pneumothorax", "Is it pneumonia or atelectasis?", "Pneumonia or atelectasis: what is worse?", "a or b?"],
)
def test_what_asks_something_is_no_bare_choice(question: str, texts: Texts) -> None:
    assert bare_choice(read_question(question, texts.lexicon), texts) == ""


def test_a_word_for_what_is_asked_in_names_nothing() -> None:
    assert names_nothing(["case"]) and names_nothing([]) and not names_nothing(["case", "granuloma"])


@given(st.text(max_size=80))
def test_whatever_is_asked_is_read(texts: Texts, text: str) -> None:
    asked = read_question(text, texts.lexicon)
    assert sought(asked) is None or not asked.yes_no
    assert isinstance(bare_choice(asked, texts), str)
