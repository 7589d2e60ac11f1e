"""Numbers for Prometheus. Labels are routes, statuses, index names and decisions: never anything that was asked."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_QUESTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One server's numbers, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("clincite_requests", "Requests answered.", ["method", "route", "status"], registry=r)
        self.seconds = Histogram("clincite_request_seconds", "Until answered.", ["route"], buckets=_SECONDS, registry=r)
        self.answers = Counter("clincite_answers", "Questions answered.", ["index", "decision"], registry=r)
        self.steps = Histogram("clincite_step_seconds", "Of one answer.", ["step"], buckets=_SECONDS, registry=r)
        self.batch = Histogram("clincite_batch_questions", "Asked together.", buckets=_QUESTIONS, registry=r)
        self.queue = Gauge("clincite_waiting_questions", "In the queue.", registry=r)
        self.streams = Gauge("clincite_streams", "Streamed answers under way.", registry=r)
        self.refused = Counter("clincite_refused", "Questions refused by load.", ["reason"], registry=r)
        self.version = Gauge("clincite_index_version", "Answered from.", ["index"], registry=r)
        self.jobs = Counter("clincite_jobs", "Jobs ended.", ["kind", "state"], registry=r)

    def text(self) -> bytes:
        return generate_latest(self.registry)
