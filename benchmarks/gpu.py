"""Everything that runs on a CUDA device, in four minutes, into one JSON file: ``python benchmarks/gpu.py [OUT.json]``.

Search (cuda-flat, cuda-cagra and torch-flat through a segment, beside the bare library; then ten times as many vectors
by torch alone), encoding, an ingest, contract tests and generation. Each part is a process of its own, which writes
down what it has found as it goes: one that FAISS aborts, or that takes too long, takes no other with it. What a part
lacks, a library, a model or time, is written in its place. Without a device the file says so, and nothing is measured.
``--rehearse`` runs every part at small sizes on whatever is there, to see that it runs: such figures are marked and
mean nothing. ``--only PART`` runs the parts of that name.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rag.encoders.runtime import device, fast_dtype, mixed_precision, torch

LIMIT = 250  # seconds for all
DIM, K, BATCH = 512, 10, 1024
FEATURE = {"cuda-flat": "GpuIndexFlat", "cuda-cagra": "GpuIndexCagra"}


@dataclass
class Said:
    """What a part has found; written to ``file`` after each answer."""

    file: Path
    rehearsal: bool
    answers: dict[str, Any] = field(default_factory=dict)

    def say(self, answers: dict[str, Any]) -> None:
        self.answers |= answers
        self.file.write_text(json.dumps(self.answers, indent=1) + "\n", encoding="utf-8")

    def ask(self, name: str, work: Callable[[], Any]) -> None:
        """What ``work`` raises is its answer: one question must not take the next ones with it."""
        try:
            self.say({name: work()})
        except Exception as error:
            self.say({name: {"failed": f"{type(error).__name__}: {error}"[:600]}})

    @property
    def vectors(self) -> int:
        return 6_000 if self.rehearsal else 1_000_000


class Part(NamedTuple):
    """``least`` seconds must be left for it to begin; after ``most`` it is ended."""

    name: str
    work: Callable[[Said, Path], None]
    least: float
    most: float


def main(argv: list[str]) -> None:
    rehearsal = "--rehearse" in argv
    only = argv[argv.index("--only") + 1] if "--only" in argv else ""
    named = [a for a in argv if not a.startswith("--") and a != only]
    file = Path(named[0] if named else "gpu.json")
    whole = Said(file, rehearsal)
    if device() != "cuda" and not rehearsal:
        why = "torch sees no CUDA device on this machine; nothing was measured"
        whole.say({"device": None, "why": why})
        print(why)
        return
    card = torch().cuda.get_device_name() if device() == "cuda" else "processor"
    whole.say({"device": card, "rehearsal": rehearsal, "seconds": {}})
    begun = time.monotonic()
    for part in PARTS:
        if only not in part.name:
            continue
        begin = time.monotonic()
        left = LIMIT - (begin - begun)
        if left < part.least:
            answer = {"skipped": f"{left:.0f} s were left, and it takes {part.least:.0f} or more"}
        else:
            answer = apart(part, min(part.most, left), rehearsal)
        whole.answers["seconds"][part.name] = round(time.monotonic() - begin, 1)
        whole.say({part.name: answer})
        print(f"{part.name}: {json.dumps(answer)}", flush=True)


def apart(part: Part, seconds: float, rehearsal: bool) -> dict[str, Any]:
    """A part in a process of its own, and what became of it."""
    with tempfile.TemporaryDirectory() as name:
        file, log = Path(name) / "said.json", Path(name) / "log"
        command = [sys.executable, str(Path(__file__).absolute()), "--part", part.name, str(file)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, *["--rehearse"] * rehearsal], stdout=out, stderr=out, start_new_session=True
            )
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # its own children, too
                    process.wait()
        answer: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if code != 0:
            answer["ended"] = f"after {seconds:.0f} s" if code is None else f"with {code}"
            answer["last words"] = log.read_text("utf-8", errors="replace")[-1500:]
        return answer


def run_part(name: str, file: Path, rehearsal: bool) -> None:
    """One part, in this process."""
    part = next(part for part in PARTS if part.name == name)
    with tempfile.TemporaryDirectory() as folder:
        part.work(Said(file, rehearsal), Path(folder))


# ------------------------------------------------------------------ search


def bandwidth(rehearsal: bool) -> float:
    """Bytes a second that the device reads and writes in copying half a gigabyte."""
    library, size = torch(), 1 << (22 if rehearsal else 28)
    one, other = (library.empty(size, dtype=library.float16, device=device()) for _ in range(2))
    return round(4 * size / seconds(lambda: other.copy_(one), 20) / 1e9, 1)


class Data:
    """(n, 512) unit vectors in n/100 clusters, as benchmarks/search.py draws them, and 2,048 questions with truth."""

    def __init__(self, n: int, seed: int = 1) -> None:
        library = torch()
        dice = library.Generator(device=device()).manual_seed(seed)

        def normal(*shape: int) -> Any:
            return library.randn(*shape, generator=dice, device=device())

        centres = normal(max(1, n // 100), DIM) / DIM**0.5
        scales = (1.0 + library.arange(DIM, device=device())) ** -0.5
        spread = scales[:, None] / scales.norm() * library.linalg.qr(normal(DIM, DIM))[0]

        def draw(count: int) -> Any:
            out = library.empty(count, DIM, device=device())
            for begin in range(0, count, 1 << 17):
                some = min(1 << 17, count - begin)
                chosen = library.randint(len(centres), (some,), generator=dice, device=device())
                part = centres[chosen] + normal(some, DIM) @ spread
                out[begin : begin + some] = part / part.norm(dim=1, keepdim=True)
            return out

        self.vectors, self.questions = draw(n), draw(2 * BATCH)
        found = [library.topk(self.questions[b : b + 64] @ self.vectors.T, K).indices for b in range(0, 2 * BATCH, 64)]
        self.truth = library.cat(found).cpu().numpy()
        self.asked = self.questions.cpu().numpy()

    def best_allowed(self, asked: np.ndarray, mask: np.ndarray, k: int) -> np.ndarray:
        """(q, k) positions of the nearest that a mask allows, by full comparison."""
        library = torch()
        scores = library.from_numpy(asked).to(device()) @ self.vectors.T
        scores.masked_fill_(~library.from_numpy(mask).to(device()), -2)
        found: np.ndarray = library.topk(scores, k).indices.cpu().numpy()
        return found

    def recall(self, found: np.ndarray, truth: np.ndarray | None = None) -> float:
        """Of each question's truth, by default its ten nearest, the share that was found."""
        pairs = list(zip(found.tolist(), (self.truth if truth is None else truth).tolist(), strict=False))
        return round(statistics.mean(len({*mine[: len(best)]} & {*best}) / len(best) for mine, best in pairs), 4)


