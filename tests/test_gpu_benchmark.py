"""The device script says where there is no device, and each of its parts runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPT.parent, timeout=600)


def test_without_a_device_it_says_so_and_is_no_failure(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    done = _run(str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "gpu.json").read_text())
    assert said["device"] is None and "no CUDA device" in said["why"]


@pytest.mark.slow
def test_every_part_runs_at_a_small_size(tmp_path: Path) -> None:
    done = _run("--rehearse", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "gpu.json").read_text())
    assert said["rehearsal"] is True and said["contract tests"]["passed"]
    assert said["2,000: torch-flat"]["recall@10"] == 1.0 and said["20,000: torch alone"]["recall@10"] >= 0.99
    assert said["encoding"]["images/s from files"] > 0
    assert not [name for name, part in said.items() if isinstance(part, dict) and "failed" in part]
