"""The command as people run it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


def rag(*args: str, indexes: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from rag.cli import main; main()", *args]
    environment = {**os.environ, "RAG_INDEXES": str(indexes), **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def refused(result: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    """One sentence that names what is wrong, the right exit code, and never a traceback."""
    assert result.returncode == code, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in errors[0]


def test_from_a_corpus_to_a_verified_answer(cases: Path, tmp_path: Path) -> None:
    indexes = tmp_path / "indexes"
    done = rag("ingest", str(cases), "--index", "mine", "--json", indexes=indexes)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["added"], report["version"]) == (2, 1)
    assert {q["record"] for q in report["quarantined"]} == {"line 3", "line 4"}

    again = json.loads(rag("ingest", str(cases), "--index", "mine", "--json", indexes=indexes).stdout)
    assert (again["added"], again["unchanged"], again["version"], again["passages"]) == (0, 2, 1, 0)

    asked = rag("ask", "Does study c1 show cardiomegaly?", "--index", "mine", "--json", indexes=indexes)
    answer = json.loads(asked.stdout)
    assert asked.returncode == 0
    assert (answer["decision"], answer["verdict"]) == ("answered", "yes")
    assert answer["citations"][0]["quote"] == "The heart is enlarged."

    shown = json.loads(rag("audit", "show", answer["audit_id"], "--json", indexes=indexes).stdout)
    assert shown["answer"] == answer
    verified = rag("audit", "verify", answer["audit_id"], "--json", indexes=indexes)
    assert verified.returncode == 0
    assert json.loads(verified.stdout)["ok"]

    listed = json.loads(rag("index", "list", "--json", indexes=indexes).stdout)
    assert [(i["name"], i["version"]) for i in listed["indexes"]] == [("mine", 1)]


def test_the_answer_for_people_shows_quote_source_and_the_notice(indexes: Path) -> None:
    done = rag("ask", "Does study CXR2814 show cardiomegaly?", "--index", "small", indexes=indexes)
    assert done.returncode == 0
    for part in ("There is cardiomegaly", "CXR2814, open-i", "supported", "audit a-", "not a medical device"):
        assert part in done.stdout


def test_removed_documents_are_gone_and_can_come_back(cases: Path, tmp_path: Path) -> None:
    indexes = tmp_path / "indexes"
    rag("ingest", str(cases), "--index", "mine", indexes=indexes)
    assert json.loads(rag("index", "remove", "mine", "--group", "p1", "--json", indexes=indexes).stdout)["removed"] == 1
    refused(rag("ask", "Is there cardiomegaly?", "--study", "c1", "--index", "mine", indexes=indexes), "no study 'c1'")
    assert rag("index", "rollback", "mine", "1", indexes=indexes).returncode == 0
    assert rag("ask", "Is there cardiomegaly?", "--study", "c1", "--index", "mine", indexes=indexes).returncode == 0
    assert rag("index", "verify", "mine", indexes=indexes).returncode == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["ask", "what?", "--index", "nope"], ["nope", "small"]),
        (["ask", "", "--index", "small"], ["empty"]),
        (["ask", "a" * 100_000, "--index", "small"], ["100,000"]),
        (["ask", "what?", "--index", "../small"], ["not a name"]),
        (["ask", "what?", "--index", "small", "--image", "nowhere.png"], ["nowhere.png"]),
        (["ask", "what?", "--index", "small", "--profile", "nope"], ["nope", "compact"]),
        (["search", "what?", "--index", "small", "-k", "0"], ["-k"]),
        (["audit", "show", "a-nothing"], ["a-nothing"]),
        (["index", "drift", "small"], ["rag calibrate"]),
        (
            ["calibrate", "q.jsonl", "-i", "small", "--risk", "bad-luck"],
            ["bad-luck", "missed-evidence"],
        ),
        (["calibrate", "q.jsonl", "-i", "small", "--risk", "missed-evidence", "--plot", "r.png"], ["--plot"]),
        (["calibrate", "q.jsonl", "-i", "small", "--in-expectation"], ["--in-expectation"]),
        (["ask", "what?", "--index", "small", "--generator", "gpt"], ["generation.kind", "reader", "dotted path"]),
        (["synthesize-qa", "--index", "small", "--out", "no/such/folder/q.jsonl"], ["q.jsonl", "folder"]),
        (["nonsense"], ["nonsense"]),
        (["ask"], ["question"]),
    ],
)
def test_bad_input_gets_one_sentence_and_exit_code_2(args: list[str], words: list[str], indexes: Path) -> None:
    refused(rag(*args, indexes=indexes), *words)


def test_how_many_contexts_are_enough_is_certified_and_shown_with_the_next_answer(
    copy_index: Callable[[Path], None], tmp_path: Path
) -> None:
    copy_index(tmp_path / "small")
    from rag.answering.engine import Engine

    rows = []
    for document in Engine.open(tmp_path / "small").store.snapshot().documents("report")[:40]:
        asked = {"id": document.id, "question": "Is there cardiomegaly?", "answer": "no", "study": document.case_id}
        rows.append(json.dumps(asked | {"group": document.group_id, "evidence": [document.id]}))
    (tmp_path / "q.jsonl").write_text("\n".join(rows))
    done = rag("calibrate", str(tmp_path / "q.jsonl"), "-i", "small", "--risk", "missed-evidence", indexes=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "miss the evidence of at most 0.1 of the questions" in done.stdout
    asked = rag("ask", "Is there cardiomegaly?", "--study", "CXR1", "-i", "small", "--json", indexes=tmp_path)
    promise = json.loads(asked.stdout)["selection"]["promise"]
    assert (promise["status"], promise["risk"], promise["alpha"]) == ("valid", "missed-evidence", 0.1)


def test_bad_images_are_refused_by_name(indexes: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("this is text")
    Image.effect_noise((400, 400), 80).convert("RGB").save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:5000])
    for name in ("text.png", "cut.jpg"):
        refused(rag("ask", "What?", "--index", "small", "--image", str(tmp_path / name), indexes=indexes), name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.xml", "<eCitation><uId id='X'/><oops>", ["bad.xml", "XML"]),
        ("rows.jsonl", '{"text": "no id"}\n', ["line 1", "id"]),
        ("notes.md", "no front matter", ["notes.md"]),
        ("what.xyz", "?", ["what.xyz"]),
    ],
)
def test_a_source_with_nothing_usable_leaves_no_index_behind(
    name: str, content: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    refused(rag("ingest", str(tmp_path / name), "--index", "new", indexes=tmp_path / "indexes"), *words)
    assert not (tmp_path / "indexes" / "new").exists()


def test_an_empty_index_says_how_to_fill_it(tmp_path: Path) -> None:
    from rag.indexing import IndexStore

    IndexStore.create(tmp_path / "empty").close()
    refused(rag("ask", "What?", "--index", "empty", indexes=tmp_path), "empty", "rag ingest")


def test_a_full_disk_leaves_the_index_as_it_was(cases: Path, tmp_path: Path) -> None:
    """The limit on the size of files stands for the disk: the kernel refuses the write in the same place."""
    indexes = tmp_path / "indexes"
    rag("ingest", str(cases), "--index", "mine", indexes=indexes)
    more = tmp_path / "more.jsonl"
    rows = ({"id": f"m{n}", "text": f"Case {n}: the heart is enlarged."} for n in range(200))
    more.write_text("\n".join(map(json.dumps, rows)))
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); from rag.cli import main; main()"
    )
    command = [sys.executable, "-c", limited, "ingest", str(more), "--index", "mine"]
    environment = {**os.environ, "RAG_INDEXES": str(indexes)}
    failed = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    refused(failed, code=1)
    listed = json.loads(rag("index", "list", "--json", indexes=indexes).stdout)["indexes"][0]
    assert (listed["version"], listed["documents"]) == (1, {"report": 2})
    assert rag("index", "verify", "mine", indexes=indexes).returncode == 0
    assert rag("ingest", str(more), "--index", "mine", indexes=indexes).returncode == 0


def test_errors_are_json_when_asked_for(indexes: Path) -> None:
    done = rag("ask", "what?", "--index", "nope", "--json", indexes=indexes)
    assert json.loads(done.stdout)["exit_code"] == 2


@pytest.mark.parametrize("command", ["ingest", "ask", "search", "demo", "index", "audit", "evaluate"])
def test_help_explains_and_gives_an_example(command: str, indexes: Path) -> None:
    done = rag(command, "--help", indexes=indexes)
    assert done.returncode == 0
    assert "Usage" in done.stdout
    if command not in ("index", "audit"):
        assert "Example" in done.stdout


def test_import_is_light() -> None:
    """Heavy libraries must not load with ``import rag`` (its time is measured in benchmarks)."""
    heavy = {"torch", "faiss", "numpy", "transformers", "pydantic"}
    code = f"import sys, rag; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_cost_of_an_index_is_stated_before_it_is_built(cases: Path, tmp_path: Path) -> None:
    stated = rag("index", "plan", "1000000", "--dim", "512", "--memory", "1", indexes=tmp_path)
    assert stated.returncode == 0 and "ivf-sq8" in stated.stdout and "GiB" in stated.stdout
    made = json.loads(rag("index", "plan", "1000", "--json", indexes=tmp_path).stdout)
    assert (made["backend"], made["fits"]) == ("flat", True)
    refused(rag("index", "plan", "1000", "--memory", "0", indexes=tmp_path), "--memory")
    report = json.loads(rag("ingest", str(cases), "--index", "mine", "--json", indexes=tmp_path).stdout)
    assert "flat" in report["plans"]["text"] and "in memory" in report["plans"]["text"]
    measured = json.loads(rag("index", "recall", "mine", "--json", indexes=tmp_path).stdout)["recall"]
    assert {(r["asked"], r["recall"]) for r in measured} == {("text", 1.0), ("joint", 1.0)}


def test_an_unknown_backend_or_worker_is_one_sentence(cases: Path, tmp_path: Path) -> None:
    ingest = ("ingest", str(cases), "--index", "mine")
    refused(rag(*ingest, "--workers", "many", indexes=tmp_path), "--workers", "ray://")
    refused(rag(*ingest, indexes=tmp_path, env={"RAG_VECTORS__BACKEND": "magic"}), "vectors.backend")
    refused(rag(*ingest, indexes=tmp_path, env={"RAG_VECTORS__BACKEND": "milvus"}), "milvus_uri")
    assert not (tmp_path / "mine").exists()
