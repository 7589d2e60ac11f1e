"""A certificate promises only what it was computed for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rag.answering.certificate import FORMAT, CertificatePart, StoredCertificate, certificate_for
from rag.answering.confidence import Combiner
from rag.answering.posed import Posed, features_of, pose, unread_of
from rag.audit.ledger import LEDGER, Ledger
from rag.errors import IndexStateError
from rag.language.clinical_text import Texts
from rag.language.lexicon import Lexicon
from rag.language.question import read_question
from rag.risk_control.novelty import Familiar
from rag.types import Domain, Question, sha256_of

NOW = {"index version": "3", "generator": "reader"}
STUDY = Posed("study")
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
    found = certificate_for(STORED, NOW, STUDY, HERE)
    assert (found.status, found.alpha, found.n) == ("valid", 0.1, 400)
    assert found.policy == {"k": 8, "gamma": 0.35, "tau": 0.7, "rho": 0.6}
    assert (found.domains, found.delta) == (("radiology",), 0.025), "the share of delta that was spent on it"


def test_a_question_falls_under_the_part_of_the_domain_that_the_router_names() -> None:
    pathology = certificate_for(STORED, NOW, STUDY, HERE.model_copy(update={"name": "pathology"}))
    assert (pathology.status, pathology.n, pathology.domains) == ("valid", 90, ("general", "pathology"))
    unseen = certificate_for(STORED, NOW, STUDY, HERE.model_copy(update={"name": "ophthalmology"}))
    assert (unseen.status, unseen.policy) == ("uncertified", None)
    assert "covers radiology, general, pathology, and this is ophthalmology" in unseen.why


def test_a_domain_that_the_asker_names_is_outside_what_was_certified() -> None:
    assert certificate_for(STORED, NOW, STUDY, HERE, routed=False).status == "uncertified"


def test_any_change_makes_it_stale_and_is_named() -> None:
    found = certificate_for(STORED, NOW | {"generator": "another"}, STUDY, HERE)
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
    found = certificate_for(stored, NOW, Posed(scope), domain)
    assert found.status == "uncertified"
    assert why in found.why


def test_it_comes_back_from_disk_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert StoredCertificate.load(tmp_path) is None
    STORED.save(tmp_path)
    assert StoredCertificate.load(tmp_path) == STORED
    for damaged in ('{"alpha": 2}', "[]", "not json", '{"format": "new"}'):
        (tmp_path / StoredCertificate.FILE).write_text(damaged)
        with pytest.raises(IndexStateError, match="rag calibrate"):
            StoredCertificate.load(tmp_path)
    (tmp_path / StoredCertificate.FILE).write_text(f'{{"format": {FORMAT + 1}}}')
    with pytest.raises(IndexStateError, match="newer ClinCite"):
        StoredCertificate.load(tmp_path)


def test_one_of_the_first_format_is_stale_and_says_how_to_renew_it(tmp_path: Path) -> None:
    old = (
        '{"risk": "wrong-answer", "alpha": 0.1, "delta": 0.05, "k": 8, "gamma": 0.35, "tau": 0.7, "n": 400,'
        '"coverage": 0.9, "observed_risk": 0.03, "risk_interval": [0.02, 0.06], "scope": ["study"], "why": "certified",'
        '"fingerprints": {"index version": "3"}}'
    )
    (tmp_path / StoredCertificate.FILE).write_text(old)
    found = certificate_for(StoredCertificate.load(tmp_path), {"index version": "3"}, STUDY, HERE)
    assert (found.status, found.policy) == ("stale", None)
    assert "rag calibrate" in found.why


def test_an_edited_certificate_promises_nothing(tmp_path: Path) -> None:
    STORED.save(tmp_path)
    assert StoredCertificate.load(tmp_path) == STORED
    path = tmp_path / StoredCertificate.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"alpha": 0.001}))
    found = certificate_for(StoredCertificate.load(tmp_path), STORED.fingerprints, STUDY, HERE)
    assert found.status == "stale"
    assert "edited" in found.why
    STORED.save(tmp_path)  # computed again
    assert StoredCertificate.load(tmp_path) == STORED


@pytest.mark.parametrize("has_one_of_its_own", [False, True])
def test_the_certificate_of_another_index_promises_nothing_here(tmp_path: Path, has_one_of_its_own: bool) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    if has_one_of_its_own:
        NOTHING.save(here)
    shutil.copy(STORED.save(there), here)
    found = certificate_for(StoredCertificate.load(here), STORED.fingerprints, STUDY, HERE)
    assert found.status == "stale"
    assert "another index's" in found.why
    shutil.copytree(there, tmp_path / "copy")  # with its ledger it is the same index
    assert StoredCertificate.load(tmp_path / "copy") == STORED


def test_a_form_of_question_that_was_not_tested_is_not_covered() -> None:
    assert certificate_for(STORED, NOW, STUDY, HERE).status == "valid"
    found = certificate_for(STORED, NOW, Posed("study", "quantity"), HERE)
    assert found.status == "uncertified"
    assert "tested on questions of presence, not of quantity" in found.why


SIDES = RADIOLOGY.model_copy(update={"forms": ("side",), "n": 200})
PRESENCE = RADIOLOGY.model_copy(update={"forms": ("presence",), "n": 300})
BY_FORM = STORED.model_copy(
    update={"format": FORMAT, "forms": ("presence", "side", "degree"), "parts": (SIDES, PRESENCE)}
)


def test_a_part_may_be_about_some_forms_of_question_alone() -> None:
    assert certificate_for(BY_FORM, NOW, Posed("study", "side"), HERE).n == 200
    found = certificate_for(BY_FORM, NOW, STUDY, HERE)
    assert (found.n, found.forms) == (300, ("presence",))
    neither = certificate_for(BY_FORM, NOW, Posed("study", "degree"), HERE)
    assert neither.status == "uncertified"
    assert "this is degree in radiology" in neither.why


SEEN = [features_of(text, Lexicon.load()) for text in ("Is there an effusion?", "Does the film show a nodule?")]
WORDED = STORED.model_copy(
    update={"format": FORMAT, "familiar": Familiar.of([s.keys() for s in SEEN] * 60, [f"g{i}" for i in range(120)])}
)


@pytest.mark.parametrize(
    ("text", "strange"),
    [
        ("Is there a pneumothorax?", None),
        ("Does the film show cardiomegaly?", None),
        ("Does the film show a bean-shaped nodule?", "“bean”, “shaped”"),
        ("Is there an effusion as in the warfarin trial?", "“trial”, “warfarin”"),
        ("Will there be a pneumothorax?", "“will”"),
        ("If there is an effusion, is there a nodule?", "“if”"),
        ("Is effusion the indication?", "“indication”"),
        ("Is there no effusion?", "“no”"),
    ],
)
def test_a_question_worded_unlike_those_tested_is_not_covered_and_its_words_are_named(
    text: str, strange: str | None
) -> None:
    found = certificate_for(WORDED, NOW, Posed("study", "presence", features_of(text, Lexicon.load())), HERE)
    assert found.status == ("valid" if strange is None else "uncertified")
    if strange is not None:
        assert strange in found.why
    assert found.policy == certificate_for(STORED, NOW, STUDY, HERE).policy


def test_an_image_beside_a_study_is_no_question_about_the_study_alone(texts: Texts) -> None:
    asked = read_question("Is there an effusion?", texts.lexicon)
    stored = WORDED.model_copy(update={"scope": ("literature",)})
    for image, status in ((None, "valid"), ("fundus.png", "uncertified")):
        posed = pose(asked, [], texts, Question(text=asked.text, study="CXR1", image=image))
        found = certificate_for(stored, NOW, posed, HERE)
        assert found.status == status, found.why
    assert "an image beside it" in found.why


def test_denying_once_is_not_denying_twice() -> None:
    texts = ("Is there an effusion?", "Is there no effusion?", "Does the film not show a nodule?")
    seen = [features_of(text, Lexicon.load()).keys() for text in texts]
    stored = WORDED.model_copy(update={"familiar": Familiar.of(seen * 60, [f"g{i}" for i in range(180)])})
    for text, status in (
        ("Is there no nodule?", "valid"),
        ("Does the film not show no nodule?", "uncertified"),
        ("Is there no film without a nodule?", "uncertified"),
    ):
        found = certificate_for(stored, NOW, Posed("study", "presence", features_of(text, Lexicon.load())), HERE)
        assert found.status == status, text


def test_the_certificate_holds_no_word_of_the_questions() -> None:
    kept = WORDED.model_dump_json()
    assert "film" not in kept
    assert "<finding>" in kept


def test_what_was_learned_of_confidence_serves_questions_of_other_forms_and_wordings_too() -> None:
    learned = Combiner(weights=(1.0, 0.5, 0.0, 0.0), intercept=0.5, forms={"presence": 0.25}, n=9)
    stored = WORDED.model_copy(update={"parts": (RADIOLOGY.model_copy(update={"combiner": learned}),)})
    strange = Posed("study", "presence", {"x": "bean"})
    for posed, intercept in ((STUDY, 0.75), (strange, 0.75), (Posed("study", "quantity"), 0.5)):
        assert certificate_for(stored, NOW, posed, HERE).weights == (1.0, 0.5, 0.0, 0.0, intercept)
    assert certificate_for(stored, NOW, Posed("literature"), HERE).weights is None
    assert certificate_for(stored, {}, STUDY, HERE).weights is None


def test_a_certificate_of_the_format_before_loads_as_it_was_and_an_older_system_is_told_of_a_newer_one(
    tmp_path: Path,
) -> None:
    """Forms came without a format of their own; files with and without them are read."""
    before = json.loads(STORED.model_copy(update={"format": 4}).model_dump_json())
    for name in ("familiar",):
        before.pop(name)
    for part in before["parts"]:
        for name in ("forms", "by_form", "silence"):
            part.pop(name)
    for forms in (["presence", "side"], None):
        values = {k: v for k, v in before.items() if k != "forms"} | ({"forms": forms} if forms else {})
        (tmp_path / StoredCertificate.FILE).write_text(json.dumps(values))
        Ledger(tmp_path / LEDGER).note_certificate(sha256_of(json.dumps(values)))
        found = StoredCertificate.load(tmp_path)
        assert found is not None
        assert found.forms == tuple(forms or ["presence"])
        assert certificate_for(found, NOW, STUDY, HERE).status == "valid"


def test_a_report_that_could_not_be_read_is_outside(texts: Texts) -> None:
    english = ["The heart is enlarged. No pleural effusion.", "The lungs are clear. No pneumothorax."]
    unread = [unread_of([text], texts) for text in english]
    familiar = Familiar.of([s.keys() for s in SEEN] * 60, [f"g{i}" for i in range(120)], unread=unread * 60)
    stored = WORDED.model_copy(update={"familiar": familiar})
    german = unread_of(["Das Herz ist vergrößert. Kein Pleuraerguss beidseits, keine Infiltrate."], texts)
    assert certificate_for(stored, NOW, Posed("study", "presence", SEEN[0], unread[1]), HERE).status == "valid"
    found = certificate_for(stored, NOW, Posed("study", "presence", SEEN[0], german), HERE)
    assert found.status == "uncertified"
    assert "of its words are unknown" in found.why
