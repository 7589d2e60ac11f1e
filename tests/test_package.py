"""The installed package brings its knowledge along and works from any directory."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_wheel_carries_code_and_knowledge_and_runs_elsewhere(tmp_path: Path) -> None:
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(tmp_path),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("clincite-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"rag/knowledge/findings.toml", "rag/knowledge/domains.toml", "rag/knowledge/profiles/compact.toml"} <= names
    assert "rag/audit/report.html.jinja" in names
    assert sum(n.startswith("rag/knowledge/literature/") for n in names) >= 38
    compact = {f"rag/knowledge/models/compact/{n}" for n in ("open_clip_config.json", "open_clip_model.safetensors")}
    assert compact <= names
    lvlm = (
        "parts.json",
        "seen.json",
        "adapter-1-of-2.safetensors",
        "adapter-2-of-2.safetensors",
        "projector.safetensors",
    )
    assert {f"rag/knowledge/models/compact-lvlm/{n}" for n in lvlm} <= names

    # an environment of its own that borrows the dependencies of this one, but not the repository
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    code = (
        f"import sys; sys.path += {borrowed!r}; import rag.settings as s; from rag.language.lexicon import Lexicon;"
        "from rag.corpus.source import read_source;"
        "print(s.knowledge_dir()); print(len(Lexicon.load().concepts)); print(len(list(read_source('notes'))))"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    where, concepts, notes = done.stdout.split()
    assert Path(where).is_relative_to(site)
    assert int(concepts) > 150
    assert int(notes) >= 38


def test_no_two_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = {}
    for file in sorted((ROOT / "rag").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(str(file.relative_to(ROOT)))
    assert not {name: files for name, files in homes.items() if len(files) > 1}
