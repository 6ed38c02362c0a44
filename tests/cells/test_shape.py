"""Shape of outlines against many directions and known figures."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from wsipsm.cells.outlines import Rings
from wsipsm.cells.shape import calipers, shape_columns


def test_calipers_are_the_extremes_over_all_directions() -> None:
    rng = np.random.default_rng(0)
    hulls = np.array([shapely.MultiPoint(rng.normal(size=(n, 2)) * (3, 1)).convex_hull for n in range(3, 60)])
    angles = np.linspace(0, np.pi, 20_001)
    directions = np.stack([np.cos(angles), np.sin(angles)])

    longest, narrowest = calipers(hulls)

    widths = [np.ptp(shapely.get_coordinates(hull) @ directions, axis=0) for hull in hulls]
    assert longest == pytest.approx([width.max() for width in widths], rel=1e-6)
    assert narrowest == pytest.approx([width.min() for width in widths], rel=1e-3)


def test_columns_of_a_rectangle() -> None:
    ring = np.array([(0, 0), (8, 0), (8, 6), (0, 6), (0, 0)], float)

    found = shape_columns(Rings(ring, np.array([0, 5])), um_per_px=0.5)

    assert {name: values.tolist() for name, values in found.items()} == {
        "area_um2": [12.0],
        "perimeter_um": [14.0],
        "circularity": [pytest.approx(4 * np.pi * 12 / 14**2)],
        "max_diameter_um": [5.0],
        "min_diameter_um": [3.0],
        "solidity": [1.0],
    }


def test_no_outline_has_no_shape() -> None:
    found = shape_columns(Rings(np.zeros((0, 2)), np.zeros(1, np.int64)), um_per_px=0.5)

    assert {len(values) for values in found.values()} == {0}
