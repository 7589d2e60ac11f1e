"""A language model's files on this machine, and the model built from them.

Only safetensors are loaded, and no code that comes with a checkpoint is ever run.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from rag.encoders.runtime import device, files_sha256, torch
from rag.errors import InputError, MissingDependencyError, StorageError
from rag.generation.compact_lvlm.assembly import MANIFEST, assemble, cache_folder
from rag.generation.compact_lvlm.parts import ModelParts
from rag.generation.messages import Messages, Picture

_DECISIVE = (".safetensors", ".json", ".jinja", ".model", ".txt")  # weights, configuration, templates, vocabulary


_loading = threading.Lock()


@dataclass(frozen=True)
class Loaded:
    """A model in evaluation mode with the processor (or tokenizer) that feeds it.

    ``ends`` are the tokens that end an answer. ``lock`` is held while it writes: one draft at a time, since two at once
    might not fit into the memory.
    """

    name: str
    model: Any
    processor: Any
    sees: bool
    ends: frozenset[int]
    lock: Any = field(default_factory=threading.Lock)

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        tokenizer, processor = self.tokenizer, self.processor
        marks = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special} | {*tokenizer.all_special_tokens}
        marks |= {getattr(processor, n, "") for n in ("image_token", "video_token", "boi_token", "eoi_token")}
        return re.compile(
            "|".join(re.escape(m) for m in sorted(marks, key=len, reverse=True) if len(m) > 1) or r"\Z\A."
        )

    def guarded(self, text: str) -> str:
        """``text`` with whatever the tokenizer would take for a control token, or for a picture, broken up."""
        return self._controls.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)

    def inputs(self, messages: Messages, chat_template: str | None = None) -> Any:
        """Token ids and pixels of one conversation, each tensor with a batch of one; the answer comes next.

        They are made by the chat template: the one given, else the model's own. A template without a system's turn has
        it in the user's.

        Raises:
            InputError: the model sees, and nobody says how pictures and turns are written.
        """
        system, user = self.guarded(messages.system), self.guarded(messages.user)
        pictures = messages.pictures if self.sees else ()
        template = chat_template or getattr(self.processor, "chat_template", None)
        if template is None and self.sees:
            raise InputError(
                f"the model {self.name!r} does not say how pictures and turns are written; set "
                "'generation.transformers.chat_template'"
            )
        if template is None:
            return self.tokenizer(f"{system}\n\n{user}\n\n", return_tensors="pt")
        options = {
            "chat_template": chat_template,
            "tokenize": True,
            "return_dict": True,
            "return_tensors": "pt",
            "add_generation_prompt": True,
        }

        def turn(role: str, text: str, shown: Sequence[Picture] = ()) -> dict[str, Any]:
            if not self.sees:
                return {"role": role, "content": text}
            parts: list[dict[str, Any]] = []
            for p in shown:
                parts += [{"type": "text", "text": self.guarded(p.label)}, {"type": "image", "image": p.image}]
            return {"role": role, "content": [*parts, {"type": "text", "text": text}]}

        import jinja2

        apply = self.processor.apply_chat_template
        try:
            return apply([turn("system", system), turn("user", user, pictures)], **options)
        except jinja2.TemplateError:
            return apply([turn("user", f"{system}\n\n{user}", pictures)], **options)


@dataclass(frozen=True)
class Weights:
    """Where a model lies, and in which precision it runs on which device."""

    name: str
    folder: Path
    device: str
    dtype: str

    @classmethod
    def find(
        cls, model: str | None, revision: str | None, on: str | None, dtype: str, cache: Path | None = None
    ) -> Weights:
        """The files of a folder, or of a hub id in the hub's cache (fetched first where HF_HUB_OFFLINE=0 allows it).

        What is made of parts is assembled in ``cache`` first, where it has not been.

        Raises:
            InputError: no model is named, or its files cannot be used.
            MissingDependencyError: the model or a library is not on this machine.
        """
        if not model:
            raise InputError(
                "setting 'generation.transformers.model' is not set: name a folder with a model, or its id on the hub"
            )
        parts = ModelParts.find(model)
        if parts is not None:
            folder = assemble(parts, cache_folder(cache))
        else:
            folder = Path(model) if Path(model).is_dir() else _from_hub(model, revision)
        if not (folder / "config.json").is_file():
            raise InputError(f"the model folder {str(folder)!r} has no config.json; copy the whole model")
        if not any(folder.glob("*.safetensors")):
            raise InputError(
                f"the model folder {str(folder)!r} has no *.safetensors; weights in other formats can run code and are "
                "not loaded: convert them first"
            )
        place = on or device()
        if dtype in ("auto", "native"):
            native = place.startswith("cuda") or (dtype == "native" and _computes_bfloat16())
            dtype = "bfloat16" if native else "float32"
        name = parts.name if parts else folder.resolve().name if Path(model).is_dir() else model
        return cls(name, folder, place, dtype)

    @property
    def fingerprint(self) -> str:
        """Name, precision, and hash of every file that decides an answer; known without loading the model.

        Of an assembled model the parts count: sums may differ in their last bits between processors.
        """
        if (self.folder / MANIFEST).is_file():
            parts = str(json.loads((self.folder / MANIFEST).read_text("utf-8"))["parts_sha256"])
            return f"{self.name}:{parts[:16]}:{self.dtype}"
        files = sorted(f for f in self.folder.iterdir() if f.suffix in _DECISIVE and f.is_file())
        return f"{self.name}:{files_sha256(files)[:16]}:{self.dtype}"

    @property
    def config(self) -> dict[str, Any]:
        """The parsed ``config.json``. Raises InputError if it is not one."""
        try:
            values = json.loads((self.folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder / 'config.json'} is not JSON; copy the model again") from error
        return values if isinstance(values, dict) else {}

    def load(self) -> Loaded:
        """The model, from memory where it was loaded before.

        Raises:
            InputError: transformers does not know its kind, or its files are damaged or incomplete.
            MissingDependencyError: transformers is not installed.
            StorageError: it does not fit into the device's memory.
        """
        with _loading:
            return _shared(self)

    def read(self) -> Loaded:
        """The model, read anew: a copy of one's own, to be changed. Raises as ``load`` does."""
        return _read(self)


