"""The router knows where a question belongs, which indexes to search, and what belongs nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rag.errors import InputError
from rag.retrieval.domains import load_domains
from rag.retrieval.head import FILE, TrainedHead
from rag.retrieval.router import Router, is_sure
from rag.settings import RoutingSettings

DOMAINS = """
[[domain]]
id = "radiology"
name = "Radiology"
description = ""
prompts = ["a blue image", "something blue"]
vocabulary = ["chest", "lung"]

[[domain]]
id = "ophthalmology"
name = "Ophthalmology"
description = ""
prompts = ["a green image"]
vocabulary = ["eye", "retina"]

[[domain]]
id = "general"
name = "General"
description = ""
prompts = ["an image of no one colour"]
vocabulary = ["treatment"]
"""
DERMATOLOGY = """
[[domain]]
id = "dermatology"
name = "Dermatology"
description = ""
prompts = ["a red image"]
vocabulary = ["skin", "naevus"]
"""
BLUE, GREEN, RED = np.eye(3, dtype=np.float32)[[2, 1, 0]]


@pytest.fixture
def domains(tmp_path: Path) -> Path:
    path = tmp_path / "domains.toml"
    path.write_text(DOMAINS)
    return path


@pytest.fixture
def head() -> TrainedHead:
    """Trained, as it were, on blue radiology and green ophthalmology."""
    known = np.stack([GREEN, BLUE])
    names = ("ophthalmology", "radiology")
    reach = np.full(2, 0.2, dtype=np.float32)
    return TrainedHead(names, "colours:1", 4 * known, np.zeros(2, np.float32), 2.0, known, np.arange(2), reach)


Opened = Callable[..., Router]


@pytest.fixture
def opened(colours: Any) -> Opened:
    return lambda domains, **options: Router(load_domains(domains), encoder=colours, **options)


def seen(colour: np.ndarray) -> dict[str, np.ndarray]:
    return {"vector": colour[None], "features": colour[None]}


def test_the_head_recognises_its_domains_and_what_is_like_none_of_them(
    opened: Opened, domains: Path, head: TrainedHead
) -> None:
    router = opened(domains, head=head)
    found = router.route("What is this?", **seen(BLUE))
    assert (found.name, found.out_of_domain, found.basis) == ("radiology", False, "trained router")
    stranger = router.route("What is this?", **seen(RED))
    assert stranger.out_of_domain
    assert stranger.searched == ()  # nobody knows where it belongs: everywhere is searched


def test_image_and_words_multiply_their_odds(opened: Opened, domains: Path, head: TrainedHead) -> None:
    router = opened(domains, head=head)
    image = np.exp(head.log_probabilities(BLUE[None])[0])  # ophthalmology, radiology
    alone = router.route("", **seen(BLUE))
    assert alone.probability == pytest.approx(image[1])
    words = router.route("the retina")
    both = router.route("the retina", **seen(BLUE))
    odds = (image[0] / image[1]) * (words.probability / (1 - words.probability))
    assert both.probability == pytest.approx(max(odds, 1) / (1 + odds) if odds < 1 else odds / (1 + odds))


def test_domains_are_searched_until_their_probability_reaches_the_mass(
    opened: Opened, domains: Path, head: TrainedHead
) -> None:
    domains.write_text(DOMAINS + DERMATOLOGY)
    sure = opened(domains, head=replace(head, temperature=0.2)).route("What?", **seen(BLUE))
    assert sure.searched == ("radiology", "general")
    assert is_sure(sure)
    between = (BLUE + GREEN) / np.float32(np.sqrt(2))
    unsure = opened(domains, head=replace(head, thresholds=np.full(2, 0.5, dtype=np.float32))).route(
        "What?", **seen(between)
    )
    assert set(unsure.searched) == {"ophthalmology", "radiology", "general"}
    assert not is_sure(unsure)
    nothing_known = opened(domains).route("Which treatment?")
    assert nothing_known.searched == ()


def test_equals_are_searched_together_and_unknown_domains_of_the_index_always(opened: Opened, domains: Path) -> None:
    domains.write_text(DOMAINS + DERMATOLOGY)
    router = opened(domains, shelves={"radiology", "dentistry"})
    tied = router.route("the skin of the eye, a naevus, the retina")
    assert set(tied.searched) == {"dermatology", "ophthalmology", "general", "dentistry"}


def test_a_domain_added_to_the_list_works_at_once(opened: Opened, domains: Path, head: TrainedHead) -> None:
    before = opened(domains).route("What is this?", **seen(RED))
    assert before.name != "dermatology"
    domains.with_name("more.toml").write_text(DOMAINS + DERMATOLOGY)
    more = domains.with_name("more.toml")
    zero_shot = opened(more).route("What is this?", **seen(RED))
    assert (zero_shot.name, zero_shot.basis, zero_shot.out_of_domain) == ("dermatology", "zero-shot prompts", False)
    beside_a_head = opened(more, head=head).route("What is this?", **seen(RED))
    assert (beside_a_head.name, beside_a_head.out_of_domain) == ("dermatology", False)
    still = opened(more, head=head).route("What is this?", **seen(BLUE))
    assert (still.name, still.basis) == ("radiology", "trained router")
    assert opened(more).route("Is this naevus of the skin benign?").name == "dermatology"


def test_a_router_comes_back_from_its_file(tmp_path: Path, head: TrainedHead) -> None:
    head = replace(head, weights=np.asfortranarray(head.weights * [[1, 2, 3]]), about={"figures": {"ece": 0.01}})
    head.save(tmp_path / FILE)
    back = TrainedHead.load(tmp_path / FILE)
    assert (back.domains, back.encoder, back.about) == (head.domains, head.encoder, head.about)
    image = np.stack([BLUE, RED])
    np.testing.assert_array_equal(back.log_probabilities(image), head.log_probabilities(image))
    np.testing.assert_array_equal(back.distances(image), head.distances(image))


def test_a_router_of_another_encoder_is_passed_over_and_refused_by_name(
    tmp_path: Path, domains: Path, head: TrainedHead, colours: Any
) -> None:
    replace(head, encoder="another:1").save(tmp_path / FILE)
    beside = Router.open(RoutingSettings(domains=domains), colours, (), tmp_path)  # type: ignore[call-arg]
    assert beside.basis == "zero-shot prompts"
    with pytest.raises(InputError, match=r"is for the image encoder another:1.*rag train router"):
        Router.open(RoutingSettings(domains=domains, model=tmp_path / FILE), colours, ())  # type: ignore[call-arg]
    head.save(tmp_path / FILE)
    assert Router.open(RoutingSettings(domains=domains), colours, (), tmp_path).basis == "trained router"  # type: ignore[call-arg]


@pytest.mark.parametrize("content", [b"", b"not a router", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_router_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match="damaged or of another kind"):
        TrainedHead.load(tmp_path / FILE)


@pytest.mark.parametrize("content", ["domain = 3", "[[domain]]\nid = 'x'", "not toml", DOMAINS + DOMAINS])
def test_a_list_of_domains_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "domains.toml"
    path.write_text(content)
    with pytest.raises(InputError, match="the domain list"):
        load_domains(path)


def test_a_domain_named_by_the_user_is_taken_at_their_word(opened: Opened, domains: Path) -> None:
    router = opened(domains, shelves={"dentistry"})
    assert router.named("dentistry").searched == ("dentistry", "general")
    with pytest.raises(InputError, match="no domain 'radiologie'"):
        router.named("radiologie")
