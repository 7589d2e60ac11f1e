"""Parts are found by name, by dotted path, and in installed packages; everything else is one sentence."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from rag.answering.engine import Engine
from rag.answering.replay import replay
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import IndexStateError, InputError, MissingDependencyError, StorageError
from rag.generation.registry import load_generator
from rag.indexing.backends.protocol import Allowed
from rag.indexing.plan import plan
from rag.indexing.vectors import VectorSegment, discard_segment, write_vectors
from rag.language.clinical_text import Texts
from rag.plugins import PARTS, Kind, check, find, is_dotted_path, names
from rag.settings import EncoderSettings, GenerationSettings, VectorSettings, load_settings

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a module on ``sys.path``, and with entry points the record of a distribution that declares them."""
    modules = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(module: str, code: str, entry_points: str = "", distribution: str = "lab-parts") -> Path:
        (tmp_path / f"{module}.py").write_text(code)
        if entry_points:
            record = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
            record.mkdir()
            (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
            (record / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()
        return tmp_path

    yield put
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, parts in PARTS.items() for name in parts])
def test_every_part_of_ours_can_be_imported(kind: Kind, name: str) -> None:
    part = find(kind, name)
    assert part.name == name if kind == "reader" else callable(part)


def test_a_dotted_path_is_followed_into_packages_and_attributes(install: Install) -> None:
    install("lab", "class Parts:\n    @staticmethod\n    def own():\n        return 'mine'\n")
    assert find("reader", "lab:Parts.own")() == "mine"
    assert find("reader", "rag.corpus.readers.cases:READER") is find("reader", "cases")


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("lab:read", True),
        ("my_lab.parts:Encoder.load", True),
        ("hf-hub:owner/name", False),
        ("local-dir:folder", False),
        ("C:\\models\\minilm", False),
        ("https://host:8000/x", False),
        ("lab", False),
        ("lab:", False),
        ("lab:a b", False),
        ("..lab:read", False),
    ],
)
def test_only_what_python_could_import_is_a_dotted_path(name: str, dotted: bool) -> None:
    assert is_dotted_path(name) is dotted


@pytest.mark.parametrize("kind", get_args(Kind))
def test_an_installed_package_offers_parts_of_every_kind(kind: Kind, install: Install) -> None:
    group = f"clincite.{kind.replace('-', '_')}"
    install("lab", "def part(*_):\n    return 'theirs'\n", f"[{group}]\nlab-part = lab:part [extra]\n")
    assert names(kind)[-1] == "lab-part"
    assert find(kind, "lab-part", named_only=True)() == "theirs"


def test_nobody_replaces_a_part_of_ours_in_silence(install: Install) -> None:
    install("lab", "def part(): ...", "[clincite.generator]\nreader = lab:part\n")
    assert find("generator", "reader").__module__.startswith("rag.")
    assert names("generator").count("reader") == 1


def test_of_two_packages_that_offer_the_same_name_neither_is_taken_in_silence(install: Install) -> None:
    install("lab", "def part(): ...", "[clincite.reader]\nours = lab:part\n")
    install("hospital", "def part(): ...", "[clincite.reader]\nours = hospital:part\n", "hospital-parts")
    with pytest.raises(InputError, match="offer several readers 'ours': .*; give one as a dotted path"):
        find("reader", "ours")
    assert find("reader", "hospital:part").__module__ == "hospital"


@pytest.mark.parametrize("kind", ["generator", "backend"])
def test_what_there_is_not_is_told_with_what_there_is(kind: Kind, install: Install) -> None:
    install("lab", "def part(): ...", f"[clincite.{kind}]\nlab-part = lab:part\n")
    with pytest.raises(InputError) as caught:
        find(kind, "nothing", setting="some.field")
    assert str(caught.value) == (
        f"setting 'some.field': there is no {kind} 'nothing'; choose one of: {', '.join(PARTS[kind])}, lab-part, "
        "or give a dotted path package.module:attribute"
    )


