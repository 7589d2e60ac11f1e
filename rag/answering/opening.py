"""An index version is opened: its parts are loaded, and what answers depend on gets its fingerprints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from rag.answering.certificate import StoredCertificate
from rag.answering.drafting import Drafting
from rag.answering.evidence_certificate import EvidenceCertificate
from rag.answering.image_guard import effects_that_hold
from rag.answering.pipeline import Pipeline
from rag.answering.witnesses import load_witness
from rag.encoders.registry import load_bridge_encoder, load_image_encoder, load_reranker, load_text_encoder
from rag.encoders.runtime import files_sha256
from rag.errors import InputError
from rag.generation.registry import load_generator
from rag.indexing.snapshot import Snapshot
from rag.indexing.store import IndexStore
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.vocabulary import lexicon_of, typed_words_of
from rag.retrieval.compatibility import check_encoders
from rag.retrieval.router import Router
from rag.retrieval.search import Searcher
from rag.risk_control.policy import GRID
from rag.settings import Settings
from rag.settings.knowledge import knowledge_dir
from rag.types import sha256_of
from rag.verification.registry import load_verifier

# What finds passages; questions are read, with the lexicon, before they are searched.
_FINDING = ("index version", "text encoder", "image encoder", "router", "retrieval settings", "program")

_ANSWERING = ("answering", "encoders", "generation", "language", "retrieval", "risk_control", "verification")


def open_version(
    store: IndexStore, settings: Settings, version: int | None = None, known: Lexicon | None = None
) -> Pipeline:
    """An index's latest version, or a past one; ``known`` is the lexicon of another one, which may have the same terms.

    Raises:
        InputError: the index is empty, or has no such version.
        IndexStateError: it holds vectors of other encoders than the settings name.
    """
    version = store.version() if version is None else version
    if not version or not (snapshot := store.snapshot(version)).counts():
        raise InputError(f"index {store.name!r} is empty; add a corpus with: rag ingest SOURCE --index {store.name}")
    return _over(snapshot, store, settings, known)


def _over(snapshot: Snapshot, store: IndexStore, settings: Settings, known: Lexicon | None = None) -> Pipeline:
    """The parts that answer from a snapshot of a store."""
    spaces = snapshot.spaces()
    text = load_text_encoder(settings.encoders)
    image = load_image_encoder(settings.encoders) if spaces.keys() & {"image", "joint"} else None
    bridge = load_bridge_encoder(settings.encoders, spaces["bridge"].fingerprint) if "bridge" in spaces else None
    by_space = {"text": text, "image": image, "joint": image, "bridge": bridge}
    check_encoders(store, spaces, by_space, settings)
    reranker = load_reranker(settings.retrieval)
    texts = Texts(lexicon_of(snapshot, known))
    generator = load_generator(settings.generation, texts)
    witness = load_witness(settings.generation, texts)
    verifier = load_verifier(settings.verification, texts, text.encode)
    router = Router.open(settings.routing, image, {c.domain for c in snapshot.counts()}, store.path)
    fingerprints = {
        "index version": str(snapshot.version),
        "text encoder": text.fingerprint,
        "image encoder": image.fingerprint if image is not None else "none",
        "router": router.fingerprint,
        "generator": generator.fingerprint,
        "retrieval settings": sha256_of(settings.retrieval.model_dump_json())[:16],
        "most sentences": str(settings.answering.max_sentences),
        "policy grid": GRID,
        "program": _program(),
    }
    if reranker is not None:
        fingerprints["reranker"] = reranker.fingerprint
    if bridge is not None:
        fingerprints["bridge encoder"] = bridge.fingerprint
    if generator.prompt_sha256 is not None:
        fingerprints["prompt"] = generator.prompt_sha256
    if settings.answering.when_retracted != "leave out":
        fingerprints["retracted articles"] = settings.answering.when_retracted
    if witness is not None:
        fingerprints["witness"] = f"{witness.fingerprint}, prompt {witness.prompt_sha256}"
    if generator.prompt_sha256 is not None or verifier.fingerprint not in generator.fingerprint:
        fingerprints["verifier"] = verifier.fingerprint  # the reader's fingerprint has that of the rules in it
    finding = {name: fingerprints[name] for name in _FINDING} | {"lexicon": texts.lexicon.fingerprint}
    if (effects := effects_that_hold(store.path, settings.generation, fingerprints)) is not None:
        fingerprints["image guard"] = effects.fingerprint
    enough = EvidenceCertificate.load(store.path)
    if enough is not None and (least := enough.least(finding)):
        fingerprints["least contexts"] = str(least)
    return Pipeline(
        name=store.name,
        settings=settings,
        snapshot=snapshot,
        texts=texts,
        typed=typed_words_of(snapshot, texts.lexicon),
        searcher=Searcher(snapshot, text, image, settings.retrieval, reranker, bridge),
        router=router,
        drafting=Drafting(generator, verifier, settings.generation.revisions),
        witness=witness,
        certificate=StoredCertificate.load(store.path),
        evidence_certificate=enough,
        image_effects=effects,
        finding_fingerprints=finding,
        fingerprints=fingerprints,
    )


@cache
def _program() -> str:
    """What reads, finds, writes and judges: the code of these packages, and the word lists of ``knowledge``.

    An upgrade may change any answer, and no version that somebody must remember to raise would tell.
    """
    package = Path(__file__).parent.parent
    files = [file for name in _ANSWERING for file in sorted((package / name).rglob("*.py"))]
    words = sorted(file for file in knowledge_dir().rglob("*.toml") if file.parent.name != "profiles")
    return files_sha256([*files, *words])[:16]


@contextmanager
def open_without_index(settings: Settings) -> Iterator[Pipeline]:
    """A pipeline for evidence that is given, where there is no index to find any in."""
    with (
        TemporaryDirectory() as folder,
        IndexStore.create(Path(folder) / "none", settings.vectors) as store,
        store.snapshot() as snapshot,
    ):
        yield _over(snapshot, store, settings)
