"""The server beside the Python call, under load, and while its index changes: ``python benchmarks/serve.py [--save]``.

Servers are processes of their own on copies of one index; whatever is compared is measured by turns in one run, so that
a busy machine slows both sides. Clients are one asyncio process that keeps its connections. No question is asked twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tables import Cell, Section, Table, measured, report

from rag.answering.engine import Engine
from rag.audit.checks import check_entry, documents_in
from rag.indexing.store import IndexStore

ROOT = Path(__file__).parent.parent
SECTION: Section = "Serving"
OPEN = ("What is {}?", "What does {} look like?", "How is {} recognised?", "What is known about {}?")
FINDINGS = ("cardiomegaly", "edema", "pleural effusion", "pneumothorax", "emphysema", "scoliosis", "atelectasis")


class Served(NamedTuple):
    host: str
    port: int
    folder: Path
    process: subprocess.Popen[str]


class Reply(NamedTuple):
    status: int
    body: bytes
    seconds: float


class Client:
    """One connection that is kept."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, method: str, path: str, value: Any = None) -> Reply:
        begin = time.perf_counter()
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._served.host, self._served.port)
        reader, writer = self._streams
        body = b"" if value is None else json.dumps(value).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        if "content-length" in headers:
            content = await reader.readexactly(int(headers["content-length"]))
        else:
            content = b""
            while size := int(await reader.readline(), 16):
                content += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        return Reply(int(lines[0].split()[1]), content, time.perf_counter() - begin)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


