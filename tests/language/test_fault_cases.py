"""Small cases after public reports of readers that went wrong, through the whole product, counted by kind.

What is right by kind is held: a change that makes a kind worse fails, one that makes it better raises its number here.
``python -m pytest -n 0 -s`` on this file prints the table and what is still wrong.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag import Engine, Index, Question, Settings
from rag.errors import RagError
from rag.language.clinical_text import Texts
from rag.verification.rules.entailment import judge

# Kind -> (right, of): what is held. Questions of kinds that are not about reading are asked elsewhere.
HELD = {
    "K1": (33, 33),
    "K2": (18, 20),
    "K3": (13, 13),
    "K3b": (18, 19),
    "K4": (9, 9),
    "K5": (8, 8),
    "K6": (17, 17),
    "K7": (28, 28),
    "K8": (12, 12),
    "K10": (21, 21),
    "K15": (5, 5),
    "pass": (53, 53),
}
_SILENT = "not_mentioned"
_RIGHT = {  # what was expected -> what is right; a report's silence is taken for no where a report can be silent
    "yes": {"yes"},
    "no": {"no", _SILENT},
    "abst": {"abst"},
    "not-no": {"yes", "abst"},
    "not-yes": {"no", _SILENT, "abst"},
}


@pytest.fixture(scope="module")
def faults(data: Path) -> list[dict[str, Any]]:
    file = data / "faults" / "cases.jsonl"
    if not file.is_file():
        pytest.skip("the fault cases (../shared/data/faults) are not here")
    return [json.loads(line) for line in file.open(encoding="utf-8")]


@pytest.fixture(scope="module")
def read(faults: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """An engine on the reports of all cases: as beside one another as they would be in a hospital's index."""
    folder = tmp_path_factory.mktemp("faults")
    rows = [{"id": c["id"], "text": c["input"], "kind": "report", "domain": "radiology"} for c in _reports(faults)]
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    settings = Settings.model_validate({"encoders": {"text": "fakes:make_word_bags", "image": "fakes:make_colours"}})
    with Index.create(folder / "index", settings) as index:
        assert index.ingest(folder / "cases.jsonl").added == len(rows)
    return Engine.open(folder / "index", settings)


def test_no_kind_gets_worse(faults: list[dict[str, Any]], read: Engine, texts: Texts) -> None:
    right, of = Counter[str](), Counter[str]()
    for kind, correct, told in (*_asked(faults, read), *_judged(faults, texts)):
        right[kind] += correct
        of[kind] += 1
        if not correct:
            print(f"{kind:5}{told}")
    for kind in of:
        print(f"{kind:5}{right[kind]:3} of {of[kind]}")
    worse = {k: f"{right[k]} right, were {n}" for k, (n, m) in HELD.items() if (of[k] == m and right[k] < n)}
    assert not worse, worse


def _reports(faults: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Cases whose input is a report and that ask something of it."""
    yield from (c for c in faults if isinstance(c["input"], str) and isinstance(c.get("questions"), list))


def _asked(faults: list[dict[str, Any]], engine: Engine) -> Iterator[tuple[str, bool, str]]:
    for case in _reports(faults):
        for row in case["questions"]:
            if row.get("expected") is None:
                continue
            try:
                (answer,) = engine.ask_many([Question(text=row["q"])], record=False)
                got, said = answer.verdict or "abst", answer.answer
            except RagError as error:
                got, said = "refused", str(error)
            told = f"{case['id']}: {row['q']} {row['expected']}, not {got}: {said[:100]!r}"
            yield case["kind"].split()[0], got in _RIGHT[row["expected"]], told


def _judged(faults: list[dict[str, Any]], texts: Texts) -> Iterator[tuple[str, bool, str]]:
    """Cases that are a quote and a sentence that is said to follow from it."""
    for case in faults:
        if isinstance(case["input"], list) and len(case["input"]) == 2:
            quote, sentence = case["input"]
            follows = judge(sentence, quote, texts).verdict == "supported"
            wanted = case["expected"] == "supported"
            yield case["kind"].split()[0], follows == wanted, f"{case['id']}: {case['input']} {case['expected']}"
