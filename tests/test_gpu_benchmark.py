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
    assert said["torch-flat"]["recall@10"] == 1.0 and said["ten million"]["recall@10"] >= 0.99
    assert said["torch-flat"]["threads"] | {"QPS": 0} == {"questions": 800, "other answers": 0, "errors": [], "QPS": 0}
    assert said["encoding"]["images/s from files"] > 0 and said["ingest"]["added"] == 20
    assert not {"failed", "ended"} & {word for part in said.values() if isinstance(part, dict) for word in part}


def test_a_part_that_the_library_aborts_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu

    script = tmp_path / "broken.py"
    script.write_text(
        "import os, pathlib, sys, time\n"
        "pathlib.Path(sys.argv[3]).write_text('{\"found\": 1}')\n"
        "print('what it said last', flush=True)\n"
        "os.abort() if sys.argv[2] == 'aborts' else time.sleep(60)\n"
    )
    monkeypatch.setattr(gpu, "__file__", str(script))
    aborted, slow = (gpu.apart(gpu.Part(name, print, 0, 1), 3, True) for name in ("aborts", "sleeps"))
    assert aborted["found"] == 1 and aborted["ended"] == "with -6" and "said last" in aborted["last words"]
    assert slow["found"] == 1 and slow["ended"] == "after 3 s"
