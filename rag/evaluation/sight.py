"""Image questions asked with wrong images: do the answers depend on what is shown?

Each question is asked three times: with its own image; with an image of another patient from the same domain, so that
nothing but the content differs (one for which the same question has the other answer, where there is any: who looks
must then change the answer, and who does not look cannot); and with its own image drowned in noise (as the pairs of
MMed-RAG's cross-modality preference tuning have it). The domain is given in the second and third asking: what is
measured is who looks, and not whether the router notices. No certificate, threshold or guard is applied.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from PIL import Image

from rag.answering.engine import Engine
from rag.answering.image_guard import LOOKING, ImageEffects
from rag.answering.pipeline import Pipeline
from rag.corpus.images import load_image
from rag.errors import InputError
from rag.evaluation.questions import LabelledQuestion
from rag.progress import Progress
from rag.risk_control.image_effect import LEAST_GROUPS, LEVEL, effect_of, mark
from rag.risk_control.policy import Policy
from rag.types import Certificate, ImageEffect

_TRIAL = Certificate(status="valid", why="a trial answer, given to nobody")
_KEPT = 0.08  # of the image in what is drowned in noise; the rest is uniform noise
_SIDE = 512  # pixels of a noised image's longer side
_BATCH = 16


class Looked(NamedTuple):
    """How right the answer to one question was, in {0, 1/2, 1}: with its own image, another's, and noise."""

    group: str
    domain: str
    form: str
    right: float
    swapped: float
    noised: float


def measure_sight(
    questions: Sequence[LabelledQuestion], engine: Engine, progress: Progress, *, seed: int = 0, measured_on: str = ""
) -> ImageEffects:
    """The effect of the image on each kind of question, a kind being a domain and a form.

    Questions that name no image, or that are not yes/no questions, are passed over, and so are those whose image the
    router finds out of domain: they are not answered anyway.

    Args:
        questions: with right answers; one patient a group.
        engine: whose answers are measured.
        progress: told of questions asked.
        seed: of the exchange of images and of the noise.
        measured_on: what the questions are, in words.

    Raises:
        InputError: no question is about an image.
    """
    about = [q for q in questions if q.question.image is not None and q.question.study is None]
    if not about:
        raise InputError("none of the questions names an image, so there is nothing to see: give the rows an 'image'")
    pipeline = engine.pipeline()
    asked = list(look(list(_kinds(about, pipeline)), partial(_said, pipeline=pipeline), progress, seed))
    return ImageEffects(
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        measured_on=measured_on,
        fingerprints={name: value for name, value in engine.fingerprints.items() if name in LOOKING},
        effects=effects_of_kinds(asked),
    )


def effects_of_kinds(asked: Sequence[Looked]) -> tuple[ImageEffect, ...]:
    """One for each domain, and one for each form in it; those with enough patients share the level among them."""
    kinds: dict[tuple[str, str | None], list[Looked]] = defaultdict(list)
    for one in asked:
        kinds[one.domain, None].append(one)
        kinds[one.domain, one.form].append(one)
    tested = sum(len({s.group for s in some}) >= LEAST_GROUPS for some in kinds.values())
    level = LEVEL / max(1, tested)
    return tuple(
        _effect(domain, form, kinds[domain, form], level)
        for domain, form in sorted(kinds, key=lambda kind: (kind[0], kind[1] or ""))
    )


def _effect(domain: str, form: str | None, asked: Sequence[Looked], level: float) -> ImageEffect:
    groups = [s.group for s in asked]
    right, swapped, noised = np.array([(s.right, s.swapped, s.noised) for s in asked]).T
    effect, noise = (effect_of(right, wrong, groups, level) for wrong in (swapped, noised))
    return ImageEffect(
        domain=domain,
        form=form,
        status=mark(effect, noise, len(set(groups)), whole=form is None),
        questions=len(asked),
        groups=len(set(groups)),
        right=round(float(right.mean()), 4),
        swapped=round(float(swapped.mean()), 4),
        noised=round(float(noised.mean()), 4),
        effect=tuple(effect),
        noise_effect=tuple(noise),
        level=round(level, 6),
    )


class Kind(NamedTuple):
    """What a question is about, by the router, and what it asks for."""

    domain: str
    form: str


Say = Callable[[LabelledQuestion, str, str], str | None]  # question, image, domain -> yes, no, or anything else


def look(
    questions: Sequence[tuple[LabelledQuestion, Kind]], say: Say, progress: Progress, seed: int = 0
) -> Iterator[Looked]:
    """Each question with its three images, as ``say`` answers; one without a stranger in its domain is left out."""
    chance = random.Random(seed)  # noqa: S311
    others: dict[str, list[LabelledQuestion]] = defaultdict(list)
    for q, kind in questions:
        others[kind.domain].append(q)
    advance = progress.stage("asking with wrong images", len(questions))
    with TemporaryDirectory() as folder:
        for n, (q, (domain, form)) in enumerate(questions):
            own, unlike = q.question.image, strangers(q, others[domain])
            if own is not None and unlike:
                noised = write_noised(Path(own), Path(folder) / "noise.png", seed + n)
                scores = [_score(q, say(q, image, domain)) for image in (own, chance.choice(unlike), str(noised))]
                yield Looked(q.group, domain, form, *scores)
            advance(1)


def strangers(q: LabelledQuestion, others: Sequence[LabelledQuestion]) -> list[str]:
    """Images of other patients; those that make the same question's answer another one, where there are any."""
    elsewhere = [o for o in others if o.group != q.group]
    telling = [o for o in elsewhere if o.question.text == q.question.text and o.answer != q.answer]
    return [o.question.image for o in telling or elsewhere if o.question.image is not None]


def _kinds(questions: Sequence[LabelledQuestion], pipeline: Pipeline) -> Iterator[tuple[LabelledQuestion, Kind]]:
    """The questions with their kinds; those out of domain, and those that are no yes/no questions, are left out."""
    for i in range(0, len(questions), _BATCH):
        batch = questions[i : i + _BATCH]
        for q, turn in zip(batch, pipeline.begin([q.question for q in batch]), strict=True):
            if turn.asked.yes_no and not turn.domain.out_of_domain:
                yield q, Kind(turn.domain.name, turn.asked.form)


def _said(q: LabelledQuestion, image: str, domain: str, pipeline: Pipeline) -> str | None:
    """What the pipeline says with this image, in a domain that is given, whatever its confidence."""
    (turn,) = pipeline.begin([q.question.model_copy(update={"image": image, "domain": domain})])
    policy = pipeline.default_policy
    trial = turn.under(Policy(policy.k, policy.gamma, 0.0, least=pipeline.least), _TRIAL)
    return pipeline.finish(trial).verdict


def _score(q: LabelledQuestion, said: str | None) -> float:
    """1 where what is said is right, 0 where it is wrong, 1/2 where nothing is said."""
    return 0.5 if said not in ("yes", "no") else float(said == q.answer)


def write_noised(image: Path, file: Path, seed: int) -> Path:
    """The image drowned in noise, as a file; the same seed gives the same noise."""
    shown = load_image(image)
    shown.thumbnail((_SIDE, _SIDE))
    pixels = np.asarray(shown, dtype=np.float64)
    noise = np.random.default_rng(seed).uniform(0, 255, pixels.shape)
    Image.fromarray((_KEPT * pixels + (1 - _KEPT) * noise).astype(np.uint8)).save(file)
    return file
