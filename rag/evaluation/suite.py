"""Suites: ways to measure, found by name, and the one call that runs any of them.

A suite is a small class whose fields are its options, named in :data:`rag.plugins.PARTS`, declared by a package as an
entry point ``clincite.suite``, or given as ``package.module:attribute``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from pydantic import TypeAdapter, ValidationError

from rag.answering.engine import Engine
from rag.errors import InputError
from rag.evaluation.report import Report
from rag.plugins import find
from rag.progress import Progress, Silent
from rag.settings import Settings

Subject = Engine | Settings


@dataclass(frozen=True)
class Sample:
    """What a suite measures with: rows in a form of its own, and how many rows were left out, by reason."""

    rows: Sequence[Any]
    left_out: Counter[str] = field(default_factory=Counter)


class Suite(Protocol):
    """One way to measure.

    >>> from rag.evaluation.report import Row
    >>> class Echo:
    ...     name = "echo"
    ...     def read(self, path): return Sample(path.read_text().splitlines())
    ...     def measure(self, subject, sample, progress):
    ...         return Report(self.name, {}, (Row({}, {"rows": len(sample.rows)}, {}),))
    >>> evaluate(Settings(), Echo(), ["one", "two"]).rows[0].counts["rows"]
    2
    """

    name: ClassVar[str]

    def read(self, path: Path) -> Sample:
        """The rows of a file.

        Raises:
            InputError: it cannot be read, or a row is not of the form; the line is named.
        """
        ...

    def measure(self, subject: Subject, sample: Sample, progress: Progress) -> Report:
        """Run over an engine; a suite that needs no index also takes the settings alone.

        Raises:
            InputError: the sample cannot be measured with.
        """
        ...


def evaluate(
    subject: Subject,
    suite: str | Suite,
    questions: str | Path | Iterable[Any],
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Measure an index, or what settings name where no index is needed. Nothing is written to the ledger.

    >>> report = evaluate(engine, "questions", "questions.jsonl")                           # doctest: +SKIP
    >>> print(report.table())                                                               # doctest: +SKIP
    >>> evaluate(engine, "reliance", "questions.jsonl", first=True).value("followed")       # doctest: +SKIP

    Args:
        subject: an engine; or settings, for suites that need no index (assertion, retrieval, abstracts).
        suite: a name, ``package.module:attribute``, or a suite.
        questions: the suite's file, or its rows.
        progress: told of what is asked.
        options: the suite's fields, where it is named.

    Raises:
        InputError: there is no such suite or option, or the file cannot be used.
    """
    chosen = named_suite(suite, **options) if isinstance(suite, str) else suite
    sample = chosen.read(Path(questions)) if isinstance(questions, str | Path) else Sample(list(questions))
    if not sample.rows:
        raise InputError(f"{questions if isinstance(questions, str | Path) else 'the sample'} holds no rows to ask")
    return chosen.measure(subject, sample, progress or Silent())


def named_suite(name: str, **options: Any) -> Suite:
    """The suite of a name, with these options; texts from a command line become what its fields are.

    >>> named_suite("reliance", first="no", seed="7")
    RelianceSuite(first=False, seed=7, baselines=True)

    Raises:
        InputError: there is no such suite or option, or an option's value does not do.
    """
    made = find("suite", name)
    try:
        if not is_dataclass(made):
            return cast(Suite, made(**options))
        if unknown := sorted(options.keys() - {f.name for f in fields(made) if f.init}):
            raise TypeError(f"unknown: {', '.join(unknown)}")
        return cast(Suite, TypeAdapter(made).validate_python(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"the suite {name!r}, option {where!r}: {first['msg']} (got {first['input']!r})") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"the suite {name!r} does not take these options: {error}") from error


def need_engine(subject: Subject, suite: Suite) -> Engine:
    """The engine, of a suite that measures an index."""
    if isinstance(subject, Engine):
        return subject
    raise InputError(f"the suite {suite.name!r} measures an index: give an engine, or --index NAME")


def measured_index(engine: Engine) -> dict[str, str]:
    """What a report says of the index and who wrote the answers."""
    fingerprints = engine.fingerprints
    return {
        "index": f"{engine.store.name}, version {fingerprints['index version']}",
        "generator": fingerprints["generator"],
    }
