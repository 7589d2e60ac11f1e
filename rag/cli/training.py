"""Commands that train: retriever, reranker, router and generator."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import rag
from rag.cli.shared import Index, Indexes, Json, Profile, bars, index_of, say, settings_of
from rag.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Train the models that find, route and write.")


@app.command(
    epilog="Examples: rag train retriever cases.jsonl --out models/mine · "
    "rag train retriever cases.jsonl --out models/chest --domain radiology"
)
def retriever(
    source: Annotated[str, typer.Argument(help="Images with texts: a JSONL of cases, or any source of `rag ingest`.")],
    out: Annotated[Path, typer.Option(help="Folder for the model; an interrupted training there goes on.")],
    domain: Annotated[list[str] | None, typer.Option(help="Only this domain (repeatable).", show_default="all")] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML file with fields of the recipe.")] = None,
    base: Annotated[
        str | None, typer.Option(help="Start from 'compact', 'local-dir:<folder>' or 'hf-hub:<owner>/<name>'.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same weights on one machine.")] = None,
    format: Annotated[str | None, typer.Option(help="Format of the source.", show_default="guessed")] = None,
    as_json: Json = False,
) -> None:
    """Train an image-text retriever by contrast, and write it with its model card.

    Records with a "split" (train, dev, test) keep it; others are divided by a hash of their group, so that no patient
    is in two parts. Without options this is the recipe of the compact model.
    """
    from rag.training.retriever.journey import train_retriever
    from rag.training.retriever.recipe import Recipe

    changes = {"base": base, "epochs": epochs, "seed": seed}
    chosen = Recipe.load(recipe, **{name: value for name, value in changes.items() if value is not None})
    options = [f"--domain {shlex.quote(name)}" for name in domain or ()]
    options += [f"--recipe {shlex.quote(str(recipe))}"] if recipe else []
    options += [f"--{name} {shlex.quote(str(value))}" for name, value in changes.items() if value is not None]
    options += [f"--format {format}"] if format else []
    command = " ".join(["rag train retriever", shlex.quote(source), "--out", shlex.quote(str(out)), *options])
    with bars(as_json) as progress:
        corpus = rag.Source(source, format)
        report = train_retriever(corpus, out, chosen, progress, domains=domain or (), command=command)
    say(report.model_dump(mode="json"), report.words(), as_json)


@app.command(
    epilog="Examples: rag train reranker questions.jsonl --index mine --out models/reranker · "
    "rag train reranker a.jsonl b.jsonl --index a --index b --out models/reranker"
)
def reranker(
    cases: Annotated[
        list[Path], typer.Argument(help="JSONL of questions with evidence, as `rag evaluate retrieval` reads it.")
    ],
    index: Annotated[
        list[str], typer.Option("--index", "-i", help="Index to search; one for all files, or one each, in order.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model; an interrupted training there goes on.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file with fields of the recipe.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the questions.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same weights on one machine.")] = None,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Train a reranker, MiniLM as a cross-encoder, on which passages of an index answer which questions.

    Rows with a "split" (train, dev, test) keep it; others are divided by a hash of their group, or id. The passages to
    tell them from are those that the index finds and nobody has judged relevant.
    """
    from rag.training.reranker.recipe import RerankerRecipe

    changes = {name: value for name, value in {"epochs": epochs, "seed": seed}.items() if value is not None}
    chosen = RerankerRecipe.load(recipe, **changes)
    options = [f"--index {shlex.quote(name)}" for name in index]
    options += [f"--recipe {shlex.quote(str(recipe))}"] if recipe else []
    options += [f"--{name} {value}" for name, value in changes.items()]
    command = " ".join(["rag train reranker", shlex.join(map(str, cases)), "--out", shlex.quote(str(out)), *options])
    settings = settings_of(indexes, profile)
    with bars(as_json) as progress:
        opened = [index_of(settings, name) for name in index]
        report = rag.train.reranker(cases, opened, out, chosen, command=command, progress=progress)
    say(report.model_dump(mode="json"), report.words(), as_json)


