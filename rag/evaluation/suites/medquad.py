"""MedQuAD (Ben Abacha & Demner-Fushman 2019): questions that pages of the NIH answer.

As published: folders such as "1_CancerGov_QA" of XML files, each a ``Document`` with ``QAPair``s of ``Question`` and
``Answer``. JSON lines of ``id``, ``question`` and ``answer`` are read as well. A question's answer is the one document
that is relevant to it; questions were made from headings, so many differ in the name of the disease alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from rag.errors import InputError
from rag.evaluation.published.folder import Folder, rows_of
from rag.evaluation.published.searching import SearchCollection, SearchQuery, SearchSuite


@dataclass(frozen=True)
class MedQuadSuite(SearchSuite):
    """Every question asks for its own answer among all.

    >>> MedQuadSuite(limit=100, documents=1000).name
    'medquad'
    """

    name: ClassVar[str] = "medquad"
    collection: ClassVar[str] = "MedQuAD"

    def collected(self, folder: Folder) -> SearchCollection:
        if (lines := folder.maybe("*.jsonl")) is not None and lines.suffix == ".jsonl":
            pairs = [(row.text("id"), row.text("question"), row.text("answer")) for row in rows_of(lines)]
        else:
            pairs = list(_of_xml(folder))
        documents = {identity: answer for identity, _, answer in pairs if answer.strip()}
        return SearchCollection(documents, [SearchQuery(i, q, {i: 1.0}) for i, q, a in pairs if a.strip()])


def _of_xml(folder: Folder) -> Iterator[tuple[str, str, str]]:
    for file in folder.all("*_QA/*.xml", "*.xml"):
        try:
            root = parse(file).getroot()
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise InputError(f"{file} is not XML that can be read ({error})") from error
        for n, pair in enumerate(root.iter("QAPair"), start=1):
            question, answer = pair.find("Question"), pair.find("Answer")
            if question is None or not (question.text or "").strip():
                raise InputError(f"{file}, QAPair {n}: it has no Question")
            words = " ".join("".join(answer.itertext()).split()) if answer is not None else ""
            yield f"{file.stem}-{n}", " ".join((question.text or "").split()), words
