"""A server that speaks OpenAI's API: a real one, and one that fails in every way that servers do."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from rag.errors import InputError, RagError
from rag.generation.chat import LanguageGenerator
from rag.generation.completions import probability_of_yes
from rag.generation.messages import Messages, Picture
from rag.generation.openai import RemoteModel
from rag.generation.registry import load_generator
from rag.generation.transformers import LocalModel
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.settings import GenerationSettings, Settings, load_settings, profile_text

from . import servers
from .conftest import Ask, settings_for
from .servers import Act, Server, saying, status

TEXTS = Texts(Lexicon.load())

MESSAGES = Messages("Rules.", "Is there a secret?")


def settings(url: str, key: str | None = None, **more: object) -> GenerationSettings:
    openai = {"base_url": url, "model": "m", "read_timeout": 1.0, "total_timeout": 20.0, "api_key": key, **more}
    return GenerationSettings.model_validate({"kind": "openai", "max_new_tokens": 8, "openai": openai})


def text_of(model: RemoteModel, messages: Messages = MESSAGES) -> str:
    return "".join(p.text for p in model.chat(messages))


@pytest.fixture
def scripted() -> Iterator[Server]:
    with servers.serving(saying("Yes, it is [1].")) as server:
        yield server


@pytest.fixture(scope="module")
def real(tiny: Callable[[str], Path]) -> Iterator[tuple[str, Path]]:
    """transformers' own server with a tiny Qwen2.5-VL."""
    folder = tiny("qwen2.5-vl")
    with servers.transformers_serve(folder) as url:
        yield url, folder


def test_a_real_server_gives_the_answer_that_the_model_gives_here(real: tuple[str, Path]) -> None:
    url, folder = real
    remote, local = RemoteModel(settings(url, model=str(folder))), LocalModel(settings_for(folder))
    picture = Picture(Image.effect_noise((90, 70), 60).convert("RGB"), "The image:")
    for messages in (MESSAGES, Messages("Rules.", "What is seen?", (picture,))):
        here = "".join(p.text for p in local.chat(messages))
        assert here
        there = re.sub(r"<\|?\w+\|?>", "", text_of(remote, messages))  # the server shows control tokens
        unfinished = "\N{REPLACEMENT CHARACTER}"  # a last character in part, which the server holds back
        assert there.rstrip(unfinished) == here.rstrip(unfinished)
    *_, last = remote.chat(MESSAGES)
    assert last.truncated


def test_what_fails_before_the_answer_begins_is_tried_again(real: tuple[str, Path]) -> None:
    url, folder = real
    direct = text_of(RemoteModel(settings(url, model=str(folder))))
    with servers.serving(servers.forwarding(url)) as proxy:
        model = RemoteModel(settings(proxy.url, model=str(folder)))
        for faults in ([status(429, Retry_After="0"), status(503, Retry_After="0")], [servers.hanging_up]):
            proxy.acts.extend(faults)
            assert text_of(model) == direct
        assert len(proxy.requests) == 5
        proxy.acts.append(servers.cutting(url))
        with pytest.raises(RagError, match="stopped in the middle of its answer"):
            text_of(model)


def test_a_server_says_when_to_come_back(scripted: Server) -> None:
    scripted.acts.append(status(429, Retry_After="1"))
    begin = time.monotonic()
    assert text_of(RemoteModel(settings(scripted.url))) == "Yes, it is [1]."
    assert time.monotonic() - begin >= 1
    scripted.acts.append(status(429, Retry_After="3600"))
    begin = time.monotonic()
    with pytest.raises(RagError, match="HTTP 429"):
        text_of(RemoteModel(settings(scripted.url)))
    assert time.monotonic() - begin < 5, "an hour is more than the whole draft may take"
    scripted.acts.append(status(429, Retry_After="4"))
    with pytest.raises(RagError, match="HTTP 429"):
        text_of(RemoteModel(settings(scripted.url, total_timeout=2.0)))
    assert time.monotonic() - begin < 5, "so are four seconds of two"


