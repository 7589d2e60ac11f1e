"""Journey D, last step: a recorded question is answered again, as of its index version, and what differs is named."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from rag.answering.pipeline import Pipeline
from rag.audit.ledger import Ledger
from rag.audit.record import EVIDENCE, IMAGE, WHOLE, Entry, Working
from rag.errors import IndexStateError, InputError
from rag.risk_control.policy import Policy
from rag.settings import Settings, shaping_settings
from rag.types import Answer, Question

TOLERANCE = 1e-5  # of numbers: encoders round differently when questions come in batches of another size
_EXACT = {"flat", "cuda-flat", "torch-flat"}
_OWN = {"audit_id", "timings_ms", "question", "evidence"}  # differ by nature, or are compared on their own
_WORDS = ("answer", "reason", "sentences", "citations")


class Change(NamedTuple):
    """Something by name, as it was recorded and as it is now."""

    name: str
    then: Any
    now: Any


@dataclass(frozen=True)
class Replay:
    """What came of answering again.

    Attributes:
        audit_id: of the recorded answer.
        index_version: the version it was answered from, then and now.
        outcome: identical up to rounding (1e-5), different, or impossible to answer again.
        why: one sentence.
        changed: what answers depend on and has changed since: encoders, router, generator, prompt, settings by name,
            and the policy that would apply today. The replay itself applies the recorded policy and certificate.
        differences: the fields of the answer, its evidence and its draft that differ.
        notes: what limits the comparison.
    """

    audit_id: str
    index_version: int
    outcome: Literal["identical", "different", "impossible"]
    why: str
    changed: tuple[Change, ...] = ()
    differences: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


class Replayable(Protocol):
    """What a replay needs of an engine."""

    settings: Settings
    ledger: Ledger

    @property
    def fingerprints(self) -> dict[str, str]: ...

    def pipeline(self, version: int | None = None) -> Pipeline: ...


def replay(engine: Replayable, entry: Entry) -> Replay:
    """Answer the question of ``entry`` again and compare. Nothing is recorded.

    Raises:
        InputError: the entry does not hold an answer, or cannot be read.
    """
    try:
        then = entry.answer
    except ValueError as error:
        raise InputError(f"{entry.audit_id} cannot be read as an answer; check it: rag audit verify") from error
    notes: list[str] = []
    try:
        question = _question(engine, entry, then, notes)
        policy = _policy(engine, entry, then, notes)
        pipeline = engine.pipeline(then.index_version)
        (today,) = pipeline.begin([question], depth=policy.widest)
        turn = today.under(policy, then.certificate, then.selection.promise if then.selection else None)
        pipeline.finish(turn)
    except (InputError, IndexStateError) as problem:
        now = Working(fingerprints=engine.fingerprints | {"index version": str(then.index_version)})
        changed = _changes(entry.working, now)
        return Replay(entry.audit_id, then.index_version, "impossible", str(problem), changed, (), tuple(notes))
    working = turn.working(pipeline.fingerprints, shaping_settings(engine.settings))
    changed = _changes(entry.working, working)
    if entry.working.policy and today.policy != policy:
        changed += (Change("policy", str(policy), str(today.policy)),)
    differences = tuple(_differences(entry, turn.answer, working, notes))
    if not differences:
        why = "the same answer, from the same evidence"
        why += f", although {_names(changed)} changed since" if changed else ""
        return Replay(entry.audit_id, then.index_version, "identical", why, changed, (), tuple(notes))
    why = f"{_names(differences)} differ" + ("" if len(differences) > 1 else "s")
    why += f"; changed since: {_names(changed)}" if changed else "; nothing that was recorded has changed since"
    approximate = _backends(pipeline) - _EXACT
    if any(d.name == "evidence" for d in differences) and approximate:
        kinds = ", ".join(sorted(approximate))
        notes.append(f"the vector index is approximate ({kinds}): rebuilt by compaction, it may find other neighbours")
    return Replay(entry.audit_id, then.index_version, "different", why, changed, differences, tuple(notes))


def _question(engine: Replayable, entry: Entry, answer: Answer, notes: list[str]) -> Question:
    """The question, with its image as it was kept."""
    if {"question", WHOLE} & set(entry.redacted):
        raise InputError("the question was redacted and cannot be asked again")
    if answer.question.image is None:
        return answer.question
    if entry.image_sha256 is None:
        notes.append("the image was not kept when this was recorded; the file that is under its path today was taken")
        return answer.question
    if IMAGE in entry.redacted:
        raise InputError("the image of the question was redacted, so it cannot be asked again")
    images = engine.ledger.images
    if not images.holds(entry.image_sha256):
        raise InputError(f"the image of the question is not in {images.folder} any more, or was changed")
    return answer.question.model_copy(update={"image": str(images.path(entry.image_sha256))})


def _policy(engine: Replayable, entry: Entry, answer: Answer, notes: list[str]) -> Policy:
    if recorded := entry.working.policy or (answer.certificate.status == "valid" and answer.certificate.policy):
        return Policy.from_dict(recorded)
    notes.append("the policy was not recorded; that of today's settings was applied")
    settings = engine.settings
    return Policy(settings.selection.k_max, settings.selection.gamma, settings.answering.min_confidence)


def _changes(then: Working, now: Working) -> tuple[Change, ...]:
    """Fingerprints and settings that are others than were recorded; those that one side lacks are not compared."""
    usual = dict(_flat(shaping_settings(Settings.model_construct())))  # what a setting was before there was one
    settings = usual | dict(_flat(then.settings)) if then.settings else {}
    pairs = [(then.fingerprints, now.fingerprints), (settings, dict(_flat(now.settings)))]
    return tuple(
        Change(name, old.get(name), new.get(name))
        for old, new in pairs
        for name in (sorted({*old, *new}) if old and new else ())
        if old.get(name) != new.get(name)
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``{"retrieval": {"depth": 50}}`` as ``retrieval.depth: 50``."""
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _backends(pipeline: Pipeline) -> set[str]:
    """The kinds of vector index that its version was searched with."""
    return {name for space in pipeline.snapshot.spaces() for name in pipeline.snapshot.backends(space)}


