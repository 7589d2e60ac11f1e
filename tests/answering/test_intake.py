"""Which study a question is about: ids of every shape where they are named, and no word of medicine taken for one."""

from __future__ import annotations

import json
import unicodedata

import pytest

from rag import Engine, Index, Question, Settings
from rag.errors import InputError

IDS = (
    "CXR7", "B12", "T4", "CD4", "50414267", "p10/p10000032/s50000001", "p11/x/twice", "p12/x/twice", "Müller_01", "A",
    "1.2.840.113619.2.55", "A1006",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = tmp_path_factory.mktemp("intake")
    rows = [{"id": i, "text": "FINDINGS: Cardiomegaly.", "domain": "radiology", "kind": "report"} for i in IDS]
    (folder / "cases.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    encoders = {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}
    index = Index.create(folder / "ids", Settings.model_validate({"encoders": encoders}))
    assert index.ingest(folder / "cases.jsonl").added == len(IDS)
    return Engine.open(index)


@pytest.mark.parametrize(
    ("question", "study"),
    [
        ("Does study CXR7 show cardiomegaly?", "CXR7"),
        ("Does CXR7 show cardiomegaly?", "CXR7"),
        ("Is there cardiomegaly in cxr7?", "CXR7"),
        ("Does study 50414267 show cardiomegaly?", "50414267"),
        ("Does case no. 50414267 show cardiomegaly?", "50414267"),
        ("Does study 1.2.840.113619.2.55 show cardiomegaly?", "1.2.840.113619.2.55"),
        ("Does study p10/p10000032/s50000001 show cardiomegaly?", "p10/p10000032/s50000001"),
        ("Does study s50000001 show cardiomegaly?", "p10/p10000032/s50000001"),
        ("Does study Müller_01 show cardiomegaly?", "Müller_01"),
        (unicodedata.normalize("NFD", "Does study Müller_01 show cardiomegaly?"), "Müller_01"),
        ('Does study "A" show cardiomegaly?', "A"),
        ("Does study B12 show cardiomegaly?", "B12"),
        ("Does A1006 show cardiomegaly?", "A1006"),
        ("Is vitamin B12 deficiency a cause of anemia?", None),
        ("Does a T4 tumour invade the mediastinum?", None),
        ("Is CD4 low?", None),
        ("Is cardiomegaly seen in a case a day?", None),
        ("In this study 45% of patients had cardiomegaly, is that so?", None),
        ("Does a study twice as large show cardiomegaly?", None),
        ("Do CXR7 and A1006 show cardiomegaly?", None),
    ],
)
def test_a_study_is_found_where_it_is_named(engine: Engine, question: str, study: str | None) -> None:
    assert engine.ask(question, record=False).question.study == study


@pytest.mark.parametrize(
    "question",
    ["What does CXR99999 show?", "Compare CXR99999 and CXR7", "How does CXR7 differ from cxr8?", "And in CXR99999?"],
)
def test_an_id_made_as_those_of_the_index_but_of_no_study_is_refused_by_its_name(engine: Engine, question: str) -> None:
    with pytest.raises(InputError, match=r"(?i)has no study 'cxr(?:99999|8)'.*rag find"):
        engine.ask(question, record=False)


@pytest.mark.parametrize("question", ["Is CD45 seen in cardiomegaly?", "Is COVID-19 a cause of cardiomegaly?"])
def test_a_name_of_medicine_is_no_unknown_study(engine: Engine, question: str) -> None:
    assert engine.ask(question, record=False).question.study is None


@pytest.mark.parametrize("study", ["CXR99", "99999999", "p99/s1", "x/s50000001"])
def test_a_study_that_is_not_there_is_refused(engine: Engine, study: str) -> None:
    for asked in (Question(text=f"Does study {study} show cardiomegaly?"), Question(text="Edema?", study=study)):
        with pytest.raises(InputError, match="has no study"):
            engine.ask(asked, record=False)


def test_an_ending_that_two_studies_have_names_neither(engine: Engine) -> None:
    with pytest.raises(InputError, match="has no study 'twice'"):
        engine.ask("Is there cardiomegaly?", study="twice", record=False)


@pytest.mark.parametrize("field", ["text", "study"])
def test_what_is_no_unicode_is_refused(engine: Engine, field: str) -> None:
    with pytest.raises(InputError, match="not valid Unicode"):
        engine.ask(Question(**{"text": "Is there edema?", field: "M\udcfcller"}), record=False)


def test_an_empty_study_is_not_given(engine: Engine) -> None:
    for empty in ("", "  ", None):
        assert engine.ask("Does study CXR7 show cardiomegaly?", study=empty, record=False).question.study == "CXR7"
