"""Counting reports: exact numbers, quotes that stand in them, and refusal of what cannot be read."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.building.index import Index
from rag.building.reread import reread
from rag.cohorts.asking import NotReadError, read_cohort
from rag.cohorts.criteria import Cohort, CohortHit, FoundStatement, Page
from rag.cohorts.statements import rules_of
from rag.cohorts.telling import as_csv, as_jsonl, count_in_words, warnings
from rag.errors import IndexStateError, InputError
from rag.indexing import Count, IndexStore
from rag.language.lexicon import Lexicon
from rag.settings import Settings

from .conftest import REPORTS, document, publish

TEXTS = {row[0]: row[3] for row in REPORTS}


def cases(found: Cohort) -> list[str]:
    return [hit.case_id for hit in found.hits]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many reports mention a pleural effusion?", ["S1", "S2"]),
        ("reports with left but not right pleural effusion", ["S1"]),
        ("Which reports show pleural effusion only on the left?", ["S1"]),
        ("bilateral effusion", ["S2"]),
        ("Which studies show nodules larger than 1 cm?", ["S4"]),
        ("nodules smaller than 10 mm", ["S4", "S5"]),
        ("a nodule of at least 9 mm", ["S4", "S5"]),
        ("right upper nodule", ["S4"]),
        ("Show me reports that deny pneumothorax", ["S2", "S3", "S7"]),
        ("How many reports only raise pneumonia?", ["S5"]),
        ("reports with a history of pneumonia", []),  # S6 says that the lungs are clear, which denies it now
        ("How many patients have an enlarged heart?", ["S1", "S6"]),
        ("cardiomegaly and pleural effusion", ["S1"]),
        ("cardiomegaly or nodule", ["S1", "S4", "S5", "S6"]),
        ("cardiomegaly but no pleural effusion", ["S6"]),
        ("reports without effusion or pneumothorax", ["S3", "S4", "S5", "S6", "S7"]),
        ("nodules since 2020-06", ["S5"]),
        ("nodules before 2021", ["S4"]),
        ("effusion in 2019", ["S2"]),
        ("What share of studies have a normal heart size?", ["S3"]),
        ("How many reports are there?", [row[0] for row in REPORTS]),
        ("the latest report with a pleural effusion", ["S2", "S1"]),
        ("first report with pleural effusion", ["S1", "S2"]),
    ],
)
def test_a_question_in_plain_words_is_counted_exactly(index: Index, question: str, expected: list[str]) -> None:
    found = index.find(question)
    assert cases(found) == expected
    assert found.count == len(expected)


def test_every_hit_is_quoted_from_its_report(index: Index) -> None:
    for hit in index.find("cardiomegaly or effusion or nodule").hits:
        assert hit.statements
        for said in hit.statements:
            assert said.quote == TEXTS[hit.document_id][said.start : said.end]


def test_each_report_is_counted_once_under_the_strongest_thing_it_says(index: Index) -> None:
    (tally,) = index.find("pneumonia").tallies
    counted = [tally.present, tally.raised, tally.denied, tally.history, tally.silent]
    assert counted == [0, 1, 2, 0, 4]
    assert sum(counted) == len(REPORTS)


def test_tables_count_by_side_year_and_pair(index: Index) -> None:
    assert {c.values: c.reports for c in index.find("effusion by side").cells} == {("left",): 1, ("bilateral",): 1}
    assert {c.values: c.reports for c in index.find("nodule by year").cells} == {("2020",): 1, ("2021",): 1}
    pairs = {c.values: c.reports for c in index.find("crosstab cardiomegaly by pleural effusion").cells}
    assert pairs[("cardiomegaly: present", "pleural effusion: present")] == 1
    assert sum(pairs.values()) == len(REPORTS)


def test_pages_follow_one_another_to_the_end(index: Index) -> None:
    first = index.find("nodule or effusion", Page(limit=3))
    assert first.following == 3
    rest = index.find("nodule or effusion", Page(offset=first.following, limit=3))
    assert rest.following is None
    assert cases(first) + cases(rest) == ["S1", "S2", "S4", "S5"]
    assert [h.case_id for h in index.find_all("nodule or effusion")] == ["S1", "S2", "S4", "S5"]


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("How many reports mention zebra stripes?", "zebra stripes"),
        ("How many reports mention pneumonia in smokers?", "smokers"),
        ("How many women have an effusion?", "women"),
        ("effusion and nodule or mass", "and"),
        ("nodules between 5 mm and 9 mm", "two sizes"),
        ("larger than 5 mm", "size"),
        ("effusion in 2019-13", "2019-13"),
    ],
)
def test_what_cannot_be_read_is_named_and_nothing_near_it_is_counted(index: Index, question: str, part: str) -> None:
    with pytest.raises(NotReadError, match=part):
        index.find(question)


def test_the_measured_error_stands_beside_the_count(index: Index) -> None:
    found = index.find("cardiomegaly")
    error = found.tallies[0].error
    assert error is not None
    assert error.reports > 3000
    assert 0 < error.rate < 0.05
    assert f"{error.missed} of {error.labelled} missed" in " ".join(warnings(found))
    assert "has not been measured" in " ".join(warnings(index.find("hiatal hernia")))


def test_the_count_is_told_in_one_sentence(index: Index) -> None:
    assert count_in_words(index.find("pneumothorax")) == (
        "0 of 7 reports (0.0%) assert pneumothorax; 3 deny it, 4 do not mention it."
    )
    assert count_in_words(index.find("How many reports are there?")) == "The index holds 7 reports, of 6 patients."


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("How many reports don't mention pneumothorax?", ["S1", "S4", "S5", "S6"]),
        ("How many reports make no mention of pneumothorax?", ["S1", "S4", "S5", "S6"]),
        ("Which reports say nothing about pneumothorax?", ["S1", "S4", "S5", "S6"]),
        ("In how many reports is a pneumothorax not mentioned?", ["S1", "S4", "S5", "S6"]),
        ("How many reports mention an effusion without mentioning pneumothorax?", ["S1"]),
        ("How many reports mention an effusion but do not mention pneumothorax?", ["S1"]),
        ("How many reports do not mention pneumothorax or effusion?", ["S4", "S5"]),
        ("How many reports mention neither pneumothorax nor effusion?", ["S4", "S5"]),
        ("How many reports mention cardiomegaly or do not mention pneumothorax?", ["S1", "S4", "S5", "S6"]),
        ("How many reports do not show pneumothorax?", ["S1", "S2", "S3", "S4", "S5", "S6", "S7"]),
        ("How many reports are without pneumothorax?", ["S1", "S2", "S3", "S4", "S5", "S6", "S7"]),
    ],
)
def test_what_is_not_mentioned_is_neither_denied_nor_raised(index: Index, question: str, found: list[str]) -> None:
    assert cases(index.find(question)) == found


def test_the_answer_says_whether_silence_or_absence_was_counted(index: Index) -> None:
    assert count_in_words(index.find("How many reports do not mention pneumothorax?")) == (
        "4 of 7 reports (57.1%) do not mention pneumothorax; 3 deny it."
    )
    assert count_in_words(index.find("How many reports are without pneumothorax?")) == (
        "7 of 7 reports (100.0%) do not assert pneumothorax: 3 deny it, 4 do not mention it. They are of 6 patients."
    )


def test_no_dates_no_first_report(tmp_path: Path) -> None:
    made = Index.create(tmp_path / "undated", Settings())
    publish(made.store, [document("A", "p", "", "Cardiomegaly.")])
    reread(made.store)
    with pytest.raises(InputError, match="carries a date"):
        made.find("first report with cardiomegaly")


def test_statements_follow_their_documents_through_versions(index: Index) -> None:
    publish(index.store, [document("S3", "p2", "2019-06-11", "Large pleural effusion.")])
    unread = index.find("effusion")
    assert unread.unread == 1 and cases(unread) == ["S1", "S2"]
    assert "rag index reread synthetic" in " ".join(warnings(unread))
    assert reread(index.store).read == 1
    assert cases(index.find("effusion")) == ["S1", "S2", "S3"]
    index.rollback(1)
    assert cases(index.find("effusion")) == ["S1", "S2"]
    index.remove(groups=["p1"])
    assert cases(index.find("effusion")) == []
    assert index.verify().sound


def test_a_forgotten_patient_leaves_no_statement(index: Index) -> None:
    index.remove(groups=["p3"])
    index.compact(forget=True)
    with sqlite3.connect(index.path / "catalogue.sqlite") as connection:
        left = connection.execute("SELECT count(*) FROM statements WHERE value = 12.0").fetchone()[0]
    assert left == 0
    assert index.verify().sound


def test_reports_read_by_other_rules_are_named_and_read_again(index: Index) -> None:
    with sqlite3.connect(index.path / "catalogue.sqlite") as connection:
        connection.execute("UPDATE readings SET rules = 'statements-0:old' WHERE document < 2")
    found = index.find("effusion")
    assert found.earlier == 2
    assert "earlier rules" in " ".join(warnings(found))
    assert reread(index.store).read == 2
    assert index.find("effusion").earlier == 0


def test_the_rules_are_named_by_the_code_and_the_lexicon_that_read(lexicon: Lexicon) -> None:
    from rag.language.lexicon import Term

    other = Lexicon.load(terms=[Term("X:1", "zebra stripes", (), "radiology")])
    name, code, words = rules_of(lexicon).split(":")
    assert name.startswith("statements-") and len(code) == 8
    assert rules_of(other).split(":")[:2] == [name, code]
    assert rules_of(other) != rules_of(lexicon)
    assert words == lexicon.fingerprint


def test_a_changed_statement_is_found_by_verify(index: Index) -> None:
    with sqlite3.connect(index.path / "catalogue.sqlite") as connection:
        connection.execute("UPDATE statements SET status = 'absent' WHERE status = 'present'")
    assert any("are not what was read" in p for p in index.verify().problems)


def test_an_interrupted_reading_goes_on(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(index.path / "catalogue.sqlite") as connection:
        connection.execute("DELETE FROM readings")
        connection.execute("DELETE FROM statements")
    monkeypatch.setattr("rag.indexing.store._READ_AT_ONCE", 3)
    seen = []

    def stop(row: int, document: object) -> None:
        seen.append(row)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(index.store.read_anew(stop, "x", again=False))  # type: ignore[arg-type]
    assert reread(index.store).read == len(REPORTS)


def test_an_earlier_index_opens_and_says_what_to_run(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).parents[1] / "data" / "earlier-index.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    earlier = Index.open(tmp_path / "earlier")
    with pytest.raises(IndexStateError, match="rag index reread earlier"):
        earlier.find("cardiomegaly")
    assert earlier.reread().read > 0
    assert earlier.find("cardiomegaly").scope > 0
    assert earlier.verify().sound


def test_files_for_spreadsheets_hold_no_formulas(index: Index) -> None:
    rows = list(csv.DictReader(io.StringIO("".join(as_csv(index.find_all("cardiomegaly"))))))
    assert [row["case_id"] for row in rows] == ["S1", "S6"]
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    lines = [json.loads(line) for line in as_jsonl(index.find_all("cardiomegaly"))]
    assert [line["statements"][0]["quote"] for line in lines] == [row["quote"].lstrip("'") for row in rows]


def test_a_report_of_a_dicom_file_is_found_with_its_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rag.cli.console import show_cohort

    made, text = Index.create(tmp_path / "dicom", Settings()), "The heart is enlarged."
    slice_of = document("D1", "p1", "2020", text)
    publish(
        made.store, [slice_of.model_copy(update={"metadata": {"series": "a1b2"}}), document("D2", "p2", "2020", text)]
    )
    reread(made.store)
    found = made.find("cardiomegaly")
    assert [hit.series for hit in found.hits] == ["a1b2", ""]
    assert [line.get("series") for line in map(json.loads, as_jsonl(found.hits))] == ["a1b2", None]
    assert [row["series"] for row in csv.DictReader(io.StringIO("".join(as_csv(found.hits))))] == ["a1b2", ""]
    show_cohort(found)
    assert capsys.readouterr().out.count("series a1b2") == 1


@given(st.text(max_size=40), st.sampled_from(["", "=", "+", "-", "@", "\t", "\r"]))
def test_no_cell_of_a_csv_file_begins_a_formula(text: str, mark: str) -> None:
    said = FoundStatement(finding="nodule", status="present", quote=mark + text, start=0, end=1)
    place = dict.fromkeys(("case_id", "group_id", "domain", "source", "licence", "date", "title"), mark + text)
    hit = CohortHit(document_id=mark + text, sha256="0", statements=(said,), **place)
    written = io.StringIO("".join(as_csv([hit])), newline="")
    _, cells = csv.reader(written)
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


def test_counts_agree_with_human_codes(data: Path, indexes: Path) -> None:
    """Of the reports of the small index: what is counted is near to what people coded."""
    from rag.cohorts.find import present_in
    from rag.language.vocabulary import lexicon_of

    with (data / "iuxray" / "openi_labels.csv").open() as stream:
        coded = {row["filename"]: row for row in csv.DictReader(stream)}
    with IndexStore.open(indexes / "small").snapshot() as snapshot:
        read, present = present_in(snapshot, lexicon_of(snapshot), "cardiomegaly")
    known = read & coded.keys()
    labelled = {case for case in known if coded[case]["Cardiomegaly"] == "1"}
    assert len(known) > 150
    assert len(labelled ^ (present & known)) <= 0.03 * len(known)


def test_a_source_is_named_by_its_name_and_not_by_a_word_of_every_question(lexicon: Lexicon) -> None:
    shelves = [Count(name, "report", "radiology", "", 1) for name in ("reports", "night shift")]
    asked = read_cohort("What share of reports from night shift show an effusion?", lexicon, shelves)
    assert asked.sources == ("night shift",)
    for words in ("Give me all radiology reports with effusion", "What fraction of radiology reports show effusion?"):
        assert read_cohort(words, lexicon, shelves).domains == ("radiology",)


def test_words_that_name_no_report_are_not_a_question_about_reports(lexicon: Lexicon) -> None:
    with pytest.raises(NotReadError):
        read_cohort("What is the treatment of pneumonia?", lexicon)


def test_the_command_counts_quotes_and_writes_files(index: Index, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from rag.cli import app

    runner, folder = CliRunner(), str(index.path.parent)
    shown = runner.invoke(app, ["find", "effusion", "-i", "synthetic", "--indexes", folder, "--json"])
    assert json.loads(shown.stdout)["count"] == 2
    target = tmp_path / "hits.csv"
    wrote = runner.invoke(app, ["find", "effusion", "-i", "synthetic", "--indexes", folder, "--export", str(target)])
    assert "2 reports written" in wrote.stdout
    assert len(target.read_text().splitlines()) == 3
    refused = runner.invoke(app, ["find", "effusion", "-i", "synthetic", "--indexes", folder, "--export", "x.xls"])
    assert isinstance(refused.exception, InputError)


@pytest.mark.parametrize(
    "words", ["show me 3 reports with pneumothorax", "Show me some examples of reports with pneumothorax"]
)
def test_so_many_or_some_reports_are_asked_for_as_reports_are(words: str, lexicon: Lexicon) -> None:
    (criterion,) = read_cohort(words, lexicon).criteria
    assert (criterion.finding, criterion.standing) == ("pneumothorax", "present")


def test_a_short_not_is_a_not(lexicon: Lexicon) -> None:
    short, long = (read_cohort(f"how many reports {no} mention pneumonia", lexicon) for no in ("don't", "do not"))
    assert short.criteria == long.criteria
