"""Does the router know images of hospitals and laboratories that it has never seen, and what belongs nowhere?

    python benchmarks/pictures.py PICTURES PACKAGES
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
from tables import Cell, Table, measured, report, saving

from rag.encoders.registry import load_image_encoder
from rag.retrieval.domains import load_domains
from rag.retrieval.head import TrainedHead
from rag.risk_control.bounds import clopper_pearson
from rag.settings import load_settings
from rag.training.router.images import LabelledImage, encode_with_looks
from rag.training.router.recipe import RouterRecipe
from rag.training.router.train import Encoded, fit_router

OUTSIDE = ("none", "dermatology")


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    if not argv:
        print("not measured: needs the folder that benchmarks/pictures.py wrote")
        return
    pictures = Path(argv[0])
    data = Path(argv[1]) if len(argv) > 1 else Path("../shared/data")
    found = Found.encoded([data / "cases" / "cases.jsonl", pictures / "cases.jsonl"], pictures / "features.npz")
    report("routing-sources", by_source(found), save=save)


@dataclass(frozen=True)
class Found:
    """All images and the features of their looks."""

    images: Encoded
    encoder: str

    @classmethod
    def encoded(cls, files: Sequence[Path], cache: Path) -> Found:
        rows = [row for file in files for row in rows_of(file)]
        encoder, how = load_image_encoder(load_settings("compact").encoders), RouterRecipe.load()
        if cache.is_file():
            with np.load(cache) as kept:
                names = [f"{Path(row.file).name}" for row in rows]
                if kept["names"].tolist() == names and str(kept["encoder"]) == encoder.fingerprint:
                    return cls(Encoded(rows, kept["features"], kept["of"]), encoder.fingerprint)
        specs = load_domains()
        stained = {spec.id for spec in specs if spec.stained}
        features, of = encode_with_looks(encoder, rows, how.looks_of(specs), stained, how.seed)
        np.savez(
            cache, names=[Path(row.file).name for row in rows], encoder=encoder.fingerprint, features=features, of=of
        )
        return cls(Encoded(rows, features, of), encoder.fingerprint)

    def without(self, source: str | None) -> TrainedHead:
        """The router that learns all sources but one, by the recipe of the shipped one."""
        train, dev = (
            self.part([r.split == s and r.source != source and r.domain not in OUTSIDE for r in self.images.rows])
            for s in ("train", "dev")
        )
        return fit_router(train, Encoded.plain(dev.rows, dev.own), self.encoder, RouterRecipe.load())[0]

    def part(self, chosen: Sequence[bool]) -> Encoded:
        """Some of the images, with their looks."""
        mask = np.array(chosen)
        place = np.cumsum(mask) - 1
        kept = mask[self.images.of]
        rows = [row for row, wanted in zip(self.images.rows, chosen, strict=True) if wanted]
        return Encoded(rows, self.images.features[kept], place[self.images.of[kept]])


def rows_of(file: Path) -> list[LabelledImage]:
    """The rows that `rag train router` would read, those of splits that it leaves out as well."""
    made = []
    for line in file.open(encoding="utf-8"):
        r = json.loads(line)
        if r.get("image") and r["domain"] != "mixed":
            path = str(file.parent / r["image"])
            made.append(LabelledImage(path, r["domain"], r["group"], r["split"], r["source"], r["licence"]))
    return made


def by_source(found: Found) -> Table:
    rows, outside = found.images.rows, found.part([r.domain in OUTSIDE for r in found.images.rows])
    shipped, flags, table = found.without(None), list[npt.NDArray[np.bool_]](), list[tuple[Cell, ...]]()
    means: dict[str, list[float]] = {"alone": [], "left out": [], "learned": []}
    alone = only_cases(found)
    for source in dict.fromkeys(r.source for r in rows if r.domain not in OUTSIDE):
        asked = found.part([r.source == source and asked_about(r) for r in rows])
        head = found.without(source)
        flags.append(head.strangeness(outside.own) > 1)
        left, known = (right(one, asked) for one in (head, shipped))
        before = None if source in CASES else right(alone, asked)
        for name, share in (("alone", before), ("left out", left), ("learned", known)):
            means[name] += [] if share is None else [float(share.mean())]
        groups, domains = len({r.group for r in asked.rows}), sorted({r.domain for r in asked.rows})
        table.append((source, ", ".join(domains), len(asked.rows), groups, None if before is None else shown(before),
                      shown(left), "not learned" if is_unlearnt(asked) else shown(known)))  # fmt: skip
    table.append(("mean of sources, right and not flagged", "", None, len(table),
                  *(round(float(np.mean(means[name])), 3) for name in ("alone", "left out", "learned"))))  # fmt: skip
    caught = {"alone": alone.strangeness(outside.own) > 1, "left out": np.mean(flags, axis=0),
              "learned": shipped.strangeness(outside.own) > 1}  # fmt: skip
    by = {name: list[float]() for name in caught}
    for source in dict.fromkeys(r.source for r in outside.rows):
        own = np.array([r.source == source for r in outside.rows])
        for name, some in caught.items():
            by[name].append(float(some[own].mean()))
        groups = len({r.group for r in outside.rows if r.source == source})
        cells = (shown(caught["alone"][own]), round(by["left out"][-1], 3), shown(caught["learned"][own]))
        table.append((source, "none", int(own.sum()), groups, *cells))
    table.append(("mean of sources, out of domain and flagged", "", None, len(by["alone"]),
                  *(round(float(np.mean(by[name])), 3) for name in ("alone", "left out", "learned"))))  # fmt: skip
    return Table(
        section="Routing",
        question="Images of sources that the router has never seen: are they known, and what is foreign flagged?",
        columns=("source", "domain", "images", "groups", "trained on the cases alone", "this source left out",
                 "as shipped"),
        runs=(measured(table, ("torch", "timm", "scikit-learn")),),
        command="python benchmarks/routing.py PICTURES",
        note="Share of images right and not flagged, or (domain none) flagged; 95% intervals take images for "
        "independent, tiles of one slide are not. The score was chosen by this table: the figures are not blind.",
    )  # fmt: skip


CASES = ("rocov2", "covid_cxr", "odir", "lc25000")


def only_cases(found: Found) -> TrainedHead:
    """The router of the four collections, whose reach comes from their dev part: no source can be left out."""
    train, dev = (found.part([r.split == s and r.source in CASES for r in found.images.rows]) for s in ("train", "dev"))
    how = RouterRecipe.load(unseen_alarms=0.999)
    return fit_router(Encoded.plain(train.rows, train.own), Encoded.plain(dev.rows, dev.own), found.encoder, how)[0]


def asked_about(row: LabelledImage) -> bool:
    return row.domain not in OUTSIDE and (row.split == "test" or row.source not in CASES)


def is_unlearnt(asked: Encoded) -> bool:
    return all(row.split == "holdout" for row in asked.rows)


def right(head: TrainedHead, asked: Encoded) -> npt.NDArray[np.bool_]:
    """Whether each image got its domain and was not flagged."""
    named = head.logits(asked.own).argmax(axis=1) == asked.labels(head.domains)
    return np.asarray(named & (head.strangeness(asked.own) <= 1))


def shown(hits: npt.NDArray[np.bool_]) -> str:
    low, high = (float(x) for x in clopper_pearson(int(hits.sum()), len(hits)))
    return f"{hits.mean():.3f} ({low:.3f}–{high:.3f})"


if __name__ == "__main__":
    main(sys.argv[1:])
