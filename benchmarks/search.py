"""The index store beside other ways to search vectors.

    python benchmarks/search.py [--sizes N,...] [--only A,B] [--save]

Each peer at each size builds in one process and serves in another, so that memory and opening are its own; see
``peers.py`` for how each is used. A peer that is not installed, fails, or is too slow gets a line that says so.

Vectors are unit vectors of 512 dimensions in n/100 clusters, searched by inner product; queries are not in the corpus.
faiss, hnswlib and usearch return ids only; lancedb, chroma, milvus-lite, llamaindex and ours also return each hit's
text ("search alone": ours without). Settings are the least of a ladder (see ``peers.py``) whose recall@10 on as many
other queries is at least 0.95; ours chooses for itself, by recall on probes of its own.

- *p50 / bare FAISS*: against FAISS flat, HNSW or IVF-SQ8, whichever is of the same kind (IVF-SQ8 for all lists).
- *build*: with making the library's own records. *open*: fresh process, libraries imported, warm file cache, until the
  first answer. *peak RSS*: of the serving process up to the end of the searches, and after them; mapped files count.
- OMP_NUM_THREADS is 2; otherwise every library's own choice of threads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from peers import BATCH, DIM, PEERS, Data, FaissHnsw, Ids, K, Ours, Peer
from tables import Cell, Table, measured, report

TARGET, WARM_UP, REPEATS, TURNS = 0.95, 20, 3, 15
RIVALLED = 200_000  # up to so many vectors FAISS's graph is built a second time, beside ours
THREADS = 2
PACKAGES = (
    "numpy", "faiss-cpu", "hnswlib", "usearch", "lancedb", "chromadb", "pymilvus", "milvus-lite", "llama-index-core",
)  # fmt: skip
# Nothing here may call home or wait for a network.
QUIET = {
    "OMP_NUM_THREADS": str(THREADS),
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LANCE_LOG": "error",
    "PYTHONWARNINGS": "ignore",
}
COLUMNS = (
    "peer", "backend", "setting", "recall@10", "p50 ms", "p99 ms", "batch queries/s", "p50 / bare FAISS", "build s",
    "open s", "peak RSS MiB (after)", "disk MiB",
)  # fmt: skip
EXTRAS = (
    "vectors", "ours", "beside", "search, times as long", "with passages, times as long", "batches, times as fast",
    "after removing a tenth, times as long", "100 passages, ms", "BM25, ms", "removing, s",
)  # fmt: skip

WORDS, WORDS_PER_TEXT, COMMON = 50_000, 22, 100
CONSONANTS, VOWELS = "bcdfghjklmnprstvwxyz", "aeiou"

Call = Callable[[np.ndarray], object]


class TooSlowError(Exception):
    """It would take longer than the limit."""


# What is searched


def prepare(folder: Path, n: int, queries: int) -> None:
    """Write vectors, texts, twice ``queries`` queries with their ten true neighbours, and questions."""
    import faiss

    rng = np.random.default_rng(n)
    mixture = Mixture(max(1, n // 100), DIM, rng)
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, (n, DIM))
    zipf = np.cumsum(1 / (np.arange(WORDS) + 2.7))
    with (folder / "texts.txt").open("w", encoding="utf-8") as file:
        for start in range(0, n, BATCH):
            count = min(BATCH, n - start)
            vectors[start : start + count] = mixture.draw(count, rng)
            file.writelines(" ".join(map(word, ranks)) + "\n" for ranks in draw_words(zipf, count, rng))
    asked = mixture.draw(2 * queries, rng)
    np.save(folder / "queries.npy", asked)
    index = faiss.IndexFlatIP(DIM)
    index.add(vectors)
    np.save(folder / "truth.npy", index.search(asked, K)[1])
    rare = COMMON + draw_words(np.cumsum(1 / (np.arange(COMMON, WORDS) + 2.7)), 200, rng)
    questions = [" ".join(word(rank) for rank in list(dict.fromkeys(ranks.tolist()))[:8]) for ranks in rare]
    (folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")


class Mixture:
    """Clusters around Gaussian centres. As with real embeddings, few directions carry most of a cluster's spread, so
    that a query's tenth neighbour (cosine 0.6) stands out from its cluster (0.5), and the cluster from the rest (0.2).
    """

    def __init__(self, clusters: int, dim: int, rng: np.random.Generator) -> None:
        self._centres = (rng.standard_normal((clusters, dim)) / dim**0.5).astype(np.float32)
        scales = (1.0 + np.arange(dim)) ** -0.5
        rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        self._spread = (scales[:, None] / np.linalg.norm(scales) * rotation).astype(np.float32)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        chosen = self._centres[rng.integers(0, len(self._centres), n)]
        vectors = chosen + rng.standard_normal((n, len(self._spread)), dtype=np.float32) @ self._spread
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def draw_words(cumulative: np.ndarray, texts: int, rng: np.random.Generator) -> np.ndarray:
    """(texts, WORDS_PER_TEXT) ranks of words, drawn by their cumulative frequency."""
    return np.searchsorted(cumulative, rng.random((texts, WORDS_PER_TEXT)) * cumulative[-1])


def word(rank: int) -> str:
    """A word of its own for each rank: two syllables for the 10,000 most frequent, else three."""
    syllables = []
    for _ in range(2 if rank < 10_000 else 3):
        rank, syllable = divmod(rank, 100)
        syllables.append(CONSONANTS[syllable // 5] + VOWELS[syllable % 5])
    return "".join(syllables)


# Measuring, in processes of their own


def build(peer: Peer, folder: Path, at: Path) -> dict[str, Any]:
    load(peer)
    data = Data(folder)
    begin = time.perf_counter()
    peer.build(data, at)
    return {"build": time.perf_counter() - begin}


def serve(peer: Peer, folder: Path, at: Path, limit: float) -> dict[str, Any]:
    load(peer)
    half = len(queries := np.load(folder / "queries.npy")) // 2
    truth = np.load(folder / "truth.npy")
    begin = time.perf_counter()
    peer.open(at)
    peer.one(queries[0])
    opened = time.perf_counter() - begin
    patience(lambda: peer.one(queries[1]), half, limit)
    setting = tune(peer, queries[:half], truth[:half])
    found, result = measure(peer.one, peer.many, queries[:half], queries[half:])
    result |= {"open": opened, "setting": setting, "recall": recall(found, truth[half:]), **memory()}
    if isinstance(peer, Ours):
        alone = measure(lambda query: peer.rows(query)[0], peer.rows, queries[:half], queries[half:])[1]
        rivals = {"FAISS on the same files, searched as hard": peer.bare(at)}
        if peer.backend == "hnsw" and len(Data(folder)) <= RIVALLED:
            rivals |= usual_graph(folder, at, queries[:half], truth[:half])
        result |= {"alone": alone, "extra": extra(peer, folder, rivals, queries[half:])}
    return result


def load(peer: Peer) -> None:
    """Importing is not opening."""
    for module in peer.modules:
        import_module(module)


def patience(call: Callable[[], object], times: int, limit: float) -> None:
    if median_ms(call, 3) / 1e3 * times > limit:
        raise TooSlowError


def tune(peer: Peer, queries: np.ndarray, truth: np.ndarray) -> str:
    """Choose the least effort that finds enough; returns it in words."""
    if not peer.ladder:
        return peer.setting
    for effort in peer.ladder:
        peer.tune(effort)
        found = peer.many(queries)
        if found is None:
            found = [peer.one(query) for query in queries]
        if recall(found, truth) >= TARGET:
            break
    else:
        effort = f"{effort} (the ladder's end: {TARGET} not reached)"
    return f"{peer.setting}; {peer.effort_name} {effort}"


def measure(
    one: Callable[[np.ndarray], Ids],
    many: Callable[[np.ndarray], Sequence[Ids] | None],
    others: np.ndarray,
    queries: np.ndarray,
) -> tuple[list[Ids], dict[str, Any]]:
    """What was found for each query, and percentiles and throughput after a warm-up with ``others``.

    Settings may have been chosen with those; where there are none to choose, files are mapped in only now.
    """
    batched = many(others) is not None
    for query in others[:WARM_UP]:
        one(query)
    found, times = [], []
    for query in queries:
        begin = time.perf_counter()
        found.append(one(query))
        times.append(time.perf_counter() - begin)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    batch = len(queries) / median_ms(lambda: many(queries), REPEATS) * 1e3 if batched else None
    return found, {"p50": p50, "p99": p99, "batch": batch}


def usual_graph(folder: Path, at: Path, queries: np.ndarray, truth: np.ndarray) -> dict[str, Call]:
    """The FAISS graph of the table, built and tuned once more to be called by turns with ours."""
    peer = FaissHnsw("faiss", "hnsw", kin="hnsw")
    peer.build(Data(folder), at)
    peer.open(at)
    tune(peer, queries, truth)
    return {f"FAISS's usual graph, tuned for {TARGET}": lambda some: peer.many(np.atleast_2d(some))}


def extra(ours: Ours, folder: Path, rivals: dict[str, Call], queries: np.ndarray) -> dict[str, Any]:
    """What a store adds to FAISS, and what only a store does: fetch passages, rank by words, and search on after a
    tenth of the documents has been removed."""
    n, snapshot = len(Data(folder)), ours.snapshot
    times = by_turns({**rivals, "alone": ours.rows, "whole": ours.one}, queries)
    calls = {**rivals, "alone": ours.rows}
    batch = by_turns({name: lambda _, call=call: call(queries) for name, call in calls.items()}, queries[:TURNS])
    result: dict[str, Any] = {
        "rivals": {
            name: [times["alone"] / times[name], times["whole"] / times[name], batch[name] / batch["alone"]]
            for name in rivals
        }
    }
    rng = np.random.default_rng(1)
    questions = iter(2 * json.loads((folder / "questions.json").read_text(encoding="utf-8")))
    result["fetch"] = median_ms(lambda: snapshot.passages(rng.integers(0, n, 100).tolist()), 100)
    snapshot.search_words(next(questions), K)
    result["words"] = median_ms(lambda: snapshot.search_words(next(questions), K), 200)
    begin = time.perf_counter()
    with ours.store.writer() as writer:
        writer.remove(document_ids=[str(i) for i in rng.choice(n, n // 10, replace=False)])
        writer.publish("a tenth removed")
    result["removal"] = time.perf_counter() - begin
    with ours.store.snapshot() as less:

        def on(view: object) -> Call:
            def call(query: np.ndarray) -> Ids:
                ours.snapshot = view
                return ours.one(query)

            return call

        result |= by_turns({"before": on(snapshot), "after": on(less)}, queries)
    return result


def by_turns(calls: dict[str, Call], queries: np.ndarray) -> dict[str, float]:
    """Median milliseconds of each call. All meet the same moments of the same machine.

    At each turn they are asked different queries: the second to ask the same would find its answer in the caches.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARM_UP + len(queries)):
        for place, (name, call) in enumerate(calls.items()):
            query = queries[(number + place * len(queries) // len(calls)) % len(queries)]
            begin = time.perf_counter()
            call(query)
            if number >= WARM_UP:
                times[name].append(time.perf_counter() - begin)
    return {name: float(np.median(some)) * 1e3 for name, some in times.items()}


def median_ms(call: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken)) * 1e3


def recall(found: Sequence[Ids], truth: np.ndarray) -> float:
    return (
        float(np.mean([len(set(map(int, ids)) & set(best)) for ids, best in zip(found, truth.tolist(), strict=True)]))
        / K
    )


def memory() -> dict[str, float]:
    """MiB that this process had in memory at most, and has now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.startswith("Vm")}
    # ru_maxrss would do, but it starts from what the parent held when it started this process.
    peak = sizes.get("VmHWM", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return {"peak": max(peak, sizes["VmRSS"]), "now": sizes["VmRSS"]}


def step(name: str, folder: str, *rest: str) -> None:
    """One process's share of the work; its result is a file, since libraries print what they like."""
    here = Path(folder)
    if name == "prepare":
        return prepare(here, *map(int, rest))
    peer, at = next(peer for peer in PEERS if key(peer) == rest[0]), here / rest[0]
    try:
        result = build(peer, here, at) if name == "build" else serve(peer, here, at, float(rest[1]))
    except TooSlowError:
        result = {"skipped": "not measured (too slow at this size)"}
    (here / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return None


STEPS = ("prepare", "build", "serve")


# Running and reporting


def compare(peers: Sequence[Peer], n: int, asked: argparse.Namespace, hopeless: set[str]) -> dict[str, dict[str, Any]]:
    """The results of one size. Peers that are too slow join ``hopeless`` and are not tried at larger sizes.

    ``asked.known`` is a JSON file of results that an interrupted run has left; new ones join it one by one.
    """
    known = asked.known
    every = json.loads(known.read_text(encoding="utf-8")) if known and known.exists() else {}
    results: dict[str, dict[str, Any]] = every.setdefault(f"{n}-{asked.queries}", {})
    if missing := [peer for peer in peers if key(peer) not in results]:
        with tempfile.TemporaryDirectory(prefix="clincite-search-") as name:
            folder = Path(name)
            spawn("prepare", folder, str(n), str(asked.queries))
            for peer in missing:
                print(f"{n:,}: {key(peer)} ...", file=sys.stderr, flush=True)
                results[key(peer)] = attempt(peer, folder, n, 60 * asked.minutes, hopeless)
                if known:
                    known.write_text(json.dumps(every, indent=1), encoding="utf-8")
    return results


def tell(peers: Sequence[Peer], n: int, asked: argparse.Namespace, results: dict[str, dict[str, Any]]) -> None:
    """The two tables of one size. Saved rows replace those of the same peers; others are kept with their own run."""
    command = f"python benchmarks/search.py --sizes {n} --queries {asked.queries}"
    beside = Table(
        section="Vector search",
        question=f"How does the store search {n:,} vectors, beside other libraries and stores?",
        columns=COLUMNS,
        runs=(measured([row for peer in peers for row in peer_rows(peer, results)], PACKAGES),),
        command=command,
        note=f"Settings are the least of a ladder with recall@10 of {TARGET}; p50 / bare FAISS: of the same run.",
    )
    report(f"search-{n}", beside, save=asked.save, key=2)
    extras = [(p, found["extra"]) for p in peers if "extra" in (found := results[key(p)])]
    if extras:
        added = Table(
            section="Vector search",
            question="What does the store add to FAISS, by turns in one process?",
            columns=EXTRAS,
            runs=(measured([row for peer, extra in extras for row in extra_rows(peer, n, extra)], PACKAGES),),
            command="python benchmarks/search.py",
            note="Wanted: with passages <= 1.5, batches >= 0.9, after removing a tenth < 1.2.",
        )
        report("search-by-turns", added, save=asked.save, key=3)


def attempt(peer: Peer, folder: Path, n: int, limit: float, hopeless: set[str]) -> dict[str, Any]:
    if reason := peer.missing():
        return {"skipped": reason}
    if peer.most is not None and n > peer.most:
        return {"skipped": f"not measured (would not fit in memory; tried up to {peer.most:,})"}
    if key(peer) in hopeless:
        return {"skipped": "not measured (too slow at a smaller size)"}
    at = folder / key(peer)
    at.mkdir()
    try:
        result = spawn("build", folder, key(peer), limit=limit)
        if "skipped" not in result:
            disk = sum(file.stat().st_size for file in at.rglob("*") if file.is_file())
            result |= {"disk": disk / 2**20} | spawn("serve", folder, key(peer), str(limit), limit=limit)
    finally:
        shutil.rmtree(at)
    if "too slow" in result.get("skipped", ""):
        hopeless.add(key(peer))
    return result


def spawn(name: str, folder: Path, *rest: str, limit: float | None = None) -> dict[str, Any]:
    """Run a step in a process of its own; returns its result, or why there is none."""
    answer = folder / "result.json"
    answer.unlink(missing_ok=True)
    command = [sys.executable, str(Path(__file__).resolve()), name, str(folder), *rest]
    try:
        done = subprocess.run(
            command, env=os.environ | QUIET, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"skipped": "not measured (too slow at this size)"}
    if done.returncode == 0:
        return json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {}
    if name == "prepare":
        sys.exit(done.stderr)
    if done.returncode == -9:
        return {"skipped": "not measured (killed: out of memory?)"}
    why = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return {"skipped": f"{name} failed: {why[:120]}"}


def peer_rows(peer: Peer, results: dict[str, dict[str, Any]]) -> list[tuple[Cell, ...]]:
    found, blank = results[key(peer)], (None,) * 4
    if "skipped" in found:
        return [(peer.name, peer.backend, found["skipped"], *blank, *blank, None)]
    kin = results.get(f"faiss-{peer.kin}", {}).get("p50")
    rest = round(found["build"], 1), round(found["open"], 2), f"{found['peak']:.0f} ({found['now']:.0f})"
    speeds = speed_cells(found, kin)
    rows: list[tuple[Cell, ...]] = [
        (peer.name, peer.backend, found["setting"], round(found["recall"], 3), *speeds, *rest, round(found["disk"]))
    ]
    if "alone" in found:
        rows.append((peer.name, peer.backend, "search alone", None, *speed_cells(found["alone"], kin), *blank))
    return rows


def speed_cells(found: dict[str, Any], kin: float | None) -> list[Cell]:
    batch = "no batch call" if found["batch"] is None else round(found["batch"])
    return [round(found["p50"], 3), round(found["p99"], 3), batch, round(found["p50"] / kin, 3) if kin else None]


def extra_rows(peer: Peer, n: int, extra: dict[str, Any]) -> list[tuple[Cell, ...]]:
    steps = round(extra["fetch"], 1), round(extra["words"], 1), round(extra["removal"], 1)
    return [
        (n, peer.backend, rival, *(round(x, 2) for x in (*ratios, extra["after"] / extra["before"])), *steps)
        for rival, ratios in extra["rivals"].items()
    ]


def key(peer: Peer) -> str:
    return f"{peer.name}-{peer.backend}"


def arguments(argv: list[str]) -> argparse.Namespace:
    names = sorted({peer.name for peer in PEERS} | {key(peer) for peer in PEERS})
    parser = argparse.ArgumentParser(prog="search.py", description="Compare ways to search vectors.")
    parser.add_argument("--sizes", default="10000,100000", help="numbers of vectors (1000000 takes hours)")
    parser.add_argument("--only", default="", help="peers, or peers with one backend: " + ", ".join(names))
    parser.add_argument("--save", action="store_true", help="write benchmarks/results and the document as well")
    parser.add_argument("--known", type=Path, help="JSON file of results: kept as they come, and not measured again")
    parser.add_argument("--queries", type=int, default=500, help="queries measured; as many others choose settings")
    parser.add_argument("--minutes", type=float, default=10, help="longest that building or serving may take")
    chosen = parser.parse_args(argv)
    chosen.sizes = sorted(int(size) for size in chosen.sizes.split(","))
    chosen.only = [name for name in chosen.only.split(",") if name] or names
    if unknown := set(chosen.only) - set(names):
        parser.error(f"no peer {min(unknown)!r}; there are: {', '.join(names)}")
    return chosen


def main(argv: list[str]) -> None:
    if argv and argv[0] in STEPS:
        return step(*argv)
    asked = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # by way of the clean-up: gigabytes lie in /tmp
    peers = [peer for peer in PEERS if {peer.name, key(peer)} & set(asked.only)]
    hopeless: set[str] = set()
    for size in asked.sizes:  # told after each: the largest takes hours
        tell(peers, size, asked, compare(peers, size, asked, hopeless))
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
