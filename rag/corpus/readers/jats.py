"""Full articles in JATS XML (PubMed Central, .nxml): one document per section, figure captions and tables as text.

Written for the tags that JATS 1.0-1.3 shares with its NLM predecessors. No reader on PyPI keeps sections, captions and
tables apart without a network or a GPU, so the walk through the tree is ours; parsing is the standard library's, made
safe by defusedxml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.corpus.files import File
from rag.corpus.marks import Marked
from rag.corpus.quarantine import Quarantined
from rag.corpus.readers.base import CERTAIN, LIKELY, Reader, Record
from rag.corpus.readers.sections import Publication, named_parts, published_in
from rag.corpus.xml import lines_in, parse_xml, words_in
from rag.errors import InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_BYTES = 50_000_000
_LEFT_OUT = frozenset(("ref-list", "fn-group", "ack", "object-id", "graphic", "media"))
_BLOCKS = frozenset(("p", "title", "list-item", "disp-quote", "disp-formula", "def", "term"))
_FLOATS = ("fig", "table-wrap", "boxed-text")
_NOT_INLINE = frozenset((*_LEFT_OUT, *_FLOATS))
# What has become of an article, as it says itself, and what a notice says of the article that it is about.
_FORWARD = {"retraction-forward": "retracted", "correction-forward": "erratum"}
_NOTICES = {
    "retracted-article": "retracted",
    "corrected-article": "erratum",
    "object-of-concern": "expression of concern",
    "concerned-article": "expression of concern",
}
_DOI = re.compile(r"10\.\d{4,9}/\S+")
_LICENCE = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/?([\d.]*)", re.IGNORECASE)
_ATTRIBUTION = re.compile(r"Creative Commons Attribution Licen[cs]e")


def recognise_jats(file: File) -> float:
    """An ``<article>`` with a JATS mark is surely one; a bare one with front matter likely."""
    name, attributes = file.root
    if name not in ("article", "pmc-articleset"):
        return 0.0
    marked = (
        "article-type" in attributes or "dtd-version" in attributes or "JATS" in file.start or "NLM//DTD" in file.start
    )
    return CERTAIN if marked else LIKELY * ("<front" in file.start)


def read_jats(file: File) -> Iterator[Record]:
    """The sections of one article, or of every article of a set; reference lists and acknowledgements are left out.

    What a notice of retraction, correction or concern says of another article comes as Marked.
    """
    root = parse_xml(file.read(MAX_BYTES))
    _drop_namespaces(root)
    articles = [root] if root.tag == "article" else root.findall(".//article")
    if not articles:
        raise InputError("It holds no <article>.")
    for number, article in enumerate(articles, start=1):
        try:
            work = _work(article)
            parts = list(named_parts(list(_sections(article))))
            if not parts:
                yield Quarantined(str(file.path), work.id, f"empty article: {work.id} has no text.", empty=True)
            for mark, label, text in parts:
                yield work.part(mark, label, text, section=label)
            yield from _marks(article, work.id)
        except InputError as error:
            yield Quarantined(str(file.path), f"article {number}", str(error))


def _work(article: Element) -> Publication:
    meta = article.find("front/article-meta")
    if meta is None:
        raise InputError("It has no <article-meta>.")
    ids = {i.get("pub-id-type", ""): words_in(i) for i in meta.findall("article-id")}
    pmid, doi = ids.get("pmid", ""), ids.get("doi", "")
    pmc = ids.get("pmcid") or ids.get("pmc", "")
    pmcid = "" if not pmc else pmc if pmc.upper().startswith("PMC") else f"PMC{pmc}"
    identity = pmcid or (f"PMID:{pmid}" if pmid else f"DOI:{doi}" if doi else "")
    if not identity:
        raise InputError("It has neither a PMCID nor a PMID nor a DOI.")
    journal = words_in(_first(article, "front/journal-meta//journal-title", "front/journal-meta/journal-id"))
    years = [words_in(year) for year in meta.findall("pub-date/year")]
    kind = article.get("article-type", "")
    related = [r.get("related-article-type", "") for r in meta.iter("related-article")]
    status = list(dict.fromkeys(_FORWARD[kind] for kind in related if kind in _FORWARD))
    named = {"pmid": pmid, "doi": doi, "pmcid": pmcid, "journal": journal, "year": min(years, default=""), "type": kind}
    return Publication(
        id=identity,
        title=published_in(
            words_in(meta.find("title-group/article-title")), journal, named["year"], retracted="retracted" in status
        ),
        source="pmc",
        licence=_licence(meta),
        metadata={
            **{name: value for name, value in named.items() if value},
            "references": [r for r in (f"PMID:{pmid}" * bool(pmid), f"DOI:{doi}" * bool(doi), pmcid) if r],
            **({"language": [article.get("lang")]} if article.get("lang") else {}),
            **({"status": status} if status else {}),
        },
    )


def _marks(article: Element, by: str) -> Iterator[Marked]:
    for related in article.findall("front/article-meta/related-article"):
        status, about = _NOTICES.get(related.get("related-article-type", "")), _name(related)
        if status and about:
            partly = status == "retracted" and article.get("article-type") == "partial-retraction"
            yield Marked(about, "partly retracted" if partly else status, by)


def _name(related: Element) -> str:
    """The name of a related article, as ``rag.corpus.marks.aliases_of`` has it; empty where none is given."""
    kind, link = related.get("ext-link-type", "").lower(), related.get("href", "").strip()
    if kind in ("pmid", "pubmed") and link.isdigit():
        return f"PMID:{link}"
    if kind in ("pmc", "pmcid") and (number := link.upper().removeprefix("PMC")).isdigit():
        return f"PMC{number}"
    return f"DOI:{found[0].lower()}" if (found := _DOI.search(link)) else ""


def _licence(meta: Element) -> str:
    permissions = meta.find("permissions")
    stated = [e for e in (permissions, meta.find("copyright-statement")) if e is not None]  # the second before 2008
    links = [value for e in stated for inner in e.iter() for value in inner.attrib.values()]
    text = " ".join([*links, *map(words_in, stated)])
    if found := _LICENCE.search(text):
        name, version = found[2].upper(), found[3].strip(".")
        if name == "MARK":
            return "public domain"
        return f"CC0 {version}".strip() if name == "ZERO" else f"CC {name} {version}".strip()
    if _ATTRIBUTION.search(text):
        return "CC BY"
    return words_in(permissions.find("license") if permissions is not None else None)[:200] or "unknown"


def _sections(article: Element) -> Iterator[tuple[str, str]]:
    """Title and text of abstracts, sections, figures and tables; a section's own text without its sub-sections."""
    for abstract in article.findall("front/article-meta/abstract"):
        yield "Abstract", "\n".join(_blocks(abstract))
    for body in (*article.findall("body"), *article.findall("back/app-group/app"), *article.findall("back/sec")):
        yield from _of_section(body, "" if body.tag == "body" else words_in(body.find("title")))
    floats = [*article.iter("fig"), *article.iter("table-wrap")]
    for number, element in enumerate(floats, start=1):
        kind = "Figure" if element.tag == "fig" else "Table"
        label = words_in(element.find("label")).rstrip(".") or f"{kind} {number}"
        yield label, "\n".join(filter(None, (words_in(element.find("caption")), *_rows(element))))


