"""An answer shows which passages were found, how many became evidence, and why no more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.contexts import select_contexts
from rag.answering.engine import Engine
from rag.risk_control.policy import Policy
from rag.types import Document, Hit, Passage


def hits(*scores: float, channel: str = "text") -> tuple[Hit, ...]:
    found = []
    for n, score in enumerate(scores):
        document = Document(id=f"d{n}", kind="report", text="t", title=f"T{n}", case_id="c", group_id="g", source="s")
        passage = Passage(id=f"d{n}#0", document_id=f"d{n}", start=0, end=1, text="t")
        found.append(Hit(passage=passage, document=document, score=score, channel=channel, ranks={channel: n + 1}))
    return tuple(found)


@pytest.mark.parametrize(
    ("found", "kept", "rule"),
    [
        (hits(0.9, 0.8, 0.3, 0.2), 2, "gap"),
        (hits(0.9, 0.8, 0.7, 0.6), 3, "ceiling"),
        (hits(0.9, 0.8), 2, "all"),
        (hits(1.0, 1.0, 1.0, 1.0, channel="study"), 4, "study"),
        ((), 0, "all"),
    ],
)
def test_the_rule_that_cut_is_named_and_every_candidate_shown(found: tuple[Hit, ...], kept: int, rule: str) -> None:
    chosen = select_contexts(found, Policy(3, 0.35, 0.0))
    assert (chosen.kept, chosen.rule) == (kept, rule)
    assert [c.score for c in chosen.candidates] == [h.score for h in found]
    assert [c.title for c in chosen.candidates] == [h.document.title for h in found]


@given(
    st.lists(st.floats(0.01, 1.0), max_size=12).map(lambda s: sorted(s, reverse=True)),
    st.builds(Policy, st.integers(1, 8), st.floats(0.01, 5.0), st.just(0.0), least=st.integers(0, 10)),
)
def test_a_floor_only_ever_adds_contexts_and_holds_wherever_so_many_were_found(
    scores: list[float], policy: Policy
) -> None:
    found = hits(*scores)
    free, chosen = select_contexts(found, replace(policy, least=0)), select_contexts(found, policy)
    assert chosen.kept == max(free.kept, min(policy.least, len(found)))
    assert (chosen.rule == "floor") == (chosen.kept > free.kept)
    assert chosen.rule == "floor" or chosen.rule == free.rule
    assert Policy.from_dict(policy.as_dict()) == policy


@pytest.mark.parametrize(
    "question", ["What is drusen?", "Does study CXR2814 show cardiomegaly?", "What is the capital of France?"]
)
def test_the_evidence_of_an_answer_is_what_was_kept(question: str, engine: Engine) -> None:
    answer = engine.ask(question)
    chosen = answer.selection
    assert chosen is not None
    kept = [c.passage_id for c in chosen.candidates[: chosen.kept]]
    assert sorted(kept) == sorted(e.passage_id for e in answer.evidence)
    assert (chosen.rule == "study") == (answer.question.study is not None)
