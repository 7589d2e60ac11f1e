"""Where a question belongs: the domains whose indexes are searched, and whether it belongs to any.

Two experts give their opinion, and a product of experts (Hinton 2002) joins them:

- the *image*: a head trained on this encoder's features (``rag train router``); where there is none, the similarity
  of the image to each domain's prompts (zero-shot, Radford et al. 2021), or, for encoders without texts, the domains of
  the most similar indexed images. Only the trained head is calibrated.
- the *words*: each word of a domain's vocabulary, and each finding that the lexicon recognises, multiplies the odds of
  its domain by the same factor.

With a common prior the rule is p(d | image, words) ∝ p(d | image) · p(d | words) / p(d). Head and words are both fitted
for domains that are equally frequent, so p(d) is the same for all and drops out; an expert with nothing to say is
uniform and changes nothing. ``general`` is not an image speciality: it is the answer where nothing speaks for another.

An image is *out of domain* when it is farther from each domain's training images than all but a stated share of images
like them, or of sources that were left out of training for that (:mod:`rag.training.router.fitting`). A domain of
``domains.toml`` that the head was never trained on is recognised by its prompts among those images. A question without
an image is never out of domain: no vocabulary holds all that an index is about, and whether what was found bears on the
question is judged by what was found (:mod:`rag.retrieval.relevance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from rag.encoders.protocols import ImageEncoder, ImageTextEncoder, Vectors
from rag.errors import InputError
from rag.retrieval.domains import GENERAL, DomainSpec, load_domains, word_votes
from rag.retrieval.head import FILE, TrainedHead, log_shares
from rag.settings import RoutingSettings
from rag.types import Domain, sha256_of

# Log-odds of one word. Fitted by likelihood on 2,350 captions and questions of known domain that hold such a word: 3
# for captions of figures and notes, 4 for short questions; the lower one is the more careful.
_WORD = 3.0
_PROMPT_SCALE = 100.0  # of prompt similarities: CLIP's own logit scale, at its limit
_SMOOTHING = 0.1  # share of the neighbours' votes that is spread evenly
_UNTRAINED = 1e-3  # share of a domain without training images, for an image like those of the others

_Opinion = Mapping[str, float]  # domain -> log-probability


class Router:
    """Gives each question its domain. Safe to use from several threads.

    Args:
        domains: those of ``domains.toml``.
        head: trained for ``encoder``.
        encoder: where there is no head, or for domains that it was not trained on, its text side reads the prompts.
        shelves: domains that the index holds; those that ``domains`` does not know are always searched.
        mass: probability that the searched domains reach together.
    """

    def __init__(
        self,
        domains: Sequence[DomainSpec],
        *,
        head: TrainedHead | None = None,
        encoder: ImageEncoder | None = None,
        shelves: Iterable[str] = (),
        mass: float = 0.95,
    ) -> None:
        self._domains = tuple(domains)
        self._ids = frozenset(d.id for d in domains)
        self._head = head
        self._texts = encoder if isinstance(encoder, ImageTextEncoder) else None
        self._prompts: tuple[tuple[str, ...], Vectors] | None = None
        self._elsewhere = tuple(sorted(set(shelves) - self._ids))
        self._mass = mass

    @classmethod
    def open(
        cls, settings: RoutingSettings, encoder: ImageEncoder | None, shelves: Iterable[str], index: Path | None = None
    ) -> Router:
        """The router for an encoder and an index.

        A trained head is taken from ``settings.model``, or else from the index's folder, or the model's own; there, one
        that was trained for another encoder is passed over.

        Raises:
            InputError: the file that ``settings`` name is missing, damaged, or of another encoder; any is damaged; the
                list of domains cannot be used.
        """
        domains = load_domains(settings.domains)
        head = find_head(settings.model, encoder, index) if encoder is not None else None
        return cls(domains, head=head, encoder=encoder, shelves=shelves, mass=settings.mass)

    @property
    def basis(self) -> str:
        """How images are judged, in words."""
        if self._head is not None:
            return "trained router"
        return "zero-shot prompts" if self._texts is not None else "similar images"

    @property
    def fingerprint(self) -> str:
        """Of everything that decides a domain, besides the encoder and the index."""
        vocabulary = [(d.id, sorted(d.vocabulary), d.prompts) for d in self._domains]
        head = self._head
        trained = "" if head is None else head.fingerprint
        return f"{self.basis}:{sha256_of(repr((vocabulary, trained, self._mass)))[:16]}"

    def named(self, name: str) -> Domain:
        """The domain that the user named. Raises InputError if neither ``domains.toml`` nor the index knows it."""
        if name not in self._ids and name not in self._elsewhere:
            known = ", ".join(sorted({*self._ids, *self._elsewhere}))
            raise InputError(f"there is no domain {name!r}; use one of {known}, or add it to knowledge/domains.toml")
        return certain(name)

    def route(
        self,
        text: str,
        concepts: Iterable[str] = (),
        *,
        vector: Vectors | None = None,
        features: Vectors | None = None,
        neighbours: Iterable[tuple[str, float]] = (),
    ) -> Domain:
        """The most probable domain of a question, and those to search.

        Args:
            text: the question.
            concepts: domain of each finding or structure that the lexicon recognised in the question.
            vector: (1, dim) of the question's image, in the encoder's space.
            features: (1, width) of the same image; see :mod:`rag.encoders.features`.
            neighbours: (domain, similarity) of the indexed images most like it.
        """
        votes = word_votes(text, self._domains, concepts)
        image, basis, outside = self._image_opinion(vector, features, list(neighbours))
        candidates = sorted((self._ids | votes.keys() | image.keys()) - {GENERAL})
        if GENERAL in image:
            candidates.append(GENERAL)
        if not image and not any(votes[d] for d in candidates if d in votes):
            return Domain(name=GENERAL, probability=1.0, out_of_domain=False, basis="words")
        least = min(image.values(), default=0.0)
        scores = np.array([image.get(d, least) + _WORD * votes.get(d, 0) for d in candidates])
        shares = dict(zip(candidates, np.exp(log_shares(scores)).tolist(), strict=True))
        name = max(shares, key=lambda d: (shares[d], d))
        return Domain(
            name=name,
            probability=min(1.0, shares[name]),
            out_of_domain=outside,
            searched=() if outside else self._to_search(shares),
            basis=basis,
        )

    def _to_search(self, shares: Mapping[str, float]) -> tuple[str, ...]:
        """The smallest set of domains whose probability reaches the mass, with their equals, and what is always
        searched; empty where that is all of them."""
        ranked = sorted(shares, key=lambda d: (-shares[d], d))
        reached, last, chosen = 0.0, 0.0, []
        for domain in ranked:
            if reached >= self._mass and shares[domain] < last - 1e-9:
                break
            chosen.append(domain)
            reached, last = reached + shares[domain], shares[domain]
        if set(chosen) >= self._ids - {GENERAL}:
            return ()
        return tuple(dict.fromkeys([*chosen, GENERAL, *self._elsewhere]))

    def _image_opinion(
        self, vector: Vectors | None, features: Vectors | None, neighbours: list[tuple[str, float]]
    ) -> tuple[_Opinion, str, bool]:
        """What the image says, on which basis, and whether it is out of domain; nothing without an image."""
        if self._head is not None and features is not None:
            head = self._head
            known = dict(zip(head.domains, head.log_probabilities(features)[0].tolist(), strict=True))
            outside = bool(head.strangeness(features)[0] > 1.0)
            if outside and vector is not None and (self._ids - {GENERAL}) - set(head.domains):
                prompted = self._zero_shot(vector)
                if prompted and (best := max(prompted, key=lambda d: prompted[d])) not in head.domains:
                    return prompted, "zero-shot prompts", best == GENERAL
            untrained = dict.fromkeys(self._ids - {GENERAL} - known.keys(), float(np.log(_UNTRAINED)))
            return known | untrained, "trained router", outside
        if vector is not None and (prompted := self._zero_shot(vector)):
            return prompted, "zero-shot prompts", False
        if neighbours:
            return _voted(neighbours, self._ids - {GENERAL}), "similar images", False
        return {}, "words", False

    def _zero_shot(self, vector: Vectors) -> _Opinion:
        """From the mean similarity of the image to each domain's prompts; empty for encoders without texts."""
        if self._texts is None:
            return {}
        if self._prompts is None:
            described = [d for d in self._domains if d.prompts]
            means = [self._texts.encode_texts(d.prompts).mean(axis=0) for d in described]
            self._prompts = tuple(d.id for d in described), np.stack(means)
        ids, means_ = self._prompts
        logits = _PROMPT_SCALE * np.asarray(vector[0] @ means_.T, dtype=np.float64)
        return dict(zip(ids, log_shares(logits).tolist(), strict=True))


