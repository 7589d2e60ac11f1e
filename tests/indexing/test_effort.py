"""How hard an approximate index searches: no harder than a question needs, and as hard as it needs."""

from __future__ import annotations

import numpy as np
import pytest

from rag.indexing.backends.effort import TARGET, K, choose_efforts, probes, search_by_effort

from .brute_force import unit

FACTS = {"near_effort": 16, "far_effort": 256}


class Walk:
    """Finds strangers alone below the effort that a question needs. A question is its number, in one dimension."""

    def __init__(self, needs: list[int]) -> None:
        self.needs = np.array(needs)
        self.efforts: dict[int, list[int]] = {number: [] for number in range(len(needs))}

    def __call__(self, queries: np.ndarray, k: int, effort: int) -> tuple[np.ndarray, np.ndarray]:
        numbers = queries[:, 0].astype(int)
        for number in numbers:
            self.efforts[number].append(effort)
        found = effort >= self.needs[numbers]
        scores = np.where(found[:, None], 0.9, 0.1) - 0.001 * np.arange(k)
        return scores.astype(np.float32), np.where(found[:, None], np.arange(k), 1000 + np.arange(k))


@pytest.mark.parametrize("together", [True, False])
def test_a_walk_goes_farther_until_something_near_is_found(together: bool) -> None:
    walk = Walk([10, 40, 200, 10_000])
    queries = np.arange(4, dtype=np.float32)[:, None]
    parts = [queries] if together else list(queries[:, None])
    found = np.concatenate([search_by_effort(walk, part, K, FACTS, 1.0, walk=True) for part in parts])
    assert walk.efforts == {0: [16], 1: [16, 64], 2: [16, 64, 256], 3: [16, 64, 256]}
    assert [row.tolist() for row in found[:3]] == [list(range(K))] * 3


def test_efforts_grow_as_a_filter_leaves_less() -> None:
    walk = Walk([40, 500])
    search_by_effort(walk, np.arange(2, dtype=np.float32)[:, None], K, FACTS, 0.25)
    assert walk.efforts == {0: [64], 1: [64, 1024]}


@pytest.mark.parametrize(("lost", "seems_near", "effort"), [(0.1, False, 10), (0.1, True, 64), (0.01, True, 10)])
def test_an_effort_is_enough_if_what_it_loses_is_noticed_and_found(lost: float, seems_near: bool, effort: int) -> None:
    vectors = unit(0, 2000, 16)

    def search(queries: np.ndarray, k: int, effort: int) -> tuple[np.ndarray, np.ndarray]:
        scores = queries @ vectors.T
        best = np.argsort(-scores, axis=1)[:, :k]
        found = np.take_along_axis(scores, best, axis=1)
        if effort < 64:
            astray = queries[:, 0] <= np.quantile(probed, lost)
            best[astray] = -1
            found[astray] = 0.6 if seems_near else 0.1
        return found, best

    probed = probes(vectors, 0.6)[:, 0]
    facts = choose_efforts(vectors, search, (10, 64, 128))
    assert facts["near_effort"] == effort
    assert facts["near_recall"] >= TARGET
