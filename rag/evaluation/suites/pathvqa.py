"""PathVQA (He et al. 2020): questions about pathology images.

As published at its usual place: Parquet files of ``image`` (bytes), ``question`` and ``answer``; as JSON lines,
``image`` is a path in the folder. The pickled files of the first release run code when opened, so they are never read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rag.errors import InputError
from rag.evaluation.published.choice import ChoiceSuite
from rag.evaluation.published.folder import Folder, rows_of, scratch_folder
from rag.evaluation.published.items import SIDES, Item, side_in
from rag.evaluation.suites.vqa_rad import NO_IMAGE


@dataclass(frozen=True)
class PathVqaSuite(ChoiceSuite):
    """Questions of one split. Images inside Parquet files are written to a folder that goes when the process ends.

    >>> PathVqaSuite().split
    'test'

    Attributes:
        split: test, validation or train.
    """

    split: str = "test"
    name: ClassVar[str] = "pathvqa"
    collection: ClassVar[str] = "PathVQA"

    def items(self, folder: Folder) -> Iterator[Item | str]:
        patterns = (f"data/{self.split}-*.parquet", f"{self.split}*.parquet", f"{self.split}.jsonl")
        if folder.maybe(*patterns) is None and folder.maybe("**/*.pkl") is not None:
            raise InputError(
                f"{folder.path}: pickled files run code when opened and are not read; get PathVQA as Parquet"
            )
        kept = scratch_folder()
        number = 0
        for file in folder.all(*patterns):
            for row in rows_of(file):
                number += 1
                image = _image(row.values.get("image"), folder, kept)
                if image is None:
                    yield NO_IMAGE
                    continue
                side = side_in(answer := row.text("answer"))
                identity = row.text("id", default=f"{self.split}-{number}")
                group = Path(image).stem
                yield Item(identity, group, row.text("question"), side or answer, SIDES if side else {}, image)


def _image(given: Any, folder: Folder, kept: Path) -> str | None:
    """A path; bytes, as Parquet files hold them, become a file named by their hash, so that one image is one group."""
    if isinstance(given, str):
        return folder.image(given, f"images/{given}")
    content = given.get("bytes") if isinstance(given, dict) else None
    if not isinstance(content, bytes):
        return None
    path = kept / f"{hashlib.sha256(content).hexdigest()[:16]}.img"
    path.write_bytes(content)
    return str(path)
