"""What answering needs of an index as of one version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from rag.answering.certificate import StoredCertificate, load_certificate
from rag.answering.drafting import Verifier
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.errors import InputError
from rag.generation.base import Generator
from rag.generation.registry import load_generator
from rag.indexing.snapshot import Snapshot
from rag.indexing.store import IndexStore
from rag.language.lexicon import Lexicon, Term
from rag.retrieval.compatibility import check_encoders
from rag.retrieval.router import Router
from rag.retrieval.search import Searcher
from rag.risk_control.policy import GRID
from rag.settings import Settings, knowledge_dir
from rag.types import sha256_of
from rag.verification.nli import CrossEncoderEntailment
from rag.verification.verify import verify


@dataclass(frozen=True)
class View:
    """An index as of one version, with all that answering from it needs. Never changes, so threads may share it."""

    snapshot: Snapshot
    lexicon: Lexicon
    searcher: Searcher
    router: Router
    generator: Generator
    verifier: Verifier
    certificate: StoredCertificate | None
    fingerprints: dict[str, str]

    @property
    def widest(self) -> int:
        """Most hits that a certified policy may look at: the gap rule looks one past the last."""
        return self.certificate.widest + 1 if self.certificate else 0

    @classmethod
    def open(cls, store: IndexStore, settings: Settings, version: int | None = None) -> View:
        """The latest version, or a past one.

        Raises:
            InputError: the index is empty, or has no such version.
            IndexStateError: it holds vectors of other encoders than the settings name.
        """
        version = store.version() if version is None else version
        if not version or not (snapshot := store.snapshot(version)).counts():
            raise InputError(
                f"index {store.name!r} is empty; add a corpus with: rag ingest SOURCE --index {store.name}"
            )
        spaces = snapshot.spaces()
        text = load_text_encoder(settings.encoders)
        image = load_image_encoder(settings.encoders) if spaces.keys() & {"image", "joint"} else None
        check_encoders(store, spaces, {"text": text, "image": image, "joint": image}, settings)
        terms = (Term(d.id, d.title, tuple(d.metadata.get("synonyms", ())), d.domain) for d in snapshot.terms())
        lexicon = _lexicon(knowledge_dir() / "findings.toml", tuple(terms))
        generator = load_generator(settings.generation, lexicon)
        second = settings.verification.cross_encoder
        entailment = CrossEncoderEntailment(second) if second else None
        embed = text.encode if settings.verification.paraphrase else None
        verifier = partial(verify, lexicon=lexicon, embed=embed, entailment=entailment)
        router = Router.open(settings.routing, image, {c.domain for c in snapshot.counts()}, store.path)
        fingerprints = {
            "index version": str(version),
            "text encoder": text.fingerprint,
            "image encoder": image.fingerprint if image is not None else "none",
            "router": router.fingerprint,
            "generator": generator.fingerprint,
            "retrieval settings": sha256_of(settings.retrieval.model_dump_json())[:16],
            "most sentences": str(settings.answering.max_sentences),
            "policy grid": GRID,
        }
        if generator.prompt_sha256 is not None:
            fingerprints["prompt"] = generator.prompt_sha256
        opinions = [*([entailment.fingerprint] if entailment else []), *(["paraphrases"] if embed else [])]
        if opinions or generator.prompt_sha256 is not None:  # the reader's fingerprint has the lexicon's in it
            fingerprints["verifier"] = ", ".join([lexicon.fingerprint, *opinions])
        searcher = Searcher(snapshot, text, image, settings.retrieval)
        return cls(snapshot, lexicon, searcher, router, generator, verifier, load_certificate(store.path), fingerprints)


@lru_cache(maxsize=4)
def _lexicon(path: Path, terms: tuple[Term, ...]) -> Lexicon:
    """Versions with the same terms share a lexicon: what was read is remembered by it, and would keep one a version."""
    return Lexicon.load(path, terms)
