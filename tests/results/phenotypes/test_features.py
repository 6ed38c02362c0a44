"""Scales of features: robust, of the slide for its stain, of the cohort for shape."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from wsipsm.cells.measurements import measurements
from wsipsm.results.phenotypes.features import FAR, SHAPE, Scale, features_of, scale_of, scaled, straightened


@pytest.mark.parametrize("whole", [False, True])
def test_features_are_shape_and_mean_density_of_nuclei_whatever_else_a_run_measured(whole: bool) -> None:
    columns = [one.column for one in measurements("he", whole=whole).values()]

    assert features_of(columns) == (
        *("area_um2", "perimeter_um", "eccentricity", "solidity"),
        *("hematoxylin_od_mean", "eosin_od_mean"),
    )
    assert set(SHAPE) < set(features_of(columns))


def test_a_scale_is_median_and_normal_spread() -> None:
    values = np.random.default_rng(0).normal(5, 2, 2001)
    values[:300] = 1e6

    found = scale_of(values)

    assert found.center == np.median(values)
    assert found.spread == pytest.approx(median_abs_deviation(values, scale="normal"), rel=1e-4)


def test_a_feature_that_hardly_varies_still_has_a_spread() -> None:
    assert scale_of(np.array([1.0, 1.0, 1.0, 1.0, 3.0])) == Scale(1.0, pytest.approx(np.std([1, 1, 1, 1, 3])))
    assert scale_of(np.full(9, 2.0)) == Scale(2.0, 1.0)


def test_shape_is_straightened_as_its_geometry_says() -> None:
    long, short = np.array([4.0, 9.0, 1.0]), np.array([2.0, 9.0, 0.5])
    eccentricity = np.sqrt(1 - (short / long) ** 2).astype(np.float32)

    np.testing.assert_allclose(straightened("eccentricity", eccentricity), np.log(long / short), atol=1e-6)
    assert np.isfinite(straightened("eccentricity", np.ones(1, np.float32))).all()
    solidity = straightened("solidity", np.array([1.01, 1.0, 0.9, 0.5], np.float32))
    assert (np.diff(solidity) >= 0).all()
    assert solidity[1] == pytest.approx(np.log(0.01), rel=1e-5)


def test_features_keep_the_order_of_their_scales_and_are_cut_off() -> None:
    columns = {"area_um2": np.array([1, np.e, 1e9], np.float32), "eosin_od_mean": np.array([0.2, 0.4, -9], np.float32)}

    found = scaled(columns, {"eosin_od_mean": Scale(0.2, 0.1), "area_um2": Scale(0.0, 0.5)})

    np.testing.assert_allclose(found, [[0, 0], [2, 2], [-FAR, FAR]], atol=1e-6)