def search(said: Said, folder: Path, backend: str) -> None:
    """Through ``VectorSegment.search``, and where it is FAISS's the same index without us."""
    from rag.indexing.vectors import VectorSegment, write_vectors
    from rag.settings import VectorSettings

    said.say({"versions": versions()})
    if (reason := missing_here(backend)) is not None:
        said.say({"missing": reason})
        return
    data = Data(said.vectors)
    said.say({"copy GB/s": bandwidth(said.rehearsal)})
    settings = VectorSettings(backend=backend, memory_gib=64)
    vectors = data.vectors.cpu().numpy()
    before, begin = device_gib(), time.monotonic()
    info = write_vectors(folder, "text", "e", np.arange(len(vectors)), vectors, settings)
    said.say({"vectors": len(vectors), "write s": time.monotonic() - begin})
    begin = time.monotonic()
    segment = VectorSegment(folder, info, settings)
    said.say({"open s": time.monotonic() - begin, "facts": dict(segment.facts)})
    said.say({"files MB": {f.name: round(f.stat().st_size / 1e6, 1) for f in sorted(segment.path.iterdir())}})
    ones = [data.asked[i : i + 1] for i in range(200)]
    many = [data.asked[b : b + BATCH] for b in (0, BATCH)]
    begin = time.monotonic()
    segment.search(ones[0], K, None)
    said.say({"first question s": time.monotonic() - begin})
    found = np.concatenate([segment.search(q, K, None)[0] for q in many])
    alone = np.concatenate([segment.search(q, K, None)[0] for q in ones])
    said.say({"recall@10": data.recall(found), "recall@10, one by one": data.recall(alone)})
    said.say(timed("segment", lambda q: segment.search(q, K, None), ones, many))
    said.say({"device GiB": round(device_gib() - before, 2)})
    if "flat" in backend:
        size = 2 if backend == "torch-flat" and device() == "cuda" else 4
        read = size * vectors.size / said.answers["segment p50 ms"] / 1e6
        said.say({"GB/s, one query": round(read, 1), "of the copy": round(read / said.answers["copy GB/s"], 3)})
    said.ask("threads", lambda: threads(segment, ones, alone))
    if backend in FEATURE:
        said.ask("bare", lambda: bare(said, segment, backend, ones, many))
    said.ask("deeper", lambda: deeper(data, segment))
    for share in (0.9, 0.5, 0.3, 0.1, 0.02):
        said.ask(f"behind a filter of {share}", lambda share=share: filtered(data, segment, share))  # type: ignore[misc]
    if backend == "cuda-flat":
        del segment
        gc.collect()
        said.ask("four segments", lambda: four_segments(vectors))
        said.ask("workspace of 1.5 GiB, bare", lambda: roomy(vectors, ones, many))
    if backend == "cuda-cagra":
        said.ask("nn-descent", lambda: nn_descent(data, vectors, ones, many))


