"""What a command does not need it does not import: that is what makes the first words come at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

HELP = """
import sys
from rag.cli import main
sys.argv = ["rag", "--help"]
try:
    main()
finally:
    heavy = ("numpy", "faiss", "pydantic", "pydantic_settings", "PIL", "scipy", "rag.settings", "rag.types")
    print("imported:", *[name for name in heavy if name in sys.modules], file=sys.stderr)
"""
QUESTION = """
import sys
from rag import Engine
engine = Engine.open(sys.argv[1])
heavy = ("torch", "transformers", "sentence_transformers", "sklearn", "open_clip", "scipy.special", "PIL", "asyncio",
         "multiprocessing", "pydantic_settings", "rag.building.ingest")
def imported(): return [name for name in heavy if name in sys.modules]
print(engine.ask("Does study SYN5 show cardiomegaly?").decision, imported())
print(len(engine.search("an enlarged heart")) > 0, imported())
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=bare
    )


def test_help_is_words_alone() -> None:
    done = _run(HELP)
    assert done.returncode == 0 and "rag" in done.stdout
    assert done.stderr.strip() == "imported:"


def test_questions_about_studies_and_literature_import_only_what_they_need(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).parents[1] / "data" / "earlier-index.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    done = _run(QUESTION, str(tmp_path / "earlier"))
    assert done.stdout.splitlines() == ["answered []", "True []"], done.stderr
