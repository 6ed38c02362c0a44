"""Cells against scikit-image, shapely and hand-drawn images."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.draw import disk
from skimage.measure import label, regionprops

from wsipsm.cells import outlines, smoothing
from wsipsm.cells.measure import Measured, measure_cells
from wsipsm.cells.measurements import COLUMNS
from wsipsm.cells.regions import largest_components
from wsipsm.cells.table import Cells
from wsipsm.config import CellsConfig, Config
from wsipsm.core.geometry import Box, Grid

EVERY_PIXEL = Config(cells=CellsConfig(min_area_um2=0, outline_tolerance_px=0))
ANY_SIZE = Config(cells=CellsConfig(min_area_um2=0))


def flat_maps(shape: tuple[int, int], value: int = 100) -> dict[str, npt.NDArray[np.uint8]]:
    names = ("activation", "nuclear_stain", "counterstain", "evidence")
    return {name: np.full(shape, value, np.uint8) for name in names}


def random_maps(shape: tuple[int, int], seed: int = 0) -> dict[str, npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(0, 256, shape).astype(np.uint8)
        for name in ("activation", "nuclear_stain", "counterstain", "evidence", "unused")
    }


def measure(
    labels: npt.NDArray[np.int32],
    config: Config = ANY_SIZE,
    downsample: float = 1.0,
    size_l0: tuple[int, int] | None = None,
) -> Measured:
    height, width = labels.shape
    return measure_cells(
        labels,
        random_maps(labels.shape),
        window=Box(0, 0, width, height),
        grid=Grid(width, height, downsample, 0.5, size_l0),
        keep=np.ones(labels.max(initial=0), bool),
        config=config,
    )


def blobs(side: int = 200, seed: int = 0) -> npt.NDArray[np.int32]:
    """Touching, irregular cells of many sizes."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 4)
    quantised = np.digitize(field / field.std(), [-0.6, 0.2, 0.9])
    return np.asarray(label(quantised, background=0, connectivity=1), np.int32)


def test_a_block_of_pixels_has_the_area_of_its_pixels() -> None:
    labels = np.zeros((10, 12), np.int32)
    labels[2:5, 3:9] = 1

    cells = measure(labels, EVERY_PIXEL).cells

    assert cells.polygons()[0].equals(shapely.box(3, 2, 9, 5))
    assert shapely.area(cells.polygons()[0]) == 18
    assert cells.centroid_l0.tolist() == [[6.0, 3.5]]
    assert cells.columns["perimeter_um"].tolist() == [18 * 0.5]
    assert cells.anchor.tolist() == [2 * 12 + 3]


def test_a_single_pixel_gives_a_square() -> None:
    labels = np.zeros((3, 3), np.int32)
    labels[1, 1] = 1

    cells = measure(labels, downsample=2.0).cells

    assert cells.polygons()[0].equals(shapely.box(2, 2, 4, 4))
    assert cells.columns["eccentricity"].tolist() == [0.0]
    assert cells.columns["solidity"].tolist() == [1.0]


def test_holes_are_filled_and_the_cell_in_the_hole_keeps_its_own_outline() -> None:
    labels = np.ones((5, 5), np.int32)
    labels[1:4, 1:4] = 0
    labels[2, 2] = 2

    measured = measure(labels, EVERY_PIXEL)

    assert shapely.area(measured.cells.polygons()).tolist() == [25.0, 1.0]
    assert measured.cells.columns["area_um2"].tolist() == [25 * 0.25, 0.25]


def test_of_several_parts_the_largest_is_kept_and_the_cut_is_counted() -> None:
    labels = np.zeros((6, 10), np.int32)
    labels[0, 0:2] = 1
    labels[2:5, 4:9] = 1
    labels[5, 0] = 2

    measured = measure(labels, EVERY_PIXEL)

    assert measured.cells.polygons()[0].equals(shapely.box(4, 2, 9, 5))
    assert measured.cells.anchor.tolist() == [0, 50], "the anchor stays that of the whole label"


