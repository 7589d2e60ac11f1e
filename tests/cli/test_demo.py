"""`rag demo` from nothing to six answers, as a newcomer runs it; and with fake encoders, a tenth of the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(indexes: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rag.cli import main; main()", *words, "--indexes", str(indexes)]
    given = {**os.environ, "OMP_NUM_THREADS": "2", **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=1200, env=given, check=False)


def test_the_demo_reads_its_corpora_answers_and_certifies_whatever_encodes(tmp_path: Path) -> None:
    """What no encoder decides: the corpora are read whole, reports are answered from, the certificate is in force."""
    fakes = {"RAG_ENCODERS__TEXT": "fakes:make_word_bags", "RAG_ENCODERS__IMAGE": "fakes:make_colours"}
    root = Path(__file__).parents[2]
    done = run(tmp_path, "demo", "--json", **fakes, PYTHONPATH=f"{root}{os.pathsep}{root / 'tests'}")
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


@pytest.mark.slow
def test_the_demo_builds_everything_and_shows_six_abilities(tmp_path: Path) -> None:
    done = run(tmp_path, "demo", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    check(shown)
    _, _, fundus, histology, _, _ = shown["answers"]
    assert fundus["domain"]["name"] == "ophthalmology"
    assert histology["domain"]["name"] == "pathology"
    assert fundus["citations"][0]["document_id"] == "sample/retina"
    assert histology["citations"][0]["document_id"] == "sample/ihc"
    for answer in shown["answers"] + shown["certified"]:
        assert run(tmp_path, "audit", "verify", answer["audit_id"]).returncode == 0


def check(shown: dict[str, Any]) -> None:
    assert shown["ingest"]["by_kind"]["report"] >= 3927
    assert shown["ingest"]["empty"] == 28
    assert shown["ingest"]["quarantined"] == []
    study, literature, _, _, refused, disagreeing = shown["answers"]
    assert (study["decision"], study["verdict"]) == ("answered", "yes")
    assert literature["evidence"][0]["kind"] == "literature"
    assert refused["decision"] == "abstained"
    assert disagreeing["decision"] == "abstained"
    assert len(disagreeing["sentences"]) == 2
    (part,) = shown["certificate"]["parts"]
    assert part["domains"] == ["radiology"]
    assert part["k"] is not None
    assert part["n"] >= 400
    answered, withheld = shown["certified"]
    assert (answered["decision"], withheld["decision"]) == ("answered", "abstained")
    assert {a["certificate"]["status"] for a in shown["certified"]} == {"valid"}
