"""Where encoding runs: in this process, in a pool of processes, or on the actors of a Ray cluster.

All three take a lazy stream of work and give the vectors back in its order. Work is drawn from the stream only while
fewer than two pieces per worker are under way (back-pressure), and what a dying worker held is done again by another.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rag.encoders.protocols import ImageEncoder, ImageTextEncoder, TextEncoder, Vectors
from rag.encoders.registry import load_image_encoder, load_text_encoder
from rag.encoders.runtime import share_cores
from rag.errors import InputError, MissingDependencyError, RagError
from rag.progress import Progress, Silent
from rag.settings import EncoderSettings

_AHEAD = 2  # pieces of work under way per worker: one being encoded, one waiting
_LIVES = 3  # workers that may die over one piece of work before it is given up


@dataclass(frozen=True)
class Work:
    """Passages and image files to encode. On other machines the files must be found under the same paths.

    ``joint`` are the passages that the image encoder is to encode as well, in the space that it shares with images.
    """

    texts: tuple[str, ...]
    images: tuple[str, ...]
    joint: tuple[str, ...] = ()


class Encoded(NamedTuple):
    """The unit vectors of one piece of work, a row for each text or image, and whose they are."""

    texts: Vectors | None
    images: Vectors | None
    joint: Vectors | None
    fingerprints: tuple[str, str]


class EncoderPool(Protocol):
    """A place to encode. ``encode`` gives one result for each piece of work, in order."""

    def encode(self, works: Iterable[Work], progress: Progress) -> Iterator[Encoded]: ...

    def close(self) -> None: ...


class ThisProcess:
    """Encodes one piece after the other, here."""

    def __init__(self, text: TextEncoder, image: ImageEncoder | None) -> None:
        self._text = text
        self._image = image

    def encode(self, works: Iterable[Work], progress: Progress) -> Iterator[Encoded]:
        for work in works:
            yield self.encode_one(work, progress)

    def encode_one(self, work: Work, progress: Progress) -> Encoded:
        texts = images = joint = None
        if work.texts:
            count = progress.stage("encoding text", len(work.texts))
            texts = self._text.encode(work.texts, kind="passage", progress=count)
        if work.images and self._image is not None:
            count = progress.stage("encoding images", len(work.images))
            images = self._image.encode_images(work.images, progress=count)
        if work.joint and isinstance(self._image, ImageTextEncoder):
            count = progress.stage("encoding text for images", len(work.joint))
            joint = self._image.encode_texts(work.joint)
            count(len(work.joint))
        return Encoded(texts, images, joint, (self._text.fingerprint, self._image.fingerprint if self._image else ""))

    def close(self) -> None:
        return


class ProcessPool:
    """``count`` processes of this machine, each with encoders of its own. A pool that breaks is replaced."""

    def __init__(self, settings: EncoderSettings, count: int) -> None:
        self._settings = settings
        self._count = count
        self._pool = self._start()

    def encode(self, works: Iterable[Work], progress: Progress) -> Iterator[Encoded]:
        stream, waiting = iter(works), deque[tuple[Work, Future[Encoded]]]()
        deaths = 0
        while True:
            while len(waiting) < _AHEAD * self._count and (work := next(stream, None)) is not None:
                waiting.append((work, self._submit(work)))
            if not waiting:
                return
            work, future = waiting[0]
            try:
                encoded = future.result()
            except BrokenProcessPool as error:
                deaths += 1
                if deaths == _LIVES:
                    raise _gave_up(work) from error
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = self._start()
                waiting = deque((some, self._again(some, done)) for some, done in waiting)
                continue
            deaths = 0
            waiting.popleft()
            _tell(work, progress)
            yield encoded

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Work) -> Future[Encoded]:
        try:
            return self._pool.submit(_encode_in_pool, work)
        except BrokenProcessPool as error:  # a worker has died meanwhile: told when the result is asked for
            broken: Future[Encoded] = Future()
            broken.set_exception(error)
            return broken

    def _again(self, work: Work, done: Future[Encoded]) -> Future[Encoded]:
        """What is finished stays finished."""
        return done if done.done() and done.exception() is None else self._submit(work)

    def _start(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")  # models and their threads do not survive a fork
        return ProcessPoolExecutor(
            self._count, spawn, initializer=_load_in_pool, initargs=(self._settings, self._count)
        )


class RayCluster:
    """The actors of a Ray cluster, one per GPU or, where there is none, one per CPU. Ray restarts those that die.

    Args:
        address: 'ray://host:port' of a running cluster, or 'ray' for the one this machine belongs to (a new one on this
            machine where there is none).

    Raises:
        MissingDependencyError: ray is not installed.
        InputError: the cluster does not answer.
    """

    def __init__(self, settings: EncoderSettings, address: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingDependencyError('ray is not installed: pip install "clincite[ray]"') from error
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, address)
        resources = ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        actor = ray.remote(max_restarts=-1, max_task_retries=_LIVES, num_cpus=1, num_gpus=1 if gpus else 0)(_Actor)
        self.actors = [actor.remote(settings.model_dump()) for _ in range(gpus or max(1, cpus))]

    def encode(self, works: Iterable[Work], progress: Progress) -> Iterator[Encoded]:
        waiting: deque[tuple[Work, Any]] = deque()
        for number, work in enumerate(works):
            waiting.append((work, self.actors[number % len(self.actors)].encode.remote(work)))
            if len(waiting) == _AHEAD * len(self.actors):
                yield self._next(waiting, progress)
        while waiting:
            yield self._next(waiting, progress)

    def close(self) -> None:
        for actor in self.actors:
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()

    def _next(self, waiting: deque[tuple[Work, Any]], progress: Progress) -> Encoded:
        work, reference = waiting.popleft()
        try:
            encoded: Encoded = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            raise _gave_up(work) from error
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RagError):
                raise error.cause from error
            raise
        _tell(work, progress)
        return encoded


class _Actor:
    """What runs on each Ray worker."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._here = _encoders(EncoderSettings.model_validate(settings))

    def encode(self, work: Work) -> Encoded:
        return self._here.encode_one(work, Silent())