def test_small_cells_are_left_out() -> None:
    labels = np.zeros((8, 8), np.int32)
    labels[0, 0] = 1
    labels[2:6, 2:6] = 2

    measured = measure(labels, Config(cells=CellsConfig(min_area_um2=1.0)))

    assert measured.cells.anchor.tolist() == [18]


def test_an_unsimplified_outline_is_counted_and_valid() -> None:
    # Random walks: simplified this much, thin bent arms cross themselves.
    crossed = 0
    for seed in range(40):
        walk = np.zeros((24, 24), np.int32)
        y = x = 12
        for step in np.random.default_rng(seed).integers(0, 4, 90):
            y, x = np.clip([y + (step == 0) - (step == 1), x + (step == 2) - (step == 3)], 1, 22)
            walk[y, x] = 1
        measured = measure(walk, Config(cells=CellsConfig(min_area_um2=0, outline_tolerance_px=2.5)))
        crossed += measured.unsimplified
        assert measured.dropped == 0
        assert shapely.is_valid(measured.cells.polygons()).all()

    assert crossed > 0


def test_a_cell_too_small_for_one_decimal_is_counted_as_dropped() -> None:
    labels = np.zeros((4, 4), np.int32)
    labels[1, 1] = 1
    labels[0:4, 3] = 2

    measured = measure(labels, downsample=0.02)

    assert measured.dropped == 2
    assert len(measured.cells) == 0


def test_shapes_agree_with_regionprops() -> None:
    labels = blobs()

    cells = measure(labels).cells

    maps = random_maps(labels.shape)
    oracle = {int(prop.label): prop for prop in regionprops(labels)}
    width = labels.shape[1]
    props = [oracle[labels[divmod(int(anchor), width)]] for anchor in cells.anchor]
    assert len(props) == labels.max()
    np.testing.assert_allclose(cells.columns["eccentricity"], [prop.eccentricity for prop in props], atol=2e-6)
    np.testing.assert_allclose(cells.centroid_l0, [np.add(prop.centroid, 0.5)[::-1] for prop in props], rtol=1e-12)
    density = {name: maps[name].astype(int) - 256 * (maps[name] > 127) for name in ("nuclear_stain", "counterstain")}
    for column, plane, step in (
        ("nuclear_od_mean", density["nuclear_stain"], 0.02),
        ("counterstain_od_mean", density["counterstain"], 0.02),
    ):
        means = [plane[labels == prop.label].mean() * step for prop in props]
        np.testing.assert_allclose(cells.columns[column], means, rtol=1e-6, atol=1e-7)


def test_area_and_solidity_are_those_of_the_written_outline() -> None:
    for config, downsample in ((ANY_SIZE, 1.0), (ANY_SIZE, 2.0037), (EVERY_PIXEL, 4.0)):
        cells = measure(blobs(120), config, downsample).cells

        for polygon, area, solidity in zip(
            cells.polygons(), cells.columns["area_um2"], cells.columns["solidity"], strict=True
        ):
            x, y = np.asarray(polygon.exterior.coords).T
            shoelace = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
            hull = ConvexHull(np.stack([x, y], axis=1)).volume  # of a plane figure, its area
            assert area == pytest.approx(shoelace * (0.5 / downsample) ** 2, rel=1e-5)
            assert solidity == pytest.approx(shoelace / hull, rel=1e-5)


def test_the_smallest_area_counts_pixels_and_not_the_outline() -> None:
    labels = np.zeros((8, 8), np.int32)
    labels[2:6, 2:6], labels[3:5, 3:5] = 1, 0

    kept, gone = (
        measure(labels, Config(cells=CellsConfig(min_area_um2=area))).cells for area in (12 * 0.25, 12.5 * 0.25)
    )

    assert (len(kept), len(gone)) == (1, 0)
    assert kept.columns["area_um2"][0] > 12.5 * 0.25


