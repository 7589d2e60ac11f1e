"""The compact architecture (EfficientNet by timm, MiniLM, linear projections) without open_clip and transformers.

open_clip loads any image-text model, and imports transformers for the text tower of this one, which takes seconds. A
question from the shell needs that tower alone, so each side is built by itself when it is first asked for.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from rag.encoders.bert import Bert, Shape, read_tensors
from rag.encoders.checkpoint import CONFIG, TOWER, Checkpoint, read_weights
from rag.encoders.minilm import minilm_folder, minilm_tensors
from rag.encoders.protocols import Vectors
from rag.encoders.runtime import BatchSize, torch
from rag.errors import InputError, MissingDependencyError

if TYPE_CHECKING:
    from PIL import Image

_TEXT, _TRANSFORMER, _VISUAL = "text.", "transformer.", "visual."
_TOKENIZER = "tokenizer.json"


class Preprocessing(NamedTuple):
    """What an image goes through: steps on the picture, then mean and deviation of each colour."""

    steps: Sequence[Callable[[Image.Image], Image.Image]]
    mean: Sequence[float]
    std: Sequence[float]


class CompactModel:
    """Both towers of a checkpoint of this architecture; see :meth:`of`. The text side imports no torch for a question.

    >>> model = CompactModel.of(Checkpoint.find("compact"), BatchSize())                 # doctest: +SKIP
    >>> model.texts(["The heart is enlarged."]).shape                                    # doctest: +SKIP
    (1, 256)
    """

    def __init__(self, files: Checkpoint, shape: Shape, batch: BatchSize) -> None:
        self._files, self._shape, self._batch = files, shape, batch
        config = files.config
        self._vision, self._text_cfg = config["model_cfg"]["vision_cfg"], config["model_cfg"]["text_cfg"]
        self._dim, self._preprocess = int(config["model_cfg"]["embed_dim"]), config.get("preprocess_cfg") or {}

    @classmethod
    def of(cls, files: Checkpoint, batch: BatchSize) -> CompactModel | None:
        """The model of a checkpoint, None where it is of another architecture, which open_clip then loads."""
        config = files.config
        vision, text = config["model_cfg"]["vision_cfg"], config["model_cfg"]["text_cfg"]
        preprocess = config.get("preprocess_cfg") or {}
        known = (
            files.packaged
            and files.text is not None
            and files.tokenizer is not None
            and (files.tokenizer / _TOKENIZER).is_file()
            and files.weights.suffix == ".safetensors"
            and _holds(vision, {"timm_model_name": None, "timm_pool": "avg", "timm_proj": "linear", "image_size": None})
            and vision.keys() <= {*_VISION, "timm_model_name", "timm_pool", "timm_proj", "image_size"}
            and all(not vision.get(name, False) for name in _VISION)
            and _holds(text, {"hf_pooler_type": "mean_pooler", "hf_proj_type": "linear"})
            and text.keys() <= {*_TEXT_FIELDS, "hf_pooler_type", "hf_proj_type", "context_length"}
            and _holds(preprocess, {"interpolation": "bicubic", "resize_mode": "shortest", "mean": None, "std": None})
            and preprocess.keys() <= {"interpolation", "resize_mode", "mean", "std", "size", "mode", "fill_color"}
            and preprocess.get("size", vision.get("image_size")) == vision.get("image_size")
        )
        if not known or files.text is None:
            return None
        shape = Shape.of(json.loads((files.text / TOWER).read_text("utf-8")))
        return None if shape is None else cls(files, shape, batch)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, not normalised."""
        projected: Vectors = self._bert.pooled([_clean(text) for text in texts]) @ self._projection.T
        return projected

    @cached_property
    def visual(self) -> Any:
        """The image tower: ``trunk``, which gives timm's pooled features, and ``head``, one after the other.

        Raises:
            InputError: the weights do not fit the configuration.
            MissingDependencyError: timm is not installed.
        """
        library = torch()
        try:
            import timm
        except ImportError as error:
            raise MissingDependencyError('timm is not installed: pip install "clincite[models]"') from error
        name = self._vision["timm_model_name"]
        try:
            trunk = timm.create_model(name, pretrained=False, num_classes=0, global_pool="avg")
        except RuntimeError as error:
            raise InputError(f"{self._files.config_file}: timm has no image tower {name!r} ({error})") from error
        head = library.nn.Sequential()
        head.add_module("proj", library.nn.Linear(trunk.num_features, self._dim, bias=False))
        visual = library.nn.Sequential()
        visual.add_module("trunk", trunk)
        visual.add_module("head", head)
        state = read_weights(self._files.weights)
        state = {name.removeprefix(_VISUAL): value for name, value in state.items() if name.startswith(_VISUAL)}
        try:
            visual.load_state_dict(state)
        except RuntimeError as error:
            said = " ".join(str(error).split())[:200]
            raise InputError(f"the weights {self._files.weights} do not fit {CONFIG} beside them ({said})") from error
        return visual.eval()

    @property
    def preprocessing(self) -> Preprocessing:
        """As open_clip makes it of the same configuration."""
        from PIL.Image import Resampling

        size = int(self._vision["image_size"])

        def resize(image: Image.Image) -> Image.Image:
            short, long = sorted(image.size)
            sides = (size, size * long // short) if image.width <= image.height else (size * long // short, size)
            return image if short == size else image.resize(sides, Resampling.BICUBIC)

        def crop(image: Image.Image) -> Image.Image:
            left, top = (round((side - size) / 2) for side in image.size)
            return image.crop((left, top, left + size, top + size))

        return Preprocessing((resize, crop), self._preprocess["mean"], self._preprocess["std"])

    @cached_property
    def _state(self) -> dict[str, Any]:
        return read_tensors(self._files.weights, _TEXT)

    @property
    def _projection(self) -> Any:
        projection = self._state.get("proj.weight")
        if projection is None or projection.shape != (self._dim, self._bert.width):
            raise InputError(f"the weights {self._files.weights} lack the text tower's projection; copy them again")
        return projection

    @cached_property
    def _bert(self) -> Bert:
        """The package's weights, and over them those that training has changed."""
        assert self._files.text is not None and self._files.tokenizer is not None
        tensors = dict(_package_tensors(self._files))
        for name, value in self._state.items():
            if name.startswith(_TRANSFORMER):
                name = name.removeprefix(_TRANSFORMER)
                if name in tensors and tensors[name].shape != value.shape:
                    raise InputError(f"the weights {self._files.weights} have another shape of {name!r} than the tower")
                tensors[name] = value
        context = int(self._text_cfg.get("context_length", 77))
        return Bert(self._files.tokenizer / _TOKENIZER, tensors, self._shape, context, self._batch)


# Fields that change nothing where they are not set, and those that the checkpoint has followed already.
_VISION = ("timm_model_pretrained", "timm_drop", "timm_drop_path", "timm_proj_bias")
_TEXT_FIELDS = ("hf_model_name", "hf_tokenizer_name", "hf_model_pretrained")


def _holds(config: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether the fields are there with these values; None stands for any."""
    return all(name in config and value in (None, config[name]) for name, value in values.items())


def _package_tensors(files: Checkpoint) -> Mapping[str, Any]:
    assert files.text is not None
    if files.text == minilm_folder():
        return minilm_tensors()  # shared with the text encoder
    return read_tensors(files.text / "model.safetensors")


def _clean(text: str) -> str:
    """As open_clip cleans what it tokenizes: mended by ftfy, without HTML's references, spaces collapsed."""
    if not (text.isascii() and "&" not in text and all(c >= " " or c.isspace() for c in text)):
        import ftfy  # a dependency of open_clip; plain ASCII it would leave as it is

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split())
