"""One-to-one matching of points, against brute force and a library's global assignment."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from wsipsm.evaluation import matching
from wsipsm.evaluation.matching import match

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=6)


def brute_force(first: np.ndarray, second: np.ndarray, radius: float) -> tuple[int, float]:
    """Most pairs, and their least sum of distances, over all ways to match."""
    swapped = len(first) > len(second)
    few, many = (second, first) if swapped else (first, second)
    distance = cdist(few, many) if len(few) else np.zeros((0, len(many)))
    best = (0, 0.0)
    for chosen in itertools.permutations(range(len(many)), len(few)):
        lengths = [distance[row, column] for row, column in enumerate(chosen)]
        kept = [length for length in lengths if length <= radius]
        best = min(best, (-len(kept), sum(kept)))
    return -best[0], best[1]


@given(POINTS, POINTS, st.integers(1, 8))
def test_most_pairs_then_least_distance(one: list, other: list, radius: int) -> None:
    first, second = (np.array(points, float).reshape(-1, 2) for points in (one, other))

    i, j = match(first, second, radius)

    lengths = np.linalg.norm(first[i] - second[j], axis=1)
    assert len(set(i)) == len(set(j)) == len(i)
    assert (lengths <= radius).all()
    count, total = brute_force(first, second, radius)
    assert (len(i), lengths.sum()) == (count, pytest.approx(total))


@pytest.mark.parametrize("max_dense", [4_000_000, 0], ids=["dense", "sparse"])
def test_a_crowd_equals_one_assignment_of_all(monkeypatch: pytest.MonkeyPatch, max_dense: int) -> None:
    monkeypatch.setattr(matching, "MAX_DENSE", max_dense)
    rng = np.random.default_rng(1)
    first, second = rng.uniform(0, 100, (300, 2)), rng.uniform(0, 100, (250, 2))

    i, j = match(first, second, 8)

    distance = cdist(first, second)
    rows, columns = linear_sum_assignment(np.where(distance <= 8, distance - 1e4, 0))
    expected = distance[rows, columns][distance[rows, columns] <= 8]
    assert len(i) == len(expected)
    assert distance[i, j].sum() == pytest.approx(expected.sum())


def test_the_radius_is_included_and_one_point_takes_one() -> None:
    place = np.zeros((1, 2))

    assert len(match(place, np.array([[3.0, 4], [3, 4]]), 5)[0]) == 1
    assert len(match(place, np.array([[3.0, 4]]), 4.999)[0]) == 0
    assert len(match(np.array([[0.0, 0]]), np.array([[0.1 * 3, 0]]), 0.3)[0]) == 1  # 0.30000000000000004


def test_a_hundred_thousand_points() -> None:
    rng = np.random.default_rng(0)
    first = rng.uniform(0, 4000, (100_000, 2))

    i, j = match(first, first + rng.uniform(-0.1, 0.1, (100_000, 2)), 6)

    # The identity is a matching of all, so the best is one, and no longer.
    assert len(i) == 100_000
    assert np.array_equal(np.sort(j), np.arange(100_000))