@pytest.mark.parametrize("config", [ANY_SIZE, EVERY_PIXEL], ids=["smooth", "corners"])
def test_outlines_end_at_the_edge_of_the_slide(config: CellsConfig) -> None:
    labels = blobs(60)
    size = (60 * 2 - 1, 60 * 2 - 1)  # the last row and column are half on the slide

    cut, whole = measure(labels, config, 2.0, size), measure(labels, config, 2.0)

    assert cut.dropped == 0
    assert cut.cells.anchor.tolist() == whole.cells.anchor.tolist()
    x0, y0, x1, y1 = shapely.total_bounds(cut.cells.polygons())
    assert (x0, y0, x1, y1) == (0, 0, *size)
    assert shapely.is_valid(cut.cells.polygons()).all()
    edges = shapely.intersection(whole.cells.polygons(), shapely.box(0, 0, *size))
    np.testing.assert_allclose(shapely.area(cut.cells.polygons()), shapely.area(edges), rtol=0.1, atol=0.5)


def test_the_outline_of_a_disk_keeps_its_area_and_length_with_few_vertices() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[disk((30, 30), 12)] = 1

    cells = measure(labels).cells

    assert shapely.area(cells.polygons()[0]) == pytest.approx(labels.sum(), rel=0.01)
    assert cells.columns["perimeter_um"][0] == pytest.approx(2 * np.pi * 12 * 0.5, rel=0.05)
    assert len(cells.vertices_l0) <= 32


def test_an_outline_encloses_the_area_of_its_pixels_and_their_holes() -> None:
    components = largest_components(blobs(), np.ones(blobs().max(), bool))
    corners = outlines.trace(components.labels, components.first)

    smooth = smoothing.smooth(corners, tolerance_px=0.15)
    written, _, _ = outlines.to_legal(smooth, corners, downsample=2.0)

    pixels = shapely.area(corners.polygons())
    assert len(pixels) > 50
    np.testing.assert_allclose(shapely.area(smooth.polygons()), pixels, rtol=1e-9)
    large = pixels >= 24
    np.testing.assert_allclose(shapely.area(written.polygons())[large] / 4, pixels[large], rtol=0.015)


def test_an_outline_has_no_stairs() -> None:
    labels = np.zeros((60, 60), np.int32)
    y, x = np.mgrid[:60, :60] - 29.7
    labels[((0.9 * x + 0.44 * y) / 16) ** 2 + ((0.9 * y - 0.44 * x) / 9) ** 2 < 1] = 1

    drawn, stairs = (measure(labels, config, downsample=4.0).cells for config in (ANY_SIZE, EVERY_PIXEL))

    assert sharpest_turn(stairs.vertices_l0) == pytest.approx(90)
    assert sharpest_turn(drawn.vertices_l0) < 45
    assert drawn.columns["perimeter_um"] < 0.85 * stairs.columns["perimeter_um"]
    assert shapely.hausdorff_distance(drawn.polygons()[0], stairs.polygons()[0]) < 4 * 1.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (1, 4), (2, 3)])
def test_a_cell_of_a_few_pixels_keeps_their_corners(shape: tuple[int, int]) -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[1 : 1 + shape[0], 1 : 1 + shape[1]] = 1

    assert measure(labels).cells.polygons()[0].equals(shapely.box(1, 1, 1 + shape[1], 1 + shape[0]))


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)))
def test_smoothing_moves_no_cell_and_loses_none(labels: npt.NDArray[np.int32]) -> None:
    measured, exact = measure(labels, downsample=2.0), measure(labels, EVERY_PIXEL, downsample=2.0)

    assert measured.dropped == 0
    assert measured.cells.anchor.tolist() == exact.cells.anchor.tolist()
    far = shapely.hausdorff_distance(measured.cells.polygons(), exact.cells.polygons())
    assert (far < 2 * 3).all()


def test_a_cell_is_the_same_to_the_bit_in_every_window() -> None:
    labels = blobs(400, seed=3)
    height, width = labels.shape
    maps, grid = random_maps(labels.shape), Grid(width, height, 1.9987, 0.4997)
    whole = measure_cells(
        labels, maps, window=grid.box, grid=grid, keep=np.ones(labels.max(), bool), config=ANY_SIZE
    ).cells

    window = Box(31, 17, 380, 390)
    part = labels[window.slices]
    ids, dense = np.unique(part, return_inverse=True)
    inside = [(labels == i).sum() == (part == i).sum() for i in ids[1:]]
    crop = measure_cells(
        dense.reshape(part.shape).astype(np.int32),
        {name: image[window.slices] for name, image in maps.items()},
        window=window,
        grid=grid,
        keep=np.array(inside),
        config=ANY_SIZE,
    ).cells

    assert len(crop) > 50
    assert_equal(crop, whole.take(np.isin(whole.anchor, crop.anchor)))


