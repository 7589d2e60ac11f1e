"""The shipped lexicon is large enough, consistent, and free of collisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rag.errors import InputError
from rag.findings.lexicon import Lexicon, Term
from rag.findings.tokens import tokens_of


def test_there_are_at_least_150_findings_over_three_domains(lexicon: Lexicon) -> None:
    domains = Counter(c.domain for c in lexicon.concepts.values() if c.kind == "finding")
    assert sum(domains.values()) >= 150
    assert min(domains[d] for d in ("radiology", "ophthalmology", "pathology")) >= 40


def test_no_phrase_means_two_things(lexicon: Lexicon) -> None:
    owners = defaultdict(set)
    for concept, words in lexicon.phrases():
        owners[words].add(concept)
    assert {words: ids for words, ids in owners.items() if len(ids) > 1} == {}


def test_no_finding_is_its_own_ancestor(lexicon: Lexicon) -> None:
    for concept in lexicon.concepts.values():
        assert not any(lexicon.is_a(parent, concept.id) for parent in concept.parents), concept.id


def test_every_finding_is_found_by_its_name(lexicon: Lexicon) -> None:
    for concept in lexicon.concepts.values():
        found = {m.concept for m in lexicon.mentions(tokens_of(f"There is {concept.name}."))}
        assert concept.id in found, concept.name


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("pleural effusions", "pleural_effusion"),
        ("pulmonary oedema", "pulmonary_edema"),
        ("an enlarged heart", "cardiomegaly"),
        ("calcified left hilar granulomas", "calcified_granuloma"),
        ("air-space disease", "airspace_disease"),
    ],
)
def test_variants_are_found(text: str, finding: str, lexicon: Lexicon) -> None:
    assert finding in {m.concept for m in lexicon.mentions(tokens_of(text))}


def test_terms_of_an_ontology_join_but_never_take_a_phrase_away() -> None:
    lexicon = Lexicon.load(
        terms=[
            Term("X:1", "Corneal guttata", ("guttate cornea",), "ophthalmology"),
            Term("X:2", "Cardiomegaly", (), "radiology"),
        ]
    )
    assert {m.concept for m in lexicon.mentions(tokens_of("a guttate cornea"))} == {"X:1"}
    assert {m.concept for m in lexicon.mentions(tokens_of("cardiomegaly"))} == {"cardiomegaly"}


def test_a_lexicon_that_refers_to_nothing_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "findings.toml"
    path.write_text('[[finding]]\nid = "a"\nname = "a"\ndomain = "general"\nparents = ["nowhere"]\n')
    with pytest.raises(InputError, match="nowhere"):
        Lexicon.load(path)
    path.write_text('[[finding]]\nid = "a"\n')
    with pytest.raises(InputError, match="lacks its field"):
        Lexicon.load(path)
