"""Shape of outlines against many directions and known figures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import shapely

from wsipsm.cells.outlines import Rings
from wsipsm.cells.shape import shape_columns


def test_diameters_are_the_least_width_and_that_of_the_smallest_circle_around() -> None:
    rng = np.random.default_rng(0)
    hulls = np.array([shapely.MultiPoint(rng.normal(size=(n, 2)) * (3, 1)).convex_hull for n in range(3, 60)])
    corners = [shapely.get_coordinates(hull) for hull in hulls]
    angles = np.linspace(0, np.pi, 20_001)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in corners])])

    found = shape_columns(Rings(np.concatenate(corners), offsets), um_per_px=1)

    least = [np.ptp(one @ directions, axis=0).min() for one in corners]
    assert found["min_diameter_um"] == pytest.approx(least, rel=1e-3)
    circles = [cv2.minEnclosingCircle(one.astype(np.float32))[1] * 2 for one in corners]
    assert found["max_diameter_um"] == pytest.approx(circles, rel=1e-3)


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


def test_circles_and_widths_of_many_outlines_are_those_of_geos() -> None:
    rng = np.random.default_rng(1)
    clouds = [rng.normal(size=(n % 40 + 3, 2)) * rng.uniform(0.01, 30, 2) + 90_000 for n in range(400)]
    lattice = [rng.integers(0, 4, (9, 2)) + 0.5 for _ in range(200)]  # many points on one circle, many in one line
    hulls = np.array([shapely.MultiPoint(one).convex_hull for one in [*clouds, *lattice]])
    hulls = hulls[shapely.area(hulls) > 0]
    corners = [shapely.get_coordinates(hull) for hull in hulls]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in corners])])

    found = shape_columns(Rings(np.concatenate(corners), offsets), um_per_px=1)

    assert found["max_diameter_um"] == pytest.approx(2 * shapely.minimum_bounding_radius(hulls), rel=1e-6)
    boxes = [np.ptp(one, axis=0).min() for one in corners]
    assert np.all(found["min_diameter_um"] <= np.array(boxes) + 1e-9)
    assert found["min_diameter_um"] == pytest.approx([_least_width(one) for one in corners], rel=1e-6, abs=1e-7)


def _least_width(corners: np.ndarray) -> float:
    """Extent across each side, the least of them."""
    sides = np.diff(corners, axis=0)
    across = np.stack([-sides[:, 1], sides[:, 0]]) / np.linalg.norm(sides, axis=1)
    return float(np.ptp((corners - corners[0]) @ across, axis=0).min())
