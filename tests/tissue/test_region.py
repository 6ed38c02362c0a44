"""Regions: decisions about points, boxes and pixels."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from wsipsm.core.errors import RegionError
from wsipsm.core.geometry import Box, Grid
from wsipsm.tissue.region import Region, polygon_parts, region_from_roi, region_from_tissue

SLIDE = Box(0, 0, 1000, 800)


def star(
    points: int = 40, *, seed: int = 0, centre: tuple[float, float] = (300.0, 280.0), radius: float = 200
) -> shapely.Polygon:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    reach = radius * np.random.default_rng(seed).uniform(0.4, 1, points)
    return shapely.Polygon(np.stack([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)], axis=1))


def ring_with_island() -> Region:
    ring = star().difference(shapely.box(250, 250, 330, 310))
    return region_from_tissue([ring, shapely.box(600.05, 100, 900, 120.3)], SLIDE)


@given(seed=st.integers(0, 1000))
def test_points_are_inside_as_a_crossing_count_says(seed: int) -> None:
    polygon = star(seed=seed)
    points = np.random.default_rng(seed).uniform(50, 550, (200, 2))

    inside = Region(shapely.MultiPolygon([polygon])).contains_l0(points)

    assert np.array_equal(inside, points_in_poly(points, np.array(polygon.exterior.coords)))


def test_points_of_an_empty_list_are_an_empty_answer() -> None:
    region = ring_with_island()

    assert region.contains_l0(np.empty((0, 2))).shape == (0,)
    assert region.touches(np.empty((0, 4))).shape == (0,)


def test_boxes_touch_where_they_share_an_area_an_edge_or_a_corner() -> None:
    region = region_from_tissue([shapely.box(10, 10, 20, 20)], SLIDE)
    boxes = np.array([[0, 0, 9, 30], [0, 0, 10, 30], [0, 0, 10, 10], [12, 12, 13, 13], [0, 0, 50, 50], [21, 0, 30, 30]])

    assert region.touches(boxes).tolist() == [False, True, True, True, True, False]


@pytest.mark.parametrize("downsample", [1.0, 2.0005, 0.37])
def test_a_mask_is_the_pixel_centres_that_lie_inside(downsample: float) -> None:
    region, grid = ring_with_island(), Grid(1000, 800, downsample, 0.5)
    box = Box(-7, 3, int(700 / downsample), int(500 / downsample))
    y, x = np.mgrid[box.y0 : box.y1, box.x0 : box.x1]
    centres = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * downsample

    mask = region.mask(box, grid)

    assert np.array_equal(mask.ravel(), region.contains_l0(centres))
    assert mask.any()


def test_a_mask_does_not_depend_on_the_box() -> None:
    region, grid = ring_with_island(), Grid(1000, 800, 1.5, 0.5)
    whole = region.mask(Box(0, 0, 500, 400), grid)

    for x0, y0, x1, y1 in [(0, 0, 77, 91), (77, 0, 500, 91), (31, 91, 333, 400)]:
        assert np.array_equal(region.mask(Box(x0, y0, x1, y1), grid), whole[y0:y1, x0:x1])


def test_the_mask_of_an_empty_box_is_empty() -> None:
    assert ring_with_island().mask(Box(5, 5, 5, 9), Grid(10, 10, 1, 0.5)).shape == (4, 0)


def test_a_region_survives_pickling_with_the_same_decisions() -> None:
    region, points = ring_with_island(), np.random.default_rng(0).uniform(0, 1000, (500, 2))

    copy = pickle.loads(pickle.dumps(region))

    assert copy == region
    assert hash(copy) == hash(region)
    assert np.array_equal(copy.contains_l0(points), region.contains_l0(points))


def test_threads_may_share_a_region() -> None:
    points = np.random.default_rng(0).uniform(0, 1000, (20_000, 2))
    expected = shapely.contains_xy(ring_with_island().polygons, points)
    region = ring_with_island()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(region.contains_l0, [points] * 16))

    assert all(np.array_equal(answer, expected) for answer in answers)


def ask_a_fresh_region(seed: int) -> bool:
    """Many threads put their first questions to one region that none was put to before, far from the origin."""
    outlines = [star(400, seed=seed + k, centre=(3000.0 + 450 * k, 9000.0)) for k in range(20)]
    region = Region(shapely.MultiPolygon(outlines))
    corner = np.random.default_rng(seed).uniform((2800, 8800), (12_000, 9200), (300, 2))
    boxes = np.concatenate([corner, corner + 16], axis=1)

    with ThreadPoolExecutor(8) as pool:
        touched = [pool.submit(region.touches, boxes) for _ in range(8)]
        held = [pool.submit(region.contains_l0, corner) for _ in range(8)]

    alone = shapely.MultiPolygon(outlines)
    touching = shapely.intersects(alone, shapely.box(*boxes.T))
    holding = shapely.contains_xy(alone, corner)
    return all(np.array_equal(answer.result(), touching) for answer in touched) and all(
        np.array_equal(answer.result(), holding) for answer in held
    )


def test_the_first_questions_of_many_threads_do_not_meet() -> None:
    assert all(ask_a_fresh_region(seed) for seed in range(25))


def test_area_and_bounds_are_those_of_the_union() -> None:
    region = region_from_tissue([shapely.box(0, 0, 10, 10), shapely.box(5.5, 0, 20.2, 10)], SLIDE)

    assert region.area_l0 == pytest.approx(202)
    assert region.bounds_l0 == Box(0, 0, 21, 10)
    assert region != region_from_tissue([shapely.box(0, 0, 10, 10)], SLIDE)


def test_a_region_without_tissue_holds_nothing() -> None:
    region = region_from_tissue([], SLIDE)

    assert region.empty
    assert region.area_l0 == 0
    assert region.bounds_l0 == Box(0, 0, 0, 0)
    assert not region.contains_l0(np.array([[0.5, 0.5]])).any()
    assert not region.touches(np.array([[0, 0, 9, 9]])).any()
    assert not region.mask(Box(0, 0, 3, 3), Grid(9, 9, 1, 0.5)).any()
    assert pickle.loads(pickle.dumps(region)) == region


def test_a_region_of_interest_is_cut_at_the_edge_of_the_slide() -> None:
    region = region_from_roi([shapely.box(900, -50, 1100, 100)], SLIDE)

    assert region.polygons.equals(shapely.box(900, 0, 1000, 100))


def test_a_bow_tie_is_repaired() -> None:
    region = region_from_roi([shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])], SLIDE)

    assert region.polygons.is_valid
    assert region.area_l0 == 50


def test_a_region_outside_the_slide_is_refused_with_both_extents() -> None:
    with pytest.raises(RegionError, match=r"got x 2000 to 2100, y 5 to 30, .*x 0 to 1000, y 0 to 800"):
        region_from_roi([shapely.box(2000, 5, 2100, 30)], SLIDE)


def test_a_region_that_only_touches_the_slide_is_refused() -> None:
    with pytest.raises(RegionError, match="outside the slide"):
        region_from_roi([shapely.box(1000, 0, 1100, 100)], SLIDE)


@pytest.mark.parametrize("drawn", [[], [shapely.Polygon()], [shapely.Polygon([(0, 0), (5, 5), (9, 9)])]])
def test_a_region_without_an_area_is_refused(drawn: list[shapely.Polygon]) -> None:
    with pytest.raises(RegionError, match="no polygon with an area"):
        region_from_roi(drawn, SLIDE)


def test_parts_are_the_polygons_of_any_geometry() -> None:
    mixed = shapely.GeometryCollection([shapely.box(0, 0, 1, 1), shapely.LineString([(0, 0), (1, 1)])])
    nested = shapely.GeometryCollection(
        [mixed, shapely.MultiPolygon([shapely.box(2, 0, 3, 1), shapely.box(4, 0, 5, 1)])]
    )

    assert [part.bounds[0] for part in polygon_parts([nested])] == [0, 2, 4]
