"""Agreement of classes is scikit-learn's, and its interval comes from whole groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef

from rag.evaluation.classes import measure_classes
from rag.evaluation.metrics import bootstrap, bootstrap_totals

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=2, max_size=60)


@given(PAIRS)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_values_are_those_of_the_library(pairs: list[tuple[str, str]]) -> None:
    labels, said = map(list, zip(*pairs, strict=True))
    found = measure_classes(labels, said, [str(n) for n in range(len(labels))])
    assert found["balanced_accuracy"].value == pytest.approx(balanced_accuracy_score(labels, said))
    wanted = f1_score(labels, said, labels=sorted(set(labels)), average="macro", zero_division=0)
    assert found["macro_F1"].value == pytest.approx(wanted)
    assert found["MCC"].value == pytest.approx(matthews_corrcoef(labels, said))


def test_a_mean_is_a_statistic_of_totals() -> None:
    values, groups = np.random.default_rng(1).random(40), np.arange(40) // 4
    mean = bootstrap({"x": values}, groups)["x"]
    columns = np.column_stack([values, np.ones(40)])
    assert bootstrap_totals(columns, groups, lambda t: {"x": t[:, 0] / t[:, 1]})["x"] == mean
    assert mean.low is not None and mean.low < mean.value < mean.high


def test_many_questions_of_one_patient_tell_little() -> None:
    labels, said = ["yes", "no"] * 20, ["yes", "yes"] * 20
    alone = measure_classes(labels, said, [str(n) for n in range(40)])["macro_F1"]
    together = measure_classes(labels, said, ["p"] * 40)["macro_F1"]
    assert alone.low is not None
    assert together == (alone.value, None, None)