@contextlib.contextmanager
def serving(index: Path, **settings: Any) -> Iterator[Served]:
    """``rag serve`` on a copy of ``index``."""
    with tempfile.TemporaryDirectory(prefix="clincite-bench-") as folder:
        shutil.copytree(index, Path(folder) / index.name)
        command = [
            sys.executable,
            "-c",
            "from rag.cli import main; main()",
            "serve",
            "--port",
            "0",
            "--indexes",
            folder,
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        environment |= {f"RAG_SERVING__{name.upper()}": str(value) for name, value in settings.items()}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        try:
            assert process.stdout is not None
            first = process.stdout.readline().strip()
            if not first:
                raise SystemExit(
                    f"the server did not start; see: rag serve --indexes {index.parent} --index {index.name}"
                )
            url = first.rsplit("/", 1)[-1]
            host, port = url.split(":")
            yield Served(host, int(port), Path(folder) / index.name, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def questions(index: Path, kind: str, seed: int) -> Iterator[str]:
    """Questions without end, none twice: open ones about terms of the index, about findings in its studies, or both."""
    if kind == "mixed":
        both = zip(questions(index, "open", seed), questions(index, "study", seed), strict=True)
        return itertools.chain.from_iterable(both)
    with IndexStore.open(index) as store, store.snapshot() as snapshot:
        terms = [d.title for d in snapshot.terms()]
        studies = [d.case_id for d in snapshot.documents("report")]
    if kind == "open":
        pairs = [form.format(term.lower()) for form in OPEN for term in terms]
    else:
        pairs = [f"Does study {study} show {finding}?" for study in studies for finding in FINDINGS]
    random.Random(seed).shuffle(pairs)
    return itertools.chain(pairs, (f"{pair} ({n})" for n in itertools.count() for pair in pairs))


def cpu_seconds(pid: int | str) -> float:
    """What a process and its own have computed so far: unlike time by the clock, hardly changed by what else runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = [c for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + (sum(map(cpu_seconds, children)) if pid != "self" else 0.0)


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {f"p{q}_ms": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)] * 1000, 1) for q in (50, 95, 99)}


async def load(served: Served, asked: Iterator[str], clients: int, number: int) -> tuple[float, list[Reply]]:
    """``number`` questions from ``clients`` at once; seconds in all, and the replies."""
    ahead, replies = iter(list(itertools.islice(asked, number))), []

    async def ask() -> None:
        client = Client(served)
        replies.extend([await client.send("POST", "/v1/answers", {"question": question}) for question in ahead])
        client.close()

    begin = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(clients)))
    return time.perf_counter() - begin, replies


def latency(index: Path, kind: str, rounds: int, each: int) -> dict[str, Any]:
    """One client beside the Python call, by turns."""
    http: list[float] = []
    python: list[float] = []
    cpu = {"server": 0.0, "python": 0.0}
    with serving(index) as served, tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(index, Path(folder) / index.name)
        engine, asked = Engine.open(copy), questions(index, kind, 1)
        for turn in range(rounds + 1):  # the first warms both
            before = cpu_seconds(served.process.pid)
            _, replies = asyncio.run(load(served, asked, 1, each))
            between, own = cpu_seconds(served.process.pid), cpu_seconds("self")
            times = []
            for question in itertools.islice(asked, each):
                begin = time.perf_counter()
                engine.ask(question)
                times.append(time.perf_counter() - begin)
            if turn:
                http += [r.seconds for r in replies]
                python += times
                cpu["server"] += between - before
                cpu["python"] += cpu_seconds("self") - own
    ratio = statistics.median(http) / statistics.median(python)
    return {
        "server": quantiles(http),
        "python": quantiles(python),
        "p50 ratio": round(ratio, 3),
        "cpu ms/question": {name: round(s / len(http) * 1000, 1) for name, s in cpu.items()},
        "cpu ratio": round(cpu["server"] / cpu["python"], 3),
    }


def throughput(index: Path, kind: str, rounds: int, each: int, clients: int, workers: int) -> dict[str, Any]:
    """Batched and unbatched servers under load, and the unbatched one with a single client, by turns.

    The batched one answers in ``workers`` processes; the other, as ever, in the server's own.
    """
    rates: dict[str, list[float]] = {"unbatched, 1 client": [], f"unbatched, {clients} clients": []}
    rates[f"batched, {clients} clients"] = []
    seconds: dict[str, list[float]] = {name: [] for name in rates}
    cpu = dict.fromkeys(rates, 0.0)
    statuses: Counter[int] = Counter()
    with serving(index, batch_size=1) as plain, serving(index, workers=workers) as batched:
        asked = questions(index, kind, 2)
        for turn in range(rounds + 1):
            for name, served, n, number in [
                ("unbatched, 1 client", plain, 1, each // 4),
                (f"unbatched, {clients} clients", plain, clients, each),
                (f"batched, {clients} clients", batched, clients, each),
            ]:
                before = cpu_seconds(served.process.pid)
                took, replies = asyncio.run(load(served, asked, n, number))
                if turn:
                    cpu[name] += cpu_seconds(served.process.pid) - before
                    rates[name].append(number / took)
                    seconds[name] += [r.seconds for r in replies]
                    statuses.update(r.status for r in replies)
    single, _, loaded = (statistics.median(r) for r in rates.values())
    return {
        "questions/s": {name: round(statistics.median(r), 1) for name, r in rates.items()},
        "times": {name: quantiles(s) for name, s in seconds.items()},
        "server's cpu ms/question": {n: round(cpu[n] / len(seconds[n]) * 1000, 1) for n in rates},
        "statuses": dict(statuses),
        "batched / single-client limit": round(loaded / single, 2),
    }


def changing(index: Path, requests: int, clients: int, workers: int) -> dict[str, Any]:
    """Mixed requests while the index is ingested into, rolled back and compacted; then every answer is verified."""
    statuses: Counter[int] = Counter()
    done: Counter[str] = Counter()
    answers: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as corpora,
        serving(index, workers=workers, ingest_roots=json.dumps([corpora])) as served,
    ):
        name = index.name
        for n in range(2):
            rows = [{"id": f"new-{n}-{i}", "text": f"Report {i} of corpus {n}. {FINDINGS[i % 7]}."} for i in range(200)]
            Path(corpora, f"corpus-{n}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        asked = questions(index, "open", 3)
        studies = questions(index, "study", 4)
        kinds = [
            lambda: ("POST", "/v1/answers", {"question": next(asked)}),
            lambda: ("POST", "/v1/answers", {"question": next(studies)}),
            lambda: ("POST", "/v1/answers", {"question": next(asked), "stream": True}),
            lambda: ("POST", "/v1/search", {"question": next(asked), "k": 5}),
            lambda: ("POST", "/v1/batch", {"questions": [{"question": next(studies)}, {"question": next(asked)}]}),
            lambda: ("GET", f"/v1/indexes/{name}", None),
            lambda: ("GET", f"/v1/indexes/{name}/versions", None),
        ]
        left = iter(range(requests))
        over = False

        async def ask() -> None:
            client = Client(served)
            for n in left:
                method, path, value = kinds[n % len(kinds)]()
                reply = await client.send(method, path, value)
                statuses[reply.status] += 1
                answers.extend(_answers(reply.body, path))
            client.close()

        async def change() -> None:
            client = Client(served)
            first = (await client.send("GET", f"/v1/indexes/{name}")).body
            version = json.loads(first)["version"]
            for n in itertools.count():
                if over:
                    break
                await _job(client, f"/v1/indexes/{name}/ingest", {"path": f"corpus-{n % 2}.jsonl"}, done)
                reply = await client.send("POST", f"/v1/indexes/{name}/rollback", {"version": version})
                done[f"rollback {reply.status}"] += 1
                await _job(client, f"/v1/indexes/{name}/compact", {}, done)
            client.close()

        async def all_of_it() -> None:
            nonlocal over
            changes = asyncio.create_task(change())
            await asyncio.gather(*(ask() for _ in range(clients)))
            over = True
            await changes

        asyncio.run(all_of_it())
        store = IndexStore.open(served.folder)
        ledger, lookup = Engine(store).ledger, documents_in(store)
        chain = ledger.verify_chain()
        mixed = [a["audit_id"] for a in answers if not check_entry(ledger.get(a["audit_id"]), lookup, chain).ok]
    return {
        "requests": requests,
        "statuses": dict(statuses),
        "changes": dict(done),
        "answers": len(answers),
        "versions answered from": len({a["index_version"] for a in answers}),
        "answers that fail verification": len(mixed),
    }


async def _job(client: Client, path: str, value: Any, done: Counter[str]) -> None:
    job = json.loads((await client.send("POST", path, value)).body)
    text = (await client.send("GET", f"/v1/jobs/{job['id']}/events")).body.decode()
    last = json.loads([line for line in text.splitlines() if line.startswith("data: ")][-1][6:])
    done[f"{last['kind']} {last['state']}"] += 1


def _answers(body: bytes, path: str) -> list[dict[str, Any]]:
    if path == "/v1/batch":
        return [r["answer"] for r in json.loads(body)["results"]]
    if path != "/v1/answers":
        return []
    if body.startswith(b"event:"):
        return [json.loads(body.decode().split("event: answer\ndata: ")[1].split("\n")[0])]
    return [json.loads(body)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--index", type=Path, default=ROOT / "indexes" / "demo", help="Folder of the index.")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1, help="Processes that answer: of the batched server.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--each", type=int, default=128, help="Questions of a loaded turn; a quarter for one client.")
    parser.add_argument("--requests", type=int, default=1000, help="While the index changes.")
    parser.add_argument("--only", choices=["latency", "throughput", "changing"])
    parser.add_argument("--kinds", nargs="+", default=["open", "mixed", "study"], choices=["open", "mixed", "study"])
    parser.add_argument("--save", action="store_true", help="Write benchmarks/results and the document as well.")
    args = parser.parse_args()
    wanted = args.only or ("latency", "throughput", "changing")
    if "latency" in wanted:
        # not of mixed questions: a median between two kinds says nothing
        some = {
            kind: latency(args.index, kind, 2 * args.rounds, args.each // 8) for kind in args.kinds if kind != "mixed"
        }
        report("serving-latency", latency_table(some), save=args.save, key=1)
    if "throughput" in wanted:
        loads = {
            kind: throughput(args.index, kind, args.rounds, args.each, args.clients, args.workers)
            for kind in args.kinds
        }
        report("serving-throughput", throughput_table(loads, args.clients, args.workers), save=args.save, key=2)
    if "changing" in wanted:
        report("serving-changes", changing_table(changing(args.index, args.requests, 8, args.workers)), save=args.save)


def latency_table(found: dict[str, dict[str, Any]]) -> Table:
    rows = [
        (kind, f["server"]["p50_ms"], f["python"]["p50_ms"], f["p50 ratio"], f["server"]["p99_ms"], f["cpu ratio"])
        for kind, f in found.items()
    ]
    return Table(
        section=SECTION,
        question="What does HTTP cost a question, with one client?",
        columns=(
            "questions", "server p50 ms", "Python call p50 ms", "ratio (wanted: 1.3)", "server p99 ms",
            "ratio of processor time",
        ),
        runs=(measured(rows),),
        command="OMP_NUM_THREADS=1 python benchmarks/serve.py --only latency",
    )  # fmt: skip


def throughput_table(found: dict[str, dict[str, Any]], clients: int, workers: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind, f in found.items():
        single, _, loaded = f["server's cpu ms/question"].values()
        *_, slowest = (t["p99_ms"] for t in f["times"].values())
        rates = f["questions/s"].values()
        rows.append((kind, workers, *rates, f["batched / single-client limit"], slowest, single, loaded))
    return Table(
        section=SECTION,
        question="How many questions a second does a server answer?",
        columns=(
            "questions", "processes", "unbatched, 1 client", f"unbatched, {clients} clients",
            f"batched, {clients} clients", "batched ÷ one client (wanted: 3)", f"p99 with {clients} clients, ms",
            "processor ms a question, 1 client", "processor ms, batched",
        ),
        runs=(measured(rows),),
        command=f"OMP_NUM_THREADS=1 python benchmarks/serve.py --only throughput --workers {workers}",
    )  # fmt: skip


def changing_table(found: dict[str, Any]) -> Table:
    changes = ", ".join(f"{n} {what}" for what, n in found["changes"].items())
    right = found["statuses"].get(200, 0)
    counts = found["answers"], found["versions answered from"], found["answers that fail verification"]
    return Table(
        section=SECTION,
        question="Does a server answer rightly while its index changes?",
        columns=("during", "requests", "answered with 200", "answers", "from versions", "that fail verification"),
        runs=(measured([(changes, found["requests"], right, *counts)]),),
        command="python benchmarks/serve.py --only changing",
    )


if __name__ == "__main__":
    main()
