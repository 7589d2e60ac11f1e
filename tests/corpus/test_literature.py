"""Published literature as it comes: PubMed and JATS XML, PDF."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pdfs import pdf_of

from rag.corpus import pdf_file
from rag.corpus.quarantine import Withdrawn
from rag.corpus.source import read_source, survey
from rag.errors import InputError
from rag.types import Document

from .conftest import split

FORMATS = Path(__file__).parent.parent / "data" / "formats"


class TestPubMed:
    def test_a_record_says_what_the_file_says(self) -> None:
        documents, quarantined = split(read_source(FORMATS / "pubmed.xml"))
        first = documents[0]
        assert (first.id, first.title) == ("PMID:90000001", "Drainage of small effusions. (J Synth Cases, 2019)")
        assert first.text == "METHODS: We drained 12 effusions.\nRESULTS: Eleven resolved < 2 weeks."
        assert {k: first.text[a:b] for k, (a, b) in first.metadata["sections"].items()} == {
            "METHODS": "We drained 12 effusions.",
            "RESULTS": "Eleven resolved < 2 weeks.",
        }
        assert first.metadata["references"] == ["PMID:90000001", "DOI:10.5555/synth.1", "PMC9000001"]
        assert (first.metadata["status"], first.metadata["mesh"]) == (["erratum"], ["Pleural Effusion"])
        assert [(q.record, q.empty) for q in quarantined] == [("PMID 90000003", True)]

    def test_retractions_editions_and_deletions(self) -> None:
        records = [record for *_, record in survey(FORMATS / "pubmed.xml").records()]
        retracted = next(r for r in records if isinstance(r, Document) and r.id == "PMID:90000002")
        assert retracted.title.startswith("[Retracted] A trial")
        assert retracted.metadata["status"] == ["retracted"]
        assert [r.id for r in records if isinstance(r, Withdrawn)] == ["PMID:90000009"]
        assert [r.text for r in records if isinstance(r, Document)][-1] == "Ten of twelve effusions resolved."

    def test_real_files_are_read_whole(self, data: Path) -> None:
        kinds = Counter(type(record).__name__ for *_, record in survey(data / "pubmed", "pubmed").records())
        assert kinds == {"Document": 636, "Quarantined": 142, "Withdrawn": 20, "Marked": 14}

    def test_a_damaged_file_keeps_what_came_before(self, tmp_path: Path) -> None:
        text = (FORMATS / "pubmed.xml").read_text()
        (tmp_path / "cut.xml").write_text(text[: text.index("90000003")])
        documents, quarantined = split(read_source(tmp_path / "cut.xml"))
        assert [d.id for d in documents] == ["PMID:90000001", "PMID:90000002"]
        assert "not well-formed" in quarantined[-1].reason

    @pytest.mark.parametrize(
        ("declared", "reason"),
        [
            ('<!ENTITY a SYSTEM "file:///etc/passwd">', "declares entities"),
            ('<!ENTITY a "ha"><!ENTITY b "&a;&a;">', "declares entities"),
        ],
    )
    def test_entities_are_refused(self, tmp_path: Path, declared: str, reason: str) -> None:
        (tmp_path / "x.xml").write_text(f"<!DOCTYPE r [{declared}]><PubmedArticleSet>&a;</PubmedArticleSet>")
        with pytest.raises(InputError, match=reason):
            read_source(tmp_path / "x.xml")

    def test_a_record_without_end_and_one_without_bottom_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("rag.corpus.xml.MAX_RECORD_BYTES", 100_000)
        (tmp_path / "long.xml").write_text("<PubmedArticleSet><PubmedArticle>" + "x" * 200_000)
        (tmp_path / "deep.xml").write_text("<PubmedArticleSet>" + "<a>" * 1000)
        (_, long), (_, deep) = ((q.record, q.reason) for q in split(read_source(tmp_path))[1][::-1])
        assert "more than 100,000 bytes" in long and "deep" in deep

    def test_powers_keep_their_meaning_and_references_their_distance(self, tmp_path: Path) -> None:
        abstract = "150 x 10<sup>9</sup>/L in 1.73 m<sup>2</sup>, CO<sub>2</sub> as shown<sup>12,13</sup> before."
        title = "<ArticleTitle>[Not Available].</ArticleTitle><VernacularTitle>Un titre.</VernacularTitle>"
        (tmp_path / "x.xml").write_text(
            "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article>"
            f"{title}<Abstract><AbstractText>{abstract}</AbstractText></Abstract></Article></MedlineCitation>"
            "</PubmedArticle></PubmedArticleSet>"
        )
        documents, _ = split(read_source(tmp_path))
        assert documents[0].text == "150 x 10^9/L in 1.73 m2, CO2 as shown 12,13 before."
        assert documents[0].title == "Un titre."


class TestJats:
    def test_items_of_a_list_are_lines_and_formulas_are_spoken(self, tmp_path: Path) -> None:
        body = (
            "<p>Seen:<list><list-item><p>No effusion</p></list-item><list-item><p>Stone</p></list-item></list></p>"
            "<p>At <math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo><mfrac><mn>1</mn><mn>2</mn></mfrac></math>.</p>"
        )
        (tmp_path / "x.nxml").write_text(
            '<article article-type="x"><front><article-meta><article-id pub-id-type="doi">10.1/x</article-id>'
            f"</article-meta></front><body>{body}</body></article>"
        )
        documents, _ = split(read_source(tmp_path))
        assert documents[0].text == "Seen:\nNo effusion\nStone\nAt x^2=1/2."

    def test_sections_figures_and_tables_are_cited_by_name(self) -> None:
        documents, quarantined = split(read_source(FORMATS / "article.nxml"))
        assert quarantined == []
        name = "[Retracted] Chest tubes (Journal of Synthetic Cases, 2021)"
        assert [(d.title.removeprefix(name), d.text) for d in documents] == [
            (", Abstract", "Tubes drain air."),
            (", Text", "Opening words."),
            (", Methods", "We used tubes [1]."),
            (", Methods / Patients", "Forty adults.\nMen: 20."),
            (", Figure 1", "A tube in place."),
            (", Table 1", "Outcome\nSide | n\nLeft | 12"),
        ]
        assert {(d.case_id, d.group_id, d.licence, d.kind) for d in documents} == {
            ("PMC9000002", "PMC9000002", "CC BY 4.0", "literature")
        }
        assert documents[0].metadata["references"] == ["DOI:10.5555/synth.2", "PMC9000002"]

    def test_real_articles(self, data: Path) -> None:
        documents, quarantined = split(read_source(data / "jats"))
        assert quarantined == []
        assert len({d.group_id for d in documents}) == 9
        assert all(d.licence.startswith("CC") or d.licence == "public domain" for d in documents)
        assert not [d for d in documents if "references" in d.metadata["section"].lower()]
        assert {len(d.metadata["doi"]) > 5 for d in documents} == {True}


class TestPdf:
    def test_pages_are_cited_and_print_is_undone(self, tmp_path: Path) -> None:
        body = [
            ["The pneumo-", "thorax was small. The drain", "stayed in"],
            ["place for two days. It was then", "removed."],
            ["No effusion remained.", "References", "1. Somebody, 2001."],
            ["2. Somebody else, 2002."],
        ]
        pages = [["Guideline 7", *lines, f"Page {n} of 5"] for n, lines in enumerate(body, start=1)]
        documents, quarantined = split(read_source(pdf_of(tmp_path / "guide.pdf", pages, picture=1), ocr="no"))
        assert [(d.id, d.metadata["page"], d.text) for d in documents] == [
            ("guide#p1", 1, "The pneumothorax was small. The drain\nstayed in\nplace for two days."),
            ("guide#p2", 2, "It was then\nremoved."),
            ("guide#p3", 3, "No effusion remained."),
        ]
        assert documents[1].title == "guide, page 2"
        assert {d.case_id for d in documents} == {"guide"}
        assert [(q.record, "scanned picture" in q.reason) for q in quarantined] == [("guide.pdf, page 5", True)]

    def test_locked_and_damaged_files_are_refused(self, tmp_path: Path) -> None:
        from pypdf import PdfWriter

        writer = PdfWriter(clone_from=pdf_of(tmp_path / "open.pdf", [["Text."]]))
        writer.encrypt("secret", algorithm="RC4-128")
        writer.write(tmp_path / "locked.pdf")
        with pytest.raises(InputError, match="locked with a password"):
            read_source(tmp_path / "locked.pdf")
        (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.7\n1 0 obj")
        with pytest.raises(InputError, match="damaged PDF"):
            read_source(tmp_path / "cut.pdf")

    def test_without_pypdfium2_the_extra_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = pdf_of(tmp_path / "a.pdf", [["Text."]])
        monkeypatch.setattr(pdf_file, "find_spec", lambda name: None)
        with pytest.raises(InputError, match=r"clincite\[corpora\]"):
            read_source(path)


MESSAGE = (
    b"Received: from a.example\r\nFrom: Jane Roe <jane@hospital.example>\r\nTo: John Doe <john@hospital.example>\r\n"
    b"Subject: =?utf-8?q?R=C3=B6ntgen_of_today?=\r\nDate: Fri, 27 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"The effusion is gone.\r\nNo drain needed.\r\n\r\nOn Thu, 26 Nov 2026, John Doe wrote:\r\n> Is it still there?\r\n"
    b"-- \r\nJane Roe, Ward 7\r\n"
    b'--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="scan.pdf"\r\n\r\nxx\r\n--b--'
)


def slides(path: Path) -> Path:
    """Two slides: a title with a bullet and a note, and a table."""
    from pptx import Presentation
    from pptx.util import Inches

    deck = Presentation()
    deck.core_properties.title = "Drain course"
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "When to clamp"
    first.placeholders[1].text = "Clamp never."
    first.notes_slide.notes_text_frame.text = "Ask why."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    table = second.shapes.add_table(1, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Size", "24 F"
    deck.slides.add_slide(deck.slide_layouts[6])
    deck.save(path)
    return path


class TestSlidesAndMail:
    def test_a_slide_is_a_document(self, tmp_path: Path) -> None:
        documents, quarantined = split(read_source(slides(tmp_path / "deck.pptx")))
        assert quarantined == []
        assert [(d.id, d.title, d.text) for d in documents] == [
            ("deck#s1", "Drain course, slide 1", "When to clamp\nClamp never.\nNotes: Ask why."),
            ("deck#s2", "Drain course, slide 2", "Size | 24 F"),
        ]
        assert documents[0].metadata["section"] == "When to clamp"
        assert {d.group_id for d in documents} == {"deck"}

    def test_a_message_is_its_own_words_and_names_nobody(self, tmp_path: Path) -> None:
        (tmp_path / "a.eml").write_bytes(MESSAGE)
        ((document,), (attached,)) = split(read_source(tmp_path / "a.eml"))
        assert (document.id, document.title, document.kind) == ("a", "Röntgen of today", "report")
        assert document.text == "The effusion is gone.\nNo drain needed."
        assert "Roe" not in str(document) and "Doe" not in str(document)
        assert attached.record == "a.eml, attachment scan.pdf" and "save it as a file" in attached.reason

    def test_a_message_of_html_is_read_and_an_empty_one_is_counted(self, tmp_path: Path) -> None:
        head = "From: a@b.example\nTo: c@d.example\nSubject: S\n"
        (tmp_path / "h.eml").write_text(f"{head}Content-Type: text/html\n\n<p>The lung is <b>clear</b>.</p>")
        (tmp_path / "e.eml").write_text(f"{head}\n")
        documents, quarantined = split(read_source(tmp_path))
        assert [d.text for d in documents] == ["The lung is clear."]
        assert [(q.record, q.empty) for q in quarantined] == [("e.eml", True)]

    def test_damaged_slides_are_refused(self, tmp_path: Path) -> None:
        data = slides(tmp_path / "deck.pptx").read_bytes()
        (tmp_path / "cut.pptx").write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match=r"cut.pptx.*damaged ZIP"):
            read_source(tmp_path / "cut.pptx")


class TestDocuments:
    def test_a_word_file_by_its_headings(self, tmp_path: Path) -> None:
        import docx

        word = docx.Document()
        word.core_properties.title = "Ward handbook"
        word.add_paragraph("For the ward.")
        word.add_heading("Chest tubes")
        word.add_paragraph("Clamp never.")
        table = word.add_table(1, 2)
        table.cell(0, 0).text, table.cell(0, 1).text = "Size", "24 F"
        word.add_heading("References")
        word.add_paragraph("Somebody, 2001.")
        word.save(tmp_path / "x.docx")
        documents, quarantined = split(read_source(tmp_path / "x.docx"))
        assert [(d.id, d.title, d.text) for d in documents] == [
            ("x#s1", "Ward handbook", "For the ward."),
            ("x#s2", "Ward handbook, Chest tubes", "Clamp never.\nSize | 24 F"),
        ]
        assert quarantined == []

    def test_a_page_by_its_headings(self, tmp_path: Path) -> None:
        (tmp_path / "x.htm").write_bytes(
            "<!DOCTYPE html><html><head><title>Handbook &amp; more</title><script>bad()</script></head><body>"
            "<nav>Home</nav><h1>Tubes</h1><p>Clamp <b>never</b>.</p><ul><li>Größe 24</li></ul>"
            "<h2>References</h2><p>Somebody.</p></body></html>".encode("cp1252")
        )
        documents, _ = split(read_source(tmp_path / "x.htm"))
        assert [(d.id, d.title, d.text) for d in documents] == [
            ("x#s2", "Handbook & more, Tubes", "Clamp never.\nGröße 24")
        ]

    def test_a_word_file_as_it_is_shown(self, tmp_path: Path) -> None:
        """Tracked changes, hidden text, controls, raised letters, cells with several paragraphs."""
        docx = pytest.importorskip("docx")
        from docx.oxml import parse_xml

        space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
        deleted = "<w:del><w:r><w:delText>a large</w:delText></w:r></w:del><w:ins><w:r><w:t>no</w:t></w:r></w:ins>"
        raised_nine = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>9</w:t></w:r>'
        hidden = "<w:r><w:rPr><w:vanish/></w:rPr><w:t>Mass.</w:t></w:r>"
        paragraph = (
            f'<w:p {space}><w:r><w:t xml:space="preserve">There is </w:t></w:r>{deleted}'
            f'<w:r><w:t xml:space="preserve"> effusion at 10</w:t></w:r>{raised_nine}{hidden}</w:p>'
        )
        control = f"<w:sdt {space}><w:sdtContent><w:p><w:r><w:t>No fracture.</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        word = docx.Document()
        word.element.body.insert(0, parse_xml(paragraph))
        word.element.body.insert(1, parse_xml(control))
        cell = word.add_table(1, 2).cell(0, 0)
        cell.text = "7,2"
        cell.add_paragraph("low")
        word.save(tmp_path / "x.docx")
        (document,), _ = split(read_source(tmp_path / "x.docx"))
        assert document.text == "There is no effusion at 10^9\nNo fracture.\n7,2 low | "

    def test_a_letter_in_rtf(self, tmp_path: Path) -> None:
        pytest.importorskip("striprtf")
        (tmp_path / "letter.rtf").write_bytes(rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 No mass.\par Zinc 5 \'b5g.\par}")
        documents, _ = split(read_source(tmp_path, kind="report"))
        assert [(d.id, d.kind, d.text) for d in documents] == [("letter#s1", "report", "No mass.\nZinc 5 µg.")]

    def test_damaged_ones_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.docx").write_bytes(b"PK\x03\x04 word/")
        with pytest.raises(InputError, match="damaged ZIP"):
            read_source(tmp_path / "x.docx")
