"""A certificate promises only what it was computed for."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.errors import IndexStateError
from rag.selection.certificate import FILE, StoredCertificate, certificate_for, load_certificate
from rag.types import Domain

NOW = {"index version": "3", "generator": "reader"}
HERE = Domain(name="radiology", probability=1.0, out_of_domain=False)
STORED = StoredCertificate(
    alpha=0.1, delta=0.05, k=8, gamma=0.35, tau=0.7, n=400, coverage=0.95, observed_risk=0.03,
    risk_interval=(0.02, 0.06), X
)  # fmt: skip


def test_it_is_valid_for_the_questions_and_the_system_it_was_computed_with() -> None:
    found = certificate_for(STORED, NOW, "study", HERE)
    assert (found.status, found.alpha, found.n) == ("valid", 0.1, 400)
    assert found.policy == {"k": 8, "gamma": 0.35, "tau": 0.7}


def test_any_change_makes_it_stale_and_is_named() -> None:
    found = certificate_for(STORED, NOW | {"generator": "another"}, "study", HERE)
    assert found.status == "stale"
    assert "generator" in found.why
    assert "index version" not in found.why


@pytest.mark.parametrize(
    ("stored", "scope", "domain", "why"),
    [
        (None, "study", HERE, "no certificate"),
        (STORED, None, HERE, "open one"),
        (STORED, "literature", HERE, "study only"),
        (STORED, "study", Domain(name="general", probability=1.0, out_of_domain=True), "out of domain"),
        (STORED.model_copy(update={"k": None, "why": "nothing certified"}), "study", HERE, "nothing certified"),
    ],
)
def test_what_it_does_not_cover_is_uncertified(stored, scope, domain, why: str) -> None:  # type: ignore[no-untyped-def]
    found = certificate_for(stored, NOW, scope, domain)
    assert found.status == "uncertified"
    assert why in found.why


def test_it_comes_back_from_disk_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert load_certificate(tmp_path) is None
    STORED.save(tmp_path)
    assert load_certificate(tmp_path) == STORED
    (tmp_path / FILE).write_text('{"alpha": 2}')
    with pytest.raises(IndexStateError, match="rag calibrate"):
        load_certificate(tmp_path)
