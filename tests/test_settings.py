"""Settings: who is heard before whom, and what is said of those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag import Settings, load_settings
from rag.errors import InputError


@pytest.fixture
def profile(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text("[selection]\nk_max = 7\n[answering]\nmin_confidence = 0.9\n", encoding="utf-8")
    return str(path)


def test_arguments_come_before_the_environment_and_that_before_the_profile(
    profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("rag_selection__k_max", "6")
    monkeypatch.setenv("RAG_RETRIEVAL__WEIGHTS", '{"words": 2}')
    found = load_settings(profile)
    assert (found.selection.k_max, found.answering.min_confidence, found.profile) == (6, 0.9, profile)
    assert found.retrieval.weights == {"words": 2.0}
    assert load_settings(profile, selection={"k_max": 5}).selection.k_max == 5
    assert load_settings(profile, environment=False).selection.k_max == 7
    assert Settings().selection.k_max == 6
    assert Settings(selection={"k_max": 5}).selection.k_max == 5


def test_a_table_of_the_environment_and_a_field_of_it_are_both_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_SELECTION", '{"k_max": 6, "gamma": 1.5}')
    monkeypatch.setenv("RAG_SELECTION__K_MAX", "5")
    monkeypatch.setenv("RAG_OF_SOMEBODY_ELSE", "1")
    found = Settings().selection
    assert (found.k_max, found.gamma) == (5, 1.5)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RAG_SELECTION", "{5", "is not JSON.*selection"),
        ("RAG_SELECTION__K_MAX", "many", "'selection.k_max'"),
        ("RAG_SELECTION__KMAX", "5", "'selection.kmax'"),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=said):
        load_settings()


@pytest.mark.parametrize("content", [b"[sel", b'grounder = "\xff"'])
def test_a_profile_that_is_not_toml_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="bad.toml is not TOML"):
        load_settings(str(path))
