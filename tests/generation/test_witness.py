"""Two witnesses: the reader answers, a language model is asked apart, and agreement makes the answer surer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag.answering.confidence import Combiner, Signals
from rag.answering.engine import Engine
from rag.errors import InputError
from rag.settings import load_settings

from . import servers

ENLARGED = "Does study CXR2814 show cardiomegaly?"


def profile(folder: Path, url: str) -> str:
    path = folder / "witness.toml"
    path.write_text(
        f'[generation]\nkind = "openai"\n[generation.openai]\nbase_url = "{url}"\nmodel = "w"\nconcurrency = 1\n'
    )
    return str(path)


def test_agreement_raises_and_disagreement_lowers_confidence(indexes: Path, engine: Engine, tmp_path: Path) -> None:
    alone = engine.ask(ENLARGED)
    with servers.serving(servers.saying("Yes.", yes=0.9)) as server:
        settings = load_settings(generation={"witness": profile(tmp_path, server.url)})
        both = Engine.open(indexes / "small", settings)
        agreed = both.ask(ENLARGED)
        server.usual = servers.saying("No.", yes=0.1)
        differed = both.ask(ENLARGED)
        assert both.replay(differed.audit_id).outcome == "identical"
        asked = len(server.requests)
        both.ask("What is drusen?")
        assert len(server.requests) == asked, "it is a witness to studies"
    assert alone.verdict == agreed.verdict == differed.verdict == "yes"
    assert differed.confidence < alone.confidence < agreed.confidence
    assert agreed.answer == alone.answer
    assert alone.second_opinion is None
    assert (agreed.second_opinion.model, agreed.second_opinion.says) == ("witness", "yes"), "the profile, and no path"
    assert (differed.second_opinion.says, differed.second_opinion.probability) == ("no", 0.1)
    assert both.ledger[differed.audit_id].answer.second_opinion == differed.second_opinion
    assert "witness" in both.fingerprints
    assert "witness" not in engine.fingerprints


def test_a_witness_is_a_language_model(indexes: Path) -> None:
    with pytest.raises(InputError, match=r"generation\.witness.*'compact' has no language model"):
        Engine.open(indexes / "small", load_settings(generation={"witness": "compact"}))


def test_the_environment_chooses_the_writer_and_not_the_witness(
    indexes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.serving(servers.saying("Yes.", yes=0.9)) as server:
        monkeypatch.setenv("RAG_GENERATION__KIND", "reader")
        monkeypatch.setenv("RAG_GENERATION__OPENAI__MODEL", "writer")
        monkeypatch.setenv("RAG_GENERATION__WITNESS", profile(tmp_path, server.url))
        answer = Engine.open(indexes / "small", load_settings()).ask(ENLARGED)
    assert answer.verdict == "yes"
    assert [request["body"]["model"] for request in server.requests] == ["w"], "the profile's, as a witness alone"


def test_a_witness_that_knows_is_given_weight_and_one_that_does_not_is_not() -> None:
    draw = np.random.default_rng(0)
    right = draw.random(2000) < 0.8
    knows = np.where(right, 0.9, 0.1)
    rest = np.full((2000, 3), 0.9)
    guesses = draw.choice([0.1, 0.9], 2000)
    weight = np.full(2000, 1.0)
    signals = np.column_stack([np.full(2000, 0.8), rest])
    heard = Combiner.fit(np.column_stack([signals, knows]), right, weight)
    noise = Combiner.fit(np.column_stack([signals, guesses]), right, weight)
    nobody = Combiner.fit(np.column_stack([signals, np.full(2000, 0.5)]), right, weight)
    assert heard.weights[4] > 5 * max(noise.weights[4], 0.05)
    assert len(nobody.weights) == 4, "as certificates had it before there were witnesses"
    assert heard(Signals(0.8, 0.9, 0.9, 0.9, 0.9)) > 0.9 > 0.5 > heard(Signals(0.8, 0.9, 0.9, 0.9, 0.1))
