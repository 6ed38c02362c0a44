"""Outlines of touching cells: shared, valid, and near their pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from skimage.draw import disk

from tests.cells.test_expansion import Labels, grown, nuclei
from wsipsm.cells.borders import shared_outlines
from wsipsm.cells.outlines import Rings


def first_pixels(cells: Labels) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    numbers, first = np.unique(cells, return_index=True)
    return first[numbers > 0].astype(np.int64)


@pytest.fixture(scope="module")
def cells() -> Labels:
    """Cells that touch two, three and no others, none of which lies within another."""
    return grown(nuclei(160, seed=4), 6)


@pytest.fixture(scope="module")
def outlines(cells: Labels) -> tuple[Rings, Rings]:
    return shared_outlines(cells, first_pixels(cells), tolerance_px=0.15)


def test_no_two_outlines_overlap(outlines: tuple[Rings, Rings]) -> None:
    polygons = outlines[0].polygons()
    one, other = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    pairs = one < other

    assert shapely.is_valid(polygons).all()
    assert pairs.sum() > 20
    assert shapely.area(shapely.intersection(polygons[one[pairs]], polygons[other[pairs]])).max() == 0


def test_touching_cells_have_one_line_between_them(outlines: tuple[Rings, Rings]) -> None:
    polygons, exact = (rings.polygons() for rings in outlines)
    one, other = shapely.STRtree(exact).query(exact, predicate="touches")
    pairs = one < other
    common = shapely.length(shapely.intersection(exact[one[pairs]], exact[other[pairs]]))
    found = shapely.length(shapely.intersection(polygons[one[pairs]], polygons[other[pairs]]))

    assert (found[common > 0] > 0).all()
    assert (found <= common + 1e-9).all()  # smooth lines are shorter than stairs


def test_outlines_stay_by_their_pixels_and_keep_their_area(outlines: tuple[Rings, Rings]) -> None:
    smooth, exact = (rings.polygons() for rings in outlines)

    assert shapely.hausdorff_distance(smooth, exact).max() < 0.8
    assert shapely.area(smooth) == pytest.approx(shapely.area(exact), rel=0.03)
    assert outlines[0].lengths.mean() < outlines[1].lengths.mean()


def test_no_tolerance_keeps_the_corners_of_pixels(cells: Labels) -> None:
    smooth, exact = shared_outlines(cells, first_pixels(cells), tolerance_px=0)

    assert np.array_equal(smooth.vertices, exact.vertices)
    sizes = np.bincount(cells.ravel())[1:]
    assert (shapely.area(exact.polygons()) >= sizes).all()  # holes are filled


def test_an_outline_is_the_same_in_every_window_with_a_pixel_around_the_cell(
    cells: Labels, outlines: tuple[Rings, Rings]
) -> None:
    for number in range(1, cells.max() + 1):
        ys, xs = np.nonzero(cells == number)
        y0, x0 = max(ys.min() - 1, 0), max(xs.min() - 1, 0)
        window = cells[y0 : ys.max() + 2, x0 : xs.max() + 2]
        first = np.flatnonzero(window == number)[:1]
        alone, _ = shared_outlines(window, first, tolerance_px=0.15)

        of_the_plane = outlines[0].take(np.array([number - 1]))
        assert np.array_equal(alone.shifted(x0, y0).vertices, of_the_plane.vertices)


def test_a_lone_disk_stays_round() -> None:
    labels = np.zeros((50, 50), np.int32)
    labels[disk((25, 25), 15)] = 1

    ((polygon,), _) = (rings.polygons() for rings in shared_outlines(labels, first_pixels(labels), tolerance_px=0.15))

    assert polygon.area == pytest.approx((labels > 0).sum(), rel=0.01)
    assert 4 * np.pi * polygon.area / polygon.length**2 > 0.97


def test_no_cell_has_no_outline() -> None:
    smooth, exact = shared_outlines(np.zeros((5, 5), np.int32), np.zeros(0, np.int64), tolerance_px=0.15)

    assert len(smooth) == len(exact) == 0
