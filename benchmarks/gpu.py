"""Everything that runs on a CUDA device, in four minutes, into one JSON file: ``python benchmarks/gpu.py [OUT.json]``.

Contract tests, search (torch-flat, cuda-flat, cuda-cagra through a segment beside the bare library; then ten times as
many vectors by torch alone), encoding and generation. What a part lacks, a library, a model or time, is written in its
place and the others go on. Without a device the file says so, and nothing is measured. ``--rehearse`` runs every part
at small sizes on whatever is there, to see that it runs: such figures are marked and mean nothing.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoders.minilm import MiniLmEncoder
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.runtime import device, fast_dtype, mixed_precision, torch
from rag.errors import RagError
from rag.indexing.backends.cuda import missing
from rag.indexing.vectors import VectorSegment, write_vectors
from rag.settings import VectorSettings

LIMIT = 225  # seconds for all; a part that needs more than is left is not begun
DIM, K, BATCH = 512, 10, 1024
BACKENDS = {"torch-flat": None, "cuda-flat": "GpuIndexFlat", "cuda-cagra": "GpuIndexCagra"}


@dataclass
class Run:
    """The parts and what they said; written to ``file`` after each."""

    file: Path
    rehearsal: bool
    begun: float = field(default_factory=time.monotonic)
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        return LIMIT - (time.monotonic() - self.begun)

    def part(self, name: str, work: Callable[[], Any], seconds: float = 5) -> None:
        """Run a part that takes about so many seconds; what it raises is its answer."""
        begin = time.monotonic()
        if self.left < seconds:
            answer: Any = {"skipped": f"{self.left:.0f} s were left, and it takes about {seconds:.0f}"}
        else:
            try:
                answer = work()
            except Exception as error:  # one part must not take the others with it
                answer = {"failed": f"{type(error).__name__}: {error}"[:600]}
        self.said[name] = answer
        self.said.setdefault("seconds", {})[name] = round(time.monotonic() - begin, 1)
        self.write()
        print(f"{name}: {json.dumps(answer)[:600]}", flush=True)

    def write(self) -> None:
        self.file.write_text(json.dumps(self.said, indent=1) + "\n", encoding="utf-8")


def main(argv: list[str]) -> None:
    rehearsal = "--rehearse" in argv
    named = [a for a in argv if not a.startswith("--")]
    run = Run(Path(named[0] if named else "gpu.json"), rehearsal)
    if device() != "cuda" and not rehearsal:
        run.said["device"] = None
        run.said["why"] = "torch sees no CUDA device on this machine; nothing was measured"
        run.write()
        print(run.said["why"])
        return
    run.said["device"] = torch().cuda.get_device_name() if device() == "cuda" else "processor"
    run.said["rehearsal"] = rehearsal
    run.said["versions"] = versions()
    n = 2_000 if rehearsal else 1_000_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run.part("contract tests", lambda: contract(rehearsal), 60)
        run.part("bandwidth GB/s", bandwidth)
        searches(run, folder, n)
        run.part(f"{10 * n:,}: torch alone", lambda: torch_alone(10 * n), 25)
        run.part("encoding", lambda: encoding(folder, 8 if rehearsal else 2048), 30)
        run.part("generation", lambda: {"not rehearsed": "it needs its model"} if rehearsal else generation(), 40)


def searches(run: Run, folder: Path, n: int) -> None:
    """Every backend over the same vectors, which the device then gives back."""
    data = Data(n)
    for backend, feature in BACKENDS.items():
        run.part(f"{n:,}: {backend}", partial(search, data, folder, backend, feature), 30)


def versions() -> dict[str, str]:
    import faiss

    return {"torch": torch().__version__, "faiss": faiss.__version__, "faiss on CUDA": missing() or "yes"}


def contract(rehearsal: bool) -> dict[str, Any]:
    tests = Path(__file__).parent.parent / "tests" / "indexing"
    which = "torch-flat and TestEveryBackend" if rehearsal else "torch-flat or cuda"
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", str(tests / "test_backends.py"), "-k", which]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT / 2)
    return {"passed": done.returncode == 0, "said": done.stdout.strip().splitlines()[-1:]}


def bandwidth() -> float:
    """Bytes a second that the device reads and writes in copying half a gigabyte."""
    library, size = torch(), (1 << 22 if device() == "cpu" else 1 << 28)
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

    def recall(self, found: np.ndarray) -> float:
        pairs = zip(found.tolist(), self.truth.tolist(), strict=False)
        return round(statistics.mean(len({*mine[:K]} & {*best}) / K for mine, best in pairs), 4)


def search(data: Data, folder: Path, backend: str, feature: str | None) -> dict[str, Any]:
    """Through ``VectorSegment.search``, and where it is FAISS's the same index without us."""
    if feature is not None and (reason := missing(feature)) is not None:
        return {"missing": reason}
    settings = VectorSettings(backend=backend, memory_gib=64)
    vectors = data.vectors.cpu().numpy()
    begin = time.monotonic()
    info = write_vectors(folder, "text", "e", np.arange(len(vectors)), vectors, settings)
    written = time.monotonic()
    segment = VectorSegment(folder, info, settings)
    opened = time.monotonic()
    ones = [data.asked[i : i + 1] for i in range(200)]
    many = [data.asked[b : b + BATCH] for b in (0, BATCH)]
    answer: dict[str, Any] = {"write s": written - begin, "open s": opened - written, "facts": dict(segment.facts)}
    answer["recall@10"] = data.recall(np.concatenate([segment.search(q, K, None)[0] for q in many]))
    answer["recall@10, one by one"] = data.recall(np.concatenate([segment.search(q, K, None)[0] for q in ones]))
    answer |= timed("segment", lambda q: segment.search(q, K, None), ones, many)
    bare = getattr(segment._index, "_there", None)
    if feature is not None and bare is not None:
        import faiss

        how = None
        if backend == "cuda-cagra":
            how = faiss.SearchParametersCagra(itopk_size=max(32, int(segment.facts.get("near_effort", 256))))
        answer |= timed("bare", lambda q: bare.search(q, K, params=how), ones, many)
        answer["segment / bare, one query"] = round(answer["segment p50 ms"] / answer["bare p50 ms"], 2)
    size = 2 if backend == "torch-flat" and device() == "cuda" else 4
    if "flat" in backend:
        answer["GB/s, one query"] = round(size * vectors.size / answer["segment p50 ms"] / 1e6, 1)
    if device() == "cuda":
        free, whole = torch().cuda.mem_get_info()
        answer["device GiB in use"] = round((whole - free) / 2**30, 2)
    return answer


