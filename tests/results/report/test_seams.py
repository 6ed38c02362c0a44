"""Seam figures against brute force, on cells with planted faults."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import shapely.affinity

from wsipsm.cells.measurements import COLUMNS
from wsipsm.cells.table import Cells
from wsipsm.core.geometry import Grid
from wsipsm.results.formats.geoparquet import GeoParquetWriter
from wsipsm.results.report.compiled import pairs_that_may_share
from wsipsm.results.report.seams import DUPLICATE_SHARE, EDGE_UM, SeamFigures, seam_figures
from wsipsm.tissue.region import Region

GRID, CORE = Grid(600, 460, 2.0, 0.5), 128
REGION = Region(
    shapely.MultiPolygon(
        [
            shapely.box(40, 30, 1150, 880).difference(shapely.Point(500, 400).buffer(90)).simplify(0.1),
            shapely.box(1160, 10, 1180, 900),
        ]
    )
)


def disk(x: float, y: float, radius: float = 13.0) -> shapely.Polygon:
    """Polygon around a point, level-0 px, turned by its place."""
    angles = np.linspace(0, 2 * np.pi, 23)[:-1] + x
    ring = np.stack([x + radius * np.cos(angles), y + 0.8 * radius * np.sin(angles)], axis=1)
    return shapely.Polygon(np.round(ring, 1))


def field(seed: int) -> list[shapely.Polygon]:
    """Cells that do not overlap, some across borders of tiles."""
    rng = np.random.default_rng(seed)
    places = [(x, y) for x in range(60, 1130, 34) for y in range(50, 860, 34)]
    return [disk(x + rng.uniform(-3, 3), y + rng.uniform(-3, 3)) for x, y in places if rng.random() < 0.8]


def write_table(path: Path, polygons: list[shapely.Polygon], *, groups: bool) -> Path:
    """Cell table in tile order; with ``groups`` a row group a tile."""
    bounds = shapely.bounds(polygons) / GRID.downsample
    anchors = np.clip(bounds[:, 1], 0, None).astype(int) * GRID.width + np.clip(bounds[:, 0], 0, None).astype(int)
    row, col = np.divmod(anchors, GRID.width)
    tiles = list(zip((row // CORE).tolist(), (col // CORE).tolist(), strict=True))
    parts = []
    for tile in sorted(set(tiles)):
        some = np.array([at == tile for at in tiles])
        part = path.with_name(f"part-{tile}.parquet")
        with GeoParquetWriter(part, stain="he") as writer:
            writer.write(_cells(np.array(polygons)[some], anchors[some]), np.flatnonzero(some) + 1, ["u"] * some.sum())
        parts.append(pq.read_table(part))
    with pq.ParquetWriter(path, parts[0].schema) as writer:
        for table in parts if groups else [pa.concat_tables(parts).combine_chunks()]:
            writer.write_table(table)
    return path


def _cells(polygons: np.ndarray, anchors: np.ndarray) -> Cells:
    um2 = shapely.area(polygons) * (GRID.mpp / GRID.downsample) ** 2
    columns = {name: np.ones(len(polygons), np.float32) for name in COLUMNS} | {"area_um2": um2.astype(np.float32)}
    return Cells(
        anchor=anchors,
        vertices_l0=shapely.get_coordinates(polygons),
        ring_offsets=np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(polygons))]),
        centroid_l0=shapely.get_coordinates(shapely.centroid(polygons)),
        columns=columns,
        class_=np.zeros(len(polygons), np.uint8),
    )


def figures(path: Path) -> SeamFigures:
    return seam_figures(path, grid=GRID, core_px=CORE, region=REGION)


def lines(first: float) -> tuple[list[float], list[float]]:
    """Lines of a lattice in x and in y, level-0 px."""
    across, down = (np.arange(first, size, CORE) * GRID.downsample for size in (GRID.width, GRID.height))
    return across.tolist(), down.tolist()


def pairs_by_force(polygons: list[shapely.Polygon]) -> int:
    return sum(
        a.intersection(b).area > DUPLICATE_SHARE * min(a.area, b.area) for a, b in itertools.combinations(polygons, 2)
    )


def edges_by_force(polygons: list[shapely.Polygon], first: float) -> int:
    across, down = lines(first)
    least = EDGE_UM / GRID.mpp * GRID.downsample
    found = 0
    for polygon in polygons:
        for (x0, y0), (x1, y1) in itertools.pairwise(polygon.exterior.coords):
            found += x0 == x1 and x0 in across and abs(y1 - y0) >= least
            found += y0 == y1 and y0 in down and abs(x1 - x0) >= least
    return found


def strips(first: float, reach_l0: float) -> shapely.Geometry:
    """Everything within a distance of a line, as a union of rectangles."""
    across, down = lines(first)
    width, height = GRID.width * GRID.downsample, GRID.height * GRID.downsample
    parts = [shapely.box(x - reach_l0, 0, x + reach_l0, height) for x in across]
    return shapely.union_all(parts + [shapely.box(0, y - reach_l0, width, y + reach_l0) for y in down])


@pytest.mark.parametrize("groups", [True, False])
def test_clean_cells_have_no_duplicate_and_the_density_of_brute_force(tmp_path: Path, groups: bool) -> None:
    polygons = field(seed=1)

    found = figures(write_table(tmp_path / "cells.parquet", polygons, groups=groups))

    um2 = np.median([polygon.area for polygon in polygons]) * 0.25**2
    reach_l0 = 2 * np.sqrt(um2 / np.pi) / 0.25
    assert (found.cells, found.duplicates, found.borders) == (len(polygons), 0, 7)
    for along, first in ((found.seams, CORE), (found.halfway, CORE / 2)):
        near = strips(first, reach_l0)
        assert along.near == sum(near.contains(polygon.centroid) for polygon in polygons)
        assert along.near + along.interior == len(polygons)
        assert along.near_mm2 == pytest.approx(near.intersection(REGION.polygons).area * 0.25**2 / 1e6, rel=1e-6)
        assert along.near_mm2 + along.interior_mm2 == pytest.approx(REGION.area_l0 * 0.25**2 / 1e6)
        assert along.edges == edges_by_force(polygons, first)
        density = along.near / along.near_mm2 / (along.interior / along.interior_mm2)
        ratio, low, high = along.ratio or (0, 0, 0)
        assert ratio == pytest.approx(density)
        assert low < density < high


@pytest.mark.parametrize("groups", [True, False])
def test_planted_duplicates_are_counted_within_tiles_and_across_borders(tmp_path: Path, groups: bool) -> None:
    clean = [one for one in field(seed=2) if max(one.bounds) < 570]
    at_border = [one for one in clean if one.intersects(strips(CORE, 0.5))]
    inside = [one for one in clean if not one.intersects(strips(CORE, 40))]
    corner = disk(512, 512)
    twice = [shapely.affinity.translate(one, 4, 3) for one in (*at_border[::3], *inside[:5])]
    beside = [shapely.affinity.translate(one, 21, 0) for one in inside[5:8]]  # overlap by less than a tenth
    polygons = [*clean, *twice, *beside, corner, disk(510, 514), disk(515, 509)]

    found = figures(write_table(tmp_path / "cells.parquet", polygons, groups=groups))

    assert found.duplicates == pairs_by_force(polygons)
    assert found.duplicates >= len(twice) + 3


def test_planted_straight_edges_are_counted_where_they_lie(tmp_path: Path) -> None:
    border, between = CORE * GRID.downsample, CORE * GRID.downsample / 2
    cut = [
        shapely.box(border - 20, 300, border, 330),  # ends on a border, and its twin begins there
        shapely.box(border, 300, border + 10, 330),
        shapely.box(400, border - 12, 440, border),
        shapely.box(border + 0.5, 600, border + 20, 620),  # near it
        shapely.box(border - 20, 500, border, 507),  # too short
        shapely.box(between - 20, 700, between, 730),  # on a line half way
        shapely.box(0, 560, 30, 590),  # on the edge of the slide
    ]

    found = figures(write_table(tmp_path / "cells.parquet", [*field(seed=3)[:80], *cut], groups=True))

    assert found.seams.edges == 3 == edges_by_force(cut, CORE)
    assert found.halfway.edges == 1 == edges_by_force(cut, CORE / 2)


def test_no_cells_and_one_tile_have_figures(tmp_path: Path) -> None:
    with GeoParquetWriter(tmp_path / "none.parquet", stain="he"):
        pass
    none = figures(tmp_path / "none.parquet")
    assert (none.cells, none.duplicates, none.seams.near, none.seams.ratio) == (0, 0, 0, None)

    path = write_table(tmp_path / "cells.parquet", field(seed=4), groups=True)
    whole = seam_figures(path, grid=GRID, core_px=1024, region=REGION)
    assert (whole.borders, whole.seams.near, whole.seams.near_mm2, whole.seams.edges) == (0, 0, pytest.approx(0), 0)


def star(rng: np.random.Generator) -> shapely.Polygon:
    """Simple ring with dents, of few corners, some of whose edges are level; tenths of a pixel."""
    angles = np.sort(rng.choice(48, rng.integers(4, 20), replace=False)) * (2 * np.pi / 48)
    reach = rng.uniform(3, 16, len(angles))
    ring = np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1) + rng.uniform(0, 120, 2)
    return shapely.Polygon(np.round(ring * 2) / 2 if rng.random() < 0.5 else ring)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_no_pair_that_shares_enough_is_passed_over(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    polygons = [one for one in (star(rng) for _ in range(90)) if one.is_valid and one.area > 0]
    own = len(polygons) // 2
    offsets = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(polygons))])

    found = pairs_that_may_share(shapely.get_coordinates(polygons), offsets, own, share)

    numbered = itertools.combinations(enumerate(polygons), 2)
    expected = {
        (i, j)
        for (i, a), (j, b) in numbered
        if i < own and a.intersection(b).area > max(share * min(a.area, b.area), 1e-9)
    }
    assert expected <= set(map(tuple, found.tolist()))
    assert len(set(map(tuple, found.tolist()))) == len(found)
    assert all(i < j and i < own for i, j in found.tolist())
    assert len(expected) > 5
    assert len(found) < 2 * len(expected) + 20, "hardly any others"
