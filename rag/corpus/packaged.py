"""Corpora that come inside other packages, found on disk without importing them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rag.errors import MissingDependencyError


def packaged_file(package: str, *parts: str) -> Path:
    """Path of a data file inside an installed package.

    Raises MissingDependencyError if the package is absent, or present without that file.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(f'The Python package {package!r} is not installed: pip install "clincite[demo]".')
    path = Path(spec.submodule_search_locations[0]).joinpath(*parts)
    if not path.exists():
        raise MissingDependencyError(
            f"The installed package {package!r} lacks {'/'.join(parts)!r}: "
            'pip install --upgrade --force-reinstall "clincite[demo]".'
        )
    return path