def _of_section(section: Element, path: str) -> Iterator[tuple[str, str]]:
    own = [text for child in section if child.tag not in ("sec", "title") for text in _blocks(child)]
    yield path or "Text", "\n".join(own)
    for inner in section.findall("sec"):
        title = words_in(inner.find("title"))
        yield from _of_section(inner, " / ".join(filter(None, (path, title))))


def _blocks(element: Element) -> Iterator[str]:
    """Paragraphs of an element in order, without floats and what is left out."""
    if element.tag in _LEFT_OUT or element.tag in _FLOATS:
        return
    if element.tag in _BLOCKS:
        yield from lines_in(element, _NOT_INLINE)
        return
    if len(element) == 0 and (text := words_in(element)):
        yield text
    for child in element:
        yield from _blocks(child)


def _rows(element: Element) -> Iterator[str]:
    """Rows of a table as text, cells parted by bars, headings once."""
    for row in element.iter("tr"):
        if cells := [words_in(cell) for cell in row if cell.tag in ("td", "th")]:
            yield " | ".join(cells)
    if foot := words_in(element.find("table-wrap-foot")):
        yield foot


def _first(element: Element, *paths: str) -> Element | None:
    return next((found for path in paths if (found := element.find(path)) is not None), None)


def _drop_namespaces(root: Element) -> None:
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
        for name in [name for name in element.attrib if "}" in name]:
            element.attrib.setdefault(name.rpartition("}")[2], element.attrib[name])


READER = Reader("jats", "an article in JATS XML (PubMed Central, .nxml)", recognise_jats, read_jats, ids="editions")