def open_workers(where: str, settings: EncoderSettings) -> EncoderPool:
    """The workers that ``where`` names: a number of processes, 'ray', or 'ray://host:port'.

    Raises:
        InputError: it is none of these.
    """
    if where.isdecimal() and 1 <= int(where) <= 512:
        if int(where) == 1:
            return _encoders(settings)
        return ProcessPool(settings, int(where))
    if where == "ray" or where.startswith("ray://"):
        return RayCluster(settings, where)
    raise InputError(f"--workers {where!r}: give a number of processes from 1 to 512, 'ray', or 'ray://host:port'")


def _encoders(settings: EncoderSettings) -> ThisProcess:
    return ThisProcess(load_text_encoder(settings), load_image_encoder(settings))


def _connect(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == "ray":
            try:
                ray.init(address="auto", **quiet)
            except ConnectionError:
                ray.init(include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        raise InputError(f"no Ray cluster answers at {address}: {' '.join(str(error).split())[:300]}") from error


_in_pool: Callable[[Work], Encoded] | None = None


def _load_in_pool(settings: EncoderSettings, count: int) -> None:
    global _in_pool
    here = _encoders(settings)
    with suppress(RagError):  # a missing model is told by the first piece of work, not by a broken pool
        share_cores(count)
    _in_pool = lambda work: here.encode_one(work, Silent())  # noqa: E731


def _encode_in_pool(work: Work) -> Encoded:
    if _in_pool is None:
        raise RuntimeError("the pool's initializer has not run")
    return _in_pool(work)


def _tell(work: Work, progress: Progress) -> None:
    done = {"text": len(work.texts), "images": len(work.images), "text for images": len(work.joint)}
    for name, n in done.items():
        if n:
            progress.stage(f"encoding {name}", n)(n)


def _gave_up(work: Work) -> RagError:
    first = work.images[0] if work.images else "its texts"
    return RagError(
        f"{_LIVES} encoding workers died over one batch ({len(work.texts)} texts, {len(work.images)} images, first: "
        f"{first}); they may be short of memory: use fewer workers. What was encoded is kept; run the command again"
    )
