"""The script of a large index runs: it is published, searched, thinned out and searched again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "large.py"


@pytest.mark.slow
def test_every_stage_runs_at_a_small_size(tmp_path: Path) -> None:
    told = tmp_path / "large.json"
    command = [sys.executable, str(SCRIPT), "6000", "--threads", "1", "--folder", str(tmp_path), "--out", str(told)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPT.parent, timeout=600)
    assert done.returncode == 0, done.stderr
    said = json.loads(told.read_text())["sizes"]["6000"]
    assert said["search"]["recall@10"] >= 0.9
    assert said["a tenth removed"] == {**said["a tenth removed"], "removed": 600, "removed ones found": 0}
    assert said["search"]["peak"] <= said["stated"]["memory MiB"]
