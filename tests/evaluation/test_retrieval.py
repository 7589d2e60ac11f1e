"""Retrieval is measured in every direction apart, against what is known of made-up encoders and channels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from rag.cli import app
from rag.encoders.registry import load_image_encoder
from rag.errors import InputError, MissingDependencyError
from rag.evaluation.cases import Case, case_labels, read_labelled_cases
from rag.evaluation.fusion_weights import CHANNELS, EQUAL, Query, Searched, learn_weights
from rag.evaluation.queries import read_queries
from rag.evaluation.report import Report, Row
from rag.evaluation.suites.retrieval import (
    ALIKE,
    GAIN,
    OTHER,
    OURS,
    POOLED,
    TO_DISTINCT,
    TO_IMAGE,
    TO_TEXT,
    evaluate_retrieval,
)
from rag.progress import Silent
from rag.retrieval.fusion import reciprocal_rank_fusion
from rag.retrieval.search import ChannelRank
from rag.settings import EncoderSettings
from rag.types import Document, Passage, Question

SILENT = Silent()


class Seeing:
    """An image encoder that sees what a table says; images are named by their case."""

    fingerprint, dim = "made-up", 8

    def __init__(self, seen: dict[str, np.ndarray]) -> None:
        self._seen = seen

    def encode_images(self, images: Sequence[str | Path], *, progress: object = None) -> np.ndarray:
        return np.array([self._seen[str(image)] for image in images], dtype=np.float32)


class Reading(Seeing):
    """… and reads texts by another table."""

    def __init__(self, seen: dict[str, np.ndarray], said: dict[str, np.ndarray]) -> None:
        super().__init__(seen)
        self._said = said

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self._said[text] for text in texts], dtype=np.float32)


def case(n: int, text: str, domain: str = "radiology", labels: str = "", group: str = "") -> Case:
    known = frozenset(filter(None, labels.split(",")))
    return Case(f"c{n}", group or f"p{n}", domain, domain[:3], text, (f"c{n}",), known)


TEXTS = ["normal", "normal", "normal", "a cyst", "a mass", "a clot"]
CASES = [case(n, text, "radiology" if n < 4 else "pathology", f"{text},x{n}") for n, text in enumerate(TEXTS)]
WORDS = dict(zip(dict.fromkeys(TEXTS), np.eye(8), strict=False))
PERFECT = Reading({c.id: WORDS[c.text] for c in CASES}, WORDS)


def row(found: Report, direction: str, queries_of: str = POOLED, ranking: str = OURS) -> Row:
    return found.row(direction=direction, queries_of=queries_of, ranking=ranking)


def test_an_encoder_that_knows_all_finds_all_and_each_direction_is_told_apart() -> None:
    found = evaluate_retrieval(CASES, PERFECT, None, SILENT)
    assert {r.of["direction"] for r in found.rows} == {TO_TEXT, TO_DISTINCT, TO_IMAGE, ALIKE}
    assert {r.of["queries_of"] for r in found.rows if r.of["direction"] == TO_TEXT} == {
        POOLED,
        "radiology",
        "pathology",
    }
    for direction in (TO_TEXT, TO_DISTINCT, TO_IMAGE):
        assert row(found, direction).metrics["R@1"].value == 1
        assert row(found, direction).metrics["nDCG@10"].value == 1
    assert (row(found, TO_TEXT).counts["gallery"], row(found, TO_DISTINCT).counts["gallery"]) == (6, 4)
    assert row(found, ALIKE).counts["queries"] == 3, "only those with a like case of another group are asked"


def test_directions_differ_where_one_modality_is_confused() -> None:
    """Every text lies near the images of its case, and one image lies nearest to a wrong text."""
    seen = {c.id: WORDS[c.text] for c in CASES} | {"c5": 0.6 * WORDS["a clot"] + 0.8 * WORDS["a mass"]}
    found = evaluate_retrieval(CASES, Reading(seen, WORDS), None, SILENT)
    assert row(found, TO_TEXT).metrics["R@1"].value == pytest.approx(5 / 6)
    assert row(found, TO_IMAGE).metrics["R@1"].value == 1
    assert row(found, TO_TEXT, "pathology").metrics["R@1"].value == 0.5


def test_baselines_are_what_they_say() -> None:
    found = evaluate_retrieval(CASES, PERFECT, None, SILENT)
    by_chance, most_said = (row(found, TO_TEXT, ranking=name).metrics["R@1"].value for name in ("random", "text only"))
    assert by_chance == pytest.approx((3 * 3 / 6 + 3 * 1 / 6) / 6)
    assert most_said == 3 / 6, "the text that is said most often comes first"
    # of the right domain, any: 3 of 4 for "normal", 1 of 4 for the cyst, 1 of 2 for the others
    of_the_domain = row(found, TO_IMAGE, ranking="text only").metrics["R@1"].value
    assert of_the_domain == pytest.approx((3 * 3 / 4 + 1 / 4 + 2 * 1 / 2) / 6)


def test_an_encoder_for_which_all_is_alike_gets_nothing_for_free() -> None:
    blind = Reading(dict.fromkeys((c.id for c in CASES), np.eye(8)[0]), dict.fromkeys(WORDS, np.eye(8)[0]))
    found = evaluate_retrieval(CASES, blind, None, SILENT)
    assert row(found, TO_TEXT).metrics["R@1"].value == 0
    assert row(found, TO_IMAGE).metrics["R@1"].value == 0


def test_like_images_are_those_of_other_groups_that_share_a_label() -> None:
    cases = [case(0, "", labels="a", group="p"), case(1, "", labels="a", group="p"), case(2, "", labels="a,b")]
    seen = {"c0": np.eye(8)[0], "c1": np.eye(8)[0], "c2": np.eye(8)[1]}
    found = evaluate_retrieval(cases, Seeing(seen), Seeing(seen), SILENT)
    assert {r.of["direction"] for r in found.rows} == {ALIKE}, "an encoder without texts has one direction"
    assert row(found, ALIKE).metrics["R@1"].value == 1, "the patient's own other image is no candidate"
    assert row(found, ALIKE).metrics["P@5"].value == pytest.approx((1 + 1 + 2) / 3 / 5)
    assert row(found, ALIKE, ranking=GAIN).metrics["P@5"] == (0, 0, 0)
    assert row(found, ALIKE, ranking=OTHER).metrics == row(found, ALIKE).metrics


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(InputError, match="nothing can be measured"):
        evaluate_retrieval([case(0, "a"), case(1, "b")], Seeing({"c0": np.eye(8)[0], "c1": np.eye(8)[1]}), None, SILENT)


@pytest.mark.parametrize(
    ("metadata", "text", "field", "labels"),
    [
        ({}, "Moderate retinopathy, glaucoma", None, {"moderate retinopathy", "glaucoma"}),
        ({}, "lung adenocarcinoma", None, {"lung adenocarcinoma"}),
        ({}, "The heart is enlarged. No effusion.", None, set()),
        ({}, "Axial view of the chest of a patient who had coughed", None, set()),
        ({"keywords": "Drusen; AMD"}, "whatever", None, {"drusen", "amd"}),
        ({"label": 0, "keywords": []}, "whatever", None, {"0"}),
        ({"cuis": ["C1", "C2"]}, "cyst", None, {"c1", "c2"}),
        ({"finding": "ARDS", "label": "no"}, "cyst", "finding", {"ards"}),
        ({}, "cyst", "finding", set()),
    ],
)
def test_labels_come_from_fields_or_from_texts_that_are_keywords(
    metadata: dict[str, object], text: str, field: str | None, labels: set[str]
) -> None:
    assert case_labels(metadata, text, field) == labels


# ------------------------------------------------------------------ the channels of an index


class Rows:
    """A snapshot whose passage rows belong to the documents that a table says."""

    def __init__(self, documents: dict[int, str]) -> None:
        self._documents = documents

    def passages(self, rows: Sequence[int]) -> list[tuple[Passage, Document]]:
        return [
            (
                Passage(id=f"{d}#{r}", document_id=d, start=0, end=0, text=""),
                Document(id=d, kind="report", case_id=d, group_id=d, source="s"),
            )
            for r in rows
            for d in [self._documents[r]]
        ]


def query(n: int, gains: dict[str, float], domain: str = "general") -> Query:
    return Query(f"q{n}", f"g{n}", "text", domain, Question(text="?"), gains)


def places(rows: Sequence[int]) -> dict[int, ChannelRank]:
    return {row: ChannelRank(n, 0.0) for n, row in enumerate(rows, start=1)}


channels = st.fixed_dictionaries(
    {}, optional={c: st.lists(st.integers(0, 19), unique=True, max_size=12) for c in CHANNELS}
)
positive = st.tuples(*[st.sampled_from([0.0625, 0.25, 0.5, 1.0])] * len(CHANNELS))


@settings(deadline=None)
@given(channels, positive, st.sets(st.integers(0, 9), min_size=1), st.integers(1, 3))
def test_what_is_learned_from_is_the_order_that_the_search_gives(
    found: dict[str, list[int]], weights: tuple[float, ...], relevant: set[int], chunks: int
) -> None:
    documents = {r: f"d{r // chunks}" for r in range(20)}  # several passages of one document stand where the best does
    table = {c: places(found.get(c, [])) for c in CHANNELS}
    ours = Searched([query(0, dict.fromkeys((f"d{n}" for n in relevant), 1.0))], [table], Rows(documents), 60.0)
    fused = reciprocal_rank_fusion(
        {c: list(rows) for c, rows in table.items()}, 60.0, dict(zip(CHANNELS, weights, strict=True))
    )
    scores = dict(reversed([(documents[row], score) for row, score in fused]))  # the best of each document
    hits = [d for d in scores if int(d[1:]) in relevant]
    first = min(
        (1 + sum(s >= scores[h] - 1e-12 for d, s in scores.items() if d not in hits) for h in hits), default=None
    )
    assert ours.metrics(weights)["MRR"][0] == pytest.approx(1 / first if first else 0)


def noisy(n: int, good: str, seed: int = 0) -> Searched:
    """Queries whose relevant document one channel has in front and all others somewhere."""
    random, queries, found = np.random.default_rng(seed), [], []
    for i in range(n):
        table = {c: places(random.permutation(20).tolist()) for c in CHANNELS}
        if good:
            table[good] = places([3, *(r for r in table[good] if r != 3)])
        queries.append(query(i, {"d3": 1.0}))
        found.append(table)
    return Searched(queries, found, Rows({r: f"d{r}" for r in range(20)}), 60.0)


def test_weights_go_to_the_channel_that_knows() -> None:
    searched = noisy(60, "image")
    learned = learn_weights(searched, SILENT)
    assert learned.taken
    assert learned.gain.low is not None
    assert learned.gain.low > 0
    assert learned.weights["image"] == 1
    assert max(w for c, w in learned.weights.items() if c != "image") <= 0.25


def test_noise_teaches_nothing() -> None:
    learned = learn_weights(noisy(60, ""), SILENT)
    assert not learned.taken
    assert tuple(learned.weights.values()) == EQUAL


def test_a_domain_with_enough_queries_gets_weights_of_its_own() -> None:
    domains = ["radiology"] * 120 + ["pathology"] * 120 + ["few"] * 20
    queries = [query(n, {"d3": 1.0}, domain) for n, domain in enumerate(domains)]
    random = np.random.default_rng(4)
    tables = []
    for domain in domains:
        good = {"radiology": "image", "pathology": "words", "few": "text"}[domain]
        table = {c: places(random.permutation(20).tolist()) for c in CHANNELS}
        tables.append(table | {good: places([3, *(r for r in table[good] if r != 3)])})
    learned = learn_weights(Searched(queries, tables, Rows({r: f"d{r}" for r in range(20)}), 60.0), SILENT)
    assert set(learned.domain_weights) == {"radiology", "pathology"}
    assert learned.domain_weights["radiology"]["image"] > 2 * learned.domain_weights["radiology"]["words"]
    assert learned.domain_weights["pathology"]["words"] > 2 * learned.domain_weights["pathology"]["image"]


# ------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cases of two labels, told by their colour, of two splits and one domain that nobody knows."""
    folder = tmp_path_factory.mktemp("drawn")
    rows = []
    for n in range(12):
        Image.new("RGB", (64, 64), (200, 10 * n, 30) if n % 2 else (20, 10 * n, 230)).save(folder / f"{n}.png")
        text = "a red thing" if n % 2 else "a blue thing"
        rows.append({"id": f"c{n}", "image": f"{n}.png", "text": text, "group": f"p{n}", "domain": "pathology"})
        rows[-1]["split"] = "dev" if n < 4 else "train"
    rows.append(rows[0] | {"id": "skin", "domain": "dermatology"})
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def run(*args: object) -> dict[str, object]:
    done = CliRunner().invoke(app, [*map(str, args), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_command_measures_cases(drawn: Path) -> None:
    found = run("evaluate", "retrieval", drawn / "cases.jsonl", "--encoder", "imagenet")
    assert found["left_out"] == {"domain dermatology": 1}
    rows = {r["ranking"]: r for r in found["rows"]}
    assert set(rows) == {OURS, "random", "text only"}
    assert (rows[OURS]["direction"], rows[OURS]["queries"], rows[OURS]["groups"]) == (ALIKE, 12, 12)
    assert rows[OURS]["metrics"]["P@5"]["value"] > 0.8 > rows["random"]["metrics"]["P@5"]["value"]


def test_the_command_measures_an_index_and_writes_a_profile(drawn: Path, tmp_path: Path) -> None:
    folder = tmp_path / "indexes"
    run("ingest", drawn / "cases.jsonl", "--index", "mine", "--indexes", folder, "-o", "split=train")
    profile = tmp_path / "mine.toml"
    common = ("evaluate", "retrieval", drawn / "cases.jsonl", "--index", "mine", "--indexes", folder, "--split", "dev")
    found = run(*common, "--learn-weights", profile)
    assert {r["queries_of"] for r in found["rows"]} == {POOLED, "image", "text", "both"}
    alone = {r["ranking"]: r["metrics"]["nDCG@10"]["value"] for r in found["rows"] if r["queries_of"] == "text"}
    assert alone["text"] == alone["words"] == 1
    assert set(found["learned"]["weights"]) == set(CHANNELS)
    assert "4 of" not in profile.read_text()
    again = run(*common, "--profile", profile)
    assert "fused, weights of the profile" in {r["ranking"] for r in again["rows"]}


def test_questions_with_evidence_measure_an_index(indexes: Path, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    rows = [
        {"id": "1", "question": "pleural effusion meniscus", "evidence": ["note-chest-pleural-effusion"]},
        {"id": "2", "question": "retinal drusen", "evidence": {"HP:0011510": 2, "CXR1": 0}},
        {"id": "3", "question": "nothing known"},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert [q.gains for q in read_queries(path)] == [{"note-chest-pleural-effusion": 1.0}, {"HP:0011510": 2.0}]
    found = run("evaluate", "retrieval", path, "--index", "small", "--indexes", indexes)
    fused = next(r for r in found["rows"] if r["ranking"].startswith("fused"))
    assert fused["queries"] == 2
    assert fused["metrics"]["R@10"]["value"] == 1


def test_a_file_of_questions_is_still_evaluated_without_a_suite(indexes: Path, tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"id": "1", "question": "Is there cardiomegaly?", "study": "CXR2814", "answer": "yes"}))
    options = ("--index", "small", "--indexes", indexes)
    for args in ((path, *options), (*options, path), ("questions", path, *options)):
        row, *_ = run("evaluate", *args)["rows"]
        assert (row["yes"], row["metrics"]["yes_recalled"]["value"]) == (1, 1.0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl"),
        (["CASES", "--split", "nope"], "nothing to read with split='nope'"),
        (["CASES", "--domain", "radiology"], "12 .domain pathology"),
        (["CASES", "--encoder", "nope"], "no image encoder 'nope'"),
        (["CASES", "--learn-weights", "x.toml"], "--learn-weights needs --index"),
        (["CASES", "--index", "small", "--encoder", "imagenet"], "--encoder does not go with --index"),
        (["CASES", "--label", "nope", "--encoder", "imagenet", "--compare", "none"], "nothing can be measured"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(args: list[str], words: str, drawn: Path, indexes: Path) -> None:
    given = [str(drawn / "cases.jsonl") if a == "CASES" else a for a in args]
    with pytest.raises(InputError, match=words):
        CliRunner().invoke(app, ["evaluate", "retrieval", *given, "--indexes", str(indexes)], catch_exceptions=False)


def test_real_cases(data: Path) -> None:
    """All directions on the development split, with the compact model where it is; else images alone."""
    try:
        encoder = load_image_encoder(EncoderSettings(image="compact"))
    except MissingDependencyError:
        encoder = load_image_encoder(EncoderSettings(image="imagenet"))
    cases, left_out = read_labelled_cases(data / "cases", split="dev", domains=("ophthalmology", "pathology"))
    assert left_out["domain radiology"] == 166
    found = evaluate_retrieval(cases, encoder, None, SILENT)
    for direction in {r.of["direction"] for r in found.rows}:
        ours, by_chance = (row(found, direction, ranking=name).metrics["MRR"].value for name in (OURS, "random"))
        assert ours > 1.5 * by_chance
    assert row(found, ALIKE, "pathology").metrics["P@5"].value > 0.6
