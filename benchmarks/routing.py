"""Does the router know images of hospitals and laboratories that it has never seen, and what belongs nowhere?

    python benchmarks/pictures.py PICTURES PACKAGES
    git show e40c848:knowledge/models/compact/router.safetensors > PICTURES/before.safetensors
    python benchmarks/routing.py PICTURES [DATA] [--save]

One source is left out at a time, never one image: the router is trained on the others, and asked about all images of
the one left out (of the large collections, those of their test part). Images out of domain are asked about by each of
these routers. Features are encoded once and kept in PICTURES/features.npz.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from tables import Cell, Table, measured, report, saving

from rag.encoders.registry import load_image_encoder
from rag.retrieval.domains import load_domains
from rag.retrieval.head import TrainedHead
from rag.risk_control.bounds import clopper_pearson
from rag.settings import load_settings
from rag.training.router.images import LabelledImage, encode_with_looks
from rag.training.router.recipe import RouterRecipe
from rag.training.router.train import EncodedImages, fit_router

OUTSIDE = ("none", "dermatology")


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    if not argv:
        print("not measured: needs the folder that benchmarks/pictures.py wrote")
        return
    pictures = Path(argv[0])
    data = Path(argv[1]) if len(argv) > 1 else Path("../shared/data")
    found = Found.encoded([data / "cases" / "cases.jsonl", pictures / "cases.jsonl"], pictures / "features.npz")
    report("routing-sources", by_source(found, Before.read(pictures / "before.safetensors")), save=save)


@dataclass(frozen=True)
class Found:
    """All images and the features of their looks."""

    images: EncodedImages
    encoder: str

    @classmethod
    def encoded(cls, files: Sequence[Path], cache: Path) -> Found:
        rows = [row for file in files for row in rows_of(file)]
        encoder, how = load_image_encoder(load_settings("compact").encoders), RouterRecipe.load()
        if cache.is_file():
            with np.load(cache) as kept:
                names = [f"{Path(row.file).name}" for row in rows]
                if kept["names"].tolist() == names and str(kept["encoder"]) == encoder.fingerprint:
                    return cls(EncodedImages(rows, kept["features"], kept["of"]), encoder.fingerprint)
        specs = load_domains()
        stained = {spec.id for spec in specs if spec.stained}
        features, of = encode_with_looks(encoder, rows, how.looks_of(specs), stained, how.seed)
        np.savez(
            cache, names=[Path(row.file).name for row in rows], encoder=encoder.fingerprint, features=features, of=of
        )
        return cls(EncodedImages(rows, features, of), encoder.fingerprint)

    def without(self, source: str | None) -> TrainedHead:
        """The router that learns all sources but one, by the recipe of the shipped one."""
        train, dev = (
            self.part([r.split == s and r.source != source and r.domain not in OUTSIDE for r in self.images.rows])
            for s in ("train", "dev")
        )
        return fit_router(train, EncodedImages.plain(dev.rows, dev.own), self.encoder, RouterRecipe.load())[0]

    def part(self, chosen: Sequence[bool]) -> EncodedImages:
        """Some of the images, with their looks."""
        mask = np.array(chosen)
        place = np.cumsum(mask) - 1
        kept = mask[self.images.of]
        rows = [row for row, wanted in zip(self.images.rows, chosen, strict=True) if wanted]
        return EncodedImages(rows, self.images.features[kept], place[self.images.of[kept]])


def rows_of(file: Path) -> list[LabelledImage]:
    """The rows that `rag train router` would read, those of splits that it leaves out as well."""
    made = []
    for line in file.open(encoding="utf-8"):
        r = json.loads(line)
        if r.get("image") and r["domain"] != "mixed":
            path = str(file.parent / r["image"])
            made.append(LabelledImage(path, r["domain"], r["group"], r["split"], r["source"], r["licence"]))
    return made


def by_source(found: Found, before: Before) -> Table:
    rows, outside = found.images.rows, found.part([r.domain in OUTSIDE for r in found.images.rows])
    shipped, flags, table = found.without(None), list[npt.NDArray[np.bool_]](), list[tuple[Cell, ...]]()
    inside, foreign = list[tuple[float, ...]](), list[tuple[float, ...]]()
    for source in dict.fromkeys(r.source for r in rows if r.domain not in OUTSIDE):
        asked = found.part([r.source == source and asked_about(r) for r in rows])
        head = found.without(source)
        flags.append(head.strangeness(outside.own) > 1)
        hits = [right(one, asked) for one in (before, head, shipped)]
        inside.append(tuple(float(some.mean()) for some in hits))
        groups, domains = len({r.group for r in asked.rows}), sorted({r.domain for r in asked.rows})
        table.append((source, ", ".join(domains), len(asked.rows), groups, *map(shown, hits)))
    table.append(mean_of("right and not flagged", inside))
    for source in dict.fromkeys(r.source for r in outside.rows):
        own = np.array([r.source == source for r in outside.rows])
        was, now = (one.strangeness(outside.own[own]) > 1 for one in (before, shipped))
        left_out = float(np.mean([some[own].mean() for some in flags]))
        foreign.append((float(was.mean()), left_out, float(now.mean())))
        groups = len({r.group for r in outside.rows if r.source == source})
        table.append((source, "none", int(own.sum()), groups, shown(was), f"{left_out:.3f}", shown(now)))
    table.append(mean_of("out of domain and flagged", foreign))
    return Table(
        section="Routing",
        question="Images of sources that the router has never seen: are they known, and what is foreign flagged?",
        columns=("source", "domain", "images", "groups", "before", "this source left out", "as shipped"),
        runs=(measured(table, ("torch", "timm", "scikit-learn")),),
        command="python benchmarks/routing.py PICTURES",
        note="Share of images right and not flagged, or (domain none) flagged. The intervals (95%) take images for "
        "independent; tiles of one slide are not. Before: it had learned rocov2, covid_cxr, odir, lc25000; as shipped: "
        "all but cbc blood. Score and rate were chosen by this table: not blind.",
    )  # fmt: skip


CASES = ("rocov2", "covid_cxr", "odir", "lc25000")


@dataclass(frozen=True)
class Before:
    """The router that was shipped until November 2026: four collections, one threshold, distances of plain features."""

    domains: tuple[str, ...]
    arrays: dict[str, npt.NDArray[np.float32]]
    threshold: float

    @classmethod
    def read(cls, file: Path) -> Before:
        with safe_open(file, framework="numpy") as stored:
            described = json.loads(stored.metadata()["router"])
            arrays = {name: stored.get_tensor(name).astype(np.float32) for name in ("weights", "bias", "prototypes")}
        return cls(tuple(described["domains"]), arrays, described["threshold"])

    def logits(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(features @ self.arrays["weights"].T + self.arrays["bias"])

    def strangeness(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray((1 - (features @ self.arrays["prototypes"].T).max(axis=1)) / self.threshold)


def asked_about(row: LabelledImage) -> bool:
    return row.domain not in OUTSIDE and (row.split == "test" or row.source not in CASES)


def right(head: TrainedHead | Before, asked: EncodedImages) -> npt.NDArray[np.bool_]:
    """Whether each image got its domain and was not flagged."""
    named = head.logits(asked.own).argmax(axis=1) == asked.labels(head.domains)
    return np.asarray(named & (head.strangeness(asked.own) <= 1))


def mean_of(what: str, shares: Sequence[tuple[float, ...]]) -> tuple[Cell, ...]:
    return (f"mean of sources, {what}", "", None, len(shares), *(f"{x:.3f}" for x in np.mean(shares, axis=0)))


def shown(hits: npt.NDArray[np.bool_]) -> str:
    low, high = (float(x) for x in clopper_pearson(int(hits.sum()), len(hits)))
    return f"{hits.mean():.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main(sys.argv[1:])
