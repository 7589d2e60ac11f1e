"""What the commands share: options, and the way from a name to an index."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import rag
from rag.errors import InputError

if TYPE_CHECKING:
    from rag.answering.engine import Engine
    from rag.indexing.store import IndexStore
    from rag.settings import Settings

Index = Annotated[str, typer.Option("--index", "-i", help="Name of the index.")]
Indexes = Annotated[
    Path | None, typer.Option("--indexes", help="Folder of the indexes [default: $RAG_INDEXES or ./indexes].")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Name = Annotated[str, typer.Argument(help="Name of the index.")]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile name, or a TOML file of settings.")]
Generator = Annotated[
    str | None,
    typer.Option(help="Who writes: reader, transformers, openai or one that plugs in; set up in [generation]."),
]
Workers = Annotated[
    str | None, typer.Option(help="Encode in this many processes, or on a Ray cluster: 'ray' or 'ray://host:port'.")
]

Option = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="Option of the suite, as name=value; repeatable."),
]


def settings_of(indexes: Path | None, profile: str | None = None, generator: str | None = None) -> Settings:
    from rag.settings import load_settings  # the words of the command's help need none of it

    given: dict[str, Any] = {"indexes": indexes} if indexes is not None else {}
    if generator is not None:
        given["generation"] = {"kind": generator}
    return load_settings(profile, **given)


def index_of(settings: Settings, name: str, create: bool = False) -> rag.Index:
    if "/" in name or "\\" in name:
        raise InputError(f"{name!r} is not a name for an index; use letters, digits, '-' and '_'")
    from rag.indexing.mounts import shared_file_system, shared_warning

    if kind := shared_file_system(settings.indexes):
        typer.echo(f"warning: {shared_warning(settings.indexes, kind)}", err=True)
    return (rag.Index.create if create else rag.Index.open)(name, settings)


def store_of(settings: Settings, name: str) -> IndexStore:
    return index_of(settings, name).store


def engine_of(settings: Settings, name: str) -> Engine:
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

    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=plain) + "\n")
