"""Commands that train: router."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.shared import Json, Profile, bars, say, settings_of
from rag.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Train the parts that learn: the router.")


@app.command(epilog="Example: rag train router cases.jsonl --image-model compact --out indexes/mine/router.safetensors")
def router(
    cases: Annotated[Path, typer.Argument(help="JSONL of cases with image, domain, group and (optional) split.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write [default: router.safetensors in this folder].")
    ] = None,
    image_model: Annotated[
        str | None, typer.Option(help="The image encoder it is for [default: the one of the settings].")
    ] = None,
    ood: Annotated[Path | None, typer.Option(help="Cases that belong to no domain, to measure with.")] = None,
    false_alarms: Annotated[
        float, typer.Option(help="Share of in-domain images that may be found out of domain.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="The same data and seed give the same router.")] = 0,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Train the domain router of an image encoder: head, temperature, out-of-domain threshold; and measure it.

    A router is used when it lies beside the index or the image model as router.safetensors, or where routing.model
    names it. Images of the test split whose domain is not in the list of domains count as out of domain.
    """
    from rag.encoders.registry import load_image_encoder
    from rag.retrieval.domains import load_domains
    from rag.retrieval.head import FILE
    from rag.training.router import train_router

    if not 0 < false_alarms < 1:
        raise InputError(f"--false-alarms {false_alarms} is not between 0 and 1")
    settings = settings_of(None, profile)
    wanted = settings.encoders.model_copy(update={"image": image_model} if image_model else {})
    encoder = load_image_encoder(wanted)
    with bars(as_json) as progress:
        report = train_router(
            cases,
            encoder,
            load_domains(settings.routing.domains),
            out or Path(FILE),
            ood=ood,
            false_alarms=false_alarms,
            seed=seed,
            progress=progress,
        )
    say(asdict(report), report.table(), as_json)
