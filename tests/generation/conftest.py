"""A question with evidence, and tiny models that answer it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.generation.base import Request
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.settings import GenerationSettings
from rag.types import Evidence, Question, sha256_of

from . import checkpoints

Ask = Callable[..., Request]


def evidence(number: int, text: str, channel: str = "study", kind: str = "report") -> Evidence:
    return Evidence.model_validate(
        {
            "number": number, "document_id": f"d{number}", "passage_id": f"d{number}/0", "kind": kind,
            "domain": "radiology", "title": f"D{number}", "source": "test", "licence": "none", "case_id": f"c{number}",
            "group_id": f"g{number}", "channel": channel, "score": 1.0, "text": text, "start": 0,
            "sha256": sha256_of(text),
        }
    )  # fmt: skip


@pytest.fixture
def ask(lexicon: Lexicon) -> Ask:
    def ask(text: str = "Is there cardiomegaly?", *passages: str, image: str | None = None, **more: Any) -> Request:
        given = passages or ("The heart is enlarged.", "No pleural effusion is seen.")
        found = tuple(evidence(n, t) for n, t in enumerate(given, start=1))
        return Request(Question(text=text, image=image), read_question(text, lexicon), found, **more)

    return ask


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint of a kind, built once."""
    built: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in built:
            built[kind] = checkpoints.build(kind, tmp_path_factory.mktemp("models") / kind)
        return built[kind]

    return folder


def settings_for(folder: Path | str | None, **more: Any) -> GenerationSettings:
    transformers = {"model": str(folder) if folder else None, "device": "cpu", **more.pop("transformers", {})}
    return GenerationSettings.model_validate(
        {"kind": "transformers", "max_new_tokens": 8, "transformers": transformers, **more}
    )
