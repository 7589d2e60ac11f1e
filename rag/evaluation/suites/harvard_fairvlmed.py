"""Harvard-FairVLMed (Luo et al., CVPR 2024): is there glaucoma, on scanning laser fundus images of 10,000 patients.

As published: "data_NNNNN.npz" in "Training", "Validation" and "Testing", each with ``slo_fundus``, ``glaucoma`` (0 or
1) and ``race``, ``gender``, ``ethnicity``, ``language``, by which figures are broken down. Published figures of models
that always say yes have an F1 of 92.6: the constant stands in the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from rag.errors import InputError
from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, scratch_folder
from rag.evaluation.published.items import SIDES, Item

_FOLDERS = {"test": "Testing", "validation": "Validation", "train": "Training"}
_NAMES: dict[str, dict[int, str]] = {
    "race": {0: "Asian", 1: "Black", 2: "White"},
    "gender": {0: "female", 1: "male"},
    "ethnicity": {0: "non-Hispanic", 1: "Hispanic"},
    "language": {0: "English", 1: "Spanish", 2: "other"},
}


@dataclass(frozen=True)
class FairVlmedSuite(ChoiceSuite):
    """One question for each patient of a split.

    >>> FairVlmedSuite(split="validation").name
    'harvard-fairvlmed'

    Attributes:
        split: test, validation or train.
    """

    split: str = "test"
    name: ClassVar[str] = "harvard-fairvlmed"
    collection: ClassVar[str] = "Harvard-FairVLMed"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        if self.split not in _FOLDERS:
            raise InputError(f"the split is {self.split!r}; it has to be one of: {', '.join(_FOLDERS)}")
        kept = scratch_folder()
        for file in folder.all(f"{_FOLDERS[self.split]}/data_*.npz", "data_*.npz"):
            held = _arrays(file)
            image = kept / f"{file.stem}.png"
            Image.fromarray(np.asarray(held["slo_fundus"], dtype=np.uint8)).save(image)
            of = {name: told for name, names in _NAMES.items() if (told := names.get(int(held.get(name, -1))))}
            answer = "yes" if int(held["glaucoma"]) else "no"
            yield Item(file.stem, file.stem, "Does this image show glaucoma?", answer, SIDES, str(image), of=of)


def _arrays(file: Path) -> dict[str, Any]:
    try:
        with np.load(file, allow_pickle=False) as held:
            wanted = {name: held[name] for name in ("slo_fundus", "glaucoma", *_NAMES) if name in held.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise InputError(f"{file} cannot be read as an NPZ file of plain arrays: {error}") from error
    if missing := {"slo_fundus", "glaucoma"} - wanted.keys():
        raise InputError(f"{file} has no {sorted(missing)[0]!r}, which files of Harvard-FairVLMed have")
    return wanted
