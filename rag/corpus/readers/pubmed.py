"""PubMed/MEDLINE XML, baseline and update files: an abstract is a piece of literature, a DeleteCitation takes one back.

Fields are those of NLM's DTD (https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd). Records are read one at a
time, so a file of any size takes the memory of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.corpus.files import File
from rag.corpus.marks import Marked
from rag.corpus.quarantine import Quarantined, Withdrawn
from rag.corpus.readers.base import CERTAIN, Reader, Record
from rag.corpus.readers.sections import Publication, published_in
from rag.corpus.xml import records_of, words_in
from rag.errors import InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SOURCE = "pubmed"
_ROOTS = ("PubmedArticleSet", "MedlineCitationSet", "PubmedArticle", "MedlineCitation")
_RECORDS = ("PubmedArticle", "PubmedBookArticle", "DeleteCitation")
_CORRECTIONS = {
    "RetractionIn": "retracted",
    "PartialRetractionIn": "partly retracted",
    "ExpressionOfConcernIn": "expression of concern",
    "ErratumIn": "erratum",
    "CorrectedandRepublishedIn": "corrected and republished",
    "UpdateIn": "updated",
}
# What a notice says of the article that it is about.
_NOTICES = {
    "RetractionOf": "retracted",
    "PartialRetractionOf": "partly retracted",
    "ExpressionOfConcernFor": "expression of concern",
    "ErratumFor": "erratum",
}
_FILE = re.compile(r"(?:pubmed|medline)(\d\d)n(\d{4})", re.IGNORECASE)  # as NLM calls them: year and number
_NO_TITLE = ("", "[Not Available].")  # of an article whose title nobody has translated
_YEAR = re.compile(r"(?:1[89]|20)\d\d")
_LICENCE = "NLM terms; the abstract may be under its publisher's copyright"


def recognise_pubmed(file: File) -> float:
    return CERTAIN * (file.root[0] in _ROOTS)


def edition_of(file: File) -> str:
    """Where a file stands in NLM's order, as "25n1375": a year's baseline, then its updates."""
    return f"{found[1]}n{found[2]}" if (found := _FILE.match(file.path.name)) else ""


def read_pubmed(file: File) -> Iterator[Record]:
    """One document per record with an abstract; ids are ``PMID:<number>``.

    A record without an abstract comes as Quarantined with ``empty`` set. A later record of a PMID is a newer edition. A
    retracted article's title begins with "[Retracted]", and ``metadata["status"]`` says what has become of it. What a
    notice says of another article, and a record without an abstract of itself, comes as Marked.
    """
    for element in records_of(file, _RECORDS):
        if element.tag == "DeleteCitation":
            for deleted in element.iter("PMID"):
                said = "deleted from PubMed (DeleteCitation)"
                yield Withdrawn(f"PMID:{words_in(deleted)}", said, edition_of(file))
            continue
        pmid = element.findtext(".//PMID") or "without a PMID"
        try:
            record = _record(element, str(file.path), pmid.strip())
            yield record
            yield from _marks(element, pmid.strip(), own=isinstance(record, Quarantined))
        except InputError as error:
            yield Quarantined(str(file.path), f"PMID {pmid}", str(error))


def _record(element: Element, path: str, pmid: str) -> Record:
    if not pmid.isdigit():
        raise InputError("It has no PMID.")
    abstract = element.find(".//Abstract")
    text, sections = _abstract(abstract)
    if not text:
        return Quarantined(path, f"PMID {pmid}", f"empty record: PMID {pmid} has no abstract.", empty=True)
    journal = words_in(_first(element, ".//Journal/ISOAbbreviation", ".//Journal/Title", ".//BookTitle"))
    date = words_in(_first(element, ".//JournalIssue/PubDate", ".//Book/PubDate", ".//ContributionDate"))
    year = found[0] if (found := _YEAR.search(date)) else ""
    status = _status(element)
    identifiers = {i.get("IdType", ""): words_in(i) for i in element.findall("PubmedData/ArticleIdList/ArticleId")}
    doi = identifiers.get("doi") or words_in(element.find(".//ELocationID[@EIdType='doi']"))
    pmcid = identifiers.get("pmc", "")
    title = words_in(_first(element, ".//ArticleTitle", ".//BookTitle"))
    if title in _NO_TITLE:
        title = words_in(element.find(".//VernacularTitle")) or title
    named = {"pmid": pmid, "doi": doi, "pmcid": pmcid, "journal": journal, "year": year}
    work = Publication(
        id=f"PMID:{pmid}",
        title=published_in(title, journal, year, retracted="retracted" in status),
        source=SOURCE,
        licence=words_in(abstract.find("CopyrightInformation") if abstract is not None else None) or _LICENCE,
        metadata={
            **{name: value for name, value in named.items() if value},
            "references": [f"PMID:{pmid}", *([f"DOI:{doi}"] if doi else []), *([pmcid] if pmcid else [])],
            "types": [words_in(t) for t in element.iter("PublicationType")],
            "language": [words_in(language) for language in element.iter("Language")],
            "mesh": [words_in(m) for m in element.findall(".//MeshHeading/DescriptorName")],
            "sections": sections,
            **({"status": status} if status else {}),
        },
    )
    return work.part("", "", text)


def _abstract(abstract: Element | None) -> tuple[str, dict[str, list[int]]]:
    """The abstract, one line a section, and where in it each labelled section's body stands."""
    text, sections = "", dict[str, list[int]]()
    for part in abstract.findall("AbstractText") if abstract is not None else ():
        if body := words_in(part):
            label = part.get("Label", "").strip().upper()
            text += ("\n" if text else "") + (f"{label}: " if label else "")
            if label:
                sections[label] = [len(text), len(text) + len(body)]
            text += body
    return text, sections


def _status(element: Element) -> list[str]:
    """What has become of the article, in the words of _CORRECTIONS; empty if nothing has."""
    types = {words_in(t) for t in element.iter("PublicationType")}
    found = [
        _CORRECTIONS[c.get("RefType", "")]
        for c in element.iter("CommentsCorrections")
        if c.get("RefType") in _CORRECTIONS
    ]
    if "Retracted Publication" in types:
        found.insert(0, "retracted")
    return list(dict.fromkeys(found))


def _marks(element: Element, pmid: str, *, own: bool) -> Iterator[Marked]:
    """What a record says of other articles, and if ``own``, of the earlier editions of itself."""
    for correction in element.iter("CommentsCorrections"):
        about = words_in(correction.find("PMID"))
        if (status := _NOTICES.get(correction.get("RefType", ""))) and about.isdigit():
            yield Marked(f"PMID:{about}", status, f"PMID:{pmid}")
    for status in _status(element) if own else ():
        yield Marked(f"PMID:{pmid}", status, f"PMID:{pmid}")


def _first(element: Element, *paths: str) -> Element | None:
    return next((found for path in paths if (found := element.find(path)) is not None), None)


READER = Reader(
    "pubmed",
    "a PubMed or MEDLINE XML file (.xml, .xml.gz)",
    recognise_pubmed,
    read_pubmed,
    ids="editions",
    edition=edition_of,
)
