"""The command ``rag`` as people run it, in a process of its own, with encoders that need no model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
QUICK = {"RAG_ENCODERS__TEXT": "fakes:make_word_bags", "RAG_ENCODERS__IMAGE": "fakes:make_colours"}


def environment(**more: str) -> dict[str, str]:
    """Of such a process; ``more`` is added to it."""
    return os.environ | QUICK | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"} | more


def rag(*arguments: str | bytes, before: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[Any]:
    """Run it to its end; ``before`` is what runs it. Output is text unless ``text=False``."""
    command = [*before, sys.executable, "-c", "from rag.cli import main; main()", *arguments]
    given = {"capture_output": True, "text": True, "env": environment(), "timeout": 300} | options
    return subprocess.run(command, check=False, **given)