def test_a_name_from_a_stranger_runs_no_code(install: Install) -> None:
    folder = install("trap", "from pathlib import Path\nPath(__file__).with_name('sprung').touch()\ndef part(): ...")
    for refused in (find, check):
        with pytest.raises(InputError, match="there is no reader 'trap:part'") as caught:
            refused("reader", "trap:part", named_only=True)
        assert "dotted path" not in str(caught.value)
    assert not (folder / "sprung").exists()
    check("reader", "trap:part")
    assert not (folder / "sprung").exists(), "checking imports nothing"
    find("reader", "trap:part")
    assert (folder / "sprung").exists()


@pytest.mark.parametrize(
    ("code", "name", "error", "words"),
    [
        ("", "absent:part", InputError, "there is no module 'absent' .* PYTHONPATH"),
        ("", "lab.deeper:part", InputError, "there is no module 'lab.deeper'|'lab' is not a package"),
        ("", "lab:part", InputError, "lab has no 'part'"),
        ("class A: ...", "lab:A.b", InputError, "lab has no 'A.b'"),
        ("import no_such_library", "lab:part", MissingDependencyError, "needs the package 'no_such_library'"),
        ("from os import nothing", "lab:part", InputError, "lab cannot be imported .ImportError: cannot import name"),
        ("def part(:", "lab:part", InputError, "lab cannot be imported .SyntaxError"),
        ("1 / 0", "lab:part", InputError, "lab cannot be imported .ZeroDivisionError"),
    ],
)
def test_code_that_cannot_be_had_is_one_sentence(
    code: str, name: str, error: type[Exception], words: str, install: Install
) -> None:
    install("lab", code)
    with pytest.raises(error, match=words) as caught:
        find("verifier", name, setting="verification.kind")
    assert str(caught.value).startswith(f"setting 'verification.kind': verifier '{name}'")


# ------------------------------------------------------------------ the kinds, wired


def test_a_generator_of_ones_own_is_made_from_the_settings(install: Install, texts: Texts) -> None:
    install("lab", "def make(settings, texts):\n    return settings.seed, texts\n")
    assert load_generator(GenerationSettings(kind="lab:make", seed=7), texts) == (7, texts)
    with pytest.raises(InputError, match="setting 'generation.kind': there is no generator 'gpt'"):
        load_generator(GenerationSettings(kind="gpt"), texts)


def test_encoders_of_ones_own_are_made_once_and_stand_beside_models(install: Install) -> None:
    install("lab", "class Own:\n    def __init__(self, settings):\n        self.given = settings\n")
    settings = EncoderSettings(text="lab:Own", image="lab:Own", batch_size=3)
    text, image = load_text_encoder(settings), load_image_encoder(settings)
    assert text is load_text_encoder(settings.model_copy())
    assert text.given.text == image.given.image == "lab:Own"  # type: ignore[attr-defined]
    assert text.given.batch_size == 3  # type: ignore[attr-defined]
    with pytest.raises(MissingDependencyError, match="'no/model' is not on this machine.* or use minilm"):
        _ = load_text_encoder(EncoderSettings(text="no/model")).dim
    with pytest.raises(
        InputError, match="there is no image encoder 'clip'; choose one of: compact, imagenet, local-dir"
    ):
        load_image_encoder(EncoderSettings(image="clip"))


def test_questions_may_have_an_encoder_of_ones_own(install: Install) -> None:
    install("lab", "class Own:\n    dim = 384\n    def __init__(self, s):\n        self.fingerprint = s.text\n")
    both = load_text_encoder(EncoderSettings(queries="lab:Own"))
    assert both.fingerprint.startswith("minilm:")
    assert both.fingerprint.endswith(" asked with lab:Own")


def test_a_backend_is_refused_before_anything_is_encoded() -> None:
    with pytest.raises(InputError, match="setting 'vectors.backend': there is no backend 'hsnw'; choose one of: flat"):
        VectorSettings(backend="hsnw")


