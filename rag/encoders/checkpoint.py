"""The files of an open_clip model: where they are, what they hash to, and the model built from them.

A model is a folder with ``open_clip_config.json`` and weights. Its text tower's shape and tokenizer may lie in the same
folder, in an installed package (``package:<module>/<folder>`` in the configuration), or in the cache of the model hub.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rag.encoders.runtime import files_sha256, package_folder, torch
from rag.errors import InputError, MissingDependencyError
from rag.plugins import names
from rag.settings import knowledge_dir

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
_WEIGHTS = (WEIGHTS, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_model.bin")
TOWER = "config.json"
_VOCABULARY = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model")
_TOKENIZER = (*_VOCABULARY, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_PACKAGE = "package:"
# BiomedCLIP's own repository does not carry the configuration of its text tower, whose shape is BERT-base.
_BERT_BASE = {f"microsoft/BiomedNLP-{name}-base-uncased-abstract" for name in ("PubMedBERT", "BiomedBERT")}
_RENAMED = {"proj": "hf_proj_type", "pooler_type": "hf_pooler_type"}  # in configurations written before open_clip 2.9


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An open_clip model on this disk.

    ``text`` is the folder with the text tower's configuration (where ``packaged``, with its weights, too), None for
    BERT-base and for open_clip's own text transformer; ``tokenizer`` is the folder with the vocabulary, None for
    open_clip's own.
    """

    name: str
    config_file: Path
    weights: Path
    text: Path | None
    tokenizer: Path | None
    packaged: bool

    @classmethod
    def find(cls, model: str) -> Checkpoint:
        """The files of ``compact``, ``local-dir:<folder>`` or ``hf-hub:<owner>/<name>``.

        Raises:
            InputError: the folder or its configuration cannot be used.
            MissingDependencyError: the model is not on this machine.
        """
        kind, _, rest = model.partition(":")
        if model == "compact":
            name, folder = "compact", knowledge_dir() / "models" / "compact"
        elif kind == "local-dir" and rest:
            name, folder = Path(rest).resolve().name, Path(rest)
        elif kind == "hf-hub" and rest:
            name, folder = rest, _from_hub(rest, (CONFIG, TOWER, *_TOKENIZER, *_WEIGHTS[:2]))
            if not any((folder / weights).is_file() for weights in _WEIGHTS):
                folder = _from_hub(rest, _WEIGHTS[2:])
        else:
            raise InputError(
                f"there is no image encoder {model!r}; choose one of: {', '.join(names('image-encoder'))}, "
                "local-dir:<folder>, hf-hub:<owner>/<name>, or give a dotted path package.module:attribute"
            )
        config_file, weights = _in_folder(folder)
        text = read_config(config_file)["model_cfg"]["text_cfg"]
        tower, vocabulary = (str(text.get(f"hf_{part}_name") or "") for part in ("model", "tokenizer"))
        vocabulary = vocabulary or tower
        return cls(
            name,
            config_file,
            weights,
            _text_folder(tower, folder, (TOWER,), optional=tower in _BERT_BASE) if tower else None,
            _text_folder(vocabulary, folder, _VOCABULARY) if vocabulary else None,
            tower.startswith(_PACKAGE),
        )

    @property
    def config(self) -> dict[str, Any]:
        """The parsed configuration: ``model_cfg`` and ``preprocess_cfg``."""
        return read_config(self.config_file)

    @property
    def sha256(self) -> str:
        """Over every file that decides a vector."""
        files = [self.config_file, self.weights]
        if self.text:
            files.append(self.text / TOWER)
            files += sorted(self.text.glob("*.safetensors")) if self.packaged else []
        if self.tokenizer:
            files += [self.tokenizer / name for name in _TOKENIZER if (self.tokenizer / name).is_file()]
        return files_sha256(files)

    def load(self) -> tuple[Any, Any]:
        """The open_clip model in evaluation mode, float32, and its tokenizer (texts → (n, context) token ids).

        Raises:
            InputError: the configuration or the weights are damaged, or do not fit each other.
            MissingDependencyError: open_clip is not installed.
        """
        state = read_weights(self.weights)
        state.pop("text.transformer.embeddings.position_ids", None)  # a buffer that newer versions do not keep
        model, tokenizer = build(self.config, self.text, self.tokenizer, name=str(self.config_file))
        unfit = f"the weights {self.weights} do not fit {CONFIG} beside them"
        try:
            missing, unexpected = model.load_state_dict(state, strict=False)
        except RuntimeError as error:  # its first line names the class, the next ones a tensor each
            raise InputError(f"{unfit}: {' '.join(str(error).splitlines()[1:2]).strip()}") from error
        missing = [key for key in missing if not (self.packaged and key.startswith("text.transformer."))]
        if wrong := missing or unexpected:
            raise InputError(f"{unfit}: {'they lack' if missing else 'there is no place for'} the tensor {wrong[0]!r}")
        return model.eval(), tokenizer


