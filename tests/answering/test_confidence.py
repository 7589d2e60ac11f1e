"""Several witnesses of an answer become one confidence, and the certificate's promise survives it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rag.answering.confidence import Combiner, Signals, of_reading, signals_of
from rag.language.clinical_text import Texts
from rag.language.question import read_question
from rag.risk_control.policy import COMBINED_TAUS, Outcomes
from rag.risk_control.procedure import Procedure, certify, learning_rows
from rag.types import Draft, Evidence, sha256_of


def world(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Answers whose generator is confident of everything, and whose evidence knows better: signals, and right ones."""
    agreement = rng.uniform(0.1, 0.9, n)
    right = rng.random(n) < 0.45 + 0.6 * agreement
    signals = np.column_stack([rng.uniform(0.9, 0.99, n), rng.uniform(0.7, 1, n), agreement, rng.uniform(0, 1, n)])
    return signals, right


def evidence(number: int, text: str) -> Evidence:
    return Evidence.model_validate(
        {
            "number": number, "document_id": f"d{number}", "passage_id": f"p{number}", "kind": "report",
            "domain": "radiology", "title": "", "source": "s", "licence": "l", "case_id": "c", "group_id": f"g{number}",
            "channel": "image", "score": 0.8, "text": text, "start": 0, "sha256": sha256_of(text),
        }
    )  # fmt: skip


def test_evidence_that_speaks_for_the_verdict_agrees_whatever_the_generator_says(texts: Texts) -> None:
    asked = read_question("Is there cardiomegaly?", texts.lexicon)
    reports = ["The heart is enlarged.", "Cardiomegaly.", "Normal heart size.", "The lungs are clear."]
    found = [evidence(n, t) for n, t in enumerate(reports, start=1)]

    def agreement(verdict: str | None, some: list[Evidence]) -> float:
        draft = Draft.model_validate({"verdict": verdict, "confidence": 0.9})
        return signals_of(draft, 1.0, asked, some, texts, 0.8).agreement

    assert agreement("yes", found[:2]) > agreement("yes", found) > 0.5 > agreement("no", found)
    assert agreement("yes", found[3:]) == agreement("no", found[3:]) == agreement(None, found) == 0.5
    whole = signals_of(Draft(confidence=0.9), 0.5, asked, found, texts, 0.8)
    assert (whole.generator, whole.verifier, whole.similarity, whole.pooled) == (0.9, 0.5, 0.8, 0.45)


def test_witnesses_are_believed_as_far_as_they_were_right() -> None:
    signals, right = world(2000, np.random.default_rng(1))
    combiner = Combiner.fit(signals, right, np.ones(2000))
    generator, _, agreement, similarity = combiner.weights
    assert min(combiner.weights) >= 0
    assert agreement > 5 * similarity
    assert agreement > generator * 0.5
    fresh, really = world(20_000, np.random.default_rng(2))
    said = combiner.all(fresh)
    for low, high in ((0.5, 0.65), (0.65, 0.8), (0.8, 0.95)):
        some = (said >= low) & (said < high)
        assert really[some].mean() == pytest.approx(said[some].mean(), abs=0.04), (
            "a probability that means what it says"
        )


def test_few_answers_leave_the_generators_confidence_nearly_as_it_is() -> None:
    signals, right = world(3, np.random.default_rng(3))
    combiner = Combiner.fit(signals, right, np.full(3, 0.1))
    s = Signals(0.8, 1.0, 0.5, 1.0)
    assert combiner(s) == pytest.approx(0.8, abs=0.06)
    assert Combiner.fit(signals, np.ones(3, dtype=bool), np.ones(3))(s) < 1


def test_it_is_plain_numbers_and_comes_back_as_it_was() -> None:
    combiner = Combiner.fit(*world(200, np.random.default_rng(4)), np.ones(200))
    assert Combiner.model_validate_json(combiner.model_dump_json()) == combiner
    grid = np.array([[g, 1.0, a, 0.5] for g in (0.0, 0.5, 1.0) for a in (0.0, 0.5, 1.0)])
    values = combiner.all(grid).reshape(3, 3)
    assert np.all(np.diff(values, axis=0) >= 0)
    assert np.all(np.diff(values, axis=1) >= 0), "no witness's doubt raises the confidence"


