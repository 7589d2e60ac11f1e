"""Servers that speak OpenAI's API in their own ways: each way is understood, or named in one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.errors import RagError
from rag.generation.chat import LanguageGenerator
from rag.generation.messages import Messages
from rag.generation.openai import RemoteModel
from rag.generation.speech import said_in
from rag.language.clinical_text import Texts

from . import servers
from .conftest import Ask
from .servers import Act, Handler, Server, chunk, raw, saying
from .test_remote import settings

YES = "Yes, the heart is enlarged [1]."
SURE = saying(YES, yes=0.9)


def refusing(when: Callable[[dict[str, Any]], bool], words: str, code: int = 400, otherwise: Act = SURE) -> Act:
    """Refuses requests that are so; what it says of them is in ``words``."""

    def act(handler: Handler, body: dict[str, Any]) -> None:
        if when(body):
            handler.head(code, "application/json")
            handler.say(json.dumps({"error": {"message": words}}))
        else:
            otherwise(handler, body)

    return act


def has_system(body: dict[str, Any]) -> bool:
    return any(m["role"] == "system" for m in body["messages"])


def has(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: any(name in body for name in names)


def only_for(model: str) -> Act:
    return refusing(lambda body: body["model"] != model, "The model `m` does not exist.", 404)


# what a server does -> it is answered as it should be
UNDERSTOOD: dict[str, Act] = {
    "nosystem": refusing(has_system, "System role not supported"),
    "nosystem, said otherwise": refusing(has_system, "Conversation roles must alternate user/assistant/..."),
    "nosystem, not said": refusing(has_system, "Bad Request"),
    "maxcompl": refusing(has("max_tokens"), "Unsupported: 'max_tokens'. Use 'max_completion_tokens' instead."),
    "maxcompl, not said": refusing(has("max_tokens"), "", 422),
    "nologprobs": refusing(has("logprobs"), "logprobs are not supported by this model"),
    "nologprobs, not said": refusing(has("logprobs", "top_logprobs"), "invalid request", 422),
    "nosampling": refusing(has("temperature"), "'temperature' does not support 0 with this model."),
    "noseed": refusing(has("seed"), "Unrecognized request argument supplied: seed"),
    "nothing of all that": refusing(lambda b: has_system(b) or has("logprobs", "max_tokens", "seed")(b), "Bad Request"),
    "one refusal after the other": refusing(
        has_system, "System role not supported", otherwise=refusing(has("max_tokens"), "max_tokens is not supported")
    ),
    "nullchoices": raw(
        'data: {"choices": null, "usage": {"total_tokens": 3}}\n\n' + chunk(YES) + chunk(end="stop")
    ),
    "emptychoices": raw('data: {"choices": []}\n\n' + chunk(YES) + chunk(end="stop")),
    "thought": saying(f"<think>The report says it. Or not.</think>\n\n{YES}"),
    "closing_think": saying(f"First the heart. It says enlarged. So yes [2].\n</think>\n\n{YES}"),
    "a long thought": saying("Now I look. " * 12 + f"</think>{YES}"),
    "thought in brackets": saying(f"[THINK]No?[/THINK]{YES}"),
    "channels": saying(f"<|channel|>analysis<|message|>No?<|end|><|start|>assistant<|channel|>final<|message|>{YES}"),
    "reasoning apart": raw(chunk(delta={"reasoning_content": "No?", "content": None}) + chunk(YES) + chunk(end="stop")),
    "answer": saying(f"Answer: {YES}"),
    "answer, bold": saying(f"**Final answer:** {YES}"),
    "answer is": saying("The answer is yes: the heart is enlarged [1]."),
    "fwsrc": saying(YES.replace("[1]", "【1†source】")),
    "fwlines": saying(YES.replace("[1]", "【1†L1-L3】")),
    "fullwidth": saying(YES.replace("[1]", "［1］")),
    "wiki brackets": saying(YES.replace("[1]", "[[1]]")),
    "footnote": saying(YES.replace(" [1].", ".[^1]")),
    "superscript": saying(YES.replace("[1]", "<sup>1</sup>")),
    "eos": saying(f"{YES}</s>"),
    "eos and on": saying(f"{YES}<|im_end|>\n<|im_start|>user\nAnd is there an effusion? No [2]."),
    "bos": saying(f"<s> {YES}"),
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[Server]:
    with servers.serving(saying("")) as one:
        yield one


@pytest.mark.parametrize("act", UNDERSTOOD.values(), ids=UNDERSTOOD)
def test_every_way_of_saying_yes_is_understood(server: Server, ask: Ask, texts: Texts, act: Act) -> None:
    server.usual = act
    chosen = settings(server.url)
    generator = LanguageGenerator(RemoteModel(chosen), chosen, texts)
    for _ in range(2):
        draft = generator.generate(ask())
        assert (draft.verdict, draft.refusal) == ("yes", None)
        (sentence,) = draft.sentences
        assert sentence.text.lower().removesuffix(".") in ("yes: the heart is enlarged", "yes, the heart is enlarged")
        assert [q.number for q in sentence.quotes] == [1]
    before = len(server.requests)
    generator.generate(ask())
    assert len(server.requests) == before + 1, "what a server takes is known after the first question"


def test_what_a_server_takes_is_kept(server: Server, ask: Ask, texts: Texts) -> None:
    """A server without a system's turn keeps its probabilities, and is told the rules all the same."""
    server.usual = UNDERSTOOD["nosystem"]
    chosen = settings(server.url)
    draft = LanguageGenerator(RemoteModel(chosen), chosen, texts).generate(ask())
    assert draft.probability == pytest.approx(0.9, abs=1e-3)
    (refused, taken) = (r["body"]["messages"] for r in server.requests)
    assert [m["role"] for m in taken] == ["user"]
    assert taken[0]["content"] == f"{refused[0]['content']}\n\n{refused[1]['content']}"