def test_a_verifier_of_ones_own_judges_every_draft_and_is_named_by_certificates(
    install: Install, copy_index: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One that lets pass what the rules let pass and no sentence of more than ten words."""
    install(
        "lab",
        "from dataclasses import replace\n"
        "from rag.verification.registry import RulesVerifier\n"
        "class Short(RulesVerifier):\n"
        "    fingerprint = 'short-1'\n"
        "    def verify(self, draft, asked, evidence):\n"
        "        kept = tuple(s for s in draft.sentences if len(s.text.split()) <= 10)\n"
        "        return super().verify(draft.model_copy(update={'sentences': kept}), asked, evidence)\n",
    )
    folder = tmp_path_factory.mktemp("short") / "small"
    copy_index(folder)
    usual = Engine.open(folder)
    assert "verifier" not in usual.fingerprints, "the reader's fingerprint tells it"
    strict = Engine.open(folder, load_settings(verification={"kind": "lab:Short"}))
    assert strict.fingerprints == usual.fingerprints | {"verifier": "short-1"}
    before, after = (engine.ask("What is drusen?") for engine in (usual, strict))
    assert max(len(s.text.split()) for s in before.sentences) > 10
    assert all(len(s.text.split()) <= 10 for s in after.sentences)
    changed = replay(strict, strict.ledger.get(before.audit_id)).changed
    assert {c.name for c in changed} == {"verifier", "verification.kind"}


TREE = """
import json
from rag.indexing.backends.flat import FlatIndex
from rag.indexing.backends.protocol import Cost
class Tree(FlatIndex):
    @classmethod
    def cost(cls, dim):
        return Cost(10 * dim, 20 * dim)
    @classmethod
    def write(cls, directory, vectors, settings):
        assert json.loads((directory / "backend.json").read_text())["backend"] in ("lab:Tree", "tree")
        return {**super().write(directory, vectors, settings), "leaves": 7}
    @classmethod
    def drop(cls, directory, settings):
        (directory.parent / "dropped").touch()
"""


def unit(n: int) -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((n, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_a_backend_of_ones_own_holds_segments_and_says_what_it_costs(install: Install, tmp_path: Path) -> None:
    install("lab", TREE)
    settings = VectorSettings(backend="lab:Tree")
    made = plan(100, 8, settings)
    assert (made.backend, made.backend_of(1), made.disk) == ("lab:Tree", "lab:Tree", 100 * (20 * 8 + 8))
    info = write_vectors(tmp_path / "s", "text", "e", np.arange(100), unit(100), settings)
    segment = VectorSegment(tmp_path / "s", info, settings)
    assert (segment.backend, segment.facts) == ("lab:Tree", {"leaves": 7})
    rows, scores = segment.search(unit(100)[:5], 3, Allowed.of(np.arange(100) % 2 == 0))
    assert (rows % 2 == 0).all()
    assert scores[0, 0] == pytest.approx(1.0)
    discard_segment(tmp_path / "s" / info.id, settings)
    assert (tmp_path / "s" / "dropped").exists()


def test_an_index_from_a_stranger_chooses_no_code(install: Install, tmp_path: Path) -> None:
    install("lab", TREE)
    settings = VectorSettings(backend="lab:Tree")
    info = write_vectors(tmp_path / "s", "text", "e", np.arange(9), unit(9), settings)
    del sys.modules["lab"]
    with pytest.raises(IndexStateError, match="if you trust it, set vectors.backend to it"):
        VectorSegment(tmp_path / "s", info, VectorSettings())
    with pytest.raises(StorageError, match="cannot be dropped"):
        discard_segment(tmp_path / "s" / info.id, VectorSettings())
    assert "lab" not in sys.modules
    assert (tmp_path / "s" / info.id).is_dir(), "it stays, so that it can be tried again"


def test_a_backend_of_an_installed_package_needs_no_setting_to_be_opened(install: Install, tmp_path: Path) -> None:
    install("lab", TREE, "[clincite.backend]\ntree = lab:Tree\n")
    info = write_vectors(tmp_path / "s", "text", "e", np.arange(9), unit(9), VectorSettings(backend="tree"))
    assert VectorSegment(tmp_path / "s", info, VectorSettings()).backend == "tree"