@app.command(
    epilog="Examples: rag train router cases.jsonl --image-model compact --out indexes/mine/router.safetensors · "
    "rag train router --add pathology=slides --index mine · rag train router --undo --index mine"
)
def router(
    cases: Annotated[
        list[Path] | None,
        typer.Argument(help="JSONL of cases with image, domain, group, source and (optional) split; several are read."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.", show_default="router.safetensors in this folder, or in the index's"),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(help="Teach the router in use the images of a folder, as DOMAIN=FOLDER; repeatable."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last --add back.")] = False,
    index: Index = None,
    indexes: Indexes = None,
    image_model: Annotated[
        str | None, typer.Option(help="The image encoder it is for.", show_default="the one of the settings")
    ] = None,
    ood: Annotated[Path | None, typer.Option(help="Cases that belong to no domain, to measure with.")] = None,
    false_alarms: Annotated[
        float, typer.Option(help="Share of images like the training images that may be found out of domain.")
    ] = 0.05,
    unseen_alarms: Annotated[
        float, typer.Option(help="The same of images of sources never seen, by leaving one source out at a time.")
    ] = 0.09,
    seed: Annotated[int, typer.Option(help="The same data and seed give the same router.")] = 0,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Train the domain router of an image encoder: head, temperature, out-of-domain thresholds; and measure it.

    A router is used when it lies beside the index or the image model as router.safetensors, or where routing.model
    names it. Images of the test split whose domain is not in the list of domains count as out of domain.

    With --add it learns your images instead, some 50 of each domain, in a minute: beside the index (or in --out) lies
    then a router of its own, the shipped one stays as it is, and --undo goes back.
    """
    from rag.retrieval.head import FILE
    from rag.training.router.recipe import RouterRecipe

    for option, rate in (("--false-alarms", false_alarms), ("--unseen-alarms", unseen_alarms)):
        if not 0 < rate < 1:
            raise InputError(f"{option} {rate} is not between 0 and 1")
    if [bool(cases), bool(add), undo].count(True) != 1:
        raise InputError("give one of: a file of cases to train on, --add DOMAIN=FOLDER, or --undo")
    settings = settings_of(indexes, profile)
    if image_model:
        settings.encoders.image = image_model
    recipe = RouterRecipe.load(
        domains=settings.routing.domains, false_alarms=false_alarms, unseen_alarms=unseen_alarms, seed=seed
    )
    if cases:
        with bars(as_json) as progress:
            report = rag.train.router(cases, out or FILE, recipe, ood=ood, settings=settings, progress=progress)
        say(asdict(report), report.table(), as_json)
        return
    target = out or index_of(settings, index).path / FILE
    if undo:
        from rag.training.router.adapt import undo_adaptation

        words = undo_adaptation(target)
        say({"file": str(target), "undone": words}, words, as_json)
        return
    with bars(as_json) as progress:
        added = rag.train.add_to_router(_folders(add or []), target, recipe, settings=settings, progress=progress)
    say(asdict(added), added.words(), as_json)


def _folders(given: list[str]) -> dict[str, Path]:
    """``DOMAIN=FOLDER`` of each."""
    folders = dict[str, Path]()
    for item in given:
        domain, equals, folder = item.partition("=")
        if not domain or not equals or not folder:
            raise InputError(f"--add {item!r}: write it as DOMAIN=FOLDER, pathology=slides for instance")
        if domain in folders:
            raise InputError(f"--add names {domain} twice; put its images into one folder")
        folders[domain] = Path(folder)
    return folders


@app.command(
    epilog="Examples: rag train generator questions.jsonl cases.jsonl --base local-dir:models/lingshu --out mine · "
    "rag train generator dev_qa.jsonl --corpus openi --base local-dir:models/llava --out mine --minutes 60"
)
def generator(
    files: Annotated[list[Path], typer.Argument(help="JSONL of cases (image, text) and of labelled questions.")],
    base: Annotated[str, typer.Option(help="What to start from: 'local-dir:<folder of a model>' or 'package:<name>'.")],
    out: Annotated[Path, typer.Option(help="Folder for adapter and card; an interrupted training there goes on.")],
    corpus: Annotated[
        list[str] | None,
        typer.Option(help="Source of the texts that questions name, as `rag ingest` reads it (repeatable)."),
    ] = None,
    vision: Annotated[
        str | None, typer.Option(help="The image tower of a package's language model: 'compact'.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="A model in parts to go on from: 'compact-lvlm', or a folder of this command.")
    ] = None,
    prompt: Annotated[str, typer.Option(help="The prompt that it will be asked with: a name, or a file.")] = "cite",
    recipe: Annotated[Path | None, typer.Option(help="TOML file with fields of the recipe.")] = None,
    minutes: Annotated[float | None, typer.Option(help="At most; the rate falls by the clock.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the examples, at most.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same weights on one machine.")] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Also write the whole model, for the generator 'transformers'.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tune a language model to answer from numbered evidence and an image, with citations (LoRA and projector).

    Records with a "split" (train, dev, test) keep it; others are divided by a hash of their group, so that no patient
    is in two parts.
    """
    from rag.training.generator.recipe import GeneratorRecipe
    from rag.training.generator.sft import TuningJob, train_generator

    changes = {"minutes": minutes, "epochs": epochs, "seed": seed}
    chosen = GeneratorRecipe.load(recipe, **{name: value for name, value in changes.items() if value is not None})
    options = [f"--corpus {shlex.quote(name)}" for name in corpus or ()]
    options += [f"--recipe {shlex.quote(str(recipe))}"] if recipe else []
    options += [f"--{name} {value}" for name, value in changes.items() if value is not None]
    places = [*map(str, files), "--base", base, *(["--vision", vision] if vision else [])]
    places += ["--start", start] if start else []
    places += ["--prompt", prompt, "--out", str(out)]
    command = " ".join(["rag train generator", *map(shlex.quote, places), *options, *(["--merged"] if merged else [])])
    job = TuningJob(base, prompt, out, command, merged, vision, start)
    with bars(as_json) as progress:
        report = train_generator(files, job, chosen, progress, corpora=corpus or ())
    say(report.model_dump(mode="json"), report.words(), as_json)
