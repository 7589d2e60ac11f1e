"""What is in a corpus twice is found and said; one is kept only where nothing is lost, and never across patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("datasketch")
pytest.importorskip("imagehash")
import rag  # noqa: E402
from rag.building.describe import duplicates_of, preview  # noqa: E402
from rag.building.reading import SourceReading  # noqa: E402
from rag.building.report import IngestReport  # noqa: E402
from rag.building.source import Source  # noqa: E402
from rag.corpus.duplicates import Duplicates, find_duplicates  # noqa: E402
from rag.corpus.source import survey  # noqa: E402
from rag.types import Document  # noqa: E402

TEXT = (
    "The heart is at the upper limit of normal in size. The lungs are clear of focal consolidation. There is no "
    "pleural effusion and no pneumothorax. The osseous structures are intact, with mild change of the spine. "
    "A calcified granuloma of {} mm lies in the right upper lobe."
)


def corpus(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def found(path: Path) -> Duplicates:
    return find_duplicates(survey(path))


def ingested(source: Source) -> tuple[list[Document], IngestReport]:
    report = IngestReport("")
    reading = SourceReading(source, "", {}, report)
    batches = reading.batches(lambda ids: {}, lambda n: None, images=True, scrubber=None)
    return [d for batch in batches for d in batch], report


def test_the_same_article_twice_is_kept_once_with_both_sources(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "kind": "literature", "text": TEXT.format(4), "source": "pubmed"},
        {"id": "b", "kind": "literature", "text": TEXT.format(4).replace("lies", "is seen").upper(), "source": "pdf"},
        {
            "id": "c",
            "kind": "literature",
            "text": "Something else is said here, of drains and of tubes.",
            "source": "pdf",
        },
    ]
    documents, report = ingested(Source(corpus(tmp_path / "x.jsonl", rows), fold=True))
    assert [d.id for d in documents] == ["a", "c"]
    assert documents[0].metadata["references"] == ["pdf: b"], "where it is, too, is shown with its citations"
    assert report.folded == {"b": "a"}
    assert [d.id for d in ingested(Source(tmp_path / "x.jsonl"))[0]] == ["a", "b", "c"], "not unless asked"


@pytest.mark.parametrize(
    "other",
    [TEXT.format(14), TEXT.format(4).replace("no pleural", "a pleural"), TEXT.format(4).replace("right", "left")],
)
def test_what_differs_in_a_number_a_denial_or_a_side_is_reported_and_kept(tmp_path: Path, other: str) -> None:
    rows = [{"id": i, "kind": "literature", "text": text} for i, text in (("a", TEXT.format(4)), ("b", other))]
    made = found(corpus(tmp_path / "x.jsonl", rows))
    assert [(one.ids, one.equal) for one in made.alike] == [(("a", "b"), False)]
    assert made.folded == {}


def test_equal_reports_of_two_patients_are_told_and_both_kept(tmp_path: Path) -> None:
    rows = [
        {"id": i, "text": "The lungs are clear.", "group": group}
        for i, group in (("a", "p1"), ("b", "p2"), ("c", "p1"))
    ]
    made = found(corpus(tmp_path / "x.jsonl", rows))
    assert [(one.ids, one.across, one.equal) for one in made.alike] == [(("a", "b", "c"), 2, True)]
    assert made.folded == {}, "nor two studies of one patient"


def test_pictures_are_alike_by_what_they_show(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    one = Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).resize((128, 128), Image.Resampling.BICUBIC)
    one.save(tmp_path / "a.png")
    one.save(tmp_path / "b.jpg", quality=90)
    Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).resize((128, 128)).save(tmp_path / "c.png")
    made = found(tmp_path)
    assert [(alike.kind, alike.ids, alike.equal) for alike in made.alike] == [("image", ("a:image", "b:image"), False)]
    assert made.folded == {}, "each is a study of its own"


def test_many_equal_reports_take_no_longer_than_many_others(tmp_path: Path) -> None:
    rows = [
        {"id": f"r{n}", "text": "The lungs are clear and the heart is normal in size today.", "group": f"p{n}"}
        for n in range(400)
    ]
    (alike,) = found(corpus(tmp_path / "x.jsonl", rows)).alike
    assert len(alike.ids) == alike.across == 400


class TestBesideAnIndex:
    """Another source's text that the index has: literature is kept once; no patient's words stand for another's."""

    def index(self, folder: Path, rows: list[dict[str, str]]) -> rag.Index:
        made = rag.Index.create(folder / "index")
        (folder / "first").mkdir()
        made.ingest(Source(corpus(folder / "first" / "a.jsonl", rows)))
        return made

    def test_literature_is_kept_once_and_says_where_it_is_too(self, tmp_path: Path) -> None:
        rows = [{"id": "a", "kind": "literature", "text": TEXT.format(4), "source": "pubmed"}]
        index = self.index(tmp_path, rows)
        other = {"id": "b", "kind": "literature", "text": TEXT.format(4).upper(), "source": "pdf"}
        new = {"id": "n", "kind": "literature", "text": "Something else is said here, of drains and of tubes."}
        source = Source(corpus(tmp_path / "b.jsonl", [other, new]), fold=True)
        foreseen, report = preview(source, index.store), index.ingest(source)
        assert (report.folded, report.added, report.updated) == ({"b": "a"}, 1, 1)
        assert (foreseen.folded, foreseen.added) == (report.folded, 1)
        assert document(index, "b") is None
        assert document(index, "a").metadata["references"] == ["pdf: b"]  # type: ignore[union-attr]

        again = index.ingest(source)
        assert (again.added, again.updated, again.version) == (0, 0, report.version), "a second time changes nothing"
        again = index.ingest(Source(tmp_path / "first" / "a.jsonl"))
        assert (again.unchanged, again.updated) == (1, 0), "nor does the first source, which knows of no other"

    @pytest.mark.parametrize("number", [4, 14])
    def test_reports_are_told_and_kept_even_where_case_and_group_are_called_alike(
        self, tmp_path: Path, number: int
    ) -> None:
        rows = [{"id": "1", "text": TEXT.format(4), "group": "p"}]
        index = self.index(tmp_path, rows)
        source = Source(
            corpus(tmp_path / "b.jsonl", [{"id": "1x", "text": TEXT.format(number), "group": "q"}]), fold=True
        )
        told = duplicates_of(source, index.store)
        assert [(one.ids, one.across, one.equal) for one in told.alike] == [(("1", "1x"), 2, number == 4)]
        report = index.ingest(source)
        assert (report.added, report.folded) == (1, {})

    def test_a_source_is_no_duplicate_of_itself(self, tmp_path: Path) -> None:
        rows = [{"id": "a", "kind": "literature", "text": TEXT.format(4)}]
        index = self.index(tmp_path, rows)
        report = index.ingest(Source(tmp_path / "first" / "a.jsonl", fold=True))
        assert (report.alike, report.unchanged) == ([], 1)


def document(index: rag.Index, identity: str) -> Document | None:
    with index.store.snapshot() as snapshot:
        return snapshot.document(identity)
