"""Questions in other languages, read by tables: all of a question is read, or the words that are not are named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.cohorts.asking import read_cohort
from rag.errors import InputError
from rag.language import phrasebook as module
from rag.language.lexicon import Lexicon
from rag.language.phrasebook import languages_with_phrases, phrasebook, render
from rag.language.question import read_question
from rag.language.tokens import tokens_of
from rag.settings import knowledge_dir

COHORTS = [
    ("es", "¿Cuántos informes mencionan cardiomegalia?", "How many reports mention cardiomegaly?"),
    ("es", "cuantos informes mencionan derrame pleural izquierdo", "How many reports mention left pleural effusion"),
    ("es", "¿En cuántos informes se descarta neumotórax?", "How many reports deny pneumothorax?"),
    ("es", "¿Cuántos informes con nódulos de más de 1,5 cm?", "How many reports with nodules larger than 1.5 cm?"),
    ("es", "Muéstrame los informes con enfisema pero no derrame pleural", "reports with emphysema but not effusion"),
    ("es", "¿Qué informes no mencionan fracturas?", "Which reports do not mention fractures?"),
    ("de", "Wie viele Befunde erwähnen eine Kardiomegalie?", "How many reports mention cardiomegaly?"),
    ("de", "Wie viele Befunde schließen einen Pneumothorax aus?", "How many reports rule out pneumothorax?"),
    ("de", "In wie vielen Befunden wird ein Pleuraerguss ausgeschlossen?", "How many reports deny pleural effusion?"),
    ("de", "Zeige mir alle Befunde mit linksseitigem Pleuraerguss", "Show me all reports with left pleural effusion"),
    ("de", "Wie viele Patienten haben Pneumonie oder ein Emphysem?", "How many patients have pneumonia or emphysema?"),
    ("fr", "Combien de comptes rendus mentionnent une cardiomégalie ?", "How many reports mention cardiomegaly?"),
    ("fr", "Combien d’examens montrent un nodule pulmonaire ?", "How many studies show a pulmonary nodule?"),
    ("fr", "Quels comptes rendus excluent un pneumothorax ?", "Which reports exclude pneumothorax?"),
    ("fr", "Combien de rapports avec emphysème sans pneumonie ?", "How many reports with emphysema without pneumonia?"),
    ("it", "Quanti referti menzionano un versamento pleurico sinistro?", "reports with left pleural effusion"),
    ("it", "Mostrami i referti con enfisema senza polmonite", "Show me reports with emphysema without pneumonia"),
    ("pt", "Quantos laudos com cardiomegalia e derrame pleural?", "reports with cardiomegaly and pleural effusion"),
    ("pt", "Quais laudos descartam pneumotórax?", "Which reports rule out pneumothorax?"),
]  # fmt: skip
ASKED = [
    ("es", "¿Hay derrame pleural en el estudio CXR1?", "pleural_effusion"),
    ("es", "¿Muestra el estudio CXR1 cardiomegalia?", "cardiomegaly"),
    ("de", "Zeigt CXR1 einen Pneumothorax?", "pneumothorax"),
    ("de", "Ist das Herz vergrößert?", "cardiomegaly"),
    ("fr", "Y a-t-il un pneumothorax ?", "pneumothorax"),
    ("it", "C'è un versamento pleurico nello studio CXR1?", "pleural_effusion"),
    ("pt", "Há pneumotórax no exame CXR1?", "pneumothorax"),
]


@pytest.mark.parametrize(("language", "question", "english"), COHORTS)
def test_a_count_is_the_same_in_every_language(language: str, question: str, english: str, lexicon: Lexicon) -> None:
    read = render(question, language, lexicon)
    assert read is not None
    assert read.unread == ()
    assert read_cohort(read.text, lexicon).criteria == read_cohort(english, lexicon).criteria


@pytest.mark.parametrize(("language", "question", "finding"), ASKED)
def test_a_yes_or_no_is_asked_of_the_same_finding(language: str, question: str, finding: str, lexicon: Lexicon) -> None:
    read = render(question, language, lexicon)
    assert read is not None
    assert read.unread == ()
    asked = read_question(read.text, lexicon, "CXR1")
    assert asked.yes_no
    assert [(c.concept, c.status) for c in asked.claims] == [(finding, "present")]


@pytest.mark.parametrize("language", languages_with_phrases())
def test_every_finding_of_a_table_is_one_of_the_lexicon(language: str, lexicon: Lexicon) -> None:
    data = tomllib.loads((knowledge_dir() / "languages" / f"{language}.toml").read_text(encoding="utf-8"))
    strange = [f for f in data["findings"] if not any(m.kind == "finding" for m in lexicon.mentions(tokens_of(f)))]
    assert not strange


@pytest.mark.parametrize(
    ("language", "question", "unread"),
    [
        ("es", "¿Cuántos informes mencionan hepatoblastoma?", ("hepatoblastoma",)),
        ("de", "Wie viele Befunde erwähnen nur vielleicht ein Emphysem?", ("nur", "vielleicht")),
        ("fr", "Combien de patients meurent de pneumonie ?", ("meurent",)),
    ],
)
def test_words_that_are_not_read_are_named(
    language: str, question: str, unread: tuple[str, ...], lexicon: Lexicon
) -> None:
    read = render(question, language, lexicon)
    assert read is not None
    assert read.unread == unread
    assert " ".join(unread) in read.asks_back


@given(word=st.text("bcdfghjklmnpqrtvwxz", min_size=4, max_size=9))
def test_no_word_is_passed_over(word: str, lexicon: Lexicon) -> None:
    book = phrasebook("es")
    assert book is not None
    assert word in book.in_english(f"¿Cuántos informes mencionan {word} cardiomegalia?", lexicon).unread


def test_a_language_without_a_table_is_not_read(lexicon: Lexicon) -> None:
    assert phrasebook("hr") is None
    assert render("Koliko nalaza spominje kardiomegaliju?", "hr", lexicon) is None


@pytest.mark.parametrize("broken", ["not toml [", "[asking]\n", "dropped = ['(']\n[asking]\n[places]\n[findings]\n"])
def test_a_broken_table_is_named(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "qq.toml").write_text(broken, encoding="utf-8")
    monkeypatch.setattr(module, "knowledge_dir", lambda: tmp_path)
    with pytest.raises(InputError, match=r"qq\.toml cannot be used"):
        phrasebook("qq")
