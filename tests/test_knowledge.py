"""The shipped notes and captions are what they say they are."""

from __future__ import annotations

import re
from collections import Counter

from rag.corpus.source import read_source
from rag.types import Document


def notes() -> list[Document]:
    return [d for d in read_source("notes") if isinstance(d, Document)]


def test_about_forty_notes_of_120_to_300_words_over_all_domains() -> None:
    found = notes()
    assert 38 <= len(found) <= 60
    assert {d.domain for d in found} == {"radiology", "ophthalmology", "pathology", "general"}
    for d in found:
        assert 120 <= len(d.text.split()) <= 300, d.id


def test_notes_are_labelled_as_project_written_and_cite_nothing_invented() -> None:
    for d in notes():
        assert "project-written" in d.source
        assert "not medical advice" in d.metadata["notice"]
        assert not d.metadata.get("references")
        assert not re.search(r"\bet al\b|\bdoi\b|PMID|https?:", d.text)


def test_no_sentence_is_written_twice() -> None:
    sentences = Counter(s for d in notes() for s in re.split(r"(?<=[.!?])\s", d.text))
    assert [s for s, n in sentences.items() if n > 1] == []


def test_samples_are_images_with_captions_and_licences() -> None:
    found = [d for d in read_source("samples") if isinstance(d, Document)]
    images = [d for d in found if d.kind == "image"]
    assert len(images) >= 5
    assert {d.domain for d in images} >= {"radiology", "ophthalmology", "pathology"}
    for d in images:
        assert d.licence
        assert any(t.case_id == d.case_id and t.text for t in found if t.kind != "image")
