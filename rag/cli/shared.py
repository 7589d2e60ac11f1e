"""What the commands share: options, and the way from a name to an index."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rag
from rag.cli.terminals import is_utf8
from rag.errors import InputError

if TYPE_CHECKING:
    from rag.answering.engine import Engine
    from rag.indexing.store import IndexStore
    from rag.settings import Settings


def _completed(incomplete: str) -> list[str]:
    """Names of indexes that begin so, for the shell."""
    from rag.indexing.store import index_names

    return [name for name in index_names(settings_of(None).indexes) if name.startswith(incomplete)]


Index = Annotated[
    str | None,
    typer.Option(
        "--index", "-i", help="Name of the index.", show_default="the only one there is", autocompletion=_completed
    ),
]
IntoIndex = Annotated[
    str, typer.Option("--index", "-i", help="Name of the index; a new one is made.", autocompletion=_completed)
]
Indexes = Annotated[
    Path | None, typer.Option("--indexes", help="Folder of the indexes.", show_default="$RAG_INDEXES or ./indexes")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Name = Annotated[str, typer.Argument(help="Name of the index.", autocompletion=_completed)]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile name, or a TOML file of settings.")]
Generator = Annotated[
    str | None,
    typer.Option(
        help="Who writes: reader, transformers, openai or one that plugs in; set up in the settings' generation."
    ),
]
Workers = Annotated[
    str | None, typer.Option(help="Encode in this many processes, or on a Ray cluster: 'ray' or 'ray://host:port'.")
]

Option = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="Option of the suite, as name=value; repeatable."),
]


@contextmanager
def staying() -> Iterator[None]:
    """For what is made once and stays: the collector of garbage, which would go through it many times, waits."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def settings_of(indexes: Path | None, profile: str | None = None, generator: str | None = None) -> Settings:
    with staying():
        from rag.settings import load_settings  # the words of the command's help need none of it

    given: dict[str, Any] = {"indexes": indexes} if indexes is not None else {}
    if generator is not None:
        given["generation"] = {"kind": generator}
    return load_settings(profile, **given)


def index_of(settings: Settings, name: str | None, create: bool = False) -> rag.Index:
    """The index of this name; where none is given, the only one there is.

    Raises:
        InputError: there is none of this name, or none or several to choose from.
    """
    name = name if name is not None else _only(settings)
    if "/" in name or "\\" in name:
        raise InputError(f"{name!r} is not a name for an index; use letters, digits, '-' and '_'")
    from rag.indexing.mounts import shared_file_system, shared_warning

    if kind := shared_file_system(settings.indexes):
        typer.echo(f"warning: {shared_warning(settings.indexes, kind)}", err=True)
    return (rag.Index.create if create else rag.Index.open)(name, settings)


def _only(settings: Settings) -> str:
    from rag.indexing.store import index_names

    names = index_names(settings.indexes)
    if not names:
        raise InputError(f"there is no index in {settings.indexes}; build one with: rag ingest, or rag demo")
    if len(names) > 1:
        raise InputError(f"which index? Name it with --index; in {settings.indexes} there are: {', '.join(names)}")
    return names[0]


def store_of(settings: Settings, name: str | None) -> IndexStore:
    return index_of(settings, name).store


def engine_of(settings: Settings, name: str | None) -> Engine:
    with staying():
        from rag.answering.engine import Engine

        return Engine(store_of(settings, name), settings)


def ledger_of(store: IndexStore) -> Any:
    from rag.audit.ledger import LEDGER, Ledger

    return Ledger(store.path / LEDGER)


def options_of(given: list[str] | None, columns: list[str] | None = None) -> dict[str, Any]:
    """``name=value``; a value with commas is a list. ``columns`` are those of ``--map``."""
    options: dict[str, Any] = {"map": tuple(columns)} if columns else {}
    for item in given or ():
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise InputError(f"--option {item!r}: write it as name=value")
        options[name] = tuple(value.split(",")) if "," in value or name == "branches" else value
    return options


@contextmanager
def bars(quiet: bool) -> Iterator[Any]:
    from rag.cli.console import progress_bars

    with progress_bars(quiet) as progress:
        yield progress


def say(value: dict[str, Any], words: str, as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        typer.echo(words)


def print_json(value: Any) -> None:
    def plain(x: Any) -> Any:
        return asdict(x) if is_dataclass(x) and not isinstance(x, type) else str(x)

    sys.stdout.write(json.dumps(value, ensure_ascii=not is_utf8(), default=plain) + "\n")