def _differences(entry: Entry, now: Answer, working: Working, notes: list[str]) -> Iterator[Change]:
    then, gone = entry.answer, set(entry.redacted)
    if gone:
        notes.append(f"redacted, and not compared: {', '.join(sorted(gone))}")
    found = [_evidence(a, gone) for a in (then, now)]
    if not _same(*found):
        yield Change("evidence", *found)
    skipped = _OWN | gone | (set(_WORDS) if "answer" in gone else set())
    old, new = (a.model_dump(mode="json", exclude=skipped) for a in (then, now))
    for answer in (old, new):  # where a quote is printed follows from its span, and was not always told
        for citation in answer.get("citations", ()):
            citation.pop("boxes", None)
    if then.selection is None:  # recorded before it was kept
        new.pop("selection", None)
    for name in {**old, **new}:
        if name in new and not _same(old.get(name), new[name]):
            yield Change(name, old.get(name), new[name])
    if entry.working.draft is not None:
        old, new = (
            w.model_dump(mode="json", include={"draft", "shown", "dropped", "repaired", "earlier"})
            for w in (entry.working, working)
        )
        for name in old:
            if not _same(old[name], new[name]):
                yield Change(name, old[name], new[name])


def _evidence(answer: Answer, gone: set[str]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for e in answer.evidence:
        row = {"number": e.number, "passage_id": e.passage_id, "channel": e.channel, "score": e.score}
        kept.append(row if f"{EVIDENCE}{e.number}" in gone else {**row, "sha256": e.sha256})
    return kept


def _same(a: Any, b: Any) -> bool:
    """Equal, numbers up to the tolerance."""
    if isinstance(a, float | int) and isinstance(b, float | int) and not isinstance(a, bool):
        return math.isclose(a, b, rel_tol=0.0, abs_tol=TOLERANCE)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _names(changes: tuple[Change, ...]) -> str:
    names = [change.name for change in changes]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
