"""Commands that train: train retriever."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.shared import Json, bars, say

app = typer.Typer(no_args_is_help=True, help="Train the models that find and route.")


@app.command(
    epilog="Examples: rag train retriever cases.jsonl --out models/mine · "
    "rag train retriever cases.jsonl --out models/chest --domain radiology"
)
def retriever(
    source: Annotated[str, typer.Argument(help="Images with texts: a JSONL of cases, or any source of `rag ingest`.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; an interrupted training there goes on.")],
    domain: Annotated[list[str] | None, typer.Option(help="Only this domain (repeatable) [default: all].")] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML file with fields of the recipe.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Start from 'compact', 'local-dir:<folder>' or 'hf-hub:<owner>/<name>'.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same weights on one machine.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of the source [default: guessed].")] = None,
    as_json: Json = False,
) -> None:
    """Train an image-text retriever by contrast, and write it with its model card.

    Records with a "split" (train, dev, test) keep it; others are divided by a hash of their group, so that no patient
    is in two parts. Without options this is the recipe of the compact model.
    """
    from rag.training.journey import train_retriever
    from rag.training.recipe import Recipe

    changes = {"base": base, "epochs": epochs, "seed": seed}
    chosen = Recipe.load(recipe, **{name: value for name, value in changes.items() if value is not None})
    options = [f"--domain {shlex.quote(name)}" for name in domain or ()]
    options += [f"--recipe {shlex.quote(str(recipe))}"] if recipe else []
    options += [f"--{name} {shlex.quote(str(value))}" for name, value in changes.items() if value is not None]
    options += [f"--format {format}"] if format else []
    command = " ".join(["rag train retriever", shlex.quote(source), "--out", shlex.quote(str(out)), *options])
    with bars(as_json) as progress:
        report = train_retriever(source, out, chosen, progress, domains=domain or (), format=format, command=command)
    say(report.model_dump(mode="json"), report.words(), as_json)
