"""A trained router: its probabilities mean what they say, and its false alarms keep their rate."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax, softmax

from rag.cli import main
from rag.encoders.registry import load_image_encoder
from rag.errors import InputError, RagError
from rag.retrieval.head import TrainedHead
from rag.settings import EncoderSettings, knowledge_dir
from rag.training.router.fitting import fit_head
from rag.training.router.temperature import (
    auroc,
    balanced_accuracy,
    conformal_threshold,
    expected_calibration_error,
    fit_temperature,
)
from rag.training.router.train import train_router

BLUE, GREEN, RED = (20, 30, 220), (20, 220, 40), (220, 20, 30)


def test_the_temperature_is_the_one_the_labels_were_drawn_with() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(40_000, 4)) * 3
    chances = softmax(logits / 2.5, axis=1).cumsum(axis=1)
    labels = np.minimum((random.random((len(logits), 1)) > chances).sum(axis=1), 3)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(2.5, rel=0.05)

    def loss(temperature: float) -> float:
        weights = 1 / np.bincount(labels)[labels]
        return float(-(weights * log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels]).sum())

    assert min(np.linspace(1.5, 4, 101), key=loss) == pytest.approx(found, abs=0.06)
    before = expected_calibration_error(logits, labels)
    after = expected_calibration_error(logits / found, labels)
    assert after < 0.01 < before


def test_a_hundred_right_answers_do_not_make_certainty() -> None:
    logits = np.tile([[5.0, 0.0]], (100, 1))
    labels = np.zeros(100, dtype=np.int64)
    assert softmax(logits / fit_temperature(logits, labels), axis=1)[0, 0] == pytest.approx(1 - 1 / 102, abs=1e-4)


def test_calibration_error_of_an_example_made_by_hand() -> None:
    # two answers given with 0.9, one right; eight with 0.6, all right: (|1.8 - 1| + |4.8 - 8|) / 10
    probabilities = np.array([[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 8)
    labels = np.array([0, 1] + [0] * 8)
    assert expected_calibration_error(np.log(probabilities), labels) == pytest.approx(0.4)
    assert balanced_accuracy(np.log(probabilities), labels) == pytest.approx(0.5)  # 9 of 9, and 0 of 1


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_false_alarms_keep_their_rate_whatever_the_distribution(rate: float) -> None:
    random = np.random.default_rng(2)
    alarms = []
    for _ in range(4000):
        scores = np.exp(random.normal(size=100) ** 3)  # heavy tails
        alarms.append(scores[0] > conformal_threshold(scores[1:], rate))
    tolerance = 3.5 * (rate * (1 - rate) / len(alarms)) ** 0.5
    assert np.mean(alarms) == pytest.approx(rate, abs=tolerance + 1e-9)  # 99 scores: the rate is met exactly


def test_too_few_scores_promise_nothing() -> None:
    assert conformal_threshold(np.arange(18.0), 0.05) == np.inf
    assert conformal_threshold(np.arange(19.0), 0.05) == 18


def test_the_head_is_scikit_learns_and_so_is_the_area() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(3)
    for classes in (2, 3):
        features = random.normal(size=(200, 8)).astype(np.float32)
        labels = random.integers(0, classes, 200)
        fitted = *fit_head(features, labels, np.full(200, "x")), 1.0, features[:classes], np.arange(classes)
        head = TrainedHead(tuple("abc"[:classes]), "x", *fitted, np.ones(classes, dtype=np.float32))
        theirs = LogisticRegression(C=10, class_weight="balanced", max_iter=1000).fit(features, labels)
        np.testing.assert_allclose(np.exp(head.log_probabilities(features)), theirs.predict_proba(features), atol=1e-5)
    inside, outside = random.integers(0, 9, 50).astype(float), random.integers(3, 12, 40).astype(float)
    truth = roc_auc_score([0] * 50 + [1] * 40, np.concatenate([inside, outside]))
    assert auroc(inside, outside) == pytest.approx(truth)


def rows_of(folder: Path, domain: str, colour: tuple[int, int, int], n: int, **more: str) -> list[dict[str, str]]:
    random = np.random.default_rng(n)
    rows = []
    for i in range(n):
        name = f"{domain}{len(list(folder.iterdir()))}.png"
        shade = np.clip(random.normal(colour, 6), 0, 255).astype(np.uint8)
        Image.fromarray(np.tile(shade, (4, 4, 1))).save(folder / name)
        rows.append({"id": name, "image": name, "domain": domain, "group": f"{domain}-{i}", "source": domain} | more)
    return rows


def write(folder: Path, rows: list[dict[str, str]], name: str = "cases.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    blue = rows_of(tmp_path, "radiology", BLUE, 120)
    return write(tmp_path, blue + rows_of(tmp_path, "ophthalmology", GREEN, 120))


def test_a_router_is_trained_measured_and_used(tmp_path: Path, cases: Path, colours: Any) -> None:
    ood = write(tmp_path, rows_of(tmp_path, "dermatology", RED, 20), "ood.jsonl")
    out = tmp_path / "router.safetensors"
    report = train_router([cases], colours, out, ood=ood)
    assert report.domains == ("ophthalmology", "radiology")
    assert (report.balanced_accuracy, report.auroc, report.detected) == (1.0, 1.0, 1.0)
    assert report.ece is not None
    assert report.ece < 0.05
    head = TrainedHead.load(out)
    vector = colours.encode_images([tmp_path / json.loads(ood.read_text().splitlines()[0])["image"]])
    assert head.strangeness(vector)[0] > 1
    of_each = colours.encode_images([tmp_path / "radiology0.png", tmp_path / "ophthalmology120.png"])
    assert [head.domains[i] for i in head.log_probabilities(of_each).argmax(axis=1)] == ["radiology", "ophthalmology"]
    assert head.about["data"][0]["images"] > 50
    first = out.read_bytes()
    train_router([cases], colours, out, ood=ood)
    assert out.read_bytes() == first  # the same data give the same file


def test_test_images_of_unknown_domains_count_as_out_of_domain(tmp_path: Path, colours: Any) -> None:
    rows = []
    for split, n in (("train", 40), ("dev", 30), ("test", 10)):
        for domain, colour in (("radiology", BLUE), ("ophthalmology", GREEN)):
            rows += [r | {"group": r["id"]} for r in rows_of(tmp_path, domain, colour, n, split=split)]
    rows += rows_of(tmp_path, "dermatology", RED, 10, split="test")
    report = train_router([write(tmp_path, rows)], colours, tmp_path / "r.safetensors")
    assert report.images == {"train": 80, "dev": 60, "test": 20, "looks": 80, "out of domain": 10}
    assert report.flagged["dermatology"] == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [*rows[:-1], rows[-1] | {"domain": "dermatologie"}], "domain 'dermatologie' is not in the list"),
        (lambda rows: [r for r in rows if r["domain"] == "radiology"], "at least two"),
        (lambda rows: rows[:5] + rows[-5:], "split"),
        (
            lambda rows: [r | {"split": "train" if i % 2 else "dev", "group": "one"} for i, r in enumerate(rows)],
            "splits",
        ),
        (lambda rows: [r | {"split": ("train", "dev")[i % 20 == 0]} for i, r in enumerate(rows)], "too few"),
        (lambda rows: [{"id": "a", "text": "only words"}], "no usable image"),
    ],
)
def test_cases_that_cannot_be_learnt_from_are_one_sentence(
    tmp_path: Path, cases: Path, colours: Any, change: Any, message: str
) -> None:
    rows = [json.loads(line) for line in cases.read_text().splitlines()]
    with pytest.raises(InputError, match=message):
        train_router([write(tmp_path, change(rows))], colours, tmp_path / "r.safetensors")
    assert not (tmp_path / "r.safetensors").exists()


def test_the_command_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rag", "train", "router", str(tmp_path / "none.jsonl")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "There is no file or folder" in capsys.readouterr().err


def test_the_shipped_router_reaches_its_figures(data: Path) -> None:
    """On 128 unseen test images of each kind; the whole split is in the file's own description."""
    model = knowledge_dir() / "models" / "compact"
    if not (model / "router.safetensors").is_file():
        pytest.skip("the compact model's router is not here")
    try:
        encoder = load_image_encoder(EncoderSettings(image="compact"))  # type: ignore[call-arg]
    except RagError as error:
        pytest.skip(str(error))
    head = TrainedHead.load(model / "router.safetensors")
    assert head.encoder == encoder.fingerprint
    figures = head.about["figures"]
    assert figures["balanced_accuracy"] >= 0.995
    assert figures["ece"] <= 0.02
    assert figures["auroc"] >= 0.985
    assert figures["detected"] >= 0.85  # sources never seen shall pass, see benchmarks/routing.py
    assert figures["false_alarms"] <= 0.03
    from rag.encoders.features import encode_with_features

    rows = [json.loads(line) for line in (data / "cases" / "cases.jsonl").read_text().splitlines()]
    rows = [r for r in rows if r["split"] == "test"]
    inside = [r for r in rows if r["domain"] in head.domains][::4]
    outside = [r for r in rows if r["source"] == "ham10000"][::3]
    features = encode_with_features(encoder, [data / "cases" / r["image"] for r in inside + outside])[1]
    labels = np.array([head.domains.index(r["domain"]) for r in inside])
    far = head.strangeness(features)
    assert balanced_accuracy(head.logits(features[: len(inside)]), labels) >= 0.98
    assert auroc(far[: len(inside)], far[len(inside) :]) >= 0.98
    assert (far[len(inside) :] > 1).mean() >= 0.8
    assert (far[: len(inside)] > 1).mean() <= 0.03
