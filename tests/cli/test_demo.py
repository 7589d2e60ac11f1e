"""`rag demo` from nothing to six answers, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_demo_builds_everything_and_shows_six_abilities(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from rag.cli import main; main()", "demo", "--json", "--indexes", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["ingest"]["by_kind"]["report"] >= 3927
    assert shown["ingest"]["empty"] == 28
    assert shown["ingest"]["quarantined"] == []
    study, literature, fundus, histology, refused, disagreeing = shown["answers"]
    assert (study["decision"], study["verdict"]) == ("answered", "yes")
    assert literature["evidence"][0]["kind"] == "literature"
    assert fundus["domain"]["name"] == "ophthalmology"
    assert histology["domain"]["name"] == "pathology"
    assert fundus["citations"][0]["document_id"] == "sample/retina"
    assert histology["citations"][0]["document_id"] == "sample/ihc"
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
    for answer in shown["answers"] + shown["certified"]:
        verify = [*command[:3], "audit", "verify", answer["audit_id"], "--indexes", str(tmp_path)]
        assert subprocess.run(verify, capture_output=True, env=environment, timeout=120, check=False).returncode == 0
