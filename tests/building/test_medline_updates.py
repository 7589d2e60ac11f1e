"""Updates of MEDLINE and notices in JATS over an index: what is deleted goes, what is retracted is flagged."""

from __future__ import annotations

from pathlib import Path

import pytest

import rag
from rag.building.describe import preview
from rag.building.source import Source
from rag.corpus.marks import Told
from rag.errors import InputError

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
    monkeypatch.setattr("rag.building.reading.BATCH", 1)
    index, file = rag.Index.create(tmp_path / "index"), tmp_path / "update.xml"
    editions = "".join(ARTICLE.format(90000021, "Drusen.", said) for said in ("Of old.", "As it is now."))
    file.write_text(f"<PubmedArticleSet>{editions}</PubmedArticleSet>")
    for _ in range(2):
        report = index.ingest(file)
        with index.store.snapshot() as snapshot:
            article = snapshot.document("PMID:90000021")
        assert article is not None and article.text == "As it is now."
    assert (report.updated, report.version) == (0, 1)


def medline(folder: Path, name: str, content: str) -> Path:
    """A file as NLM calls them, alone in a folder."""
    path = folder / name.partition(".")[0] / name
    path.parent.mkdir()
    path.write_text(f"<PubmedArticleSet>{content}</PubmedArticleSet>")
    return path


def abstracts(index: rag.Index) -> dict[str, str]:
    with index.store.snapshot() as snapshot:
        return {d.id: d.text for d in snapshot.documents("literature")}


def test_what_was_deleted_comes_back_in_a_newer_file_alone(tmp_path: Path) -> None:
    article = ARTICLE.format(90000023, *OLDER[90000023])
    other = ARTICLE.format(90000024, *OLDER[90000024])
    base = medline(tmp_path, "pubmed25n0007.xml", article + other)
    update = medline(tmp_path, "pubmed25n1301.xml", "<DeleteCitation><PMID>90000023</PMID></DeleteCitation>")
    newer = medline(tmp_path, "pubmed26n0001.xml", article)
    index = rag.Index.create(tmp_path / "index")
    index.ingest(base)
    assert index.ingest(update).withdrawn == ["PMID:90000023"]

    foreseen = preview(Source(base), index.store)
    again = index.ingest(base)
    assert abstracts(index).keys() == {"PMID:90000024"} and again.unchanged == 1
    (aside,) = again.quarantined
    assert aside.record == "PMID:90000023 in pubmed25n0007.xml" and "withdrawn by file 25n1301" in aside.reason
    assert foreseen.quarantined == again.quarantined and foreseen.added == 0, "and it was said before"
    index.ingest(medline(tmp_path, "export.xml", article + other))
    assert abstracts(index).keys() == {"PMID:90000024"}, "a file of an unknown time is not known to be newer"
    assert index.ingest(newer).added == 1
    assert abstracts(index).keys() == {"PMID:90000023", "PMID:90000024"}
    assert index.verify().sound


def test_a_deletion_is_remembered_where_there_was_nothing_to_delete(tmp_path: Path) -> None:
    article, other = (ARTICLE.format(pmid, *OLDER[pmid]) for pmid in (90000023, 90000024))
    index = rag.Index.create(tmp_path / "index")
    deleting = f"{other}<DeleteCitation><PMID>90000023</PMID></DeleteCitation>"
    index.ingest(medline(tmp_path, "pubmed25n1301.xml", deleting))
    with pytest.raises(InputError, match="withdrawn by file 25n1301"):
        index.ingest(medline(tmp_path, "pubmed25n0007.xml", article))
    assert abstracts(index).keys() == {"PMID:90000024"}


def test_in_one_go_an_older_file_brings_nothing_back_though_it_is_read_later(tmp_path: Path) -> None:
    article, other = (ARTICLE.format(pmid, *OLDER[pmid]) for pmid in (90000023, 90000024))
    deleting = f"{other}<DeleteCitation><PMID>90000023</PMID></DeleteCitation>"
    update, base = medline(tmp_path, "pubmed25n1301.xml", deleting), medline(tmp_path, "pubmed25n0007.xml", article)
    folder = tmp_path / "both"
    (folder / "1").mkdir(parents=True)
    (folder / "2").mkdir()
    update.rename(folder / "1" / update.name)
    base.rename(folder / "2" / base.name)
    index = rag.Index.create(tmp_path / "index")
    index.ingest(folder)
    assert abstracts(index).keys() == {"PMID:90000024"}


NOTICE = """<?xml version="1.0"?>
<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.2 20190208//EN" "JATS.dtd">
<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="{kind}"><front><article-meta>
<article-id pub-id-type="pmc">{pmc}</article-id>
<title-group><article-title>{kind}: Chest tubes</article-title></title-group><pub-date><year>2022</year></pub-date>
<related-article related-article-type="{about}" ext-link-type="{link}" xlink:href="{href}" id="r1"/>
</article-meta></front><body><p>The publisher says so.</p></body></article>
"""
JATS = UPDATE.parent / "article.nxml"


def article_without_status(folder: Path) -> Path:
    path = folder / "article.nxml"
    path.write_text(JATS.read_text().replace('<related-article related-article-type="retraction-forward"/>', ""))
    return path


def notice(folder: Path, kind: str, about: str, link: str, href: str) -> Path:
    path = folder / f"{kind}-{link}.nxml"
    path.write_text(NOTICE.format(kind=kind, about=about, link=link, href=href, pmc=9100000 + len(kind)))
    return path


@pytest.mark.parametrize("notice_first", [False, True])
def test_a_notice_in_jats_flags_every_part_of_the_article_that_it_is_about(tmp_path: Path, notice_first: bool) -> None:
    retraction = notice(tmp_path, "retraction", "retracted-article", "doi", "https://doi.org/10.5555/SYNTH.2")
    files = [article_without_status(tmp_path), retraction]
    index = rag.Index.create(tmp_path / "index")
    for file in reversed(files) if notice_first else files:
        index.ingest(file)
    for _ in range(2):
        with index.store.snapshot() as snapshot:
            parts, told = snapshot.documents_of_group("PMC9000002"), snapshot.documents_of_group("PMC9100010")
        assert len(parts) > 4 and all(d.retracted and d.title.startswith("[Retracted] Chest tubes") for d in parts)
        assert {Told.of(d.metadata).notices["retracted"] for d in parts} == {"PMC9100010"}
        assert told and not any(d.retracted for d in told), "the notice itself is not taken back"
        assert index.ingest(files[0]).updated == 0, "read again, it is what it was"


def test_corrections_and_concerns_are_told_and_take_nothing_back(tmp_path: Path) -> None:
    index = rag.Index.create(tmp_path / "index")
    index.ingest(article_without_status(tmp_path))
    index.ingest(notice(tmp_path, "correction", "corrected-article", "pmc", "PMC9000002"))
    index.ingest(notice(tmp_path, "expression-of-concern", "object-of-concern", "doi", "10.5555/synth.2"))
    index.ingest(notice(tmp_path, "commentary", "commentary-article", "doi", "10.5555/synth.2"))
    with index.store.snapshot() as snapshot:
        (status,) = {tuple(d.metadata["status"]) for d in snapshot.documents_of_group("PMC9000002")}
        assert status == ("erratum", "expression of concern")
        assert not any(d.retracted for d in snapshot.documents("literature"))
