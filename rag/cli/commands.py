"""Where each command is written. Its module is imported when it is called, or when all are listed."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from inspect import getdoc
from typing import Any

from typer import Typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_name, get_group

from rag.cli.shared import staying

# In the order of the help. A Typer with a help of its own is a group of this name; one without only holds the command.
_HOMES = {
    "demo": "journeys:app",
    "ingest": "journeys:app",
    "ask": "journeys:app",
    "search": "journeys:app",
    "evaluate": "measuring:app",
    "synthesize-qa": "certifying:app",
    "calibrate": "certifying:app",
    "find": "cohorts:app",
    "mcp": "assistants:app",
    "settings": "reference:app",
    "doctor": "doctor:app",
    "ground": "grounding:app",
    "index": "indexes:app",
    "corpus": "corpora:app",
    "deidentify": "corpora:copies",
    "pacs": "pacs:app",
    "audit": "ledgers:app",
    "train": "training:app",
    "tune": "tuning:app",
    "models": "models:app",
    "serve": "serving:app",
}


class _Commands(UserDict[str, Any]):
    """The commands by name; those of a module are made when the first is looked up."""

    def __init__(self, markup: Any) -> None:
        super().__init__(_HOMES)
        self._markup = markup

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is _HOMES[name]:
            home = _home_of(name)
            home.rich_markup_mode = self._markup
            group = get_group(home)
            if group.help:
                group.name = name
            self.data |= {name: group} if group.help else group.commands
        return self.data[name]


class Commands(TyperGroup):
    """The root command: every command is there by name, and is imported when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands(self.rich_markup_mode)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        with staying():
            return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Lists the commands in a line each; what options they have is not worked out for that."""
        made, self.commands = self.commands, {name: TyperCommand(name, help=_help_of(name)) for name in _HOMES}
        try:
            super().format_help(ctx, formatter)
        finally:
            self.commands = made


def _home_of(name: str) -> Typer:
    module, _, attribute = _HOMES[name].partition(":")
    home: Typer = getattr(import_module(f"rag.cli.{module}"), attribute)
    return home


def _help_of(name: str) -> str | None:
    home = _home_of(name)
    if isinstance(home.info.help, str):
        return home.info.help
    written = {
        c.name or get_command_name(c.callback.__name__): c.callback for c in home.registered_commands if c.callback
    }
    return getdoc(written[name])
