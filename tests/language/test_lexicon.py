"""The shipped lexicon is large enough, consistent, and free of collisions."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rag.errors import InputError
from rag.language.cues import load_cues
from rag.language.lexicon import Lexicon, Term
from rag.language.tokens import Token, tokens_of


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


def test_phrases_are_those_that_trying_one_after_the_other_finds(lexicon: Lexicon) -> None:
    draw, inside = random.Random(7), sorted(load_cues().inside)
    rows = sorted(lexicon.phrases(), key=lambda row: (-len(row[1]), row[1][0].islower()))
    by_first: dict[tuple[bool, str], list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for concept, words in rows:
        by_first[concept in lexicon.normals, words[0].lower()].append((concept, words))
    whole = [" ".join(words) for _, words in rows]
    pieces = [*whole, *(word for phrase in whole for word in phrase.split())]
    found = 0
    for _ in range(1000):
        words = " ".join(draw.choice(pieces) for _ in range(6)).split()
        for _ in range(5):
            words.insert(draw.randrange(len(words)), draw.choice([*inside, "-", "/"]))
        tokens = tokens_of(" ".join(words))
        for normal, mentions in ((False, lexicon.mentions(tokens)), (True, lexicon.normal_statements(tokens))):
            expected, i = [], 0
            while i < len(tokens):
                tried = ((c, i, _end(p, tokens, i)) for c, p in by_first[normal, tokens[i].lemma])
                hit = next((t for t in tried if t[2] is not None), None)
                expected += [hit] if hit else []
                i = hit[2] if hit and hit[2] else i + 1
            assert [(m.concept, m.first, m.last) for m in mentions] == expected, words
            found += len(expected)
    assert found > 2000


def _end(phrase: tuple[str, ...], tokens: list[Token], i: int) -> int | None:
    """Where the phrase that begins at token ``i`` ends: each word where it first comes, past at most four of place."""
    if not phrase[0].islower():
        return i + 1 if tokens[i].text.rstrip("'s") in (phrase[0], phrase[0] + "s") else None
    passed = 0
    for n, word in enumerate(phrase):
        while n and i < len(tokens) and tokens[i].lemma != word:
            if tokens[i].text not in "-/":
                if tokens[i].lemma not in load_cues().inside or passed == 4:
                    return None
                passed += 1
            i += 1
        if i >= len(tokens):
            return None
        i += 1
    return i


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