def versions() -> dict[str, str]:
    import faiss

    return {"torch": torch().__version__, "faiss": faiss.__version__}


def missing_here(backend: str) -> str | None:
    from rag.indexing.backends.cuda import missing

    return missing(FEATURE[backend]) if backend in FEATURE else None


def device_gib() -> float:
    """What all have taken of the device."""
    if device() != "cuda":
        return 0.0
    free, whole = torch().cuda.mem_get_info()
    return float(whole - free) / 2**30


def bare(said: Said, segment: Any, backend: str, ones: Sequence[np.ndarray], many: Sequence[np.ndarray]) -> Any:
    """The library's own index, asked as the segment asks it."""
    import faiss

    there, how = segment._index._there, None
    if backend == "cuda-cagra":
        how = faiss.SearchParametersCagra(itopk_size=max(32, int(segment.facts.get("near_effort", 256))))
    answer = timed("bare", lambda q: there.search(q, K, params=how), ones, many)
    if backend == "cuda-flat":  # which asks for one more than is wanted, to see ties
        answer |= timed("bare for 11", lambda q: there.search(q, K + 1), ones, many)
    answer["segment / bare, one query"] = round(said.answers["segment p50 ms"] / answer["bare p50 ms"], 2)
    return answer


def threads(segment: Any, ones: Sequence[np.ndarray], alone: np.ndarray) -> dict[str, Any]:
    """Four threads at once ask every question; their answers beside those that one thread got."""
    wrong, errors = [0], list[str]()

    def ask() -> None:
        try:
            for number, question in enumerate(ones):
                wrong[0] += segment.search(question, K, None)[0][0].tolist() != alone[number].tolist()
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error}"[:300])

    at_once = [threading.Thread(target=ask) for _ in range(4)]
    begin = time.perf_counter()
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    rate = 4 * len(ones) / (time.perf_counter() - begin)
    return {"questions": 4 * len(ones), "other answers": wrong[0], "errors": errors, "QPS": round(rate)}


def deeper(data: Data, segment: Any) -> dict[str, Any]:
    """Recall at depths that settings allow, without a filter and behind one."""
    n, answer = len(data.vectors), {}
    asked, half = data.asked[:64], np.random.default_rng(7).random(n) < 0.5
    for mask, name in ((np.ones(n, np.bool_), "all"), (half, "half")):
        for k in (17, 50, 64, 100, 500, 1000):
            rows = segment.search(asked, k, allowed_of(mask) if name == "half" else None)[0]
            answer[f"recall@{k}, {name}"] = data.recall(rows, data.best_allowed(asked, mask, k))
    return answer


