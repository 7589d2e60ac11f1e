"""The indexes that one server serves, each with its engine, its queue and its work in the background."""

from __future__ import annotations

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rag.answering.engine import Engine
from rag.audit.ledger import Entry
from rag.errors import InputError
from rag.indexing.records import IndexSummary
from rag.indexing.store import IndexStore, list_indexes
from rag.server.access.auth import Caller
from rag.server.web.metrics import Metrics
from rag.server.web.problems import Problem, busy, without_paths
from rag.server.web.sse import in_thread
from rag.server.web.uploads import discard, keep_what_is_shown
from rag.server.work.batching import Batcher, Pool
from rag.server.work.jobs import Jobs, Listener
from rag.server.work.workers import WARM, AnswerWorkers
from rag.settings import Settings
from rag.types import Answer, Event, Hit, Question

FOLDER = ".serving"  # beside the indexes: the table of jobs
UPLOADS = "uploads"  # inside an index: images and PDF files that were uploaded to it, which it goes on reading
_SPARE = 1  # batches under way besides one a worker: it waits for the disk, or for a worker to be free
_ASIDE = 2  # searches and audits at once


@dataclass(frozen=True)
class Served:
    """One index, open."""

    name: str
    store: IndexStore
    engine: Engine
    batcher: Batcher


