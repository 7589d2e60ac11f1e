"""What the site is made of besides the pages in this folder: references from the code, and the examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages and the files that pages link to outside this folder."""
    made = {"reference/python.md": _python(), "reference/commands.md": _commands(), "reference/rest.md": _rest()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    for example in sorted((ROOT / "examples").glob("*.py")):
        files.append(File.generated(config, f"examples/{example.name}", abs_src_path=str(example)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave docs/ on disk lead to the copies above."""
    return markdown.replace("](../../examples/", "](../examples/")


def _python() -> str:
    import rag

    lines = ["# Python", "", "What `rag` exports is promised; everything else may change without notice.", ""]
    for name, home in rag._HOMES.items():
        lines += [f"::: {home}.{name}" if name != "train" else "::: rag.training.train", ""]
    return "\n".join(lines)


def _commands() -> str:
    import typer.cli
    from typer.main import get_command

    from rag.cli import app

    command = get_command(app)
    context = typer.Context(command, info_name="rag")
    return typer.cli.get_docs_for_click(obj=command, ctx=context, name="rag", title="Command line")


def _rest() -> str:
    from rag.server.app import create_app
    from rag.server.web.openapi import describe_api
    from rag.server.work.service import Service
    from rag.settings import Settings

    guard: Any = create_app(Service(Settings(), ["demo"]))
    lines = ["# REST", "", "`/openapi.json` of a running server describes every field.", ""]
    lines += ["| | path | |", "|---|---|---|"]
    for path, operations in describe_api(guard._app, "demo")["paths"].items():
        for method, operation in operations.items():
            lines.append(f"| `{method.upper()}` | `{path}` | {operation.get('summary', '')} |")
    return "\n".join(lines) + "\n"
