"""One quick look at each layer, from the ground up, on the ten documents; the layers' own folders test them in full."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fakes import WordBags

from rag import Engine, Index, Settings
from rag.corpus.chunking import passages_of
from rag.corpus.quarantine import Quarantined
from rag.corpus.source import read_source
from rag.encoders.registry import load_text_encoder
from rag.errors import InputError
from rag.generation.base import Request
from rag.generation.reader import ReaderGenerator
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.risk_control.policy import Outcomes
from rag.risk_control.procedure import Procedure, certify
from rag.training.splits import assign_splits
from rag.types import Document, Draft, DraftSentence, Evidence, Quote
from rag.verification.verify import verify


def evidence(text: str) -> Evidence:
    """A study's own report, as the first piece of evidence."""
    return Evidence(
        number=1, document_id="d1", passage_id="d1#0", kind="report", domain="radiology", title="", source="s",
        licence="l", case_id="d1", group_id="g1", channel="study", score=1.0, text=text, start=0, sha256="0",
    )  # fmt: skip


def test_settings_that_are_misspelt_are_refused() -> None:
    with pytest.raises(ValueError, match="k_maks"):
        Settings.model_validate({"selection": {"k_maks": 3}})


def test_corpus_a_record_that_cannot_be_read_is_set_aside_and_passages_are_spans(tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps({"id": "a", "text": "The heart is enlarged. No effusion."}) + "\nno json\n")
    document, bad = read_source(file)
    assert isinstance(document, Document) and isinstance(bad, Quarantined)
    for passage in passages_of(document, max_chars=30):
        assert passage.text == document.text[passage.start : passage.end]


def test_encoders_plug_in_by_their_path_and_give_unit_vectors(settings: Settings) -> None:
    encoder = load_text_encoder(settings.encoders)
    assert isinstance(encoder, WordBags)
    vectors = encoder.encode(["pleural effusion", "an effusion", "retina"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_indexing_what_is_removed_is_gone_and_an_earlier_version_still_has_it(
    built: Path, settings: Settings, tmp_path: Path
) -> None:
    with Index.open(shutil.copytree(built, tmp_path / "ten"), settings) as index:
        index.remove(groups=["p-r1"])
        with index.store.snapshot() as now, index.store.snapshot(1) as before:
            assert before.has_case("r1") and not now.has_case("r1")


def test_language_a_question_is_read_as_what_yes_would_assert(lexicon: Lexicon) -> None:
    asked = read_question("Is there cardiomegaly?", lexicon)
    assert asked.yes_no and asked.topics


def test_retrieval_first_place_everywhere_scores_one() -> None:
    assert reciprocal_rank_fusion({"text": [7, 3], "words": [7, 5]})[0] == (7, 1.0)


@pytest.mark.parametrize(("report", "verdict"), [("The heart is enlarged.", "yes"), ("The heart is normal.", "no")])
def test_generation_the_reader_says_what_the_report_says(lexicon: Lexicon, report: str, verdict: str) -> None:
    request = Request(None, read_question("Is there cardiomegaly?", lexicon), (evidence(report),))  # type: ignore[arg-type]
    assert ReaderGenerator(Texts(lexicon)).generate(request).verdict == verdict


@pytest.mark.parametrize(("said", "passes"), [("The heart is enlarged.", True), ("The heart is normal.", False)])
def test_verification_a_sentence_passes_only_where_its_quote_says_it(lexicon: Lexicon, said: str, passes: bool) -> None:
    quote = Quote(number=1, start=0, end=len("The heart is enlarged."))
    draft = Draft(sentences=(DraftSentence(text=said, quotes=(quote,)),), confidence=1.0)
    asked = read_question("Is there cardiomegaly?", lexicon)
    verified = verify(draft, asked, [evidence("The heart is enlarged.")], Texts(lexicon))
    assert bool(verified.sentences) == passes and bool(verified.dropped) != passes


def test_risk_control_certifies_where_all_is_right_and_nothing_where_all_is_wrong() -> None:
    names = [f"q{n}" for n in range(60)]
    for right in (True, False):
        outcomes = Outcomes(tuple(names), ((1, 0.3),), np.full((60, 1), right), np.full((60, 1), 0.9))
        assert (certify(outcomes, names, 0.2, 0.1, Procedure(thresholds=(0.5,))).policy is not None) == right


def test_training_a_patient_is_in_one_part_whatever_else_is_there() -> None:
    @dataclass
    class Record:
        group: str
        split: str = ""

    records = [Record(f"p{n % 7}") for n in range(70)]
    parts = assign_splits(records, needed=())
    assert all(parts[n] == parts[n % 7] for n in range(70))


def test_the_server_answers_as_the_engine_does(own: Engine) -> None:
    pytest.importorskip("fastapi")
    from starlette.testclient import TestClient

    from rag.server.app import create_app
    from rag.server.work.service import Service

    settings = own.settings.model_copy(update={"indexes": own.store.path.parent})
    asked = {"question": "Is there cardiomegaly?", "study": "r1"}
    with TestClient(create_app(Service(settings)), base_url="http://127.0.0.1") as client:
        answer = client.post("/v1/answers", json=asked).json()
        assert client.post("/v1/answers", json={"question": ""}).status_code == 422
    assert (answer["verdict"], answer["citations"][0]["quote"]) == ("yes", "The heart is enlarged.")


def test_the_command_line_answers_in_json_and_refuses_in_one_sentence(
    own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from rag.cli import app

    monkeypatch.setenv("RAG_ENCODERS__TEXT", "fakes:make_word_bags")
    monkeypatch.setenv("RAG_ENCODERS__IMAGE", "fakes:make_colours")
    monkeypatch.setenv("RAG_INDEXES", str(own.store.path.parent))
    asked = ["ask", "Does study r1 show cardiomegaly?", "--json", "--index"]
    done = CliRunner().invoke(app, [*asked, "ten"], catch_exceptions=False)
    assert json.loads(done.stdout)["verdict"] == "yes"
    with pytest.raises(InputError, match="no such index 'tne'"):
        CliRunner().invoke(app, [*asked, "tne"], catch_exceptions=False)
