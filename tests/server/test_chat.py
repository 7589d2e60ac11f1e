"""Any chat client can use us: tested with OpenAI's own."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest

from rag.corpus.packaged import packaged_file
from tests.server.conftest import QUESTION, Served


@pytest.fixture
def client(served: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="not needed here", max_retries=0)


def test_a_completion_cites_in_the_message_and_as_annotations(client: openai.OpenAI, served: Served) -> None:
    assert [m.id for m in client.models.list()] == ["small"]
    done = client.chat.completions.create(
        model="small", messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    )
    message = done.choices[0].message
    assert message.content is not None
    assert message.content.startswith("Yes: “There is cardiomegaly.” [1]")
    assert "[1] CXR2814 (open-i): “There is cardiomegaly.”" in message.content
    assert message.annotations
    cited = message.annotations[0].url_citation
    assert message.content[cited.start_index : cited.end_index] == "Yes: “There is cardiomegaly.” [1]"
    audit_id = done.id.removeprefix("chatcmpl-")
    assert served.client.get(f"/v1/answers/{audit_id}").json()["verdict"] == "yes"


def test_a_stream_gives_the_same_text_in_pieces(client: openai.OpenAI) -> None:
    ask: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "What is drusen?"}]}
    whole = client.chat.completions.create(**ask).choices[0].message
    chunks = list(client.chat.completions.create(**ask, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len(chunks) > 3
    last = chunks[-1].choices[0].delta.model_extra or {}
    assert len(last["annotations"]) == len(whole.annotations or ())


def test_what_is_not_answered_is_said_in_the_message(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="small", messages=[{"role": "user", "content": "Who won the football match on Saturday?"}]
    )
    assert (done.choices[0].message.content or "").startswith("Not answered: ")
    assert not done.choices[0].message.annotations
    assert (done.model_extra or {})["clincite"]["decision"] == "abstained"


def test_an_image_comes_as_a_data_url(client: openai.OpenAI) -> None:
    def asked(url: str) -> Any:
        content: Any = [{"type": "text", "text": "What is seen?"}, {"type": "image_url", "image_url": {"url": url}}]
        return client.chat.completions.create(model="small", messages=[{"role": "user", "content": content}])

    picture = base64.b64encode(packaged_file("skimage", "data", "retina.jpg").read_bytes()).decode()
    assert asked(f"data:image/jpeg;base64,{picture}").choices[0].message.content
    for url in ("https://example.org/scan.png", "file:///etc/passwd", "data:image/svg+xml;base64,PHN2Zz4="):
        with pytest.raises(openai.UnprocessableEntityError):
            asked(url)


def test_refusals_reach_the_client_as_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no index 'gpt-4o'"):
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.UnprocessableEntityError, match="no question"):
        client.chat.completions.create(model="small", messages=[{"role": "system", "content": "x"}])
    with pytest.raises(openai.UnprocessableEntityError, match="CXR999999"):
        messages: Any = [{"role": "user", "content": "Does study CXR999999 show edema?"}]
        client.chat.completions.create(model="small", messages=messages)
    with pytest.raises(openai.APIError, match="CXR999999"):
        list(client.chat.completions.create(model="small", messages=messages, stream=True))
