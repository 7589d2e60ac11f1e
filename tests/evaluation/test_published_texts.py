"""Collections of sentences, documents, errors and reports are read as they were published, beside their baselines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.errors import InputError
from rag.evaluation.report import NO_BASELINES
from rag.evaluation.suite import evaluate, named_suite
from rag.evaluation.suites.medec import NONE, Found, contradicted_in, read_correction
from rag.evaluation.written import CATEGORIES, NO_FINDING, categories_of, findings_in, measure_written
from rag.generation.chat import LanguageGenerator, Piece
from rag.generation.messages import Messages
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings, Settings, load_settings

NAMES = ("healthver", "negation", "nubes", "medec", "nfcorpus", "medquad", "iuxray", "mimic-cxr", "pmc-oa", "quilt-1m")


@pytest.mark.parametrize("name", NAMES)
def test_another_folder_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not look like"):
        named_suite(name).read(tmp_path)


@pytest.mark.parametrize("name", [*NAMES, "deid"])
def test_every_table_says_whether_it_has_baselines(name: str, published: Path, quick: Settings) -> None:
    report = evaluate(quick, name, published / name)
    assert report.rows
    assert NO_BASELINES not in report.table()
    bare = evaluate(quick, name, published / name, baselines=False)
    assert NO_BASELINES in bare.table()
    assert len(bare.rows) < len(report.rows)


# ---------------------------------------------------------------- sentences


def test_claims_are_judged_by_the_verifier(published: Path, quick: Settings) -> None:
    report = evaluate(quick, "healthver", published / "healthver")
    assert report.value("accuracy", **{"answered by": "ours"}) == 1.0
    assert report.value("accuracy", **{"answered by": "a constant"}) == 0.5
    assert report.value("accuracy", **{"answered by": "shuffled evidence"}) < 1.0
    assert [o["id"] for o in report.details["outcomes"]][:2] == ["7", "7-2"], "ids that repeat are told apart"


def test_a_phrase_that_cannot_be_located_aborts_nothing(published: Path, quick: Settings) -> None:
    report = evaluate(quick, "negation", published / "negation")
    assert report.left_out == {"its phrase is not in its sentence": 1}
    assert report.value("accuracy", **{"read by": "ours"}) == 1.0
    assert report.value("accuracy", **{"read by": "a word of negation anywhere"}) == 0.75


def test_scopes_of_brat_are_statuses(published: Path, tmp_path: Path) -> None:
    items = {item.sentence: item for item in named_suite("nubes").read(published / "nubes").rows}
    assert {text: item.status for text, item in items.items()} == {
        "Paciente sin fiebre .": "absent",
        "No tos .": "absent",
        "Posible neumonía .": "uncertain",
        "Dolor torácico .": "present",
    }
    start, end = items["Posible neumonía ."].phrase
    assert "Posible neumonía ."[start:end] == "neumonía"
    (tmp_path / "x.txt").write_text("short")
    (tmp_path / "x.ann").write_text("T1\tDISO 3 99\tfar away\n")
    with pytest.raises(InputError, match=r"x.ann, line 1: the span 3 to 99 lies outside x.txt"):
        named_suite("nubes").read(tmp_path)


def test_marked_details_are_read_from_brat(published: Path, quick: Settings) -> None:
    report = evaluate(quick, "deid", published / "deid")
    assert report.row(type="all").counts == {"n": 3}
    assert report.value("recall", type="all, by capitals and digits") == 1.0
    assert report.row(type="false alarms of these").counts["n"] >= 2


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize("name", ["nfcorpus", "medquad"])
def test_documents_are_searched_beside_chance(name: str, published: Path, quick: Settings) -> None:
    report = evaluate(quick, name, published / name)
    ours = report.value("nDCG@10", ranking="fused, weights of the profile")
    assert report.value("nDCG@10", ranking="a random order") < ours <= 1.0
    assert report.value("something_relevant", **{"contexts kept by": "fixed k = 1"}) == 1.0
    assert report.value("share_relevant", **{"contexts kept by": "fixed k = 1"}) == 1.0


def test_relevant_documents_stay_in_every_sample(published: Path) -> None:
    (held,) = named_suite("nfcorpus", limit=1, documents=1, seed=3).read(published / "nfcorpus").rows
    assert len(held.queries) == 1
    assert held.queries[0].gains.keys() & held.documents.keys()


# ---------------------------------------------------------------- errors


def test_errors_are_looked_for_by_the_published_protocol(published: Path, quick: Settings, tmp_path: Path) -> None:
    report = evaluate(quick, "medec", published / "medec")
    assert report.value("sentence", **{"found by": "ours"}) == 0.75, "a contradiction is found, ignorance is not"
    assert report.value("flag", **{"found by": "no error anywhere"}) == 0.5
    said = tmp_path / "said.jsonl"
    texts = {"t1": "2 There is no pleural effusion.", "t2": "CORRECT", "t3": "1 Amoxicillin was given."}
    said.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in texts.items()))
    theirs = evaluate(quick, "medec", published / "medec", said=said).row(**{"found by": "the texts of said.jsonl"})
    assert (theirs.metrics["flag"].value, theirs.metrics["sentence"].value) == (1.0, 0.75)
    assert theirs.metrics["ROUGE-1"].value == 0.5, "one correction is right, the other has no word of the right one"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("CORRECT", Found(NONE)),
        ("-1", Found(NONE)),
        ("No error.", Found(NONE)),
        ("Sentence 3: The heart is large.", Found(3, "The heart is large.")),
        ('2 "It is viral."', Found(2, "It is viral.")),
        ("<think>3?</think>4 It is viral.", Found(4, "It is viral.")),
        ("I cannot say.", Found(NONE)),
        ("", Found(NONE)),
    ],
)
def test_corrections_are_read(said: str, found: Found) -> None:
    assert read_correction(said) == found


def test_the_later_of_two_that_contradict_is_named(published: Path, texts: Texts) -> None:
    first, second, *_ = named_suite("medec").read(published / "medec").rows
    assert contradicted_in(first, texts) == Found(2)
    assert contradicted_in(second, texts) == Found(NONE)


# ---------------------------------------------------------------- reports


class Describer:
    """A language model that calls every red image an enlarged heart."""

    fingerprint, window, parallel, may_think = "describer", None, 1, False

    def count(self, messages: Messages) -> int:
        return 1

    def chat(self, messages: Messages) -> Iterator[Piece]:
        red, _, blue = messages.pictures[0].image.getpixel((2, 2))
        yield Piece("The heart is enlarged. No pleural effusion." if red > blue else "The lungs are clear.")


def describing(settings: GenerationSettings, texts: Texts) -> LanguageGenerator:
    return LanguageGenerator(Describer(), settings, texts)


def test_a_model_writes_reports_and_is_shown_wrong_images(published: Path, quick: Settings) -> None:
    model = load_settings(generation={"kind": f"{__name__}:describing"}, encoders=quick.encoders.model_dump())
    report = evaluate(model, "iuxray", published / "iuxray", ask="model")
    assert report.left_out == {"its image is not in the folder": 1}
    alone = report.row(**{"written by": "the model alone"}).metrics
    assert alone["F1_of_14"].value > report.value("F1_of_14", **{"written by": "another's image"})
    assert alone["hallucinated"].value == 0.0
    assert alone["omitted"].value == 0.5, "the effusion was not written"


def test_own_reports_are_never_found_and_the_oracle_quotes_them(published: Path, quick: Settings) -> None:
    report = evaluate(quick, "iuxray", published / "iuxray")
    own = {text["id"]: text["text"] for text in report.details["texts"]}
    assert "enlarged" not in own["CXR1"]
    assert "left pleural effusion" not in own["CXR3"]
    oracle = report.row(**{"written by": "oracle evidence"}).metrics
    assert oracle["F1_of_findings"].value == 1.0
    assert report.value("F1_of_findings", **{"written by": "shuffled evidence"}) < 1.0


def test_patients_are_groups_of_mimic(published: Path) -> None:
    items = named_suite("mimic-cxr").read(published / "mimic-cxr").rows
    assert {(item.id, item.group) for item in items} == {("5001", "10"), ("5002", "10")}


def test_any_corpus_of_cases_is_a_collection(published: Path, quick: Settings, tmp_path: Path) -> None:
    shutil.copy(published / "pmc-oa" / "images" / "PMC1_Fig1.jpg", tmp_path / "a.jpg")
    rows = [{"id": "a", "image": "a.jpg", "text": "Cardiomegaly.", "group": "a"}, {"id": "b", "text": "No image."}]
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert evaluate(quick, "captions", tmp_path / "cases.jsonl").rows[0].counts == {"cases": 1}
    with pytest.raises(InputError, match=r"no case .* \(2 left out: not of else\)"):
        evaluate(quick, "captions", tmp_path / "cases.jsonl", source="else")


def test_every_category_is_of_concepts_that_there_are(texts: Texts) -> None:
    for category, widest in CATEGORIES.items():
        assert all(c in texts.lexicon.concepts for c in widest), category
    assert len(CATEGORIES) + 1 == 14
    assert categories_of(findings_in("The lungs are clear. A pacemaker is seen.", texts), texts) >= {NO_FINDING}


def test_a_report_is_as_good_as_itself_and_silence_omits_all(texts: Texts) -> None:
    reports = ["The heart is enlarged.", "There is a left pleural effusion. No pneumothorax."]
    same = measure_written(reports, reports, ["a", "b"], texts)
    assert all(same[m].value == pytest.approx(1.0) for m in ("BLEU", "ROUGE-L", "F1_of_14", "F1_of_findings"))
    assert (same["hallucinated"].value, same["omitted"].value) == (0.0, 0.0)
    silent = measure_written(["", ""], reports, ["a", "b"], texts)
    assert (silent["written"].value, silent["omitted"].value, silent["F1_of_findings"].value) == (0.0, 1.0, 0.0)
    wrong = measure_written(["There is a pneumothorax."], ["No pneumothorax."], ["a"], texts)
    assert wrong["hallucinated"].value == 1.0
