"""Where in an image a finding is: measured, and what may be shown because of it.

``python benchmarks/grounding.py [masks] [deletion] [WAY …] [DATA]``: WAY is similarity, gradient or attention.

- *masks*: chest radiographs on which somebody drew lungs, findings and devices (DATA/grounding). The pointing game: is
  the hottest place inside the mask; mIoU: the mask against where the map is at least half as hot as its hottest place.
  They are twins of cases that the compact model saw: rows tell apart the images of its test split.
- *deletion*: fundus photographs and tissue, where nobody drew anything. Blur the hottest 30% of the image: by how much
  does its similarity to the finding fall, against the middle 30%, and random patches of as much? That says whether the
  map shows what the model goes by, not whether it is right.

``--save`` also writes knowledge/grounding.toml, by which regions are shown or not: in radiology where the pointing game
is won against the best of the guesses (the middle of the image, of a lung), elsewhere where deletion beats both of its
guesses; in both cases with the whole 95% interval of the difference, images or patients being resampled.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from tables import ROOT, Cell, Table, measured, report, saving

from rag.corpus.images import load_image
from rag.encoders.openclip import OpenClipEncoder
from rag.encoders.registry import load_image_encoder
from rag.evaluation.metrics import bootstrap
from rag.grounding.base import Grounder
from rag.grounding.boxes import HOT
from rag.grounding.registry import load_grounder
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.settings import load_settings

WAYS = ("similarity", "gradient", "attention")
STANDINGS = ROOT / "knowledge" / "grounding.toml"
DELETED = 0.3
DOMAINS = {"ophthalmology": "odir", "pathology": "lc25000"}
MOST = 40  # images of a domain
GUESSES = ("middle of the image", "middle of a lung")
Map = NDArray[Any]


class Shot(NamedTuple):
    """How well one map, or guess, meets one mask."""

    image: str
    kind: str
    seen: bool
    hit: float
    overlap: float
    told: bool


class Drop(NamedTuple):
    """How much the similarity falls when the hot part is blurred, the middle, and random patches."""

    group: str
    hot: float
    middle: float
    random: float


def main(argv: list[str]) -> None:
    argv, save = saving(argv)
    parts = [a for a in argv if a in ("masks", "deletion")] or ["masks", "deletion"]
    ways = [a for a in argv if a in WAYS] or list(WAYS)
    folders = [Path(a) for a in argv if a not in (*WAYS, *parts)]
    data = folders[0] if folders else Path("../shared/data")
    if not (data / "grounding").is_dir():
        print(f"not measured: there is no {data / 'grounding'}")
        return
    texts = Texts(Lexicon.load())
    grounders = {way: load_grounder(load_settings(_profile(way)), texts, way) for way in ways}
    standings = []
    if "masks" in parts:
        shots = {name: list(found) for name, found in _guesses(data).items()}
        for way, grounder in grounders.items():
            shots[way] = list(_shots(data, grounder))
            standings.append((grounder, "radiology", *_wins(shots, way)))
        report("grounding-masks", _masks_table(shots), save=save, key=2)
    if "deletion" in parts:
        rows: list[Sequence[Cell]] = []
        for way, grounder in grounders.items():
            for domain, source in DOMAINS.items() if way != "attention" else ():
                drops = list(_drops(data, source, grounder))
                row, shown, why = _faithful(way, domain, drops)
                rows.append(row)
                standings.append((grounder, domain, shown, why))
        report("grounding-deletion", _deletion_table(rows), save=save, key=2)
    if save:
        _write(standings)


def _profile(way: str) -> str | None:
    return "compact-lvlm" if way == "attention" else None


# ---------------------------------------------------------------- masks


def _radiographs(data: Path) -> Iterator[tuple[dict[str, Any], Image.Image, dict[str, Map]]]:
    """Each radiograph's record, picture, and masks by phrase."""
    folder = data / "grounding"
    for line in (folder / "grounding.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        masks = {r["name"]: np.asarray(Image.open(folder / r["mask"])) > 0 for r in row["regions"]}
        yield row, load_image(folder / row["image"]), {name: mask for name, mask in masks.items() if mask.any()}


def _shots(data: Path, grounder: Grounder) -> Iterator[Shot]:
    for row, picture, masks in _radiographs(data):
        kinds = {r["name"]: r["kind"] for r in row["regions"]}
        for found in grounder.ground(picture, list(masks)):
            mask = masks[found.region.phrase]
            heat = np.asarray(Image.fromarray(found.heat).resize(mask.shape[::-1], Image.Resampling.BILINEAR))
            y, x = np.unravel_index(int(heat.argmax()), heat.shape)
            hot = heat >= HOT
            kind = kinds[found.region.phrase]
            seen, told = row["case_split"] != "test", found.region.cannot_say is None
            yield Shot(row["id"], kind, seen, float(mask[y, x]), _overlap(hot, mask), told)


def _guesses(data: Path) -> dict[str, list[Shot]]:
    """Of who knows the kind of image and nothing else: points and boxes that are the same for all; and of chance."""
    found: dict[str, list[Shot]] = {name: [] for name in (*GUESSES, "random")}
    random = np.random.default_rng(0)
    for row, _, masks in _radiographs(data):
        for region in row["regions"]:
            if (mask := masks.get(region["name"])) is None:
                continue
            of = row["id"], region["kind"], row["case_split"] != "test"
            middle = mask[mask.shape[0] // 2, mask.shape[1] // 2]
            found["middle of the image"].append(Shot(*of, float(middle), _overlap(_box(mask, 0.5, 0.5), mask), True))
            points = [mask[mask.shape[0] // 2, round(mask.shape[1] * x)] for x in (0.28, 0.72)]
            lungs = _box(mask, 0.28, 0.3, 0.7) | _box(mask, 0.72, 0.3, 0.7)
            found["middle of a lung"].append(Shot(*of, float(np.mean(points)), _overlap(lungs, mask), True))
            boxes = [_box(mask, random.uniform(0.25, 0.75), 0.5, 0.5, random.uniform(0.25, 0.75)) for _ in range(20)]
            overlap = float(np.mean([_overlap(box, mask) for box in boxes]))
            found["random"].append(Shot(*of, float(mask.mean()), overlap, True))
    return found


def _box(mask: Map, x: float, width: float, height: float = 0.5, y: float = 0.5) -> Map:
    """A box around (x, y), all in shares of the image."""
    rows, columns = (np.arange(n) / n for n in mask.shape)
    return (abs(rows - y) <= height / 2)[:, None] & (abs(columns - x) <= width / 2)[None, :]


def _overlap(one: Map, other: Map) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _masks_table(shots: dict[str, list[Shot]]) -> Table:
    rows: list[Sequence[Cell]] = []
    for name, all_ in shots.items():
        for kind in ("anatomy", "finding", "device"):
            some = [s for s in all_ if s.kind == kind]
            unseen = [s for s in some if not s.seen]
            told = [s for s in some if s.told]
            rows.append(
                (
                    name,
                    kind,
                    len(some),
                    _mean([s.hit for s in some], some),
                    _mean([s.overlap for s in some], some),
                    _mean([s.hit for s in unseen], unseen),
                    f"{len(told) / len(some):.0%}" if name in WAYS else None,
                    _mean([s.hit for s in told], told) if name in WAYS else None,
                )
            )
    return Table(
        section="Grounding",
        question="Does the model know where on a chest radiograph something is?",
        columns=(
            "who",
            "what",
            "masks",
            "pointing game (95%, by image)",
            "mIoU (95%)",
            "pointing, 6 images of the test split",
            "says where",
            "pointing where it says",
        ),
        runs=(measured(rows, ("torch", "timm")),),
        command="python benchmarks/grounding.py masks ../shared/data",
        note="22 radiographs; 16 are twins of cases that the compact model was trained on or chosen by.",
    )


def _mean(values: Sequence[float], shots: Sequence[Shot]) -> str | None:
    return str(bootstrap({"m": values}, [s.image for s in shots])["m"]) if shots else None


def _wins(shots: dict[str, list[Shot]], way: str) -> tuple[bool, str]:
    """Whether findings are pointed at better than by any guess, and what was measured, in a sentence."""
    own = [s for s in shots[way] if s.kind == "finding"]
    worth = {name: [s.hit for s in shots[name] if s.kind == "finding"] for name in GUESSES}
    best = max(worth, key=lambda name: float(np.mean(worth[name])))
    gain = bootstrap({"gain": np.subtract([s.hit for s in own], worth[best])}, [s.image for s in own])["gain"]
    shown = gain.low is not None and gain.low > 0
    hit, guess, images = np.mean([s.hit for s in own]), np.mean(worth[best]), len({s.image for s in own})
    return shown, (
        f"on {images} chest radiographs the model's hottest place was inside the finding in {hit:.0%} of {len(own)}, "
        f"the {best} in {guess:.0%}" + ("" if shown else ": it does not know where")
    )


# ---------------------------------------------------------------- deletion


def _drops(data: Path, source: str, grounder: Grounder) -> Iterator[Drop]:
    """Images of the compact model's test split with a finding, the first of each patient."""
    encoder = load_image_encoder(load_settings().encoders)
    assert isinstance(encoder, OpenClipEncoder)
    random, groups = np.random.default_rng(0), set[str]()
    for line in (data / "cases" / "cases.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        said = row["text"].split(",")[0].strip()
        wanted = row["source"] == source and row["split"] == "test" and not said.startswith(("normal", "benign"))
        if not wanted or row["group"] in groups or len(groups) == MOST:
            continue
        groups.add(row["group"])
        picture = load_image(data / "cases" / row["image"]).resize((288, 288))
        (found,) = grounder.ground(picture, [said])
        shape = picture.size[::-1]
        heat = np.asarray(Image.fromarray(found.heat).resize(picture.size, Image.Resampling.BILINEAR))
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        middle = -np.hypot(y / shape[0] - 0.5, x / shape[1] - 0.5)
        patches = [_patches(random, picture.size) for _ in range(3)]
        deleted = [_blurred(picture, order) for order in (heat, middle, *patches)]
        _, whole = encoder.encode_places([picture, *deleted])
        whole /= np.linalg.norm(whole, axis=1, keepdims=True)
        likeness = whole @ encoder.encode_texts([said])[0]
        falls = likeness[0] - likeness[1:]
        yield Drop(row["group"], float(falls[0]), float(falls[1]), float(falls[2:].mean()))


def _patches(random: np.random.Generator, size: tuple[int, int]) -> Map:
    """Random patches about as large as those of a map."""
    coarse = Image.fromarray(random.random((9, 9)).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BILINEAR))


def _blurred(picture: Image.Image, order: Map) -> Image.Image:
    """With the 30% of its pixels blurred that come first: highest in ``order``."""
    first = order >= np.quantile(order, 1 - DELETED)
    mask = Image.fromarray((first * 255).astype(np.uint8))
    return Image.composite(picture.filter(ImageFilter.GaussianBlur(24)), picture, mask)


def _faithful(way: str, domain: str, drops: Sequence[Drop]) -> tuple[Sequence[Cell], bool, str]:
    falls = {name: np.array([getattr(d, name) for d in drops]) for name in ("hot", "middle", "random")}
    gains = {"middle": falls["hot"] - falls["middle"], "random": falls["hot"] - falls["random"]}
    found = bootstrap({**falls, **{f"over {name}": gain for name, gain in gains.items()}}, [d.group for d in drops])
    shown = all((found[f"over {name}"].low or 0) > 0 for name in gains)
    hot, middle, random = (float(falls[name].mean()) for name in ("hot", "middle", "random"))
    why = (
        f"nobody has drawn where findings are in such images; blurring the hottest {DELETED:.0%} of {len(drops)} "
        f"lowered the likeness to the finding by {hot:.3f}, the middle by {middle:.3f}, random patches by {random:.3f}"
        + (": it shows what the model goes by, right or wrong" if shown else ": no better than the best guess")
    )
    row = (
        way,
        domain,
        len(drops),
        *(str(found[name]) for name in ("hot", "middle", "random", "over middle", "over random")),
    )
    return row, shown, why


def _deletion_table(rows: Sequence[Sequence[Cell]]) -> Table:
    return Table(
        section="Grounding",
        question="Does the map show what the similarity depends on, where nobody drew findings?",
        columns=("who", "domain", "images", "hottest 30% blurred", "middle", "random", "over middle", "over random"),
        runs=(measured(rows, ("torch", "timm")),),
        command="python benchmarks/grounding.py deletion ../shared/data",
        note="Fall of the cosine of image and finding (95%, by patient); images of the compact model's test split.",
    )


def _write(standings: Sequence[tuple[Grounder, str, bool, str]]) -> None:
    """Keep what was measured; what this run did not measure stays as it was."""
    head, *before = STANDINGS.read_text(encoding="utf-8").split("[[standing]]\n")
    kept = {_named(entry): entry.strip() for entry in before}
    for grounder, domain, shown, why in standings:
        fields = {
            "model": grounder.fingerprint,
            "method": grounder.method,
            "domain": domain,
            "shown": shown,
            "why": why,
        }
        entry = "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items())
        kept[_named(entry)] = entry
    written = "".join(f"[[standing]]\n{kept[key]}\n\n" for key in sorted(kept))
    STANDINGS.write_text(f"{head.strip()}\n\n{written}".strip() + "\n", encoding="utf-8")


def _named(entry: str) -> str:
    """What an entry is about: of another model of the same kind, it takes the place of the earlier one."""
    lines = dict(line.split(" = ", 1) for line in entry.strip().splitlines() if " = " in line)
    return f"{lines['method']} {lines['domain']} {lines['model'].split(':')[0]}"


if __name__ == "__main__":
    main(sys.argv[1:])
