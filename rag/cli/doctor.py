"""``rag doctor``: what this machine can do, and what is missing for more."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

import rag
from rag.cli.shared import Indexes, Json, Profile, print_json, settings_of
from rag.cli.terminals import is_utf8

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from rag.settings import Settings

app = typer.Typer()
_US = "clincite"
_ROOMY = 2 << 30  # bytes of disk below which an index is soon too large


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``remedy`` says what would mend it; empty where nothing is amiss."""

    about: str
    name: str
    found: str
    remedy: str = ""


@app.command(epilog="Examples: rag doctor · rag doctor --profile biomedclip --json")
def doctor(indexes: Indexes = None, profile: Profile = None, as_json: Json = False) -> None:
    """What this machine can do: device, memory, disk, extras, weights; and what is missing for more.

    Exit code 1 only where something that every command needs is missing.
    """
    settings = settings_of(indexes, profile)
    findings = [*_machine(), *_device(), *_disk(settings), *_extras(), *_weights(settings)]
    broken = [f for f in findings if f.about == "core" and f.remedy]
    if as_json:
        print_json({"ok": not broken, "findings": [asdict(f) for f in findings]})
    else:
        about = ""
        for f in findings:
            if f.about != about:
                about = f.about
                typer.echo(f"\n{about}")
            typer.echo(f"  {'-' if f.remedy else 'ok':<3} {f.name}: {f.found}")
            if f.remedy:
                typer.echo(f"        {f.remedy}")
    if broken:
        raise typer.Exit(1)


def _machine() -> Iterator[Finding]:
    yield Finding(
        "machine", "ClinCite", f"{rag.__version__}, Python {platform.python_version()}, {platform.platform()}"
    )
    yield Finding("machine", "SQLite", sqlite3.sqlite_version)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("machine", "processor", f"{cores} cores for this process")
    with suppress(ValueError, OSError):
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
        free = os.sysconf("SC_AVPHYS_PAGES") * page
        yield Finding("machine", "memory", f"{page * pages / 2**30:.1f} GiB, {free / 2**30:.1f} GiB of it unused")
    encoding = getattr(sys.stdout, "encoding", "unknown")
    remedy = "" if is_utf8() else "set the terminal to UTF-8 (LANG=C.UTF-8); until then letters are spelt out by name"
    yield Finding("machine", "terminal", f"writes {encoding}", remedy)


def _device() -> Iterator[Finding]:
    """The accelerator, as torch and FAISS see it."""
    if find_spec("torch") is None:
        yield Finding("device", "torch", "not installed", f'pip install "{_US}[models]"')
        return
    from rag.encoders.runtime import device, torch

    with_gpu, where = torch(), device()
    found = f"torch {with_gpu.__version__}, on the processor"
    if where.startswith("cuda"):
        card = with_gpu.cuda.get_device_properties(0)
        found = f"torch {with_gpu.__version__}, on {card.name}, {card.total_memory / 2**30:.0f} GiB"
    yield Finding("device", "models run with", found)
    import faiss

    cards = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    build = f"FAISS {faiss.__version__}, {f'{cards} GPU' if cards else 'on the processor'}"
    remedy = ""
    if where.startswith("cuda") and not cards:
        swap = f'pip uninstall faiss-cpu, then pip install "{_US}[gpu]"'
        remedy = f"this FAISS sees no GPU: {swap}; or set vectors.backend to torch-flat"
    yield Finding("device", "vectors are searched with", build, remedy)


def _disk(settings: Settings) -> Iterator[Finding]:
    from rag.indexing.mounts import shared_file_system, shared_warning
    from rag.indexing.store import list_indexes

    folder = settings.indexes.absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(there).free
    remedy = f"an index of a million passages takes some 3 GB: free some of {there}" if free < _ROOMY else ""
    if not os.access(there, os.W_OK):
        remedy = f"{there} may only be read: ask with --no-ledger, or name another folder with --indexes"
    yield Finding("disk", str(folder), f"{free / 2**30:.1f} GiB free", remedy)
    if kind := shared_file_system(folder):
        yield Finding("disk", "file system", kind, shared_warning(folder, kind))
    for index in list_indexes(folder):
        size = f"version {index.version}, {index.bytes / 1e6:.0f} MB" if not index.problem else "cannot be opened"
        yield Finding("disk", f"index {index.name}", size, index.problem or "")


def _extras() -> Iterator[Finding]:
    """What is installed of each extra that the package declares."""
    try:
        declared = metadata.metadata(_US).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        yield Finding("core", _US, "is not installed as a package", f"pip install {_US}")
        return
    missing = sorted(_missing(""))
    yield Finding(
        "core", "required packages", ", ".join(missing) or "all there", f"pip install {_US}" if missing else ""
    )
    for extra in declared:
        missing = sorted(_missing(extra))
        found = f"missing {', '.join(missing)}" if missing else "all there"
        yield Finding("extras", extra, found, f'pip install "{_US}[{extra}]"' if missing else "")


def _missing(extra: str) -> set[str]:
    """Requirements of an extra (or of no extra) that are not met here."""
    return {str(r.name) + str(r.specifier) for r in _required(extra, frozenset()) if not _is_met(r)}


def _required(extra: str, above: frozenset[str]) -> Iterator[Requirement]:
    """What an extra asks for beyond the core, those that it includes followed."""
    from packaging.requirements import Requirement

    for line in metadata.requires(_US) or ():
        wanted = Requirement(line)
        of_core = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        of_extra = not of_core and wanted.marker is not None and wanted.marker.evaluate({"extra": extra})
        if not (of_extra if extra else of_core):
            continue
        if wanted.name != _US:
            yield wanted
        for inner in wanted.extras - above - {extra} if wanted.name == _US else ():
            yield from _required(inner, above | {extra})


def _is_met(wanted: Requirement) -> bool:
    try:
        return wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        return wanted.name == "faiss-cpu" and find_spec("faiss") is not None  # its builds for GPUs have other names


def _weights(settings: Settings) -> Iterator[Finding]:
    """The models that the settings name, and those that ship in parts."""
    from rag.encoders.hashes import forget
    from rag.encoders.registry import load_image_encoder, load_text_encoder
    from rag.errors import RagError
    from rag.generation.compact_lvlm.assembly import cache_folder, checkpoint_of, state_of
    from rag.generation.compact_lvlm.parts import ModelParts

    forget()  # what is known of the files: every byte is read
    for kind, name, load in (
        ("text encoder", settings.encoders.text, load_text_encoder),
        ("image encoder", settings.encoders.image, load_image_encoder),
    ):
        try:
            _ = load(settings.encoders).fingerprint  # of the weights
            yield Finding("weights", kind, f"{name} is there")
        except RagError as error:
            yield Finding("weights", kind, f"{name} cannot be used", str(error))
    cache: Path = cache_folder(settings.generation.transformers.cache)
    for parts in ModelParts.shipped():
        state = state_of(checkpoint_of(parts, cache))
        remedy = "" if state == "ready" else f"rag models build {parts.name} (extra lvlm)"
        yield Finding("weights", parts.name, state, remedy)