def test_only_kept_cells_are_measured_and_a_window_may_leave_the_plane() -> None:
    labels = np.zeros((6, 6), np.int32)
    labels[2:4, 2:4] = 1
    labels[5, 5] = 2

    cells = measure_cells(
        labels,
        flat_maps(labels.shape),
        window=Box(-2, -2, 4, 4),
        grid=Grid(100, 50, 2.0, 0.5),
        keep=np.array([True, False]),
        config=ANY_SIZE,
    ).cells

    assert cells.anchor.tolist() == [0]
    assert cells.polygons()[0].equals(shapely.box(0, 0, 4, 4))
    assert cells.columns["nuclear_od_mean"].tolist() == [2.0]


def test_a_mean_density_is_that_of_noise_around_zero() -> None:
    noise = np.random.default_rng(0).integers(-20, 21, (12, 12)).astype(np.int8)
    maps = flat_maps(noise.shape) | {"counterstain": noise.view(np.uint8)}

    labels, grid = np.ones(noise.shape, np.int32), Grid(12, 12, 1.0, 0.5)
    cells = measure_cells(labels, maps, window=grid.box, grid=grid, keep=np.ones(1, bool), config=ANY_SIZE).cells

    assert cells.columns["counterstain_od_mean"][0] == pytest.approx(0.02 * noise.astype(float).mean())


def test_cells_are_taken_by_index_and_by_mask() -> None:
    cells = measure(blobs(80)).cells
    odd = np.flatnonzero(np.arange(len(cells)) % 2)

    back = cells.take(odd[::-1])

    assert_equal(back.take(np.argsort(back.anchor)), cells.take(np.isin(np.arange(len(cells)), odd)))
    polygons = cells.polygons()[odd]
    assert all(map(shapely.equals, back.polygons()[::-1], polygons))
    assert_equal(cells.take(np.arange(len(cells))), cells)


def test_nothing_in_nothing_out() -> None:
    measured = measure(np.zeros((5, 5), np.int32))

    assert len(measured.cells) == 0
    assert_equal(measured.cells, measure(blobs(80)).cells.take(np.arange(0)))
    assert len(measured.cells.polygons()) == 0


@settings(max_examples=150, deadline=None)
@given(hnp.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))
def test_the_traced_ring_is_the_filled_largest_part(labels: npt.NDArray[np.int32]) -> None:
    components = largest_components(labels, np.ones(labels.max(initial=0), bool))

    polygons = outlines.trace(components.labels, components.first).polygons()

    assert len(polygons) == len(set(labels[labels > 0]))
    for polygon, first in zip(polygons, components.first, strict=True):
        value = labels.ravel()[first]
        parts, count = ndimage.label(labels == value)
        sizes = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
        largest = ndimage.binary_fill_holes(parts == 1 + int(np.argmax(sizes)))
        squares = [shapely.box(x, y, x + 1, y + 1) for y, x in np.argwhere(largest)]
        assert polygon.is_valid
        assert polygon.equals(shapely.union_all(squares))


def sharpest_turn(ring: npt.NDArray[np.float64]) -> float:
    """Largest angle between neighbouring sides of a closed ring, degrees."""
    sides = np.diff(ring, axis=0) @ np.array([1, 1j])
    return float(np.degrees(np.abs(np.angle(sides / np.roll(sides, 1)))).max())


def assert_equal(one: Cells, other: Cells) -> None:
    for field in dataclasses.fields(Cells):
        if field.name == "columns":
            continue
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), strict=True)
    assert tuple(one.columns) == tuple(other.columns) == COLUMNS
    for name in COLUMNS:
        np.testing.assert_array_equal(one.columns[name], other.columns[name], strict=True)
