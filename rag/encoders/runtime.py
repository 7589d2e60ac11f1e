"""Loading the deep learning libraries so that they work offline and beside a CPU build of torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rag.encoders.hashes import file_sha256
from rag.errors import MissingDependencyError, StorageError

_T = TypeVar("_T")
_DECISIVE = {".safetensors", ".bin", ".json", ".txt"}  # weights, configuration, vocabulary
_keep_alive: list[Any] = []
_ON_PROCESSOR = 32  # inputs at once


@lru_cache(maxsize=1)
def torch() -> Any:
    """The torch module, after everything that must happen before its companions are imported.

    - Nothing is fetched from a model hub unless the user has said so (``HF_HUB_OFFLINE=0``), and nothing reports home.
    - The torchvision wheel of the package index expects a CUDA torch; beside a CPU torch its compiled operators are
      missing and ``import torchvision`` fails while registering their fake kernels, taking timm, open_clip and
      transformers with it. Declaring the two schemas is enough: we never call the operators.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError('torch is not installed: pip install "clincite[models]"') from error
    if find_spec("torchvision") is not None and not _has_operators(torch):
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _keep_alive.append(library)  # a Library takes its definitions back when it is collected
    return torch


def _has_operators(torch: Any) -> bool:
    """Whether torchvision's own compiled extension can be loaded beside this torch."""
    spec = find_spec("torchvision")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    for extension in sorted(folder.glob("_C*")) if folder else ():
        try:
            torch.ops.load_library(str(extension))
        except (OSError, RuntimeError):
            return False
    return hasattr(torch.ops.torchvision, "nms")


def share_cores(count: int) -> None:
    """Compute on as many threads as are this process's share among ``count`` that do the same.

    Raises:
        MissingDependencyError: torch is not installed.
    """
    library = torch()
    library.set_num_threads(max(1, library.get_num_threads() // count))


def device() -> str:
    """Where models run: 'cuda', the first device, if there is one, else 'cpu'."""
    return "cuda" if torch().cuda.is_available() else "cpu"


def mixed_precision() -> Any:
    """A context in which a CUDA device computes in :func:`fast_dtype`; nothing on a processor."""
    on_cuda = device() == "cuda"
    return torch().autocast("cuda", dtype=fast_dtype() if on_cuda else torch().float16, enabled=on_cuda)


def fast_dtype() -> Any:
    """What matrices are multiplied in for many inputs at once.

    bfloat16 where there are instructions for it (processors with AVX512-BF16 or AMX, most CUDA devices); elsewhere
    float16 on a device and float32 on a processor.
    """
    library = torch()
    if device() == "cuda":
        return library.bfloat16 if library.cuda.is_bf16_supported() else library.float16
    checks = (getattr(library.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return library.bfloat16 if any(check is not None and check() for check in checks) else library.float32


class BatchSize:
    """How many inputs a model takes at once: what the user set, or what suits the device; halved whenever the
    accelerator's memory is full. ``on_cuda`` is what suits a CUDA device.
    """

    def __init__(self, size: int | None = None, *, on_cuda: int = 1024) -> None:
        self._size, self._on_cuda = size, on_cuda

    @property
    def size(self) -> int:
        if self._size is None:
            self._size = self._on_cuda if device() == "cuda" else _ON_PROCESSOR
        return self._size

    def fit(self, forward: Callable[[int], _T]) -> _T:
        """``forward(size)``, with a smaller size each time it does not fit; the size that fits is kept.

        Raises:
            StorageError: not even one input fits.
        """
        library = torch()
        while True:
            try:
                return forward(self.size)
            except library.OutOfMemoryError as error:
                if self.size == 1:
                    raise StorageError(f"the memory of the {device()} is too small for one input") from error
            # outside the handler, whose traceback holds on to the memory that must be freed
            self._size = self.size // 2
            if device() == "cuda":
                library.cuda.empty_cache()


def package_folder(package: str, extra: str = "models") -> Path:
    """The folder of an installed package, found without importing it.

    Raises:
        MissingDependencyError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.origin:
        name = package.replace("_", "-")
        raise MissingDependencyError(f'the package {name} is not installed: pip install "clincite[{extra}]"')
    return Path(spec.origin).parent


def files_sha256(files: Iterable[Path]) -> str:
    """Hex SHA-256 over the contents of ``files``, in their order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file_sha256(file).encode())
    return digest.hexdigest()


def folder_sha256(folder: Path) -> str:
    """The same over every file of a model's folder that decides a vector; empty where there is none."""
    files = sorted(f for f in folder.rglob("*") if f.suffix in _DECISIVE) if folder.is_dir() else []
    return files_sha256(files) if files else ""
