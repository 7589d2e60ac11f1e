"""``rag.train``: training from Python, one function for each kind of model. Libraries load when training begins."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.building.index import Index
from rag.building.source import Source
from rag.errors import InputError
from rag.progress import Progress, Silent
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.training.generator.recipe import GeneratorRecipe
    from rag.training.generator.sft import TuningJob, TuningReport
    from rag.training.reranker.journey import RerankerReport
    from rag.training.reranker.recipe import RerankerRecipe
    from rag.training.retriever.journey import TrainingReport
    from rag.training.retriever.recipe import Recipe
    from rag.training.router.adapt import AdaptationReport
    from rag.training.router.recipe import RouterRecipe
    from rag.training.router.train import RouterReport


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


def reranker(
    files: Sequence[str | Path],
    indexes: Sequence[Index],
    out: str | Path,
    recipe: RerankerRecipe | None = None,
    *,
    command: str = "",
    progress: Progress | None = None,
) -> RerankerReport:
    """Train a reranker on which passages answer which questions, and write it, with its card, into the folder ``out``.

    >>> report = rag.train.reranker(["questions.jsonl"], [rag.Index.open("mine")], "models/reranker")  # doctest: +SKIP
    >>> settings = rag.load_settings(retrieval={"reranker": "models/reranker"})             # doctest: +SKIP

    Args:
        files: JSONL of questions with evidence, as ``rag evaluate retrieval`` reads it.
        indexes: what is searched: one for all files, or one for each.
        out: an interrupted training there goes on.
        recipe: hyperparameters; those of the shipped reranker unless given.
        command: for the card, what was typed.
        progress: told of epochs and measurements.

    Raises:
        InputError: files or indexes do not do, or ``out`` is taken.
        MissingDependencyError: a library or MiniLM's package is not installed.
    """
    from rag.answering.opening import open_version
    from rag.training.reranker.journey import train_reranker
    from rag.training.reranker.recipe import RerankerRecipe

    if len(indexes) not in (1, len(files)):
        raise InputError(
            f"{len(files)} files and {len(indexes)} indexes: give one index for all files, or one for each"
        )
    # what it learns from is what the channels bring, whichever reranker is in use
    opened = [open_version(index.store, _without_reranker(index.settings)) for index in indexes]
    asked = [(Path(file), opened[n if len(opened) > 1 else 0]) for n, file in enumerate(files)]
    return train_reranker(asked, Path(out), recipe or RerankerRecipe(), progress or Silent(), command=command)


def _without_reranker(settings: Settings) -> Settings:
    retrieval = settings.retrieval.model_copy(update={"reranker": None})
    return settings.model_copy(update={"retrieval": retrieval})


def router(
    cases: str | Path | Sequence[str | Path],
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
        cases: JSONL with image, domain, group, source and (optional) split; one file, or several.
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
    from rag.training.router.recipe import RouterRecipe
    from rag.training.router.train import train_router

    chosen = settings or Settings()
    plan = recipe or RouterRecipe(domains=chosen.routing.domains)
    outside = Path(ood) if ood is not None else None
    encoder = load_image_encoder(chosen.encoders)
    files = [Path(file) for file in ([cases] if isinstance(cases, str | Path) else cases)]
    return train_router(files, encoder, Path(out), plan, ood=outside, progress=progress)


def add_to_router(
    folders: Mapping[str, str | Path],
    out: str | Path,
    recipe: RouterRecipe | None = None,
    *,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> AdaptationReport:
    """Teach the router in use some images of yours, and write what it becomes to the file ``out``.

    It starts from the router that the settings name, or that lies at ``out`` or beside the image model.

    >>> import rag                                                                          # doctest: +SKIP
    >>> report = rag.train.add_to_router({"pathology": "slides"}, "indexes/mine/router.safetensors")  # doctest: +SKIP
    >>> print(report.words())                                                               # doctest: +SKIP

    Args:
        folders: of images, by their domain; a folder within one is one patient or slide.
        out: beside the index as router.safetensors, or a file that ``routing.model`` will name; the file that was there
            is kept, and :func:`rag.training.router.adapt.undo_adaptation` brings it back.
        recipe: rate of false alarms and seed.
        settings: name the image encoder and the list of domains.
        progress: told of encoding and fitting.

    Raises:
        InputError: the images cannot be used, or there is no trained router for the image encoder to start from.
        MissingDependencyError: a library or the image encoder is not on this machine.
    """
    from rag.encoders.registry import load_image_encoder
    from rag.retrieval.router import find_head
    from rag.training.router.adapt import adapt_router
    from rag.training.router.recipe import RouterRecipe

    chosen, file = settings or Settings(), Path(out)
    plan = recipe or RouterRecipe(domains=chosen.routing.domains)
    encoder = load_image_encoder(chosen.encoders)
    base = find_head(file if file.is_file() else chosen.routing.model, encoder, file.parent)
    if base is None:
        raise InputError(
            f"there is no trained router for the image encoder {chosen.encoders.image!r} to add images to; train one "
            "with: rag train router CASES.jsonl"
        )
    of = {domain: Path(folder) for domain, folder in folders.items()}
    return adapt_router(base, of, encoder, file, plan, progress=progress)


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
