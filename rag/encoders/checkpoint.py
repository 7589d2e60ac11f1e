"""The files of an open_clip model: where they are, what they hash to, and the model built from them.

A model is a folder with ``open_clip_config.json`` and weights. Its text tower's shape and tokenizer may lie in the same
folder, in an installed package (``package:<module>/<folder>`` in the configuration), or in the cache of the model hub.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rag.encoders.runtime import files_sha256, package_folder, torch
from rag.errors import InputError, MissingDependencyError
from rag.settings import knowledge_dir

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
_WEIGHTS = (WEIGHTS, "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin", "open_clip_model.bin")
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
_PACKAGE = "package:"
# BiomedCLIP's own repository does not carry the configuration of its text tower, whose shape is BERT-base.
_BERT_BASE = {f"microsoft/BiomedNLP-{name}-base-uncased-abstract" for name in ("PubMedBERT", "BiomedBERT")}
_RENAMED = {"proj": "hf_proj_type", "pooler_type": "hf_pooler_type"}  # in configurations written before open_clip 2.9


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An open_clip model on this disk.

    ``text`` is the folder with the text tower's configuration (and, where ``packaged``, its weights), ``tokenizer`` the
    folder with its vocabulary; both are None for open_clip's own text transformer.
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
            name, config_file, weights = "compact", *_in_folder(knowledge_dir() / "models" / "compact")
        elif kind == "local-dir" and rest:
            name, config_file, weights = Path(rest).resolve().name, *_in_folder(Path(rest))
        elif kind == "hf-hub" and rest:
            name, config_file = rest, _from_hub(rest, (CONFIG,))
            weights = _from_hub(rest, _WEIGHTS)
        else:
            raise InputError(
                f"there is no image-text model {model!r}; use 'compact', 'local-dir:<folder>' or "
                "'hf-hub:<owner>/<name>'"
            )
        text = read_config(config_file)["model_cfg"]["text_cfg"]
        tower, vocabulary = text.get("hf_model_name"), text.get("hf_tokenizer_name") or text.get("hf_model_name")
        folder = config_file.parent
        return cls(
            name,
            config_file,
            weights,
            _text_folder(tower, folder, ("config.json",), missing_is_fine=tower in _BERT_BASE) if tower else None,
            _text_folder(vocabulary, folder, ("tokenizer.json", "vocab.txt")) if vocabulary else None,
            bool(tower) and tower.startswith(_PACKAGE),
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
            files += [self.text / "config.json"] if (self.text / "config.json").is_file() else []
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
        model, tokenizer = build(self.config, self.text, self.tokenizer, name=str(self.config_file))
        state = read_weights(self.weights)
        state.pop("text.transformer.embeddings.position_ids", None)  # a buffer that newer versions do not keep
        try:
            missing, unexpected = model.load_state_dict(state, strict=False)
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise InputError(f"the weights {self.weights} do not fit {CONFIG} beside them: {first}") from error
        missing = [key for key in missing if not (self.packaged and key.startswith("text.transformer."))]
        if wrong := missing or unexpected:
            what = "lack" if missing else "have the unknown tensor"
            raise InputError(f"the weights {self.weights} do not fit {CONFIG} beside them: they {what} {wrong[0]!r}")
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
            if text is None or not (text / "config.json").is_file():
                from transformers import BertConfig

                BertConfig().save_pretrained(scratch)
                text = Path(scratch)
            text_cfg["hf_model_name"] = str(text)
        stand_in = Path(scratch) / CONFIG
        stand_in.write_text(json.dumps(config | {"model_cfg": model_cfg}))
        try:
            model = open_clip.create_model(f"local-dir:{scratch}", load_weights=False, pretrained_text=packaged)
            length = text_cfg.get("context_length", 77)
            if tokenizer is not None:
                tokens = open_clip.tokenizer.HFTokenizer(str(tokenizer), context_length=length)
            else:
                tokens = open_clip.SimpleTokenizer(context_length=length)
        except (TypeError, ValueError, KeyError, RuntimeError, AssertionError, OSError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"open_clip cannot build the model of {name or CONFIG}: {reason}") from error
    return model, tokens


def read_config(file: Path) -> dict[str, Any]:
    """``open_clip_config.json``. Raises InputError, naming the field, if it is not one."""
    try:
        config = json.loads(file.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{file} is not a JSON configuration of open_clip ({error})") from error
    model_cfg = config.get("model_cfg") if isinstance(config, dict) else None
    if not isinstance(model_cfg, dict):
        raise InputError(f"{file}: the field 'model_cfg' is missing")
    for field, kind in (("embed_dim", int), ("vision_cfg", dict), ("text_cfg", dict)):
        if not isinstance(model_cfg.get(field), kind):
            raise InputError(f"{file}: the field 'model_cfg.{field}' is missing or is not {kind.__name__}")
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
        return {
            key.removeprefix("module."): value.float() if value.is_floating_point() else value
            for key, value in state.items()
        }
    except Exception as error:  # safetensors and torch.load raise a dozen kinds on a hostile or truncated file
        raise InputError(f"the weights {file} are damaged or are not tensors; copy them again ({error})") from error


def _in_folder(folder: Path) -> tuple[Path, Path]:
    if not folder.is_dir():
        raise MissingDependencyError(f"there is no model folder {str(folder)!r}; give the path of a downloaded model")
    if not (folder / CONFIG).is_file():
        raise InputError(f"the model folder {str(folder)!r} has no {CONFIG}")
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / CONFIG, folder / name
    raise InputError(f"the model folder {str(folder)!r} has no weights; it needs {WEIGHTS} or {_WEIGHTS[-1]}")


def _from_hub(model: str, names: tuple[str, ...]) -> Path:
    """The first of these files that the hub's cache has (or the hub, where HF_HUB_OFFLINE=0 allows to ask it)."""
    torch()
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingDependencyError('huggingface_hub is not installed: pip install "clincite[models]"') from error
    for name in names:
        try:
            return Path(hf_hub_download(model, name))
        except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError):
            continue
    raise MissingDependencyError(
        f"the model {model!r} is not in this machine's model cache ({names[0]} is missing) and nothing is fetched; "
        f"allow it once with HF_HUB_OFFLINE=0, or give 'local-dir:<folder>' of a downloaded copy"
    )


def _text_folder(name: str, folder: Path, files: tuple[str, ...], *, missing_is_fine: bool = False) -> Path | None:
    """The folder with one of ``files``: inside a package, the model's own, one below it, or the hub's cache."""
    if name.startswith(_PACKAGE):
        package, _, below = name.removeprefix(_PACKAGE).partition("/")
        return package_folder(package) / below
    for place in (folder / name, folder):
        if any((place / file).is_file() for file in files):
            return place
    try:
        return _from_hub(name, files).parent
    except MissingDependencyError:
        if missing_is_fine:
            return None
        raise


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
