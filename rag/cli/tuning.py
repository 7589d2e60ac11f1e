"""Commands that tune a generator by preferences: mine pairs, and learn from them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rag.cli.shared import Indexes, Json, Profile, bars, engine_of, say, settings_of
from rag.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Tune a generator by preferences.")

Base = Annotated[str, typer.Option(help="The base that the model's adapter belongs to; see `rag train generator`.")]
Vision = Annotated[str | None, typer.Option(help="Its image tower, where the base is a package's language model.")]
Prompt = Annotated[str, typer.Option(help="The prompt that it is asked with: a name, or a file.")]


@app.command(
    epilog="Examples: rag tune mine dev_qa.jsonl --corpus openi --apart calibration.jsonl --out pairs.jsonl · "
    "rag tune mine --index demo --traced questions.jsonl --out pairs.jsonl"
)
def mine(
    out: Annotated[Path, typer.Option(help="JSONL to write; a summary is written beside it.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="JSONL of cases and labelled questions; their split 'train' is used.")
    ] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(help="Source of the texts that questions name (repeatable).")
    ] = None,
    index: Annotated[
        str | None, typer.Option("--index", "-i", help="Index whose judged answers become pairs, too.")
    ] = None,
    traced: Annotated[
        list[Path] | None,
        typer.Option(help="Labelled questions for that index: those that turn wrong with more contexts become pairs."),
    ] = None,
    apart: Annotated[
        list[Path] | None,
        typer.Option(help="JSONL (calibration questions, cases of a retriever) to share no group or text with."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Pairs only of what this tuned model gets wrong; needs --base.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The base of that model.")] = None,
    vision: Vision = None,
    prompt: Prompt = "cite",
    most: Annotated[int | None, typer.Option(min=1, help="Pairs of each kind, at most.")] = None,
    seed: Annotated[int, typer.Option(help="The same sources and seed give the same pairs.")] = 0,
    indexes: Indexes = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Gather preference pairs: over-reliance, cross-modality (swapped and noised image), use of evidence."""
    from rag.training.generator.mining import PairSources
    from rag.training.generator.mining import mine as gather
    from rag.training.generator.recipe import GeneratorRecipe, PreferenceRecipe
    from rag.training.generator.sft import TuningJob
    from rag.training.generator.speaking import answerer_of

    if not files and index is None:
        raise InputError("there is nothing to mine: give labelled files, or --index for its judged answers")
    if traced and index is None:
        raise InputError("--traced asks an index: name it with --index")
    if model is not None and base is None:
        raise InputError("--model holds adapters alone: name the base that they belong to with --base")
    engine = engine_of(settings_of(indexes, profile), index) if index is not None else None
    says = None
    if model is not None and base is not None:
        says = answerer_of(model, TuningJob(base, prompt, out, vision=vision), PreferenceRecipe.load())
    sources = PairSources(files or (), corpus or (), engine, traced or (), apart or (), says)
    with bars(as_json) as progress:
        report = gather(sources, out, GeneratorRecipe.load(seed=seed), progress, most=most)
    say(report.model_dump(mode="json"), report.words(), as_json)


@app.command(epilog="Example: rag tune dpo pairs.jsonl --model mine --base local-dir:models/lingshu --out mine-dpo")
def dpo(
    pairs: Annotated[Path, typer.Argument(help="JSONL that `rag tune mine` wrote.")],
    model: Annotated[Path, typer.Option(help="Folder of a tuned model: where the preferences start from.")],
    base: Base,
    out: Annotated[Path, typer.Option(help="Folder for adapter and card; an interrupted tuning there goes on.")],
    vision: Vision = None,
    prompt: Prompt = "cite",
    recipe: Annotated[Path | None, typer.Option(help="TOML file with fields of the recipe.")] = None,
    minutes: Annotated[float | None, typer.Option(help="At most; the rate falls by the clock.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the pairs, at most.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same weights on one machine.")] = None,
    merged: Annotated[
        bool, typer.Option("--merged", help="Also write the whole model, for the generator 'transformers'.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Tune a model's adapter to prefer the chosen answers (direct preference optimisation)."""
    from rag.training.generator.dpo import tune_preferences
    from rag.training.generator.recipe import PreferenceRecipe
    from rag.training.generator.sft import TuningJob

    changes = {"minutes": minutes, "epochs": epochs, "seed": seed}
    chosen = PreferenceRecipe.load(recipe, **{name: value for name, value in changes.items() if value is not None})
    options = [f"--recipe {shlex.quote(str(recipe))}"] if recipe else []
    options += [f"--{name} {value}" for name, value in changes.items() if value is not None]
    places = [str(pairs), "--model", str(model), "--base", base, *(["--vision", vision] if vision else [])]
    places += ["--prompt", prompt, "--out", str(out)]
    command = " ".join(["rag tune dpo", *map(shlex.quote, places), *options, *(["--merged"] if merged else [])])
    job = TuningJob(base, prompt, out, command, merged, vision)
    with bars(as_json) as progress:
        report = tune_preferences(pairs, model, job, chosen, progress)
    say(report.model_dump(mode="json"), report.words(), as_json)
