"""``rag.train``: training from Python, one function for each kind of model. Libraries load when training begins."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.building.ingest import Source
from rag.progress import Progress, Silent
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.training.generator.recipe import GeneratorRecipe
    from rag.training.generator.sft import TuningJob, TuningReport
    from rag.training.retriever.journey import TrainingReport
    from rag.training.retriever.recipe import Recipe
    from rag.training.router.train import RouterRecipe, RouterReport


def retriever(
    source: str | Path | Source,
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    domains: Sequence[str] = (),
    progress: Progress | None = None,
) -> TrainingReport:
    """Train an image-text retriever by contrast and write it, with its model card, into the folder ``out``.

    >>> import rag                                                                          # doctest: +SKIP
    >>> report = rag.train.retriever("cases.jsonl", "models/mine")                          # doctest: +SKIP
    >>> settings = rag.load_settings(encoders={"image": "local-dir:models/mine"})           # doctest: +SKIP
    >>> index = rag.Index.create("mine", settings)                                          # doctest: +SKIP

    Args:
        source: images with texts: whatever ``Index.ingest`` reads. Records with a split keep it; others are divided
            by a hash of their group, so that no patient is in two parts.
        out: an interrupted training there goes on.
        recipe: hyperparameters; those of the compact model unless given.
        domains: only these.
        progress: told of epochs and measurements.

    Raises:
        InputError: the records do not do, or ``out`` is taken.
        MissingDependencyError: a library or the base model is not installed.
    """
    from rag.training.retriever.journey import train_retriever
    from rag.training.retriever.recipe import Recipe

    corpus = source if isinstance(source, Source) else Source(source)
    command = f"rag train retriever {shlex.quote(str(corpus.name))} --out {shlex.quote(str(out))}"
    return train_retriever(
        corpus, Path(out), recipe or Recipe(), progress or Silent(), domains=domains, command=command
    )


def router(
    cases: str | Path,
    out: str | Path,
    recipe: RouterRecipe | None = None,
    *,
    ood: str | Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> RouterReport:
    """Train the domain router of an image encoder, measure it, and write it to the file ``out``.

    >>> import rag                                                                          # doctest: +SKIP
    >>> report = rag.train.router("cases.jsonl", "indexes/mine/router.safetensors")         # doctest: +SKIP
    >>> print(report.table())                                                               # doctest: +SKIP

    Args:
        cases: JSONL with image, domain, group and (optional) split.
        out: used where it lies beside the index or the image model as router.safetensors, or is named in
            ``routing.model``.
        recipe: rate of false alarms and seed.
        ood: cases that belong to no domain, to measure with.
        settings: name the image encoder and the list of domains.
        progress: told of encoding and fitting.

    Raises:
        InputError: the cases cannot be used.
        MissingDependencyError: a library or the image encoder is not on this machine.
    """
    from rag.encoders.registry import load_image_encoder
    from rag.training.router.train import RouterRecipe, train_router

    chosen = settings or Settings()
    plan = recipe or RouterRecipe(domains=chosen.routing.domains)
    outside = Path(ood) if ood is not None else None
    encoder = load_image_encoder(chosen.encoders)
    return train_router(Path(cases), encoder, Path(out), plan, ood=outside, progress=progress)


def generator(
    files: Sequence[str | Path],
    job: TuningJob,
    recipe: GeneratorRecipe | None = None,
    *,
    corpora: Sequence[str] = (),
    progress: Progress | None = None,
) -> TuningReport:
    """Tune a language model to answer with citations and write adapter, card and ``seen.json`` into a folder.

    >>> from rag.training.generator.sft import TuningJob                                    # doctest: +SKIP
    >>> job = TuningJob(base="local-dir:models/lingshu", prompt="cite", out=Path("models/mine"))   # doctest: +SKIP
    >>> report = rag.train.generator(["questions.jsonl"], job)                              # doctest: +SKIP
    >>> report.last_loss < report.first_loss                                                # doctest: +SKIP

    Args:
        files: JSONL of cases and labelled questions; see ``docs/guides/train-a-generator.md``.
        job: the base ('local-dir:<folder of a model>' or 'package:<name>'), the prompt that it will be asked with, the
            folder to write; an interrupted tuning there goes on.
        recipe: hyperparameters.
        corpora: sources of the texts that questions name.
        progress: told of examples learned from.

    Raises:
        InputError: files, base or folder do not do.
        MissingDependencyError: a library or the base is not installed.
    """
    from rag.training.generator.recipe import GeneratorRecipe
    from rag.training.generator.sft import train_generator

    named = shlex.join(map(str, files))
    command = f"rag train generator {named} --base {shlex.quote(job.base)} --out {shlex.quote(str(job.out))}"
    paths = [Path(file) for file in files]
    told = replace(job, command=job.command or command)
    return train_generator(paths, told, recipe or GeneratorRecipe(), progress or Silent(), corpora=corpora)
