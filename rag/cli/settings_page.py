"""Every setting in words, read from the model that checks them; docs/settings.md is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from rag.settings import Settings

_HEAD = """# Settings

`rag settings --markdown` writes this page. A setting is given, in this order of precedence, as an argument of the
command, as an environment variable, or in a profile: a TOML file that `--profile` names (`[selection]`, `k_max = 4`),
or one of those in `knowledge/profiles`. A name that is not here is refused. The environment variable of
`selection.k_max` is `RAG_SELECTION__K_MAX`; lists and tables are written there as JSON.
"""


@dataclass(frozen=True)
class Setting:
    """One setting. ``value`` is what holds now, where that is not the default; secrets are not shown."""

    name: str
    variable: str
    takes: str
    default: str
    description: str
    value: str | None = None


def page() -> str:
    """All settings as Markdown, a table for each group."""
    lines, group = [_HEAD], None
    for s in settings_listed(Settings.model_construct()):
        head, _, _ = s.name.rpartition(".")
        if head != group:
            group = head
            lines.append(
                f"\n## {head or 'In general'}\n\n{_purpose(head)}| setting | takes | default | |\n|---|---|---|---|\n"
            )
        described = s.description.replace("<", "&lt;").replace("|", "\\|")
        lines.append(f"| `{s.name.rpartition('.')[2]}` | {s.takes} | `{s.default}` | {described} |\n")
    return "".join(lines)


def settings_listed(now: Settings) -> list[Setting]:
    """All settings, groups after what stands alone; ``now`` are those that hold."""
    return list(_walk(Settings, now, ""))


def _walk(model: type[BaseModel], now: Any, above: str) -> Iterator[Setting]:
    groups: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        if (group := _group(field.annotation)) is not None:
            groups.append((name, group))
            continue
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        held = getattr(now, name, default)
        yield Setting(
            name=above + name,
            variable="RAG_" + (above + name).replace(".", "__").upper(),
            takes=_taken(field),
            default="required" if field.is_required() else _shown(default),
            description=" ".join((field.description or "").split()),
            value=None if held == default or now is None else _shown(held),
        )
    for name, group in groups:
        yield from _walk(group, getattr(now, name, None), f"{above}{name}.")


def _group(annotation: Any) -> type[BaseModel] | None:
    """The model of a nested group; those that may be absent are groups as well."""
    kinds = [annotation, *get_args(annotation)]
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)


def _purpose(group: str) -> str:
    model: Any = Settings
    for name in filter(None, group.split(".")):
        model = _group(model.model_fields[name].annotation)
    return f"{' '.join((model.__doc__ or '').split())}\n\n" if group else ""


def _taken(field: FieldInfo) -> str:
    """The kind of value and its bounds, in words."""
    kind = _kind(field.annotation)
    bounds: list[str] = []
    for about in field.metadata:
        for attribute, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
            bound = getattr(about, attribute, None)
            if isinstance(bound, int | float):
                bounds.append(f"{word} {bound:,}" if isinstance(bound, int) else f"{word} {bound:g}")
    return ", ".join([kind, *bounds])


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (dict, Mapping):
        return f"table of {_kind(inner[1])}"
    if origin is tuple:
        return f"list of {_kind(inner[0])}"
    if inner:  # a union
        return " or ".join(_kind(one) for one in inner if one is not type(None))
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}
    return "secret" if annotation is SecretStr else names.get(getattr(annotation, "__name__", ""), "text")


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_shown(v)}" for k, v in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'
