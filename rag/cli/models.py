"""``rag models``: language models that are assembled on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.shared import Json, Profile, bars, print_json, say, settings_of
from rag.errors import InputError

app = typer.Typer(no_args_is_help=True, help="List and assemble the language models that come in parts.")


@app.command("list", epilog="Example: rag models list")
def models_list(profile: Profile = None, as_json: Json = False) -> None:
    """The models that ship in parts, and whether their checkpoints are in the cache, whole."""
    from rag.generation.compact_lvlm.assembly import cache_folder, checkpoint_of, size_of, state_of
    from rag.generation.compact_lvlm.parts import ModelParts

    cache = cache_folder(settings_of(None, profile).generation.transformers.cache)
    rows: list[dict[str, str | int]] = []
    for parts in ModelParts.shipped():
        folder = checkpoint_of(parts, cache)
        known = {"name": parts.name, "folder": str(folder), "licence": parts.licence}
        rows.append({**known, "state": state_of(folder), "bytes": size_of(folder)})
    if as_json:
        print_json({"models": rows})
    else:
        from rag.cli import console

        console.show_models(rows)


@app.command("build", epilog="Example: rag models build compact-lvlm")
def models_build(
    model: Annotated[str, typer.Argument(help="A model of `rag models list`, or a folder with a parts.json.")],
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Assemble a model into the cache, where it is not there or damaged; its first use would do the same."""
    from rag.generation.compact_lvlm.assembly import assemble, cache_folder, size_of
    from rag.generation.compact_lvlm.parts import ModelParts

    parts = ModelParts.find(model)
    if parts is None:
        names = ", ".join(p.name for p in ModelParts.shipped())
        raise InputError(
            f"there is no model {model!r} to assemble; give a folder with a parts.json, or one of: {names}"
        )
    with bars(as_json) as progress:
        folder = assemble(parts, cache_folder(settings_of(None, profile).generation.transformers.cache), progress)
    found = {"name": parts.name, "folder": str(folder), "bytes": size_of(folder)}
    say(found, f"{parts.name} is ready: {folder} ({size_of(folder) / 1e6:.0f} MB)", as_json)


@app.command("write", epilog="Example: rag models write memo --profile compact-lvlm --seconds 150")
def models_write(
    memo: Annotated[Path, typer.Argument(help="The folder of a memo, generation.memo.folder of what was measured.")],
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Begin nothing new after so long; run it again for the rest.")
    ] = None,
    profile: Profile = None,
    as_json: Json = False,
) -> None:
    """Write the texts that a measurement collected into its memo, in batches, on the GPU where there is one.

    Collect them first: run any `rag evaluate` with the profile, RAG_GENERATION__MEMO__FOLDER=memo and
    RAG_GENERATION__MEMO__MISSES=collect; afterwards without the second, and it finds them.
    """
    from rag.generation.batches import write_collected

    with bars(as_json) as progress:
        done = write_collected(memo, settings_of(None, profile).generation, seconds=seconds, progress=progress)
    words = f"{done.written} texts written; {done.known} were there, {done.left} are left"
    words += f"; {done.foreign} are for another model" if done.foreign else ""
    say(done._asdict(), words + (f"; the first that could not be written: {done.why}" if done.why else ""), as_json)
