"""Figures of the index against hand-computed values, scipy and the rules of QuPath."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from wsipsm.results.index.scores import allred, h_score, scores, wilson

COUNTS = st.tuples(*[st.integers(0, 3000)] * 4)


@given(positive=st.integers(0, 5000), negative=st.integers(0, 5000))
def test_the_interval_is_that_of_scipy(positive: int, negative: int) -> None:
    found = wilson(positive, positive + negative)

    if positive + negative == 0:
        assert found is None
        return
    expected = binomtest(positive, positive + negative).proportion_ci(method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_figures_computed_by_hand() -> None:
    found = scores((120, 40, 20, 20), 0.25)

    assert (found.counted, found.positive, found.negative) == (200, 80, 120)
    assert (found.grade_1, found.grade_2, found.grade_3) == (40, 20, 20)
    assert found.positive_percent == 40
    assert found.h_score == 20 * 1 + 10 * 2 + 10 * 3
    assert (found.allred_proportion, found.allred_intensity, found.allred) == (4, 2, 6)
    assert (found.positive_per_mm2, found.negative_per_mm2) == (320, 480)


def test_what_is_not_defined_is_none_and_what_is_zero_is_zero() -> None:
    nothing, negative, nowhere = scores((0, 0, 0, 0), 0.5), scores((9, 0, 0, 0), 0.5), scores((1, 1, 0, 0), 0.0)

    undefined = (nothing.positive_percent, nothing.positive_percent_low, nothing.positive_percent_high)
    assert {*undefined, nothing.h_score, nothing.allred, nothing.allred_intensity} == {None}
    assert (nothing.positive_per_mm2, nothing.counted) == (0, 0)
    assert (negative.positive_percent, negative.positive_percent_low, negative.h_score, negative.allred) == (0, 0, 0, 0)
    assert (nowhere.positive_per_mm2, nowhere.negative_per_mm2, nowhere.positive_percent) == (None, None, 50)


@pytest.mark.parametrize(
    ("negative", "positive", "score"),
    [(100, 0, 0), (101, 1, 1), (99, 1, 2), (91, 10, 2), (90, 10, 3), (68, 33, 3), (2, 1, 4), (34, 66, 4), (1, 2, 5)],
)
def test_a_proportion_on_a_limit_belongs_to_the_upper_class(negative: int, positive: int, score: int) -> None:
    found = allred((negative, positive, 0, 0))

    assert found == (score, 1 if positive else 0)


@pytest.mark.parametrize(
    ("grades", "intensity"), [((1, 2, 0), 1), ((1, 3, 0), 2), ((0, 2, 1), 2), ((0, 1, 1), 3), ((0, 0, 1), 3)]
)
def test_the_intensity_is_cut_at_five_and_seven_thirds(grades: tuple[int, int, int], intensity: int) -> None:
    found = allred((0, *grades))

    assert found == (5, intensity)


@given(counts=COUNTS)
def test_scores_agree_with_their_definitions(counts: tuple[int, ...]) -> None:
    cells = [grade for grade, count in enumerate(counts) for _ in range(count)]
    found = scores(counts, 1.0)

    if not cells:
        assert h_score(counts) is None
        return
    assert h_score(counts) == pytest.approx(100 * sum(cells) / len(cells))
    assert found.positive_percent == pytest.approx(100 * sum(grade > 0 for grade in cells) / len(cells), abs=1e-4)
    assert found.positive_percent_low <= found.positive_percent <= found.positive_percent_high  # type: ignore[operator]
    assert found.allred in {0, *range(2, 9)}