@lru_cache(maxsize=2)
def _shared(weights: Weights) -> Loaded:
    return _read(weights)


def _read(weights: Weights) -> Loaded:
    library, transformers = torch(), _transformers()
    from transformers.models.auto import modeling_auto

    from rag.generation.compact_lvlm.tower import register

    register()
    kind = weights.config.get("model_type")
    sees = kind in modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if not sees and kind not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"the model in {str(weights.folder)!r} is of type {kind!r}, which transformers {transformers.__version__} "
            "neither knows as a text nor as an image-text model; code that comes with a model is not run: convert it"
        )
    maker, reader = (
        (transformers.AutoModelForImageTextToText, transformers.AutoProcessor)
        if sees
        else (transformers.AutoModelForCausalLM, transformers.AutoTokenizer)
    )
    safe = {"trust_remote_code": False, "local_files_only": True}
    try:
        processor = reader.from_pretrained(weights.folder, **safe)
        model, told = maker.from_pretrained(
            weights.folder,
            use_safetensors=True,
            dtype=getattr(library, weights.dtype),
            output_loading_info=True,
            **safe,
        )
        absent = sorted(told["missing_keys"]) + sorted(str(k) for k in told["mismatched_keys"])
        model = model.to(weights.device).eval()
    except library.OutOfMemoryError as error:
        raise StorageError(f"the model {weights.name!r} does not fit into the memory of {weights.device}") from error
    except MemoryError:
        raise
    except Exception as error:  # every reader of a file in it has exceptions of its own
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise InputError(f"the model in {str(weights.folder)!r} cannot be loaded ({reason}); copy it again") from error
    if absent:  # transformers would fill them with random numbers
        raise InputError(f"the weights in {str(weights.folder)!r} lack the tensor {absent[0]!r}; copy them again")
    own, tokenizer = model.generation_config, getattr(processor, "tokenizer", processor)
    ends = own.eos_token_id if own.eos_token_id is not None else tokenizer.eos_token_id
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    padding = next((i for i in (own.pad_token_id, tokenizer.pad_token_id, *ends) if isinstance(i, int)), 0)
    # nothing of a checkpoint's own habits (its temperature, penalties, …): the settings say it all
    model.generation_config = transformers.GenerationConfig(
        eos_token_id=ends or None, pad_token_id=padding, bos_token_id=own.bos_token_id
    )
    return Loaded(weights.name, model, processor, sees, frozenset(ends))


def _computes_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; one that has to convert is slower than with float32."""
    capabilities: dict[str, Any] = getattr(torch().cpu, "get_capabilities", dict)()  # torch 2.10 and later
    return any(there and name.endswith("bf16") for name, there in capabilities.items())


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError('transformers is not installed: pip install "clincite[llm]"') from error
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _from_hub(model: str, revision: str | None) -> Path:
    torch()
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingDependencyError('huggingface_hub is not installed: pip install "clincite[llm]"') from error
    try:
        wanted = [f"*{suffix}" for suffix in _DECISIVE]
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingDependencyError(
            f"the language model {model!r} is not on this machine (looked for a folder of that name, then in the model "
            "cache), and nothing is fetched unasked; allow it once with HF_HUB_OFFLINE=0, or give a folder"
        ) from error