class Seat:
    """A stream's place, given back once: by its thread when that is through, or at once if none ever took it."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave
        self.taken = False

    def release(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def abandon(self) -> None:
        if not self.taken:
            self.release()


class Service:
    """Opened once, before the first question; everything behind the routes."""

    def __init__(self, settings: Settings, names: Sequence[str] = ()) -> None:
        """``names`` are the indexes to serve, the first being the default; none means all that are not empty."""
        self.settings = settings
        self.metrics = Metrics()
        self.ready = False
        self._names = tuple(names) or tuple(s.name for s in list_indexes(settings.indexes) if _usable(s))
        if not self._names:
            raise InputError(
                f"there is no index in {settings.indexes} to serve; build one with: rag ingest, or rag demo"
            )
        serving = settings.serving
        self._lanes = serving.workers + _SPARE
        self._answering = ThreadPoolExecutor(self._lanes, "answering")
        self._streaming = ThreadPoolExecutor(serving.streams, "streaming")
        self._working = ThreadPoolExecutor(1, "jobs")
        self.aside = Pool(_ASIDE, serving.queue, serving.timeout_s, self.metrics)  # searches and audits
        self._workers = AnswerWorkers(settings, self._names, serving.workers) if serving.workers > 1 else None
        self._streams = 0
        self._served: dict[str, Served] = {}
        works = {"ingest": self._ingest, "compact": self._compact}
        self.jobs = Jobs(settings.indexes / FOLDER / "jobs.sqlite", works, self._working, self.metrics)

    @property
    def names(self) -> tuple[str, ...]:
        return self._names

    def open(self) -> None:
        """Open every index and answer one question of each, so that the first asker does not wait for models.

        Raises:
            InputError: one of them is not there or empty.
            IndexStateError: one of them is damaged or of other encoders.
        """
        serving = self.settings.serving
        for name in self._names:
            store = IndexStore.open(self.settings.indexes / name, self.settings.vectors)
            engine = Engine(store, self.settings)
            with suppress(InputError):
                engine.ask_many([Question(text=WARM)], record=False)
            batcher = Batcher(
                partial(self._asked, name),
                self._answering,
                self.metrics,
                size=serving.batch_size,
                queue=serving.queue,
                lanes=self._lanes,
            )
            self._served[name] = Served(name, store, engine, batcher)
            self.metrics.version.labels(name).set(engine.version)
        if self._workers is not None:
            self._workers.start()
        self.ready = True

    def close(self) -> None:
        """Finish what was begun; jobs stop at their next step and can be resumed."""
        self.ready = False
        self.jobs.interrupt()
        for pool in (self._answering, self._streaming, self._working):
            pool.shutdown(wait=True, cancel_futures=pool is self._working)
        self.jobs.close()
        self.aside.close()
        if self._workers is not None:
            self._workers.close()
        for served in self._served.values():
            served.store.close()

    def index(self, name: str | None) -> Served:
        """Raises Problem 404 for a name that is not served, 503 while the indexes are being opened."""
        if not self.ready:
            raise Problem(503, "the indexes are being opened; try again in a moment", headers={"Retry-After": "2"})
        served = self._served.get(name or self._names[0])
        if served is None:
            raise Problem(404, f"there is no index {name!r} here; GET /v1/indexes lists those there are")
        return served

    # ---------------------------------------------------------------- questions

    async def ask(
        self, served: Served, question: Question, caller: Caller, held: ExitStack, gone: Coroutine[Any, Any, None]
    ) -> Answer:
        """The answer, worked out together with others that are waiting; see ``Batcher``.

        When ``gone`` returns, the asker has left, and a question that still waits is dropped.
        """
        try:
            asked = served.batcher.submit(question, caller.id, held)
        except BaseException:
            gone.close()
            raise
        leaving = asyncio.create_task(gone)
        leaving.add_done_callback(lambda _: asked.cancel())
        try:
            return await self.answer(served, asked)
        finally:
            leaving.cancel()

    async def answer(self, served: Served, asked: Future[Answer]) -> Answer:
        """The answer to a question that was submitted."""
        return await served.batcher.wait(asked, self.settings.serving.timeout_s)

    async def stream(self, served: Served, question: Question, caller: Caller, seat: Seat) -> AsyncIterator[Event]:
        """The engine's events; its work stops when the reader goes. ``seat`` comes from ``admit``."""
        seat.taken = True
        timeout_s = self.settings.serving.timeout_s
        events = in_thread(
            lambda: served.engine.stream(question, caller=caller.id), self._streaming, seat.release, timeout_s
        )
        async with aclosing(events):
            async for event in events:
                if event.answer is not None:
                    self._counted(served.name, [event.answer])
                yield event

    def admit(self, held: ExitStack) -> Seat:
        """A place among the streams; raises Problem 429 where all are taken and as many wait as may."""
        serving = self.settings.serving
        if self._streams >= serving.streams + serving.queue:
            self.metrics.refused.labels("queue full").inc()
            raise busy(1.0, f"{self._streams} streamed questions are under way already; try again later")
        self._streams += 1
        self.metrics.streams.inc()

        def leave() -> None:
            self._streams -= 1
            self.metrics.streams.dec()
            held.close()

        return Seat(leave)

    async def search(self, served: Served, question: Question, k: int) -> tuple[list[Hit], int]:
        """The hits, and the version of the index that they are from."""
        return await self.aside.run(lambda: self._search(served.engine, question, k))

    @staticmethod
    def _search(engine: Engine, question: Question, k: int) -> tuple[list[Hit], int]:
        while True:
            version = engine.version
            hits = engine.search(question, k)
            if engine.version == version:  # versions only grow, so it was this one throughout
                return hits, version

    def entry(self, audit_id: str, caller: Caller | None = None) -> tuple[Served, Entry]:
        """The recorded answer, from whichever index's ledger holds it.

        Raises:
            Problem: 404 where there is none, or none that ``caller`` may see: theirs, or any with the scope 'audit'.
        """
        for served in self._served.values():
            with suppress(InputError):
                entry = served.engine.ledger.get(audit_id)
                if entry.kind == "answer" and (caller is None or caller.may("audit") or caller.id == entry.caller):
                    return served, entry
        raise Problem(404, "no answer is recorded under this id")

    def _asked(self, name: str, questions: Sequence[Question], callers: Sequence[str]) -> list[Answer]:
        """In a worker, or here where there are none."""
        if self._workers is not None:
            return self._counted(name, self._workers.ask(name, questions, callers))
        return self._counted(name, self._served[name].engine.ask_many(questions, caller=callers))

    def _counted(self, name: str, answers: list[Answer]) -> list[Answer]:
        self.metrics.version.labels(name).set(max(a.index_version for a in answers))
        for answer in answers:
            self.metrics.answers.labels(name, answer.decision).inc()
            for step, ms in answer.timings_ms.items():
                self.metrics.steps.labels(step).observe(ms / 1000)
        return answers

    # ---------------------------------------------------------------- jobs

    def uploads(self, served: Served, job: str) -> Path:
        """Where an ingest's uploaded files are kept: inside the index, whose images they may be."""
        return served.store.path / UPLOADS / job

    def _ingest(self, request: dict[str, Any], listener: Listener) -> dict[str, Any]:
        from rag.building.index import Index
        from rag.building.source import SentSource

        served = self.index(request["index"])
        upload = Path(request["uploaded"]) if request.get("uploaded") else None
        if upload is not None and not upload.exists():
            raise InputError("the upload is no longer here; send it again")
        packaged = request.get("packaged")
        corpus = packaged if packaged is not None else Path(request["path"])
        source = SentSource(corpus, request.get("format"), label=request.get("name"))
        try:
            made = Index(served.store, self.settings).ingest(
                source, deidentify=request["deidentify"], sync=request["sync"], progress=listener
            )
        except InputError:
            if upload is not None:
                discard(upload)  # it would be refused again
            raise
        served.engine.refresh()
        if upload is not None:
            keep_what_is_shown(upload, pages=self.settings.serving.show_pages)
        result = asdict(made)
        for record in result["quarantined"]:
            record["source"] = Path(record["source"]).name
            record["reason"] = without_paths(record["reason"])
        return result

    def _compact(self, request: dict[str, Any], listener: Listener) -> dict[str, Any]:
        listener.stage("merging segments")
        return asdict(self.index(request["index"]).store.compact())


def _usable(summary: IndexSummary) -> bool:
    return summary.problem is None and summary.version > 0 and bool(summary.documents)
