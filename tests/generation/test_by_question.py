"""Studies are read, the rest is written; what verification refuses of the writing, the reader's quotes replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.generation.registry import load_generator
from rag.language.clinical_text import Texts
from rag.settings import GenerationSettings, Settings, load_settings

from . import servers
from .servers import Handler, Server, saying

TERM = "What is cardiomegaly?"
SAID = "On a posteroanterior film of an adult in good inspiration, a ratio above 0.5 counts as cardiomegaly."


def repeating(handler: Handler, body: dict[str, Any]) -> None:
    """Says a sentence of the prompt, with the number of the passage that holds it."""
    prompt = " ".join("".join(m["content"] for m in body["messages"]).split())
    before, held, _ = prompt.partition(SAID)
    assert held
    number = before.rpartition('number="')[2].partition('"')[0]
    saying(f"{SAID} [{number}]")(handler, body)


@pytest.fixture
def server() -> Iterator[Server]:
    with servers.serving(repeating) as running:
        yield running


@pytest.fixture
def engine(copy_index: Callable[[Path], None], tmp_path: Path, server: Server) -> Engine:
    copy_index(tmp_path / "small")
    generation = {
        "kind": "by-question",
        "writer": "openai",
        "openai": {"base_url": server.url, "model": "m", "read_timeout": 2.0, "attempts": 1},
    }
    return Engine.open(tmp_path / "small", Settings.model_validate({"generation": generation}))


def test_a_study_is_read_and_literature_is_written(engine: Engine, server: Server) -> None:
    read = engine.ask("Does study CXR2814 show cardiomegaly?")
    assert (read.decision, read.verdict) == ("answered", "yes")
    assert server.requests == []
    written = engine.ask(TERM)
    assert [s.text for s in written.sentences] == [SAID]
    assert len(server.requests) == 1


def test_the_readers_quotes_replace_what_verification_refuses(engine: Engine, server: Server) -> None:
    server.usual = saying("The moon is made of cheese [1].")
    answer = engine.ask(TERM)
    assert answer.decision == "answered"
    assert "“" in answer.sentences[0].text, "a quotation"
    assert len(server.requests) == 1, "the model is not asked again"


def test_a_yes_or_no_that_verification_refuses_is_left_unsaid(engine: Engine, server: Server) -> None:
    server.usual = saying("No, the moon is made of cheese [1].")
    answer = engine.ask("Does a ratio above 0.5 count as cardiomegaly?")
    assert answer.decision == "abstained"
    assert "the sentence that says no did not pass verification" in answer.reason
    assert len(server.requests) == 1


def explaining(engine: Engine) -> Engine:
    """The same, where only explanations are written."""
    generation = engine.settings.generation.model_copy(update={"written": "explanations"})
    return Engine.open(engine.store.path, engine.settings.model_copy(update={"generation": generation}))


def test_lists_and_facts_are_quoted_where_only_explanations_are_written(engine: Engine, server: Server) -> None:
    careful = explaining(engine)
    for question in (
        "Which ratio counts as cardiomegaly?",
        "List the ratios that count as cardiomegaly.",
        "What is the normal range of the cardiothoracic ratio?",
    ):
        assert "“" in careful.ask(question).sentences[0].text, "a quotation"
    assert server.requests == []
    assert [s.text for s in careful.ask(TERM).sentences] == [SAID]


def test_a_yes_or_no_that_rules_can_tell_needs_no_model_where_only_explanations_are_written(
    engine: Engine, server: Server
) -> None:
    careful = explaining(engine)
    told = careful.ask("Does a ratio above 0.5 count as cardiomegaly?")
    assert (told.verdict, [c.verdict for c in told.citations]) == ("yes", ["supported"])
    assert server.requests == []
    careful.ask("Does heart failure cause cardiomegaly?")
    assert len(server.requests) == 1, "for the others it is asked, once"


def test_a_change_of_either_changes_the_fingerprint(texts: Texts) -> None:
    def prints(**more: object) -> str:
        openai = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
        values = {"kind": "by-question", "writer": "openai", "openai": openai, **more}
        return load_generator(GenerationSettings.model_validate(values), texts).fingerprint

    reader = load_generator(GenerationSettings.model_validate({}), texts).fingerprint
    assert reader in prints()
    assert prints() != prints(temperature=0.5)
    with pytest.raises(InputError, match=r"generation\.writer"):
        prints(writer="by-question")


def test_the_profile_names_the_model_that_may_write() -> None:
    chosen = load_settings("compact-lvlm-by-question").generation
    assert (chosen.kind, chosen.language_model, chosen.revisions) == ("by-question", "transformers", 1)
    alone = load_settings("compact-lvlm").generation
    assert alone.language_model == "transformers"
    assert chosen.transformers == alone.transformers


def test_the_reader_of_that_profile_quotes_from_as_much_as_it_does_without_a_model() -> None:
    profile = load_settings("compact-lvlm-by-question")
    assert profile.selection == load_settings().selection
    assert profile.generation.passages == load_settings("compact-lvlm").selection.k_max  # what the model was taught on