def filtered(data: Data, segment: Any, share: float) -> dict[str, Any]:
    """Behind a mask: recall, time, and how many questions the processor had to answer."""
    from rag.indexing.backends.flat import FlatIndex

    mask = np.random.default_rng(5).random(len(data.vectors)) < share
    allowed, asked, there, fell = allowed_of(mask), data.asked[:64], FlatIndex.candidates, [0]

    def counted(index: Any, queries: np.ndarray, k: int, some: Any) -> Any:
        fell[0] += len(queries)
        return there(index, queries, k, some)

    FlatIndex.candidates = counted  # type: ignore[method-assign]
    try:
        rows = segment.search(asked, K, allowed)[0]
    finally:
        FlatIndex.candidates = there  # type: ignore[method-assign]
    walls = [seconds(lambda n=n: segment.search(asked[n : n + 1], K, allowed), 1) for n in range(20)]
    return {
        "recall@10": data.recall(rows, data.best_allowed(asked, mask, K)),
        "forbidden": int((~mask[rows]).sum()), "answered by the processor": fell[0] / len(asked),
        "p50 ms": round(1e3 * statistics.median(walls), 3),
    }  # fmt: skip


def allowed_of(mask: np.ndarray) -> Any:
    from rag.indexing.backends.protocol import Allowed

    return Allowed.of(mask)


def four_segments(vectors: np.ndarray) -> dict[str, Any]:
    """The same vectors as a store splits them: what they take of the device beside themselves."""
    import faiss

    from rag.indexing.backends.cuda import CudaFlatIndex

    before, parts = device_gib(), []
    for some in np.array_split(vectors, 4):
        index = faiss.IndexFlatIP(DIM)
        index.add(some)
        parts.append(CudaFlatIndex(index))
        parts[-1].candidates(some[:1], K, None)
    return {"GiB": round(device_gib() - before, 2), "GiB of vectors": round(vectors.nbytes / 2**30, 2)}


def roomy(vectors: np.ndarray, ones: Sequence[np.ndarray], many: Sequence[np.ndarray]) -> dict[str, float]:
    """The bare index with the working memory that FAISS would take by itself."""
    import faiss

    resources, configuration = faiss.StandardGpuResources(), faiss.GpuIndexFlatConfig()
    configuration.use_cuvs = True
    index = faiss.GpuIndexFlatIP(resources, DIM, configuration)
    index.add(vectors)
    return timed("roomy", lambda q: index.search(q, K), ones[:100], many)


def nn_descent(data: Data, vectors: np.ndarray, ones: Sequence[np.ndarray], many: Sequence[np.ndarray]) -> Any:
    """The graph as another algorithm builds it, bare."""
    import faiss

    from rag.indexing.backends.cuda import first_device

    place = first_device()
    configuration = place.configure(faiss.GpuIndexCagraConfig())
    configuration.build_algo = faiss.graph_build_algo_NN_DESCENT
    index = faiss.GpuIndexCagra(place.resources, DIM, faiss.METRIC_INNER_PRODUCT, configuration)
    begin = time.monotonic()
    index.train(vectors)
    answer: dict[str, Any] = {"build s": time.monotonic() - begin}
    for size in (64, 128, 192, 256):
        how = faiss.SearchParametersCagra(itopk_size=size)
        found = np.concatenate([index.search(q, K, params=how)[1] for q in many])
        answer[f"recall@10, itopk {size}"] = data.recall(found)
    return answer


