"""The shipped profiles of real models name their licence and memory, and are refused in one sentence without them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rag.errors import MissingDependencyError
from rag.generation.prompts import Prompt
from rag.generation.registry import load_generator
from rag.language.clinical_text import Texts
from rag.plugins import names
from rag.settings import knowledge_dir, load_settings

from . import servers
from .servers import saying

LOCAL = ("lingshu", "medgemma", "llava-med")


@pytest.mark.parametrize("name", [*LOCAL, "vllm"])
def test_a_profile_of_a_real_model_can_be_used_as_it_is(name: str) -> None:
    settings = load_settings(name).generation
    assert settings.kind in names("generator")
    assert Prompt(settings.prompt).sha256
    text = (knowledge_dir() / "profiles" / f"{name}.toml").read_text()
    if name in LOCAL:
        assert "Licence:" in text
        assert "GB for the weights" in text


@pytest.mark.parametrize("name", LOCAL)
def test_a_model_that_is_not_here_is_one_sentence(name: str, texts: Texts) -> None:
    with pytest.raises(MissingDependencyError, match="is not on this machine"):
        load_generator(load_settings(name).generation, texts)


def rag(*words: str) -> subprocess.CompletedProcess[str]:
    code = "from rag.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2]
    )


def test_the_command_line_streams_what_a_server_writes_and_says_where_data_go(indexes: Path, tmp_path: Path) -> None:
    with servers.serving(saying("Yes, there is cardiomegaly [1]. There is a pneumothorax [1].", yes=0.9)) as server:
        profile = tmp_path / "own.toml"
        profile.write_text(f'[generation.openai]\nbase_url = "{server.url}"\nmodel = "m"\n')
        ask = ("ask", "Does study CXR2814 show cardiomegaly?", "--index", "small", "--indexes", str(indexes))
        done = rag(*ask, "--profile", str(profile), "--generator", "openai", "--stream")
        assert done.returncode == 0, done.stderr
        assert "are sent to http://127.0.0.1" in done.stderr
        assert done.stdout.startswith("Yes: there is cardiomegaly. [1]\n")
        assert "pneumothorax" not in done.stdout
        silent = rag(*ask, "--profile", str(profile), "--stream", "--json")
        assert silent.returncode == 0
        assert silent.stderr == "", "the default generator sends nothing anywhere"
        assert silent.stdout.splitlines()[-1].startswith('{"kind": "answer"')
    gone = rag(*ask, "--profile", str(profile), "--generator", "openai")
    assert gone.returncode == 1
    assert "cannot be reached" in gone.stderr
    assert "Traceback" not in gone.stderr
    missing = rag(*ask, "--profile", "lingshu")
    assert missing.returncode == 2
    assert "is not on this machine" in missing.stderr