def torch_alone(n: int) -> dict[str, Any]:
    """What torch-flat does on the device, without segments: they, and CAGRA's graph, would take minutes to write."""
    library, data = torch(), Data(n, 2)
    half = data.vectors.to(fast_dtype())
    exact, questions = data.vectors, data.questions

    def find(asked: Any) -> Any:
        found = library.topk(asked.to(half.dtype) @ half.T, K + 22).indices
        scores = (exact[found] * asked[:, None]).sum(dim=-1)
        return found.gather(1, library.topk(scores, K).indices).cpu().numpy()

    step = 64  # scores of more do not fit beside the vectors
    found = np.concatenate([find(questions[b : b + step]) for b in range(0, BATCH, step)])
    one = seconds(lambda: find(questions[:1]), 20)
    batch = seconds(lambda: find(questions[:step]), 5)
    rate = half.numel() * half.element_size() / one / 1e9
    return {
        "recall@10": data.recall(found), "p50 ms": one * 1e3, f"QPS in batches of {step}": step / batch,
        "GB/s, one query": round(rate, 1),
    }  # fmt: skip


def encoding(folder: Path, count: int) -> dict[str, Any]:
    """Images by the product's encoder, decoding included and not, beside the bare loop over pixels; and texts."""
    from PIL import Image

    library, encoder = torch(), OpenClipEncoder("compact")
    dice = np.random.default_rng(0)
    files = []
    for n in range(count):
        pixels = dice.integers(0, 256, (24, 24, 3), np.uint8)
        files.append(folder / f"{n}.jpg")
        Image.fromarray(pixels).resize((384, 384), Image.Resampling.BICUBIC).save(files[-1], quality=90)
    begin = time.monotonic()
    decoded = {file: encoder._decode(file) for file in files[: min(count, 512)]}
    decoding = len(decoded) / (time.monotonic() - begin)
    encoder.encode_images(files[:2])
    begin = time.monotonic()
    encoder.encode_images(files)
    whole = count / (time.monotonic() - begin)
    stacked = library.from_numpy(np.stack(list(decoded.values())))
    size = min(encoder._batch.size, len(stacked))
    with library.inference_mode(), mixed_precision():
        placed = stacked[:size].to(device())
        bare = size / seconds(lambda: encoder._encode_pixels(placed).float().cpu(), 10)
    encoder._decode = decoded.__getitem__  # type: ignore[method-assign, assignment]
    begin = time.monotonic()
    encoder.encode_images(list(decoded))
    alone = len(decoded) / (time.monotonic() - begin)
    texts = [f"Report {n}: the heart is {'not ' * (n % 2)}enlarged and the lungs are clear. " * 4 for n in range(count)]
    text = MiniLmEncoder()
    text.encode(texts[:64])
    begin = time.monotonic()
    text.encode(texts)
    return {
        "batch": size, "images/s decoded by one thread": decoding, "images/s from files": whole,
        "images/s encoded, decoded before": alone, "images/s of the bare loop": bare, "encoded / bare": alone / bare,
        "texts/s": count / (time.monotonic() - begin),
    }  # fmt: skip


def generation() -> dict[str, Any]:
    """Answers of the compact Med-LVLM."""
    import lvlm

    from rag import load_settings
    from rag.generation.registry import load_generator
    from rag.language.clinical_text import Texts
    from rag.language.lexicon import Lexicon

    try:
        texts = Texts(Lexicon.load())
        generator = load_generator(load_settings("compact-lvlm").generation, texts)
        requests = [lvlm._request(q, 5, texts.lexicon) for q in lvlm.SPOKEN]
        generator.generate(requests[0])
    except RagError as error:
        return {"missing": str(error)}
    walls = [seconds(lambda r=request: generator.generate(r), 1) for request in requests]  # type: ignore[misc]
    return {"answers": len(walls), "seconds for one, median": statistics.median(walls)}


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


if __name__ == "__main__":
    main(sys.argv[1:])