NAMED: dict[str, tuple[Act, str]] = {
    "404": (servers.status(404, '{"detail":"Not Found"}'), r"no chat completions at /v1/chat/completions.*base_url"),
    "405": (servers.status(405), "base_url"),
    "elsewhere": (servers.status(307, Location="http://example.invalid/"), "HTTP 307.*base_url"),
    "a page": (raw("<html>secret</html>", "text/html; charset=utf-8"), "a page for people.*base_url"),
    "no such model": (only_for("another"), "does not serve the model 'm'.*generation.openai.model"),
    "too long": (refusing(lambda _: True, "maximum context length is 128 tokens, secret"), "window"),
    "vLLM, too long": (
        refusing(
            lambda _: True,
            "This model's maximum context length is 800 tokens. However, your prompt contains at "
            "least 801 input tokens, which exceeds this limit even without any output tokens.",
        ),
        "window",
    ),
    "vLLM, an answer too long": (
        refusing(
            lambda _: True,
            "max_tokens=4000 cannot be greater than max_model_len=800. Please request fewer output "
            "tokens. (parameter=max_tokens, value=4000)",
        ),
        "max_new_tokens",
    ),
    "vLLM, too long with images": (
        refusing(
            lambda _: True,
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make "
            "sure that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens. For "
            "image inputs, the number of image tokens depends on the number of images.",
        ),
        "window",
    ),
    "vLLM, no images": (refusing(lambda _: True, "smollm2-135m is not a multimodal model"), "generation.images"),
    "vLLM, fewer images": (
        refusing(lambda _: True, "At most 1 image(s) may be provided in one prompt."),
        "generation.images",
    ),
    "no reason": (servers.status(400), "refused the request"),
    "thought without end": (saying("<think>secret? secret."), ""),
    "nullchoices alone": (raw('data: {"choices": null}\n\ndata: [DONE]\n\n'), "stopped in the middle"),
}


@pytest.mark.parametrize(("act", "words"), NAMED.values(), ids=NAMED)
def test_what_cannot_be_understood_is_named(server: Server, act: Act, words: str) -> None:
    server.usual = act
    model = RemoteModel(settings(server.url))
    if not words:
        assert said_in("".join(p.text for p in model.chat(Messages("Rules.", "Is it?")))).text == ""
        return
    with pytest.raises(RagError, match=words) as caught:
        list(model.chat(Messages("Rules.", "Is it?")))
    assert "secret" not in str(caught.value)
    assert len(server.requests) <= 6
    if words in ("window", "max_new_tokens", "generation.images"):
        assert len(server.requests) == 1, "asked in other words it would be refused again"


def test_probabilities_are_asked_for_where_they_are_read(server: Server, ask: Ask, texts: Texts) -> None:
    """They make a response ten times as long, and open questions have no use for them."""
    server.usual = SURE
    chosen = settings(server.url)
    generator = LanguageGenerator(RemoteModel(chosen), chosen, texts)
    for question in ("Is there cardiomegaly?", "What is seen of the heart?"):
        generator.generate(ask(question))
    assert ["logprobs" in r["body"] for r in server.requests] == [True, False]


def test_an_address_with_its_ending_is_taken_as_well(server: Server) -> None:
    server.usual = saying("Fine.")
    for url in (server.url, f"{server.url}/", f"{server.url}/chat/completions", f"{server.url}/chat/completions/"):
        assert "".join(p.text for p in RemoteModel(settings(url)).chat(Messages("Rules.", "Is it?"))) == "Fine."
    assert {r["path"] for r in server.requests} == {"/v1/chat/completions"}


def test_a_thought_is_never_told_as_an_answer(server: Server, ask: Ask, texts: Texts) -> None:
    """Nobody says that one begins: what opens like an answer is told; if it turns out to be thought, it is refused."""
    said = "No effusion is seen [2]. It is so [2]. "
    chosen = settings(server.url)
    thinking, citing = (LanguageGenerator(RemoteModel(chosen), chosen, texts) for _ in range(2))
    server.usual = saying(f"The heart is enlarged. No effusion. So no.\n</think>{said}")
    for _ in range(2):
        told = [s.text for draft in thinking.stream(ask()) for s in draft.sentences]
        assert told and all("effusion" in text or text == "It is so." for text in told)
    server.usual = saying(f"{YES} {said}")
    assert len(list(citing.stream(ask()))) > 2, "sentences are told as they come"
    server.usual = saying(f"Yes, it is [1]. Or is it [1]? It is. It is not.\n</think>{said}")
    with pytest.raises(RagError, match="thought aloud"):
        citing.generate(ask())
    assert citing.generate(ask()).sentences


def test_the_cases_of_servers(data: Path, server: Server, ask: Ask, texts: Texts) -> None:
    """Small cases after public reports, kind K13: each mode is one of those above."""
    file = data / "faults" / "cases.jsonl"
    if not file.is_file():
        pytest.skip("the fault cases (../shared/data/faults) are not here")
    cases = [c for c in map(json.loads, file.open(encoding="utf-8")) if c["kind"].startswith("K13 ")]
    modes = {str(c["input"]).rsplit(" ", 1)[-1] for c in cases}
    assert modes and modes <= UNDERSTOOD.keys() | NAMED.keys(), modes
