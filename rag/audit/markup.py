"""HTML that cannot be injected into: what is not markup by type is text, and is escaped."""

from __future__ import annotations

from html import escape

_VOID = frozenset({"img", "meta", "br"})


class Html(str):
    """Markup, made by :func:`tag`. Any other string is text."""

    __slots__ = ()


def join(*inside: object, between: str = "") -> Html:
    """Markup and texts one after another; None is nothing."""
    pieces = (x if isinstance(x, Html) else escape(str(x)) for x in inside if x is not None)
    return Html(escape(between).join(pieces))


def tag(name: str, /, *inside: object, **attributes: object) -> Html:
    """An element. A trailing underscore is dropped from attributes (``class_``), other underscores become hyphens."""
    given = {k.rstrip("_").replace("_", "-"): escape(str(v)) for k, v in attributes.items() if v is not None}
    start = "".join([f"<{name}", *(f' {k}="{v}"' for k, v in given.items()), ">"])
    return Html(start if name in _VOID else f"{start}{join(*inside)}</{name}>")
