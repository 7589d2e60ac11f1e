"""From parts to a checkpoint in the user's cache, once: dequantise, merge, save.

A checkpoint is written aside, fsynced, listed in a manifest with the hash of every file, and then renamed into place:
what has the name is whole. It is checked before it is loaded, and assembled again where it is damaged. Dequantising is
transformers' own reading of GGUF files; the adapter is merged here (W + α/r · B A, Hu et al. 2021) and not by peft,
which would be one more package for three lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from rag.encoders.runtime import torch
from rag.errors import InputError, MissingDependencyError, StorageError
from rag.generation.compact_lvlm.parts import ModelParts
from rag.indexing.storage import sha256_of_file, size_of_tree, sync_file
from rag.progress import Progress, Silent

MANIFEST = "assembled.json"
_NEEDED = 700 * 2**20  # bytes of the cache that a checkpoint may take
_PEFT = "base_model.model."

State = Literal["ready", "absent", "damaged"]


def cache_folder(chosen: Path | None) -> Path:
    """Where assembled models lie: as chosen, or in the user's cache folder.

    Raises:
        MissingDependencyError: none is chosen, and the library that knows the user's is not installed.
    """
    if chosen is not None:
        return chosen
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise MissingDependencyError('platformdirs is not installed: pip install "clincite[lvlm]"') from error
    return user_cache_path("clincite") / "models"


def checkpoint_of(parts: ModelParts, cache: Path) -> Path:
    """The folder that the parts' checkpoint has, or will have."""
    return cache / f"{parts.name}-{parts.sha256[:12]}"