def ten_million(said: Said, folder: Path) -> None:
    """What torch-flat does on the device, without segments: they, and CAGRA's graph, would take minutes to write."""
    library, data = torch(), Data(10 * said.vectors, 2)
    half = data.vectors.to(fast_dtype())
    exact, questions = data.vectors, data.questions

    def find(asked: Any) -> Any:
        found = library.topk(asked.to(half.dtype) @ half.T, K + 22).indices
        scores = (exact[found] * asked[:, None]).sum(dim=-1)
        return found.gather(1, library.topk(scores, K).indices).cpu().numpy()

    step = 64  # scores of more do not fit beside the vectors
    found = np.concatenate([find(questions[b : b + step]) for b in range(0, BATCH, step)])
    said.say({"vectors": len(exact), "recall@10": data.recall(found), "device GiB": round(device_gib(), 1)})
    one = seconds(lambda: find(questions[:1]), 20)
    batch = seconds(lambda: find(questions[:step]), 5)
    rate = half.numel() * half.element_size() / one / 1e9
    said.say({"p50 ms": one * 1e3, f"QPS in batches of {step}": step / batch, "GB/s, one query": round(rate, 1)})


# ------------------------------------------------------------------ encoding, contract, generation


def pictures(folder: Path, count: int) -> list[Path]:
    """So many JPEG files of 512 x 512, coarse noise, no two alike."""
    from PIL import Image

    def draw(number: int) -> Path:
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24, 3), np.uint8)
        file = folder / f"{number}.jpg"
        Image.fromarray(pixels).resize((512, 512), Image.Resampling.BICUBIC).save(file, quality=90)
        return file

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(draw, range(count)))


def encoding(said: Said, folder: Path) -> None:
    """Images by the product's encoder, decoding included and not, beside the bare loop over pixels; and texts."""
    from rag.encoders.openclip import OpenClipEncoder

    library, encoder = torch(), OpenClipEncoder("compact")
    files = pictures(folder, 16 if said.rehearsal else 4096)
    begin = time.monotonic()
    decoded = {file: encoder._decode(file) for file in files[:256]}
    said.say({"images/s decoded by one thread": len(decoded) / (time.monotonic() - begin)})
    encoder.encode_images(files[:2])
    begin = time.monotonic()
    encoder.encode_images(files)
    said.say({"images/s from files": len(files) / (time.monotonic() - begin), "decoding threads": encoder.pace.threads})
    said.say({"batch": encoder._batch.size})
    pixels = list(decoded.values())
    for size in (4,) if said.rehearsal else (32, 128, 256, 512, 1024):
        stacked = encoder._stack([pixels[n % len(pixels)] for n in range(size)])
        with library.inference_mode(), mixed_precision():
            placed = stacked.to(device())
            rate = size / seconds(lambda placed=placed: encoder._encode_pixels(placed).float().cpu(), 10)
        said.say({f"images/s of the bare loop, batch {size}": rate})
        encoder._batch = type(encoder._batch)(size)
        encoder._decode = lambda path: decoded[path]  # type: ignore[method-assign]
        again = list(decoded) * (1 if said.rehearsal else 32)
        encoder.encode_images(again[: 2 * size])
        begin = time.monotonic()
        encoder.encode_images(again)
        alone = len(again) / (time.monotonic() - begin)
        said.say({f"images/s decoded before, batch {size}": alone, f"encoded / bare, batch {size}": alone / rate})
    said.ask("texts/s", lambda: texts(16 if said.rehearsal else 8192))


def texts(count: int) -> float:
    from rag.encoders.minilm import MiniLmEncoder

    some = [f"Report {n}: the heart is {'not ' * (n % 2)}enlarged and the lungs are clear. " * 4 for n in range(count)]
    encoder = MiniLmEncoder()
    encoder.encode(some[:64])
    begin = time.monotonic()
    encoder.encode(some)
    return count / (time.monotonic() - begin)


def ingest(said: Said, folder: Path) -> None:
    """``rag ingest`` of a folder of images, as a user runs it."""
    images = folder / "images"
    images.mkdir()
    pictures(images, 20 if said.rehearsal else 4000)
    command = [sys.executable, "-c", "from rag.cli import main; main()", "ingest", str(images), "--index", "pictures"]
    begin = time.monotonic()
    done = subprocess.run(
        [*command, "--indexes", str(folder), "--json"], capture_output=True, text=True, check=False, cwd=folder
    )
    said.say({"whole process s": time.monotonic() - begin, "code": done.returncode})
    try:
        told = json.loads(done.stdout)
    except ValueError:
        said.say({"failed": (done.stdout + done.stderr)[-1500:]})
        return
    said.say({name: told.get(name) for name in ("added", "quarantined", "seconds", "images_a_second")})