CHUNK = servers.chunk
FAULTS: list[tuple[Act, str]] = [
    (status(500), "HTTP 500"),
    (status(401), "API key"),
    (status(404), "generation.openai.base_url"),
    (status(302, Location="http://example.invalid/"), "HTTP 302"),
    (servers.raw("data: {not json\n\n"), "not JSON"),
    (servers.raw(f"data: {'[' * 100_000}\n\n"), "not JSON"),
    (servers.raw('data: {"choices": [3]}\n\n'), "no chat completion"),
    (servers.raw("data: []\n\n"), "no chat completion"),
    (servers.raw(CHUNK(delta={"content": ["a", "list"]})), "not a string"),
    (servers.raw("<html>secret</html>"), "stopped in the middle"),
    (servers.raw("[1, 2]", "application/json"), "no chat completion"),
    (servers.raw(CHUNK("The ") + 'data: {"error": {"message": "secret"}}\n\n'), "reported an error"),
    (servers.raw(CHUNK("The ", end="content_filter")), "withheld"),
    (servers.raw(CHUNK("The ")), "stopped in the middle"),
    (servers.silent(3), "silent for 1 s"),
    (servers.silent(3, "application/json"), "silent for 1 s"),
    (servers.raw("{not json", "application/json"), "not JSON"),
    (servers.endless("x" * 50_000), "more than 1,000,000 bytes"),
    (servers.endless(CHUNK("") * 100), "more than 1,000,000 bytes"),
    (servers.endless("secret" * 10_000, code=400), "refused the request"),
    (servers.endless("zipped", Content_Encoding="gzip"), "compressed"),
    (servers.raw(b"\xff\xfe" * 1000 + b"\n\n"), "not JSON"),
    (servers.raw('{"choices": [' + " " * 2_000_000, "application/json"), "more than 1,000,000 bytes"),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[str(n) for n in range(len(FAULTS))])
def test_every_fault_is_one_sentence_that_repeats_nothing(fault: Act, words: str, scripted: Server) -> None:
    scripted.usual = fault
    model = RemoteModel(settings(scripted.url, attempts=2, max_response_bytes=1_000_000))
    with pytest.raises(RagError, match=words) as caught:
        text_of(model)
    assert "the language model server 127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    scripted.usual = saying("Fine.")
    assert text_of(model) == "Fine.", "the next question finds the model as it was"


def test_a_server_that_keeps_one_waiting_is_left_in_time(scripted: Server) -> None:
    scripted.usual = servers.endless(": keep waiting\n", 0.2)
    begin = time.monotonic()
    with pytest.raises(RagError, match="was not done within 2 s"):
        text_of(RemoteModel(settings(scripted.url, total_timeout=2.0)))
    assert time.monotonic() - begin < 10


def test_a_server_that_is_away_is_said() -> None:
    with servers.serving(saying("")) as server:
        url = server.url
    with pytest.raises(RagError, match="cannot be reached"):
        text_of(RemoteModel(settings(url, attempts=1)))


def test_the_whole_answer_at_once_will_do(scripted: Server) -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]}
    scripted.usual = servers.raw(json.dumps(whole), "application/json")
    assert text_of(RemoteModel(settings(scripted.url))) == "Yes."


def test_probabilities_are_used_where_offered_and_not_asked_for_again_where_refused(scripted: Server, ask: Ask) -> None:
    chosen = settings(scripted.url)
    scripted.usual = saying("Yes, the heart is enlarged [1].", yes=0.8)
    draft = LanguageGenerator(RemoteModel(chosen), chosen, TEXTS).generate(ask())
    assert draft.verdict == "yes"
    assert draft.probability == pytest.approx(0.8, abs=1e-4)
    assert draft.confidence == pytest.approx(0.8, abs=1e-4)
    scripted.usual = saying("No, no effusion is seen [2].", yes=0.2)
    assert LanguageGenerator(RemoteModel(chosen), chosen, TEXTS).generate(ask()).confidence == pytest.approx(
        0.8, abs=1e-4
    )

    def picky(handler: servers.Handler, body: dict[str, object]) -> None:
        (status(422) if "logprobs" in body else saying("No."))(handler, body)

    scripted.usual = picky
    model, before = RemoteModel(chosen), len(scripted.requests)
    assert [text_of(model), text_of(model)] == ["No.", "No."]
    assert ["logprobs" in r["body"] for r in scripted.requests[before:]] == [True, False, False]


