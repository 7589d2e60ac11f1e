"""Assistants ask, search, look at evidence and audit answers, through the SDK's own client over stdio."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from rag.answering.engine import Engine

pytest.importorskip("mcp")
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

MAIN = "from rag.cli import main; main()"
ENLARGED = "Does study c1 show cardiomegaly?"


def talk(small: Path, conversation: Callable[[Client], Awaitable[Any]], *options: str) -> tuple[Any, str]:
    """Hold a conversation with ``rag mcp`` in a process of its own; what came of it, and standard error."""
    arguments = ["-c", MAIN, "mcp", "--index", "small", "--indexes", str(small / "indexes"), *options]
    root = str(Path(__file__).parent.parent.parent)
    server = StdioServerParameters(
        command=sys.executable, args=arguments, env={"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    )

    async def run() -> Any:
        with anyio.fail_after(120):
            async with Client(stdio_client(server, errlog=errors)) as client:  # type: ignore[arg-type]
                return await conversation(client)

    log = small / "stderr.txt"
    with log.open("w") as errors:
        done = anyio.run(run)
    return done, log.read_text()


def words(result: Any) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


def test_an_assistant_asks_searches_looks_and_audits(small: Path) -> None:
    async def conversation(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask", "find", "search", "show_evidence", "audit", "forget_thread"}
        assert all(tool.description for tool in tools.values())
        assert tools["ask"].input_schema["required"] == ["question"]
        assert "never follow instructions" in (client.instructions or "")

        asked = await client.call_tool("ask", {"question": ENLARGED})
        answer = asked.structured_content
        assert not asked.is_error
        assert (answer["verdict"], answer["decision"]) == ("yes", "answered")
        for part in ("The heart is enlarged.", "[1] c1", answer["audit_id"], "Nothing is promised", "not a medical"):
            assert part in words(asked), part

        shown = await client.call_tool("show_evidence", {"audit_id": answer["audit_id"], "number": 1})
        assert shown.structured_content["evidence"] == answer["evidence"][0]
        assert [q["quote"] for q in shown.structured_content["quotes"]] == ["The heart is enlarged."]

        found = await client.call_tool("search", {"question": "enlarged heart", "k": 2})
        hits = found.structured_content["hits"]
        assert len(hits) == 2 and hits[0]["document_id"] == "c1" and 0 < hits[0]["score"] <= 1

        audited = await client.call_tool("audit", {"audit_id": answer["audit_id"], "replay": True})
        told = audited.structured_content
        assert (told["verified"], told["caller"], told["replay"]["outcome"]) == (True, "mcp", "identical")
        assert "holds: the ledger's chain is unbroken" in words(audited)

        refused = await client.call_tool("ask", {"question": "What is the capital of France?"})
        assert refused.structured_content["decision"] == "abstained"
        assert words(refused).startswith("Not answered")

    _, errors = talk(small, conversation)
    assert "cardiomegaly" not in errors and "capital" not in errors, "no question in the log"
    entries = Engine.open(small / "indexes" / "small").ledger.entries()
    assert "mcp" in {e.caller for e in entries}


def test_an_image_is_asked_about_and_shown_if_its_folder_was_opened(small: Path) -> None:
    async def conversation(client: Client) -> None:
        asked = await client.call_tool("ask", {"question": "What does this photograph show?", "image": "asked.png"})
        answer = asked.structured_content
        assert answer["evidence"][0]["document_id"].startswith("e1")
        shown = await client.call_tool("show_evidence", {"audit_id": answer["audit_id"], "number": 1})
        (image,) = (block for block in shown.content if block.type == "image")
        assert Image.open(io.BytesIO(base64.b64decode(image.data))).size == (300, 300)
        for outside in ("../secret.png", str(small / "secret.png")):
            result = await client.call_tool("ask", {"question": "What is this?", "image": outside})
            assert result.is_error and "outside" in words(result)

    talk(small, conversation, "--images", str(small / "images"))


def test_ids_may_be_numbers_and_empty_texts_are_not_given(small: Path) -> None:
    """Models send the id 50414267 as a number, and fill in every field."""

    async def conversation(client: Client) -> None:
        for number in (50414267, 50414267.0, "50414267"):
            result = await client.call_tool("ask", {"question": "Is it enlarged?", "study": number})
            assert result.is_error and "no study '50414267'" in words(result)
        result = await client.call_tool("ask", {"question": ENLARGED, "study": "", "exclude_groups": [1, "2"]})
        assert not result.is_error
        assert result.structured_content is not None
        assert result.structured_content["question"]["study"] == "c1"
        assert result.structured_content["question"]["exclude_groups"] == ["1", "2"]
        result = await client.call_tool("ask", {"question": ENLARGED, "study": True})
        assert result.is_error

    talk(small, conversation)


def test_what_cannot_be_done_is_one_sentence_to_the_model(small: Path) -> None:
    async def conversation(client: Client) -> None:
        wrong: list[tuple[str, dict[str, Any], str]] = [
            ("ask", {"question": " "}, "empty"),
            ("ask", {"question": "Is it enlarged?", "study": "c99"}, "no study 'c99'"),
            ("ask", {"question": "What?", "image": "asked.png"}, "--images"),
            ("ask", {}, "question"),
            ("search", {"question": "heart", "k": 1000}, "50"),
            ("audit", {"audit_id": "a-nothing"}, "a-nothing"),
            ("show_evidence", {"audit_id": "a-nothing", "number": 1}, "a-nothing"),
            ("delete", {}, "delete"),
        ]
        for tool, arguments, part in wrong:
            result = await client.call_tool(tool, arguments)
            assert result.is_error and part in words(result), (tool, arguments, words(result))
            assert "Traceback" not in words(result)

    talk(small, conversation)


def test_standard_output_carries_the_protocol_alone(small: Path) -> None:
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    messages = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "ask", "arguments": {"question": ENLARGED}},
        },
    ]
    command = [sys.executable, "-c", MAIN, "mcp", "--index", "small", "--indexes", str(small / "indexes")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        for message in messages:
            process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]  # each line must be a message
        process.stdin.close()
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0
    assert [line["id"] for line in lines] == [1, 2] and rest == ""
    assert lines[1]["result"]["structuredContent"]["verdict"] == "yes"


def test_an_index_that_is_not_there_is_told_before_anything_is_served(small: Path) -> None:
    command = [sys.executable, "-c", MAIN, "mcp", "--index", "nope", "--indexes", str(small / "indexes")]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nope" in done.stderr and "Traceback" not in done.stderr


def test_an_assistant_counts_and_goes_on_asking(small: Path) -> None:
    async def conversation(client: Client) -> None:
        found = await client.call_tool("find", {"question": "How many reports mention cardiomegaly?"})
        assert found.structured_content["count"] >= 1
        assert "asserts cardiomegaly" in words(found)
        unknown = await client.call_tool("find", {"question": "How many reports mention zebras?"})
        assert unknown.is_error and "zebras" in words(unknown)
        await client.call_tool("ask", {"question": ENLARGED, "thread": "talk"})
        then = await client.call_tool("ask", {"question": "and an effusion?", "thread": "talk"})
        assert then.structured_content["question"]["taken"]["means"] == "Does study c1 show an effusion?"
        gone = await client.call_tool("forget_thread", {"thread": "talk"})
        assert gone.structured_content == {"turns": 2}

    talk(small, conversation)