def contract(said: Said, folder: Path) -> None:
    """The tests of the backends that run on a device; a worker that FAISS aborts is a failed test."""
    tests = Path(__file__).absolute().parent.parent / "tests" / "indexing"
    which = "torch-flat and TestEveryBackend" if said.rehearsal else "torch-flat or cuda or device or cagra"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0" if said.rehearsal else "8",
        "-k",
        which,
        "-rf",
        "--tb=line",
    ]
    files = [str(tests / name) for name in ("test_backends.py", "test_device.py")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, check=False, cwd=tests.parent.parent)
    lines = done.stdout.strip().splitlines()
    said.say({"passed": done.returncode == 0, "said": lines[-1:]})
    if done.returncode:
        said.say({"failed tests": lines[-40:], "last words": done.stderr[-500:]})


def generation(said: Said, folder: Path) -> None:
    """Answers of the compact Med-LVLM."""
    import lvlm

    from rag import load_settings
    from rag.errors import RagError
    from rag.generation.registry import load_generator
    from rag.language.clinical_text import Texts
    from rag.language.lexicon import Lexicon

    if said.rehearsal:
        said.say({"not rehearsed": "it needs its model"})
        return
    try:
        readers = Texts(Lexicon.load())
        begin = time.monotonic()
        generator = load_generator(load_settings("compact-lvlm").generation, readers)
        requests = [lvlm._request(q, 5, readers.lexicon) for q in lvlm.SPOKEN]
        generator.generate(requests[0])
    except RagError as error:
        said.say({"missing": str(error)})
        return
    said.say({"first answer s, loading included": time.monotonic() - begin})
    walls = [seconds(lambda r=request: generator.generate(r), 1) for request in requests]
    said.say({"answers": len(walls), "seconds for one, median": statistics.median(walls)})


def timed(
    name: str, find: Callable[[np.ndarray], Any], ones: Sequence[np.ndarray], many: Sequence[np.ndarray]
) -> dict[str, float]:
    """Median milliseconds of a single question, host to host, and questions a second in batches."""
    for asked in (*ones[:3], many[0]):
        find(asked)
    walls = []
    for asked in ones:
        begin = time.perf_counter()
        find(asked)
        walls.append(time.perf_counter() - begin)
    batches = []
    for _ in range(3):
        for asked in many:
            begin = time.perf_counter()
            find(asked)
            batches.append(time.perf_counter() - begin)
    return {
        f"{name} p50 ms": round(1e3 * statistics.median(walls), 3),
        f"{name} QPS in batches": round(BATCH / statistics.median(batches)),
    }


def seconds(work: Callable[[], Any], times: int) -> float:
    """Median seconds, the device's own work awaited."""
    library, walls = torch(), []
    for _ in range(times + (times > 1)):
        begin = time.perf_counter()
        work()
        if device() == "cuda":
            library.cuda.synchronize()
        walls.append(time.perf_counter() - begin)
    return statistics.median(walls[times > 1 :])


PARTS = (
    Part("cuda-flat", lambda said, folder: search(said, folder, "cuda-flat"), 15, 50),
    Part("cuda-cagra", lambda said, folder: search(said, folder, "cuda-cagra"), 40, 100),
    Part("encoding", encoding, 15, 45),
    Part("ingest", ingest, 15, 45),
    Part("torch-flat", lambda said, folder: search(said, folder, "torch-flat"), 15, 40),
    Part("contract tests", contract, 20, 90),
    Part("ten million", ten_million, 12, 30),
    Part("generation", generation, 15, 45),
)

if __name__ == "__main__":
    if "--part" in sys.argv:
        _, _, chosen, where, *others = sys.argv
        run_part(chosen, Path(where), "--rehearse" in others)
    else:
        main(sys.argv[1:])
