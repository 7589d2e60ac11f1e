"""How well an encoder finds across image and text: every direction apart, per domain and pooled, beside baselines.

Directions, each over all cases of the file as one gallery:

- ``image→text``: an image asks; a hit is a text identical to its own case's. Texts that several cases share stand in
  the gallery as often as they are said, so a wrong one that is common pushes the right one down.
- ``image→text, distinct``: the same with each text once; shown where texts repeat.
- ``text→image``: a case's text asks; a hit is an image whose case has the identical text.
- ``image→image``: an image asks; a hit is another group's image with a label in common, its gain the Jaccard index of
  their labels. Images for which there is no hit are not asked with.

Beside each figure stand two that no encoder is needed for: ``random`` is the expected value of a random order, and
``text only`` what can be had without looking at an image: for ``image→text`` the texts in the order of how many cases
say them, for the others a random order of the images of the right domain, followed by the rest. Both know more than a
system does (the gallery's own frequencies, the true domain), so they are hard to beat where few texts are said often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from rag.answering.engine import Engine
from rag.encoders.protocols import ImageEncoder, ImageTextEncoder, Vectors
from rag.encoders.registry import load_image_encoder
from rag.errors import InputError
from rag.evaluation.cases import LABEL_FIELDS, Case, fold_case, read_labelled_cases
from rag.evaluation.metrics import Estimate, Floats, bootstrap, expected_by_chance, measure_ranking
from rag.evaluation.report import Report, Row, exactly
from rag.evaluation.suite import Sample, Subject
from rag.progress import Progress
from rag.retrieval.domains import load_domains

POOLED = "pooled"
TO_TEXT, TO_DISTINCT, TO_IMAGE, ALIKE = "image→text", "image→text, distinct", "text→image", "image→image"
OURS, OTHER, GAIN = "encoder", "other encoder", "difference"
_QUERIES = 256  # at a time: bounds the memory of the tables of scores
_RANDOM, _TEXT_ONLY = "random", "text only"


@dataclass(frozen=True)
class RetrievalSuite:
    """Cases of any corpus that ``rag ingest`` reads, searched with the image encoder that the settings name.

    >>> RetrievalSuite(split="test").compare
    'imagenet'

    Attributes:
        split: only the rows of this split.
        domains: only cases of these; of all known domains unless given.
        label: field of the labels that like images share; see :func:`~rag.evaluation.cases.case_labels`.
        compare: an encoder to compare image→image with, or 'none'.
        resamples: of the intervals.
    """

    split: str | None = None
    domains: tuple[str, ...] = ()
    label: str | None = None
    compare: str = "imagenet"
    resamples: int = 1000
    name: ClassVar[str] = "retrieval"

    def read(self, path: Path) -> Sample:
        domains = self.domains or tuple(d.id for d in load_domains())
        return Sample(*read_labelled_cases(path, split=self.split, domains=domains, label=self.label))

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        encoders = (subject.settings if isinstance(subject, Engine) else subject).encoders
        other = encoders.model_copy(update={"image": self.compare})
        versus = load_image_encoder(other) if self.compare not in ("none", encoders.image) else None
        found = evaluate_retrieval(
            sample.rows, load_image_encoder(encoders), versus, progress, resamples=self.resamples
        )
        return replace(found, left_out=sample.left_out)


class _Asked(NamedTuple):
    """One direction's queries: which cases ask, their metrics, and the baselines', all per query."""

    cases: NDArray[np.int64]
    metrics: dict[str, Floats]
    baselines: dict[str, dict[str, Floats]]
    gallery: int


def evaluate_retrieval(
    cases: Sequence[Case],
    encoder: ImageEncoder,
    other: ImageEncoder | None,
    progress: Progress,
    *,
    resamples: int = 1000,
) -> Report:
    """Measure every direction that the encoder and the cases allow.

    Args:
        encoder: directions between image and text need one with ``encode_texts``.
        other: an encoder to compare image→image with, on the same cases; may be None.

    Raises:
        InputError: there is nothing to measure.
    """
    images = [(n, image) for n, case in enumerate(cases) for image in case.images]
    owner, files = np.array([n for n, _ in images], dtype=np.int64), [image for _, image in images]
    if not files:
        raise InputError("none of these cases has an image, so there is nothing to measure")
    seen = _encode(encoder, files, progress, "encoding images")
    asked: dict[str, _Asked] = {}
    if isinstance(encoder, ImageTextEncoder) and any(case.text and case.images for case in cases):
        asked |= _across(cases, owner, seen, encoder, progress)
    others: dict[str, Floats] = {}
    if (alike := _alike(cases, owner, seen)) is not None:
        asked[ALIKE] = alike
        if other is not None:
            again = _alike(cases, owner, _encode(other, files, progress, "encoding images to compare with"))
            others = again.metrics if again is not None else {}
    if not asked:
        raise InputError(
            f"nothing can be measured: {encoder.fingerprint} holds no texts or no case has both image and text, and no "
            f"two groups share a label (fields {', '.join(LABEL_FIELDS)}; or name the field with --label)"
        )
    rows = [
        row
        for direction, some in asked.items()
        for name, which in _slices(cases, some.cases)
        for row in _Slice(direction, name, cases, some, which).rows(others if direction == ALIKE else {}, resamples)
    ]
    compared = {"other encoder": other.fingerprint} if other is not None and others else {}
    return Report("retrieval", {"encoder": encoder.fingerprint, **compared}, tuple(rows))


def _encode(encoder: ImageEncoder, files: Sequence[str], progress: Progress, stage: str) -> Vectors:
    return encoder.encode_images(files, progress=progress.stage(stage, len(files)))


def _across(
    cases: Sequence[Case], owner: NDArray[np.int64], seen: Vectors, encoder: ImageTextEncoder, progress: Progress
) -> dict[str, _Asked]:
    """Image→text and text→image, over the cases that have both."""
    paired = [n for n, case in enumerate(cases) if case.text and case.images]
    count = progress.stage("encoding texts", len(paired))
    said = encoder.encode_texts([cases[n].text for n in paired])
    count(len(paired))
    of_case, texts = np.array(paired), _codes([fold_case(case.text) for case in cases])
    kept = np.isin(owner, of_case)
    seen, owner = seen[kept], owner[kept]
    domains = _codes([case.domain for case in cases])
    often = np.bincount(texts[of_case])
    once = np.unique(texts[of_case], return_index=True)[1]
    found = {
        TO_TEXT: _to_text(owner, seen, of_case, said, texts, often),
        TO_DISTINCT: _to_text(owner, seen, of_case[once], said[once], texts, often),
        TO_IMAGE: _measure(
            of_case,
            said,
            seen,
            lambda some: (texts[of_case[some], None] == texts[owner], None),
            lambda some: domains[of_case[some], None] == domains[owner],
        ),
    }
    return found if len(once) < len(of_case) else {d: a for d, a in found.items() if d != TO_DISTINCT}


def _to_text(
    owner: NDArray[np.int64],
    seen: Vectors,
    gallery: NDArray[np.int64],
    said: Vectors,
    texts: NDArray[np.int64],
    often: NDArray[np.int64],
) -> _Asked:
    asked = _measure(owner, seen, said, lambda some: (texts[owner[some], None] == texts[gallery], None), None)
    # a common order for all queries; of equally frequent texts the first in the file comes first
    order = often[texts[gallery]] - texts[gallery] / (len(texts) + 1)
    frequent = _stacked(
        [measure_ranking(order, texts[owner[some], None] == texts[gallery]) for some in _parts(len(owner))]
    )
    return asked._replace(baselines=asked.baselines | {_TEXT_ONLY: frequent})


def _alike(cases: Sequence[Case], owner: NDArray[np.int64], seen: Vectors) -> _Asked | None:
    """Image→image by shared labels, over the labelled images; None where no two groups share one."""
    labelled = np.array([bool(cases[n].labels) for n in owner])
    owner, seen = owner[labelled], seen[labelled]
    names = {label: i for i, label in enumerate(sorted({label for n in owner for label in cases[n].labels}))}
    places = [(row, names[label]) for row, n in enumerate(owner) for label in cases[n].labels]
    if not places:
        return None
    rows, columns = np.array(places).T
    labels = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(owner), len(names)))
    sizes = np.asarray(labels.sum(axis=1))
    groups, domains = _codes([case.group for case in cases])[owner], _codes([case.domain for case in cases])[owner]

    def gains(some: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
        shared = (labels[some] @ labels.T).toarray()
        return shared / (sizes[some, None] + sizes - shared), groups[some, None] != groups

    asking = [
        some[((worth > 0) & allowed).any(axis=1)] for some in _parts(len(owner)) for worth, allowed in [gains(some)]
    ]
    queries = np.concatenate(asking)
    if not len(queries):
        return None
    return _measure(
        owner[queries],
        seen[queries],
        seen,
        lambda some: gains(queries[some]),
        lambda some: domains[queries[some], None] == domains,
    )


def _measure(cases: NDArray[np.int64], asking: Vectors, gallery: Vectors, gains: Any, domain: Any) -> _Asked:
    """Rank the gallery for every query, a part of them at a time.

    ``gains`` gives for some queries (gains, allowed); ``domain`` which candidates are of the query's domain.
    """
    parts, chances, priors = list[dict[str, Floats]](), list[dict[str, Floats]](), list[dict[str, Floats]]()
    for some in _parts(len(cases)):
        worth, allowed = gains(some)
        parts.append(measure_ranking(asking[some] @ gallery.T, worth, allowed))
        chances.append(expected_by_chance(worth, allowed))
        if domain is not None:
            near = domain(some)
            priors.append(expected_by_chance(worth, near if allowed is None else near & allowed))
    baselines = {_RANDOM: _stacked(chances)} | ({_TEXT_ONLY: _stacked(priors)} if priors else {})
    return _Asked(cases, _stacked(parts), baselines, len(gallery))


class _Slice(NamedTuple):
    """Some of the queries of one direction."""

    direction: str
    queries_of: str
    cases: Sequence[Case]
    asked: _Asked
    which: NDArray[np.bool_]

    def rows(self, others: Mapping[str, Floats], resamples: int) -> Iterator[Row]:
        """The encoder's row, the other encoder's and the difference where there is one, and the baselines'."""
        groups = [self.cases[n].group for n in self.asked.cases[self.which]]
        mine, theirs = self._shown(self.asked.metrics), self._shown(others)
        counts = {"queries": len(groups), "groups": len(set(groups)), "gallery": self.asked.gallery}

        def row(ranking: str, metrics: Mapping[str, Estimate]) -> Row:
            of = {"direction": self.direction, "queries_of": self.queries_of, "ranking": ranking}
            return Row(of, counts, metrics)

        yield row(OURS, bootstrap(mine, groups, resamples))
        if theirs:
            yield row(OTHER, bootstrap(theirs, groups, resamples))
            yield row(GAIN, bootstrap({m: mine[m] - theirs[m] for m in theirs}, groups, resamples))
        for baseline, metrics in self.asked.baselines.items():
            yield row(baseline, {m: exactly(float(values.mean())) for m, values in self._shown(metrics).items()})

    def _shown(self, metrics: Mapping[str, Floats]) -> dict[str, Floats]:
        """Precision says something only where several candidates may be right."""
        return {m: values[self.which] for m, values in metrics.items() if m != "P@5" or self.direction == ALIKE}


def _slices(cases: Sequence[Case], asking: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """All queries; those of each domain; and of each source, where a domain has several."""
    yield POOLED, np.ones(len(asking), np.bool_)
    domains = np.array([cases[n].domain for n in asking])
    sources = np.array([cases[n].source for n in asking])
    for domain in sorted(set(domains)):
        inside = domains == domain
        if len(set(domains)) > 1:
            yield domain, inside
        several = sorted(set(sources[inside]))
        for source in several if len(several) > 1 else ():
            yield f"{domain}: {source}", inside & (sources == source)


def _parts(n: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, n, _QUERIES):
        yield np.arange(start, min(n, start + _QUERIES))


def _stacked(parts: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each name, in the order of first appearance."""
    known = Counter[str]()
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)