@pytest.mark.parametrize(
    ("top", "low", "high"),
    [
        ({"Yes": -0.1, "The": -3.0}, 0.9, 1.0),  # "no" is at most as likely as "The"
        ({" NO": -0.5, "no": -2.0, "yes": -1.5}, 0.2, 0.3),
        ({"Maybe": -0.1, "The": -4.0}, None, None),
        ({"Yes": 0.0}, 1.0, 1.0),
    ],
)
def test_a_word_that_is_not_listed_is_as_likely_as_it_can_still_be(
    top: dict[str, float], low: float | None, high: float | None
) -> None:
    p = probability_of_yes({"content": [{"top_logprobs": [{"token": t, "logprob": v} for t, v in top.items()]}]})
    assert (p is None) if low is None or high is None else (p is not None and low <= p <= high)


@pytest.mark.parametrize("nonsense", [None, 3, {}, {"content": []}, {"content": [{"top_logprobs": [{"token": 1}]}]}])
def test_log_probabilities_that_cannot_be_read_are_none(nonsense: object) -> None:
    assert probability_of_yes(nonsense) is None


def test_images_go_as_data_and_the_key_goes_to_this_server_alone(
    scripted: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # the environment's proxy would see everything
    chosen = settings(scripted.url, key="k-123")
    picture = Picture(Image.new("RGB", (8, 8), "red"), "The image:")
    text_of(RemoteModel(chosen, "k-123"), Messages("Rules.", "What is seen?", (picture,)))
    (request,) = scripted.requests
    assert request["headers"]["Authorization"] == "Bearer k-123"
    label, image, question = request["body"]["messages"][1]["content"]
    assert (label["text"], question["text"]) == ("The image:", "What is seen?")
    head, _, data = image["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == picture.png
    assert "k-123" not in repr(chosen)
    assert "k-123" not in profile_text(Settings(generation=chosen), "note")


def test_nothing_of_the_environment_or_of_this_machine_is_sent_or_logged(
    scripted: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("API_KEY", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
        monkeypatch.setenv(f"OPENAI_{name}", "mine")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    with caplog.at_level(logging.DEBUG):
        text_of(RemoteModel(settings(scripted.url)))
        text_of(RemoteModel(settings(scripted.url), "k-123"))
    first, second = ({name.lower() for name in request["headers"]} for request in scripted.requests)
    assert first == {"host", "connection", "accept", "accept-encoding", "content-type", "content-length"}
    assert second - first == {"authorization"}
    assert "secret" not in caplog.text
    assert "k-123" not in caplog.text


def test_the_first_use_says_where_data_go_and_the_default_sends_none(
    scripted: Server, caplog: pytest.LogCaptureFixture
) -> None:
    model = RemoteModel(settings(scripted.url))
    with caplog.at_level(logging.WARNING):
        text_of(model)
        text_of(model)
    (record,) = caplog.records
    assert "127.0.0.1" in record.getMessage()
    assert "secret" not in record.getMessage()
    assert Settings().generation.kind == "reader"


def test_no_more_requests_at_once_than_allowed(scripted: Server) -> None:
    open_now: list[int] = [0]
    seen: list[int] = []

    def busy(handler: servers.Handler, body: dict[str, object]) -> None:
        with scripted.lock:
            open_now[0] += 1
            seen.append(open_now[0])
        time.sleep(0.1)
        with scripted.lock:
            open_now[0] -= 1
        saying("One.")(handler, body)

    scripted.usual = busy
    model = RemoteModel(settings(scripted.url, concurrency=2))
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(text_of(model))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert texts == ["One."] * 6
    assert max(seen) == 2


def test_who_stops_listening_frees_the_place(scripted: Server) -> None:
    scripted.usual = servers.endless(CHUNK("More. "), 0.01)
    model = RemoteModel(settings(scripted.url, concurrency=1))
    stream = model.chat(MESSAGES)
    next(stream)
    stream.close()
    scripted.usual = saying("Next.")
    assert text_of(model) == "Next."


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "base_url"),
        ("ftp://host/v1", "must be like"),
        ("http://me:secret@host/v1", "must be like"),
        ("http://host/v1?key=secret", "must be like"),
        ("host:8000", "must be like|not a URL"),
        ("http://host:port/v1", "not a URL"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_sent(
    url: str | None, words: str, texts: Texts
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_generator(settings(url or "x") if url else settings("").model_copy(), texts)
    assert "secret" not in str(caught.value)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_GENERATION__OPENAI__API_KEY", "k-env")
    key = load_settings(None).generation.openai.api_key
    assert key is not None
    assert key.get_secret_value() == "k-env"
    assert "k-env" not in load_settings(None).model_dump_json()