def find_head(model: Path | None, encoder: ImageEncoder, index: Path | None) -> TrainedHead | None:
    """The trained head for an encoder: the file ``model``, or one beside the index or beside the encoder's model.

    Raises:
        InputError: ``model`` is missing or was trained for another encoder; a file is damaged.
    """
    if model is not None:
        head = TrainedHead.load(model)
        if head.encoder != encoder.fingerprint:
            raise InputError(
                f"the trained router {model} is for the image encoder {head.encoder}, and the settings name "
                f"{encoder.fingerprint}; train one with: rag train router CASES.jsonl, or leave routing.model out"
            )
        return head
    for folder in (index, getattr(encoder, "folder", None)):
        if folder is not None and (path := Path(folder) / FILE).is_file():
            head = TrainedHead.load(path)
            if head.encoder == encoder.fingerprint:
                return head
    return None


def certain(name: str) -> Domain:
    """A domain that is known and not judged; the search keeps to it, and to nothing for ``general``."""
    searched = () if name == GENERAL else (name, GENERAL)
    return Domain(name=name, probability=1.0, out_of_domain=False, searched=searched, basis="named")


def is_sure(domain: Domain) -> bool:
    """Whether the search keeps to this one domain (beside what is always searched)."""
    return not domain.out_of_domain and domain.name != GENERAL and domain.searched[:2] == (domain.name, GENERAL)


def _voted(neighbours: Sequence[tuple[str, float]], domains: Iterable[str]) -> _Opinion:
    """Shares of the neighbours' similarity, smoothed so that five images never silence the words."""
    near = [(d, max(s, 0.0)) for d, s in neighbours]
    total = sum(s for _, s in near) or 1.0
    names = {*domains, *(d for d, _ in near)}
    return {
        d: float(np.log((1 - _SMOOTHING) * sum(s for n, s in near if n == d) / total + _SMOOTHING / len(names)))
        for d in names
    }
