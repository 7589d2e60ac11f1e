"""Any chat client can use us: tested with OpenAI's own."""

from __future__ import annotations

import base64
import json
from typing import Any

import openai
import pytest

from rag.corpus.packaged import packaged_file

from .conftest import QUESTION, Served


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


PICTURE = base64.b64encode(packaged_file("skimage", "data", "retina.jpg").read_bytes()).decode()
URL = f"data:image/jpeg;base64,{PICTURE}"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URL, "detail": "high"}},
        {"type": "image_url", "image_url": URL},  # older clients
        {"type": "input_image", "image_url": URL},  # those of the Responses API
    ],
)
def test_images_and_texts_come_in_the_shapes_that_are_about(served: Served, part: dict[str, Any]) -> None:
    content = [{"type": "input_text", "text": "What is seen?"}, part]
    body = {"model": "small", "messages": [{"role": "user", "content": content}]}
    response = served.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    recorded = served.client.get(f"/v1/answers/{response.json()['clincite']['audit_id']}").json()
    assert recorded["question"]["image"] is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"type": "input_audio", "input_audio": {"data": "x"}}], "type 'input_audio'"),
        ([{"type": "text", "text": "What is seen?"}, {"type": "image_url"}], "type 'image_url'"),
        ([{"type": "text", "text": "What is seen?"}, {"type": "file", "file": {"file_id": "f-1"}}], "type 'file'"),
        ([{"type": "image_url", "image_url": URL}], "has no text"),
    ],
)
def test_nothing_of_a_question_is_left_out_in_silence(served: Served, refused: Any, content: Any, words: str) -> None:
    before = served.client.get("/v1/answers").json()["entries"]
    body = {"model": "small", "messages": [{"role": "user", "content": content}]}
    refused_with(served, body, words)
    assert served.client.get("/v1/answers").json()["entries"] == before


def test_an_image_of_an_earlier_message_is_not_forgotten(served: Served) -> None:
    shown = [{"type": "text", "text": "What is seen?"}, {"type": "image_url", "image_url": {"url": URL}}]
    turns = [
        {"role": "user", "content": shown},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
    ]
    refused_with(
        served, {"model": "small", "messages": [*turns, {"role": "user", "content": "And drusen?"}]}, "earlier"
    )


def refused_with(served: Served, body: Any, words: str) -> None:
    response = served.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 422
    assert words in response.json()["error"]["message"]


# How chat clients ask for what they want themselves, in words of ours.
TASK = "### Task:\n{}\n### Output:\nJSON format: {}\n<chat_history>\nUSER: What is drusen?\nASSISTANT: Deposits.\n"
FIRST = [{"role": "user", "content": "What is drusen?"}, {"role": "assistant", "content": "Deposits."}]
CHORES = [
    (
        [{"role": "user", "content": TASK.format("Generate a short title.", '{ "title": "A title" }')}],
        {"title": "What is drusen?"},
    ),
    ([{"role": "user", "content": TASK.format("Generate 1-3 broad tags.", '{ "tags": ["tag"] }')}], {"tags": []}),
    ([{"role": "user", "content": TASK.format("Suggest what to ask.", '{ "follow_ups": ["a"] }')}], {"follow_ups": []}),
    ([{"role": "user", "content": TASK.format("Find search queries.", '{ "queries": ["a"] }')}], {"queries": []}),
    (
        [*FIRST, {"role": "user", "content": "Write a title of five words for the conversation, and nothing else."}],
        "What is drusen?",
    ),
    (
        [*FIRST, {"role": "user", "content": "Based on the chat history, give this conversation a name."}],
        "What is drusen?",
    ),
    (
        [
            {"role": "system", "content": "You make chat titles. Only the title."},
            {"role": "user", "content": "What is drusen?"},
        ],
        "What is drusen?",
    ),
]


@pytest.mark.parametrize(("messages", "reply"), CHORES)
def test_what_clients_want_for_themselves_is_given_and_not_recorded(
    client: openai.OpenAI, served: Served, messages: Any, reply: Any
) -> None:
    before = served.client.get("/v1/answers").json()["entries"]
    done = client.chat.completions.create(model="small", messages=messages)
    text = done.choices[0].message.content or ""
    assert (json.loads(text) if isinstance(reply, dict) else text) == reply
    chunks = client.chat.completions.create(model="small", messages=messages, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == text
    assert served.client.get("/v1/answers").json()["entries"] == before


@pytest.mark.parametrize(
    "question",
    [
        "Give the name of the disease with drusen.",
        "Provide a summary of the findings in study CXR2814.",
        "What is the title of the newest article on drusen?",
        "Does conversational dyspnea suggest emphysema? Suggest the name of the test.",
    ],
)
def test_questions_that_sound_like_it_are_questions(client: openai.OpenAI, question: str) -> None:
    done = client.chat.completions.create(model="small", messages=[{"role": "user", "content": question}])
    assert (done.model_extra or {})["clincite"]["audit_id"]


def test_a_question_that_a_client_has_wrapped_is_refused(served: Served) -> None:
    wrapped = "### Task:\nRespond to the user query using the provided context.\n<context>x</context>\nWhat is drusen?"
    refused_with(served, {"model": "small", "messages": [{"role": "user", "content": wrapped}]}, "texts of its own")