def build(config: dict[str, Any], text: Path | None, tokenizer: Path | None, *, name: str = "") -> tuple[Any, Any]:
    """An open_clip model of this configuration with random weights (a packaged text tower: its own), and its tokenizer.

    Raises:
        InputError: open_clip refuses the configuration; the message names ``name``.
        MissingDependencyError: open_clip is not installed.
    """
    torch()
    try:
        import open_clip
    except ImportError as error:
        raise MissingDependencyError('open_clip is not installed: pip install "clincite[models]"') from error
    model_cfg = json.loads(json.dumps(config["model_cfg"]))
    text_cfg = model_cfg["text_cfg"] = {_RENAMED.get(key, key): value for key, value in model_cfg["text_cfg"].items()}
    packaged = False
    with TemporaryDirectory() as scratch, _quiet():
        if "hf_model_name" in text_cfg:
            packaged = text_cfg["hf_model_name"].startswith(_PACKAGE)
            if text is None:
                from transformers import BertConfig

                BertConfig().save_pretrained(scratch)
            text_cfg["hf_model_name"] = str(text or scratch)
        stand_in = Path(scratch) / CONFIG
        stand_in.write_text(json.dumps(config | {"model_cfg": model_cfg}))
        try:
            model = open_clip.create_model(f"local-dir:{scratch}", load_weights=False, pretrained_text=packaged)
            options = {"context_length": text_cfg.get("context_length", 77), **text_cfg.get("tokenizer_kwargs", {})}
            if tokenizer is not None:
                mode = text_cfg.get("tokenizer_mode")
                tokens = open_clip.tokenizer.HFTokenizer(str(tokenizer), tokenizer_mode=mode, **options)
            else:
                tokens = open_clip.SimpleTokenizer(**options)
        except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, AssertionError, OSError) as error:
            reason = f"{type(error).__name__}: {_short(error)}"
            raise InputError(f"open_clip cannot build the model that {name or CONFIG} describes ({reason})") from error
    return model, tokens


def read_config(file: Path) -> dict[str, Any]:
    """``open_clip_config.json``. Raises InputError, naming the field, if it is not one."""
    try:
        config = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is not a JSON configuration of open_clip ({_short(error)})") from error
    model_cfg = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model_cfg, dict):
        raise InputError(f"{file}: the field 'model_cfg' is missing")
    for field, kind in (("embed_dim", int), ("vision_cfg", dict), ("text_cfg", dict)):
        if not isinstance(model_cfg.get(field), kind):
            raise InputError(f"{file}: the field 'model_cfg.{field}' is missing or is not {kind.__name__}")
    if model_cfg["embed_dim"] < 1:
        raise InputError(f"{file}: the field 'model_cfg.embed_dim' is {model_cfg['embed_dim']}; it must be 1 or more")
    return dict(config)


def read_weights(file: Path) -> dict[str, Any]:
    """Tensors by name, in float32 where they are floating. Raises InputError if the file holds anything else."""
    library = torch()
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = library.load(file, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state)
        tensors = {
            key.removeprefix("module."): value.float() if value.is_floating_point() else value
            for key, value in state.items()
        }
    except MemoryError:
        raise
    except Exception as error:  # safetensors and torch.load raise a dozen kinds on a hostile or truncated file
        raise InputError(f"the weights {file} are damaged or not tensors; copy them again ({_short(error)})") from error
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise InputError(
                f"the weights {file} hold numbers that are not finite, in {key!r}; copy or train them again"
            )
    return tensors


def _in_folder(folder: Path) -> tuple[Path, Path]:
    """The configuration and the weights."""
    if not folder.is_dir():
        raise MissingDependencyError(f"there is no model folder {str(folder)!r}; give the path of a downloaded model")
    if not (folder / CONFIG).is_file():
        raise InputError(f"the model folder {str(folder)!r} has no {CONFIG}; copy the whole model")
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / CONFIG, folder / name
    raise InputError(f"the model folder {str(folder)!r} has no weights; it needs {WEIGHTS} or {_WEIGHTS[2]}")


def _from_hub(model: str, files: tuple[str, ...]) -> Path:
    """The folder of a model in the hub's cache; ``files`` are fetched first where HF_HUB_OFFLINE=0 allows it."""
    torch()
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingDependencyError('huggingface_hub is not installed: pip install "clincite[models]"') from error
    try:
        return Path(snapshot_download(model, allow_patterns=list(files)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise MissingDependencyError(
            f"the model {model!r} is not in this machine's model cache, and nothing is fetched unasked; allow it once "
            f"with HF_HUB_OFFLINE=0, or give 'local-dir:<folder>' of a downloaded copy"
        ) from error


def _text_folder(name: str, folder: Path, files: tuple[str, ...], *, optional: bool = False) -> Path | None:
    """The folder with one of ``files``: inside a package, the model's own, one below it, or in the hub's cache."""

    def complete(place: Path) -> bool:
        return any((place / file).is_file() for file in files)

    if name.startswith(_PACKAGE):
        package, _, below = name.removeprefix(_PACKAGE).partition("/")
        places = [package_folder(package) / below]
    else:
        places = [folder / name, folder]
    for place in places:
        if complete(place):
            return place
    if optional:
        return None
    if not name.startswith(_PACKAGE):
        with suppress(MissingDependencyError):
            if complete(place := _from_hub(name, (TOWER, *_TOKENIZER))):
                return place
    raise MissingDependencyError(
        f"{folder / CONFIG} names the text model {name!r}, but its {files[0]} is not on this machine; copy the file "
        f"into the folder of the model"
    )


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warnings about random weights (ours come next) and transformers' progress bars."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
