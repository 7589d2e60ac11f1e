"""How often the reader is wrong about a finding, where reports with labels have told: shown beside every count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import tomli

from rag.cohorts.criteria import ReaderError
from rag.errors import InputError
from rag.settings import knowledge_dir


def error_of(finding: str, rules: str) -> ReaderError | None:
    """What was measured of a finding; None where no labels were at hand.

    Args:
        rules: of today's reading, to say whether they are those that were measured. The lexicon's part of their name
            is not compared: terms of an ontology are in it.
    """
    measured = _measured().get(finding)
    if measured is None:
        return None
    return ReaderError.model_validate(measured | {"current": measured_rules() == rules.partition(":")[0]})


def agreement_of(findings: Iterable[str]) -> float:
    """How well "it is there" agrees with labels, as F1 of the worst of some findings, in [0, 1].

    A finding that was not measured is taken to be as the mean of those that were.
    """
    scores = {name: _f1(row) for name, row in _measured().items()}
    usual = sum(scores.values()) / len(scores)
    return min((scores.get(finding, usual) for finding in findings), default=usual)


def _f1(row: Mapping[str, Any]) -> float:
    both = row["labelled"] - row["missed"]
    return float(2 * both / (2 * both + row["missed"] + row["false"]))


def measured_rules() -> str:
    """The rules of reading that were measured."""
    return str(_file()["rules"])


@lru_cache(maxsize=1)
def _file() -> dict[str, Any]:
    path = knowledge_dir() / "reader-errors.toml"
    try:
        return tomli.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomli.TOMLDecodeError) as error:
        raise InputError(f"the reader's measured errors {path} cannot be read: {error}") from error


@lru_cache(maxsize=1)
def _measured() -> Mapping[str, dict[str, Any]]:
    file = _file()
    return {
        row["finding"]: {"labels": file["labels"], **{k: v for k, v in row.items() if k != "finding"}}
        for row in file["measured"]
    }
