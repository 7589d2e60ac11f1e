"""Where the data files are."""

from __future__ import annotations

from pathlib import Path


def knowledge_dir() -> Path:
    """The folder of data files the system knows things by: inside an installed package, or the repository's."""
    package = Path(__file__).parent.parent
    packaged = package / "knowledge"
    return packaged if packaged.is_dir() else package.parent / "knowledge"
