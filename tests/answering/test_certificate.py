"""A certificate promises only what it was computed for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.answering.certificate import FILE, CertificatePart, StoredCertificate, certificate_for, load_certificate
from rag.errors import IndexStateError
from rag.types import Domain

NOW = {"index version": "3", "generator": "reader"}
HERE = Domain(name="radiology", probability=1.0, out_of_domain=False)
RADIOLOGY = CertificatePart(
    domains=("radiology",), delta=0.025, k=8, gamma=0.35, tau=0.7, rho=0.6, n=400, coverage=0.95, observed_risk=0.03,
    risk_interval=(0.02, 0.06), why="certified",
)  # fmt: skip
OTHERS = RADIOLOGY.model_copy(update={"domains": ("general", "pathology"), "k": 3, "n": 90})
STORED = StoredCertificate(
    alpha=0.1, delta=0.05, scope=("study",), fingerprints=NOW, parts=(RADIOLOGY, OTHERS), created="2026-01-01T00:00:00"
)
NOTHING = STORED.model_copy(update={"parts": (RADIOLOGY.model_copy(update={"k": None, "why": "nothing certified"}),)})


def test_it_is_valid_for_the_questions_and_the_system_it_was_computed_with() -> None:
    found = certificate_for(STORED, NOW, "study", HERE)
    assert (found.status, found.alpha, found.n) == ("valid", 0.1, 400)
    assert found.policy == {"k": 8, "gamma": 0.35, "tau": 0.7, "rho": 0.6}
    assert (found.domains, found.delta) == (("radiology",), 0.025), "the share of delta that was spent on it"


def test_a_question_falls_under_the_part_of_the_domain_that_the_router_names() -> None:
    pathology = certificate_for(STORED, NOW, "study", HERE.model_copy(update={"name": "pathology"}))
    assert (pathology.status, pathology.n, pathology.domains) == ("valid", 90, ("general", "pathology"))
    unseen = certificate_for(STORED, NOW, "study", HERE.model_copy(update={"name": "ophthalmology"}))
    assert (unseen.status, unseen.policy) == ("uncertified", None)
    assert "covers radiology, general, pathology, and this is ophthalmology" in unseen.why


def test_a_domain_that_the_asker_names_is_outside_what_was_certified() -> None:
    assert certificate_for(STORED, NOW, "study", HERE, routed=False).status == "uncertified"


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
        (NOTHING, "study", HERE, "nothing certified"),
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
    for damaged in ('{"alpha": 2}', "[]", "not json", '{"format": "new"}'):
        (tmp_path / FILE).write_text(damaged)
        with pytest.raises(IndexStateError, match="rag calibrate"):
            load_certificate(tmp_path)
    (tmp_path / FILE).write_text('{"format": 5}')
    with pytest.raises(IndexStateError, match="newer ClinCite"):
        load_certificate(tmp_path)


def test_one_of_the_first_format_is_stale_and_says_how_to_renew_it(tmp_path: Path) -> None:
    old = (
        '{"risk": "wrong-answer", "alpha": 0.1, "delta": 0.05, "k": 8, "gamma": 0.35, "tau": 0.7, "n": 400,'
        '"coverage": 0.9, "observed_risk": 0.03, "risk_interval": [0.02, 0.06], "scope": ["study"], "why": "certified",'
        '"fingerprints": {"index version": "3"}}'
    )
    (tmp_path / FILE).write_text(old)
    found = certificate_for(load_certificate(tmp_path), {"index version": "3"}, "study", HERE)
    assert (found.status, found.policy) == ("stale", None)
    assert "rag calibrate" in found.why


def test_an_edited_certificate_promises_nothing(tmp_path: Path) -> None:
    STORED.save(tmp_path)
    assert load_certificate(tmp_path) == STORED
    path = tmp_path / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"alpha": 0.001}))
    found = certificate_for(load_certificate(tmp_path), STORED.fingerprints, "study", HERE)
    assert found.status == "stale"
    assert "edited" in found.why
    STORED.save(tmp_path)  # computed again
    assert load_certificate(tmp_path) == STORED


def test_a_certificate_from_before_hashes_were_noted_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(STORED.model_dump_json())
    assert load_certificate(tmp_path) == STORED


def test_a_form_of_question_that_was_not_tested_is_not_covered() -> None:
    assert certificate_for(STORED, NOW, "study", HERE, form="presence").status == "valid"
    found = certificate_for(STORED, NOW, "study", HERE, form="quantity")
    assert found.status == "uncertified"
    assert "tested on questions of presence, not of quantity" in found.why
