"""An update of MEDLINE over an older index: what it deletes is withdrawn, what it retracts is flagged, for good."""

from __future__ import annotations

from pathlib import Path

import pytest

import rag
from rag.building.describe import preview
from rag.building.ingest import Source
from rag.corpus.marks import Told

UPDATE = Path(__file__).parent.parent / "data" / "formats" / "pubmed-update.xml"
ARTICLE = (
    '<PubmedArticle><MedlineCitation><PMID Version="1">{0}</PMID><Article><Journal><JournalIssue><PubDate><Year>2019'
    "</Year></PubDate></JournalIssue></Journal><ArticleTitle>{1}</ArticleTitle><Abstract><AbstractText>{2}"
    "</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>"
)
OLDER = {
    90000021: ("Drusen and light.", "Drusen are green crystals that melt in the light."),
    90000022: ("Drusen and sugar.", "Drusen are lumps of sugar."),
    90000023: ("Drusen and water.", "Drusen are drops of water."),
    90000024: ("Drusen and age.", "Drusen are yellow deposits under the retina."),
}


def older(folder: Path) -> Path:
    articles = "".join(ARTICLE.format(pmid, *said) for pmid, said in OLDER.items())
    path = folder / "older.xml"
    path.write_text(f"<PubmedArticleSet>{articles}</PubmedArticleSet>")
    return path


def test_an_update_withdraws_flags_and_leaves_the_past_as_it_was(tmp_path: Path) -> None:
    index = rag.Index.create(tmp_path / "index")
    index.ingest(older(tmp_path))
    engine = rag.Engine.open(index)
    before = engine.ask("What are drusen?")
    assert {e.document_id for e in before.evidence} == {f"PMID:{pmid}" for pmid in OLDER}

    foreseen = preview(Source(UPDATE), index.store)
    report = index.ingest(UPDATE)
    flagged = ["PMID:90000021", "PMID:90000022", "PMID:90000024"]
    assert (report.withdrawn, report.marked) == (["PMID:90000023"], flagged)
    assert (foreseen.withdrawn, foreseen.marked) == (report.withdrawn, report.marked), "and it was said before"
    assert (report.added, report.updated, report.removed, report.version) == (0, 3, 1, 2)

    engine.refresh()
    after = engine.ask("What are drusen?")
    assert {e.document_id for e in after.evidence} == {"PMID:90000024"}
    with index.store.snapshot() as snapshot:
        articles = {pmid: snapshot.document(f"PMID:{pmid}") for pmid in OLDER}
    assert articles[90000023] is None
    one = articles[90000021]
    assert one is not None and (one.title, one.text) == ("[Retracted] Drusen and light. (2019)", OLDER[90000021][1])
    assert Told.of(one.metadata).notices == {"retracted": "PMID:90000011"}, "and who says so"
    corrected = articles[90000024]
    assert corrected is not None and corrected.metadata["status"] == ["erratum"] and not corrected.retracted

    again = engine.replay(before.audit_id)
    assert again.outcome == "identical", "an old answer is still what it was as of its version"
    assert index.verify().sound


def test_the_older_file_read_again_takes_no_flag_away(tmp_path: Path) -> None:
    index = rag.Index.create(tmp_path / "index")
    index.ingest([older(tmp_path), UPDATE])
    with index.store.snapshot() as snapshot:
        assert snapshot.document("PMID:90000023") is None, "both files in one go come to the same"
        first = snapshot.document("PMID:90000021")
    again = index.ingest(older(tmp_path))
    assert (again.updated, again.unchanged) == (0, 3)
    with index.store.snapshot() as snapshot:
        assert snapshot.document("PMID:90000021") == first and first is not None and first.retracted


def test_of_two_editions_in_one_file_the_last_counts_however_often_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.building.ingest.BATCH", 1)
    index, file = rag.Index.create(tmp_path / "index"), tmp_path / "update.xml"
    editions = "".join(ARTICLE.format(90000021, "Drusen.", said) for said in ("Of old.", "As it is now."))
    file.write_text(f"<PubmedArticleSet>{editions}</PubmedArticleSet>")
    for _ in range(2):
        report = index.ingest(file)
        with index.store.snapshot() as snapshot:
            article = snapshot.document("PMID:90000021")
        assert article is not None and article.text == "As it is now."
    assert (report.updated, report.version) == (0, 1)