def state_of(folder: Path) -> State:
    """Whether a checkpoint can be used: each file of its manifest is there, with its hash."""
    if not folder.exists():
        return "absent"
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        whole = bool(files) and all(sha256_of_file(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    return "ready" if whole else "damaged"


def assemble(parts: ModelParts, cache: Path, progress: Progress | None = None) -> Path:
    """The folder of the checkpoint, assembled first where it is absent or damaged; one process at a time.

    Raises:
        InputError: adapter, projector or tower do not fit the base.
        MissingDependencyError: the base or a library is not installed.
        StorageError: the cache is full or cannot be written; nothing is left behind.
    """
    folder = checkpoint_of(parts, cache)
    with _refusals(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{folder.name}.lock"):
            if (state := state_of(folder)) == "ready":
                return folder
            base, tower = parts.base.find(), parts.tower.find()
            _libraries()
            if state == "damaged":
                shutil.rmtree(folder)
            free = shutil.disk_usage(cache).free
            if free < _NEEDED:
                raise StorageError(
                    f"the model {parts.name!r} takes {_NEEDED >> 20} MiB of {cache}, and {free >> 20} MiB are free; "
                    "make room, or set 'generation.transformers.cache' to another folder"
                )
            aside = cache / f".{folder.name}.new"
            shutil.rmtree(aside, ignore_errors=True)  # of one that was killed; the lock is ours
            try:
                _write(parts, base, tower, aside, (progress or Silent()).stage(f"assembling {parts.name}", 4))
                aside.rename(folder)
            except BaseException:
                shutil.rmtree(aside, ignore_errors=True)
                raise
            sync_file(cache)
            _discard_older(parts, folder)
    return folder


def size_of(folder: Path) -> int:
    """Bytes on the disk."""
    return size_of_tree(folder)


def _write(parts: ModelParts, base: Path, tower: Path, folder: Path, done: Callable[[int], None]) -> None:
    """The four steps of the module's first line, and the manifest."""
    library = torch()
    import transformers
    from safetensors import SafetensorError

    from rag.generation.compact_lvlm.tower import TimmTokensConfig, register

    register()
    transformers.utils.logging.disable_progress_bar()
    language = transformers.AutoModelForCausalLM.from_pretrained(
        base.parent, gguf_file=base.name, dtype=library.float32
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(base.parent, gguf_file=base.name)
    done(1)
    if parts.adapter:
        _merge(language, parts)
    done(1)
    text = language.config
    vars(text).pop("quantization_config", None)
    text._name_or_path = ""
    vision = TimmTokensConfig(image_size=parts.image_size)
    side = vision.image_size // vision.stride
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(parts.image_token),
        image_seq_length=side * side,
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    with library.device("meta"):  # every tensor is replaced below
        whole = transformers.LlavaForConditionalGeneration(config)
    tensors = {
        **{name.replace("model.", "model.language_model.", 1): t for name, t in language.state_dict().items()},
        **_prefixed(_tensors(tower), "visual.trunk.", "model.vision_tower.trunk."),
        **_prefixed(_tensors(parts.folder / parts.projector), "", "model.multi_modal_projector."),
    }
    if parts.tower_changes:
        tensors |= _prefixed(_tensors(parts.folder / parts.tower_changes), "", "model.vision_tower.")
    _fill(whole, tensors, parts)
    done(1)
    try:
        whole.save_pretrained(folder)
    except SafetensorError as error:  # its only word for a disk that is full
        raise OSError(str(error)) from error
    edge = {"height": vision.image_size, "width": vision.image_size}
    looks = transformers.CLIPImageProcessor(
        size={"shortest_edge": vision.image_size}, crop_size=edge, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    transformers.LlavaProcessor(
        looks,
        tokenizer,
        patch_size=vision.stride,
        vision_feature_select_strategy="full",
        image_token=parts.image_token,
        chat_template=parts.template,
    ).save_pretrained(folder)
    files = sorted(f for f in folder.iterdir() if f.is_file())
    manifest = {"parts_sha256": parts.sha256, "files": {f.name: sha256_of_file(f) for f in files}}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
    for file in (*files, folder / MANIFEST, folder):
        sync_file(file)
    done(1)


def _merge(language: Any, parts: ModelParts) -> None:
    """W + α/r · B A for every pair of the adapter. Raises InputError for a pair that the base has no place for."""
    library = torch()
    from safetensors import SafetensorError, safe_open

    pairs: dict[str, Any] = {}
    scale: float | None = None
    for name in parts.adapter:
        try:
            with safe_open(parts.folder / name, "pt") as file:
                options = json.loads((file.metadata() or {}).get("peft", "{}"))
                scale = options["lora_alpha"] / options["r"] if options else scale
                pairs.update({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118 (not a dict)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"the adapter {parts.folder / name} cannot be read; copy it again") from error
    if scale is None:
        raise InputError(f"no file of the adapter in {str(parts.folder)!r} says its rank and alpha; copy it again")
    weights = dict(language.named_parameters())
    with library.no_grad():
        for key in (k for k in pairs if k.endswith(".lora_A.weight")):
            target = weights.get(key.removeprefix(_PEFT).replace(".lora_A.", "."))
            a, b = pairs[key], pairs.get(key.replace(".lora_A.", ".lora_B."))
            if target is None or b is None or (b.shape[0], a.shape[1]) != tuple(target.shape):
                raise InputError(
                    f"the adapter in {str(parts.folder)!r} was trained on another base: {key} does not fit"
                )
            target += scale * (b.float() @ a.float())


def _tensors(file: Path) -> dict[str, Any]:
    """Raises InputError if it is not whole."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except SafetensorError as error:
        raise InputError(f"the weights {file} cannot be read; copy them again") from error


def _prefixed(tensors: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new + name.removeprefix(old): t.float() for name, t in tensors.items() if name.startswith(old)}


def _fill(whole: Any, tensors: dict[str, Any], parts: ModelParts) -> None:
    """Give a model without weights these. Raises InputError where they do not fit it."""
    shapes = {name: tuple(t.shape) for name, t in whole.state_dict().items()}
    given = {name: tuple(t.shape) for name, t in tensors.items()}
    for name in sorted(shapes.keys() ^ given.keys()) + sorted(n for n in shapes.keys() & given.keys()):
        if shapes.get(name) != given.get(name):
            raise InputError(f"projector or image tower in {str(parts.folder)!r} do not fit the base: {name}")
    whole.load_state_dict(tensors, assign=True)
    whole.tie_weights()


def _discard_older(parts: ModelParts, kept: Path) -> None:
    """Checkpoints of the same name, from parts that have changed since."""
    for folder in kept.parent.glob(f"{parts.name}-{'[0-9a-f]' * 12}"):
        if folder != kept:
            shutil.rmtree(folder, ignore_errors=True)


def _libraries() -> None:
    from importlib.util import find_spec

    for name in ("transformers", "gguf", "accelerate", "timm"):
        if find_spec(name) is None:
            raise MissingDependencyError(f'{name} is not installed: pip install "clincite[lvlm]"')


@contextlib.contextmanager
def _refusals(cache: Path) -> Iterator[None]:
    """The machine's refusal to write, in a sentence."""
    try:
        yield
    except OSError as error:
        reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
        raise StorageError(
            f"cannot write the model cache {cache}: {reason}; make room, or set 'generation.transformers.cache' to "
            "another folder"
        ) from error
