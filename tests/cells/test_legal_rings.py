"""Rings that are known legal without GEOS, against what GEOS and QuPath's snapping say of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from wsipsm.cells.compiled.rings import are_clear
from wsipsm.cells.outlines import QUPATH_PRECISION, Rings, are_legal


def by_geos(ring: npt.NDArray[np.float64]) -> bool:
    """As QuPath finds out: valid, and still a polygon once snapped."""
    if len(ring) < 4:
        return False
    polygon = shapely.Polygon(ring)
    if not polygon.is_valid or polygon.area == 0:
        return False
    snapped = shapely.set_precision(polygon, QUPATH_PRECISION, mode="valid_output")
    return snapped.geom_type == "Polygon" and not snapped.is_empty


@pytest.mark.parametrize("shake", [0.0, 0.3, 0.6, 1.2, 4.0])
def test_rings_are_legal_as_geos_finds_them(shake: float) -> None:
    random, rings = np.random.default_rng(0), []
    for _ in range(400):
        angle = np.linspace(0, 2 * np.pi, int(random.integers(3, 24)), endpoint=False)
        around = np.stack([np.cos(angle), np.sin(angle)], axis=1) * random.uniform(0.3, 6)
        ring = np.round(around + random.normal(0, shake, around.shape), 1)
        ring = ring[np.append(True, (np.diff(ring, axis=0) != 0).any(axis=1))]
        rings.append(np.vstack([ring, ring[:1]]))
    ragged = Rings(np.concatenate(rings), np.cumsum([0, *map(len, rings)]))

    expected = np.array([by_geos(ring) for ring in rings])

    clear = are_clear(ragged.vertices, ragged.offsets, 2 * QUPATH_PRECISION)
    assert not (clear & ~expected).any()
    np.testing.assert_array_equal(are_legal(ragged), expected)


@pytest.mark.parametrize(
    "ring",
    [
        [(0, 0), (4, 4), (4, 0), (0, 4)],  # a bow-tie
        [(0, 0), (4, 0), (2, 0), (2, 3)],  # a spike along its own edge
        [(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)],  # a vertex on an edge
        [(0, 0), (4, 0), (4, 4), (2, 0.01), (0, 4)],  # a vertex that snapping may put on an edge
        [(0, 0), (4, 0), (2, 2), (4, 4), (0, 4), (2, 2)],  # a corner that is touched twice
        [(0, 0), (4, 0)],
    ],
)
def test_a_ring_that_comes_near_itself_is_not_clear(ring: list[tuple[float, float]]) -> None:
    closed = np.array([*ring, ring[0]], float)

    for turn in range(len(ring)):  # wherever it begins
        turned = np.roll(closed[:-1], turn, axis=0)
        turned = np.vstack([turned, turned[:1]])
        assert not are_clear(turned, np.array([0, len(turned)]), 2 * QUPATH_PRECISION).any()


def test_a_square_is_clear() -> None:
    square = np.array([(0, 0), (0.1, 0), (0.1, 0.1), (0, 0.1), (0, 0)])

    assert are_clear(square, np.array([0, 5]), 2 * QUPATH_PRECISION).all()