def test_the_promise_holds_when_the_weights_are_learned_on_the_ordering_groups() -> None:
    """The chosen policy's true risk, on a large fresh sample, exceeds alpha in at most delta of the repeats."""
    alpha, delta, n, repeats = 0.15, 0.1, 300, 150
    fresh, really = world(40_000, np.random.default_rng(5))
    rng, broken, certified = np.random.default_rng(6), 0, 0
    groups = [f"g{i:04}" for i in range(n)]
    for repeat in range(repeats):
        signals, right = world(n, rng)
        rows = learning_rows(groups, repeat)
        combiner = Combiner.fit(signals[rows], right[rows], np.ones(len(rows)))
        confidence = combiner.all(signals)
        outcomes = Outcomes(tuple(groups), ((1, 1.0),), right[:, None], confidence[:, None])
        found = certify(outcomes, groups, alpha, delta, Procedure(COMBINED_TAUS, seed=repeat))
        if found.policy is not None:
            certified += 1
            answered = combiner.all(fresh) >= found.policy.tau
            broken += bool(1 - really[answered].mean() > alpha)
    assert certified > repeats / 3, "a promise that is never made cannot be broken"
    assert broken <= stats.binom.ppf(0.999, repeats, delta)


def test_a_form_that_the_signals_overrate_is_believed_less() -> None:
    """Signals are alike in two forms of question, of which one is answered right and the other hardly ever."""
    rng = np.random.default_rng(7)
    signals = np.column_stack(
        [rng.uniform(0.6, 0.98, 2000), *[np.ones(2000)] * 3, np.full(2000, 0.5), rng.random(2000)]
    )
    forms = np.array(["presence", "whole"])[rng.integers(2, size=2000)]
    chance = np.where(forms == "presence", 0.9 + 0.09 * signals[:, 5], 0.3 + 0.2 * signals[:, 5])
    right = rng.random(2000) < chance
    combiner = Combiner.fit(signals, right, np.ones(2000), forms.tolist())
    said = combiner.all(signals, forms.tolist())
    for form in ("presence", "whole"):
        some = forms == form
        assert said[some].mean() == pytest.approx(right[some].mean(), abs=0.02)
        one = Signals(*signals[some][0])
        assert combiner.at(form)(one) == pytest.approx(said[some][0], abs=1e-6)
    assert combiner.at("cause").intercept == combiner.intercept
    assert len(combiner.weights) == 6, "the strength was heard"
    assert len(set(said.round(3))) > 50


def test_what_says_it_plainly_is_stronger_than_what_implies_it(texts: Texts) -> None:
    asked = read_question("Is there cardiomegaly?", texts.lexicon)

    def strength(text: str, verdict: str) -> float:
        draft = Draft.model_validate({"verdict": verdict, "confidence": 0.9})
        return signals_of(draft, 1.0, asked, [evidence(1, text)], texts, 0.8).strength

    assert strength("There is cardiomegaly.", "yes") > strength("Possible cardiomegaly.", "yes")
    assert strength("No cardiomegaly.", "no") > strength("Unremarkable chest.", "no")
    assert strength("The lungs are clear.", "no") == 0.5, "nothing says it"


def test_the_promise_holds_for_several_questions_a_patient_of_several_forms() -> None:
    """Half of the patients' answers go wrong together, forms differ, and weights are learned on the ordering groups."""
    alpha, delta, patients, each, repeats = 0.18, 0.1, 400, 4, 60
    rng, broken, certified = np.random.default_rng(11), 0, 0

    def draw(n: int) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
        signals, _ = world(n * each, rng)
        right = rng.random(n * each) < 0.8 + 0.2 * signals[:, 2]
        forms = np.array(["presence", "side", "whole"])[rng.integers(3, size=n * each)]
        right &= (forms != "whole") | (rng.random(n * each) < 0.6)
        together = np.repeat(rng.random(n) < 0.5, each)
        right = np.where(together, np.repeat(right[::each], each), right)
        return signals, right, forms.tolist(), np.repeat([f"g{i:05}" for i in range(n)], each).tolist()

    fresh, really, forms_later, _ = draw(20_000)
    for repeat in range(repeats):
        signals, right, forms, groups = draw(patients)
        rows = learning_rows(groups, repeat)
        combiner = Combiner.fit(signals[rows], right[rows], np.full(len(rows), 0.25), [forms[i] for i in rows])
        ids = tuple(map(str, range(len(groups))))
        confidence = combiner.all(signals, forms)
        outcomes = Outcomes(ids, ((1, 1.0),), right[:, None], confidence[:, None])
        learning = {groups[i] for i in rows}
        found = certify(outcomes, groups, alpha, delta, Procedure(COMBINED_TAUS, seed=repeat), learning)
        assert found.bound == "betting"
        assert found.learning_groups == len(learning)
        if found.policy is not None:
            certified += 1
            answered = combiner.all(fresh, forms_later) >= found.policy.tau
            broken += bool(1 - really[answered].mean() > alpha)
    assert certified > repeats / 4, "a promise that is never made cannot be broken"
    assert broken <= stats.binom.ppf(0.999, repeats, delta)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_reading_is_as_sure_as_the_model_and_never_as_it_says(p: float, q: float) -> None:
    assert 0.5 < of_reading(p) < 0.82
    assert of_reading(p) <= of_reading(q) or abs(p - 0.5) >= abs(q - 0.5)
