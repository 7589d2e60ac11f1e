"""Parts that plug in: a name, or a dotted path, becomes an object.

A part is named in one of three ways: by the name under which we ship it, by the name of an entry point that an
installed package declares in the group ``clincite.<kind>``, or by a dotted path ``package.module:attribute``. Nothing
is imported before it is asked for. A dotted path runs the code it names, so it is taken from settings and the command
line alone, never from a request that came over a network: see ``named_only``.

>>> find("reader", "cases").__name__
'read_cases'
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from rag.errors import InputError, MissingDependencyError

Kind = Literal["reader", "generator", "text-encoder", "image-encoder", "backend", "verifier", "risk", "suite"]

# Ours, one entry a part. A name of ours wins over an entry point of the same name, so nobody replaces one in silence.
PARTS: Mapping[Kind, Mapping[str, str]] = {
    "reader": {
        "cases": "rag.corpus.readers.cases:read_cases",
    },
}


def find(kind: Kind, name: str, *, named_only: bool = False) -> Any:
    """The part of a kind that ``name`` means.

    Args:
        kind: what sort of part.
        name: ours, an entry point's, or ``package.module:attribute``.
        named_only: dotted paths are refused: the name came from somebody who may not choose what code runs.

    Raises:
        InputError: there is no such part; the message lists what there is.
        MissingDependencyError: the part is there, and a library that it needs is not.
    """
    ours = PARTS.get(kind, {})
    if name in ours:
        return _imported(kind, name, ours[name])
    if name in (theirs := _entry_points(kind)):
        return _imported(kind, name, theirs[name].value)
    if ":" in name and not named_only:
        return _imported(kind, name, name)
    or_path = "" if named_only else ", or give a dotted path package.module:attribute"
    raise InputError(f"there is no {kind} {name!r}; choose one of: {', '.join(names(kind))}{or_path}")


def names(kind: Kind) -> list[str]:
    """The names of all parts of a kind: ours in the order of the table, then those of installed packages."""
    ours = PARTS.get(kind, {})
    return [*ours, *sorted(set(_entry_points(kind)) - set(ours))]


def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=f"clincite.{kind}")}


def _imported(kind: Kind, name: str, path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise InputError(f"{kind} {name!r}: there is no module {error.name!r} to import it from") from error
        raise MissingDependencyError(
            f"{kind} {name!r} needs the package {error.name!r}, which is not installed"
        ) from error
    except (AttributeError, ValueError) as error:
        raise InputError(f"{kind} {name!r}: {module} has no {attribute!r}") from error
    return found
