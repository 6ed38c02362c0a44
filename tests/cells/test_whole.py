"""Whole cells of a window against scikit-image and numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from skimage.measure import regionprops

from tests.cells.test_expansion import Labels, nuclei
from wsipsm.cells.measure import measure_cells
from wsipsm.cells.table import Cells
from wsipsm.cells.whole import Grown, with_whole_cells
from wsipsm.config import CellsConfig, Config
from wsipsm.core.geometry import Box, Grid

CONFIG = Config(cells=CellsConfig(min_area_um2=0, expand_um=3))
GRID = Grid(160, 150, 2.0, 0.5, (319, 299))
Maps = dict[str, npt.NDArray[np.uint8]]


def cells_in(labels: Labels, maps: Maps, window: Box) -> tuple[Cells, Grown]:
    """All cells of a window that may leave the grid; the arrays are those of the window."""
    keep = np.ones(labels.max(initial=0), bool)
    measured = measure_cells(labels, maps, window=window, grid=GRID, keep=keep, config=CONFIG)
    grown = Grown.of(labels, window=window, grid=GRID, expand_um=CONFIG.cells.expand_um)
    return with_whole_cells(measured.cells, grown, maps, window=window, grid=GRID, config=CONFIG), grown


@pytest.fixture(scope="module")
def plane() -> tuple[Labels, Maps]:
    """Nuclei of a grid with glass around, and its maps."""
    labels = np.zeros((150, 160), np.int32)
    labels[:, 5:155] = nuclei(150, seed=3)
    rng = np.random.default_rng(0)
    names = ("activation", "nuclear_stain", "counterstain", "evidence")
    return labels, {name: rng.integers(0, 256, labels.shape).astype(np.uint8) for name in names}


@pytest.fixture(scope="module")
def found(plane: tuple[Labels, Maps]) -> tuple[Cells, Grown]:
    return cells_in(*plane, Box(0, 0, 160, 150))


def test_nuclei_lie_inside_their_cells_and_no_two_cells_overlap(found: tuple[Cells, Grown]) -> None:
    cells = found[0]
    whole, nuclear = cells.outer_l0.polygons(), cells.polygons()
    one, other = shapely.STRtree(whole).query(whole, predicate="intersects")
    pairs = one < other

    assert len(cells) > 50
    assert shapely.covers(whole, nuclear).all()
    assert pairs.sum() > 20
    assert shapely.area(shapely.intersection(whole[one[pairs]], whole[other[pairs]])).max() == 0
    assert (shapely.bounds(whole) <= (319, 299, 319, 299)).all()
    assert (np.round(cells.outer_l0.vertices, 1) == cells.outer_l0.vertices).all()


def test_nuclei_keep_their_outlines_but_where_they_touch_others(
    plane: tuple[Labels, Maps], found: tuple[Cells, Grown]
) -> None:
    labels, maps = plane
    keep = np.ones(labels.max(), bool)
    alone = measure_cells(labels, maps, window=GRID.box, grid=GRID, keep=keep, config=CONFIG).cells
    before, after = alone.polygons(), found[0].polygons()
    whole = found[0].outer_l0.polygons()

    inside = shapely.covers(whole, before)
    assert 0.3 < inside.mean() < 1
    assert shapely.equals_exact(before[inside], after[inside]).all()
    assert shapely.hausdorff_distance(before[~inside], after[~inside]).max() < 2.5  # level-0 px, 1.25 of the grid
    same = {"eccentricity", "nuclear_od_mean", "nuclear_od_std", "counterstain_od_mean", "confidence"}
    assert all(np.array_equal(alone.columns[name], found[0].columns[name]) for name in same)


def test_measurements_are_those_of_the_pixels_and_of_the_outline(
    plane: tuple[Labels, Maps], found: tuple[Cells, Grown]
) -> None:
    (labels, maps), (cells, grown) = plane, found
    whole, nuclear = cells.outer_l0.polygons(), cells.polygons()
    columns = cells.columns
    assert columns["cell_area_um2"] == pytest.approx(shapely.area(whole) / 16, rel=1e-6)
    assert columns["cell_perimeter_um"] == pytest.approx(shapely.length(whole) / 4, rel=1e-6)
    assert columns["area_um2"] == pytest.approx(shapely.area(nuclear) / 16, rel=1e-6)
    assert columns["nucleus_cell_ratio"] == pytest.approx(columns["area_um2"] / columns["cell_area_um2"], rel=1e-6)
    for name, plane_name in (("nuclear", "nuclear_stain"), ("counterstain", "counterstain")):
        density = maps[plane_name].view(np.int8) * 0.02
        for number, region in enumerate(regionprops(grown.cells)):
            pixels = grown.cells == region.label
            assert columns["cell_eccentricity"][number] == pytest.approx(region.eccentricity, abs=1e-4)
            for part, where in (("cell", pixels), ("cytoplasm", pixels & (labels == 0))):
                values = density[where]
                assert columns[f"{part}_{name}_od_mean"][number] == pytest.approx(values.mean(), abs=1e-6)
                assert columns[f"{part}_{name}_od_std"][number] == pytest.approx(values.std(ddof=1), rel=1e-5)


def test_a_cell_is_the_same_to_the_bit_in_a_window_that_leaves_the_grid(
    plane: tuple[Labels, Maps], found: tuple[Cells, Grown]
) -> None:
    labels, maps = (np.pad(plane[0], 9), {name: np.pad(one, 9) for name, one in plane[1].items()})

    cells, _ = cells_in(labels, maps, GRID.box.expand(9))

    assert np.array_equal(cells.anchor, found[0].anchor)
    assert np.array_equal(cells.vertices_l0, found[0].vertices_l0)
    assert np.array_equal(cells.outer_l0.vertices, found[0].outer_l0.vertices)
    measured = set(cells.columns) - {"confidence"}  # of what lies around, which is other here
    assert all(np.array_equal(cells.columns[name], found[0].columns[name]) for name in measured)


def test_a_cell_that_is_all_nucleus_has_the_density_of_the_nucleus_in_its_cytoplasm() -> None:
    labels = np.ones((150, 160), np.int32)  # the whole grid: nowhere to grow
    maps = {name: np.full(labels.shape, 40, np.uint8) for name in ("activation", "nuclear_stain", "counterstain")}

    cells, _ = cells_in(labels, maps | {"evidence": np.full(labels.shape, 255, np.uint8)}, GRID.box)

    assert cells.columns["cytoplasm_nuclear_od_mean"] == cells.columns["cell_nuclear_od_mean"] > 0
    assert cells.columns["nucleus_cell_ratio"] == pytest.approx(1, abs=1e-3)


def test_no_nucleus_gives_no_cell(plane: tuple[Labels, Maps]) -> None:
    cells, _ = cells_in(np.zeros((150, 160), np.int32), plane[1], GRID.box)

    assert len(cells) == len(cells.outer_l0) == 0


def test_a_cell_that_surrounds_another_is_cut_open_for_it() -> None:
    labels = np.zeros((150, 160), np.int32)
    y, x = np.mgrid[:150, :160]
    from_the_middle = np.hypot(y - 60, x - 70)
    labels[8:20, 8:20] = 1  # alone
    labels[(from_the_middle > 14) & (from_the_middle < 20)] = 2
    labels[from_the_middle < 4] = 3
    maps = {name: np.full(labels.shape, 40, np.uint8) for name in ("activation", "nuclear_stain", "counterstain")}

    cells, grown = cells_in(labels, maps | {"evidence": np.full(labels.shape, 200, np.uint8)}, GRID.box)

    _, around, inner = cells.outer_l0.polygons()
    pixels = np.bincount(grown.cells.ravel())[1:]
    assert shapely.is_valid(around)
    assert shapely.area(shapely.intersection(around, inner)) == 0
    assert cells.columns["cell_area_um2"] == pytest.approx(pixels * 0.25, rel=0.02)
    assert shapely.covers(cells.outer_l0.polygons(), cells.polygons()).all()
