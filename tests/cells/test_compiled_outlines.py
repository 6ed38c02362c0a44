"""Compiled loops over rings against GEOS and NumPy, to the bit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from scipy import ndimage

from wsipsm.cells.compiled.hulls import convex_hulls
from wsipsm.cells.compiled.outlines import averaged, thinned
from wsipsm.cells.compiled.rings import areas_and_lengths, moments
from wsipsm.cells.outlines import Rings, trace
from wsipsm.cells.smoothing import _WEIGHTS


def ragged(rings: list[npt.NDArray[np.float64]]) -> Rings:
    return Rings(np.concatenate(rings), np.cumsum([0, *map(len, rings)]))


def closed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.vstack([points, points[:1]])


def stars(count: int, decimals: int, seed: int = 0) -> list[npt.NDArray[np.float64]]:
    """Simple rings around places all over a slide, with coordinates of so many decimals."""
    rng, rings = np.random.default_rng(seed), []
    for _ in range(count):
        angle = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 40))))
        radius = rng.uniform(0.4, 1, len(angle)) * rng.choice([0.5, 3, 20])
        points = np.stack([np.cos(angle) * radius, np.sin(angle) * radius], axis=1) + rng.uniform(0, 150_000, 2)
        ring = closed(np.round(points, decimals))
        if shapely.Polygon(ring).is_valid:
            rings.append(ring[:: rng.choice([-1, 1])])
    return rings


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_hulls_areas_and_lengths_are_those_of_geos(decimals: int) -> None:
    rings = ragged(stars(600, decimals))
    polygons = rings.polygons()

    corners, offsets = convex_hulls(rings.vertices, rings.offsets)
    area, length = areas_and_lengths(rings.vertices, rings.offsets)

    assert len(rings) > 200
    hulls = shapely.convex_hull(polygons)
    np.testing.assert_array_equal(np.diff(offsets), shapely.get_num_coordinates(hulls))
    np.testing.assert_array_equal(corners, shapely.get_coordinates(hulls))
    np.testing.assert_array_equal(area, shapely.area(polygons))
    np.testing.assert_array_equal(length, shapely.length(polygons))


def test_corners_nearly_in_a_line_are_told_as_geos_tells_them() -> None:
    rng = np.random.default_rng(1)
    along = [np.sort(rng.choice(np.arange(1, 60), 12, replace=False)) / 10 for _ in range(300)]
    rings = [
        closed(np.vstack([np.stack([t * a, t * b], axis=1) + start, (start[0] + 9.3 * b, start[1] - 9.1 * a)]))
        for t, a, b, start in zip(
            along,
            rng.integers(1, 9, 300),
            rng.integers(1, 9, 300),
            np.round(rng.uniform(0, 9_000, (300, 2)), 1),
            strict=True,
        )
    ]
    rings = [ring for ring in (np.round(ring, 1) for ring in rings) if shapely.Polygon(ring).is_valid]

    corners, _ = convex_hulls(ragged(rings).vertices, ragged(rings).offsets)

    assert len(rings) > 50
    np.testing.assert_array_equal(corners, shapely.get_coordinates(shapely.convex_hull(ragged(rings).polygons())))


@pytest.mark.parametrize("tolerance", [0.05, 0.15, 1.0, 30.0])
def test_lines_are_thinned_as_geos_thins_them(tolerance: float) -> None:
    rng = np.random.default_rng(2)
    walks = [np.round(np.cumsum(rng.normal(size=(int(rng.integers(2, 60)), 2)), axis=0) * 8) / 16 for _ in range(300)]
    lines = ragged([*walks, *map(closed, walks), *stars(200, 1)])

    vertices, offsets = thinned(lines.vertices, lines.offsets, tolerance)

    geos = shapely.from_ragged_array(shapely.GeometryType.LINESTRING, lines.vertices, (lines.offsets,))
    geos = shapely.simplify(geos, tolerance, preserve_topology=False)
    np.testing.assert_array_equal(np.diff(offsets), shapely.get_num_coordinates(geos))
    np.testing.assert_array_equal(vertices, shapely.get_coordinates(geos))


def test_midpoints_of_pixel_edges_are_averaged_around_the_ring() -> None:
    corners = [[(7, 4), (8, 4), (8, 5), (7, 5)], [(2, 1), (9, 1), (9, 3), (5, 3), (5, 8), (3, 8), (3, 2), (2, 2)]]
    rings = ragged([closed(np.array(ring)) for ring in corners])

    soft, offsets = averaged(rings.vertices, rings.offsets, _WEIGHTS)

    for number, ring in enumerate(corners):
        around = closed(np.array(ring)) - ring[0]
        steps = [np.abs(run).sum() for run in np.diff(around, axis=0)]
        edges = np.vstack(
            [a + (b - a) * np.arange(n)[:, None] / n for a, b, n in zip(around, around[1:], steps, strict=False)]
        )
        middles = (edges + np.roll(edges, -1, axis=0)) / 2
        means = ndimage.convolve1d(middles, _WEIGHTS / 1024, axis=0, mode="wrap")
        np.testing.assert_array_equal(soft[offsets[number] : offsets[number + 1]], closed(means))


def test_moments_are_those_of_shapely_and_signed() -> None:
    rings = ragged([ring - np.floor(ring[0]) for ring in stars(300, 1)])

    found = moments(rings.vertices, rings.offsets)

    centres = shapely.get_coordinates(shapely.centroid(rings.polygons()))
    ccw = shapely.is_ccw(shapely.from_ragged_array(shapely.GeometryType.LINESTRING, rings.vertices, (rings.offsets,)))
    np.testing.assert_allclose(found[:, 0], shapely.area(rings.polygons()) * np.where(ccw, 1, -1), rtol=1e-9)
    np.testing.assert_allclose(found[:, 1:], centres, atol=1e-6)
    flat = moments(np.array([(0.0, 0.0), (2.0, 0.0), (0.0, 0.0)]), np.array([0, 3]))
    assert flat.tolist() == [[0.0, 0.0, 0.0]]


def test_outlines_of_many_corners_are_those_of_the_pixels_united() -> None:
    """More corners than there is room for at first, in the first cell and in a later one."""
    labels = np.zeros((40, 130), np.int32)
    for label, y in enumerate((1, 10, 30), start=1):
        labels[y, 1:129] = label
        labels[y + 1 : y + 6, 1:129:2] = label
    labels[20, 20] = 4
    first = np.array([np.flatnonzero(labels == label)[0] for label in (1, 4, 2, 3)])

    rings = trace(labels, first)

    for label, polygon in zip((1, 4, 2, 3), rings.polygons(), strict=True):
        y, x = np.nonzero(labels == label)
        united = shapely.union_all(shapely.box(x, y, x + 1, y + 1))
        assert shapely.get_num_coordinates(polygon) == shapely.get_num_coordinates(shapely.simplify(united, 0))
        assert polygon.equals(united)
