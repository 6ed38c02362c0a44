"""What can be seen of the tiles in the cells: doubled cells, straight edges, and the density along the borders.

Nothing should. For comparison the same is counted along lines half way between the borders, where no tile ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.core.geometry import Grid, Mask
from wsipsm.results.stored_cells import Columns, read_column, read_groups
from wsipsm.tissue.region import Region

DUPLICATE_SHARE = 0.1
"""Two cells are one found twice if they share more than this part of the smaller one; neighbours, whose outlines are
simplified apart from each other, share up to 0.02."""
EDGE_UM = 2.0
"""Shortest piece of an outline that counts as a straight edge on a line, micrometres."""

_TOUCH_L0 = 0.11
"""Distance from a line within which an outline lies on it, level-0 px: outlines have one decimal."""
_COLUMNS = ("geometry", "anchor", "centroid_x", "centroid_y")
_Z = 1.959964

_Floats = npt.NDArray[np.float64]
_Polygons = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Along:
    """What lies along the lines of a lattice.

    Attributes
    ----------
    near, near_mm2 : int, float
        Cells with their centroid within one cell diameter of a line, and the area searched there, square millimetres.
    interior, interior_mm2 : int, float
        All other cells, and the rest of the area.
    edges : int
        Straight pieces of outlines that lie on a line.
    """

    near: int = 0
    near_mm2: float = 0.0
    interior: int = 0
    interior_mm2: float = 0.0
    edges: int = 0

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """Density near the lines over that of the rest, and its 95 % interval as of counts; None where undefined."""
        if not (self.near and self.interior and self.near_mm2 > 0 and self.interior_mm2 > 0):
            return None
        ratio = self.near / self.near_mm2 * self.interior_mm2 / self.interior
        spread = math.exp(_Z * math.sqrt(1 / self.near + 1 / self.interior))
        return ratio, ratio / spread, ratio * spread


@dataclass(frozen=True, slots=True)
class SeamFigures:
    """Figures of one slide.

    Attributes
    ----------
    core_um : float
        Side of the tiles' cores, micrometres.
    borders : int
        Borders of cores across the slide.
    diameter_um : float
        Cell diameter: that of a disk of the median area, micrometres; 0 without cells.
    cells : int
        Cells, doubtful ones included where they are stored.
    duplicates : int
        Pairs of cells that share more than `DUPLICATE_SHARE` of the smaller one, anywhere on the slide.
    seams, halfway : Along
        Along the borders, and along the lines half way between them.
    """

    core_um: float
    borders: int
    diameter_um: float
    cells: int
    duplicates: int
    seams: Along
    halfway: Along

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Lattice:
    """Parallel lines ``first + i * core``, in x and in y, inside a plane; grid px."""

    grid: Grid
    core: int
    first: float

    def lines(self, axis: int) -> _Floats:
        """Positions on x (axis 0) or y (axis 1)."""
        size = (self.grid.width, self.grid.height)[axis]
        count = max(0, math.ceil((size - self.first) / self.core))
        lines: _Floats = self.first + self.core * np.arange(count, dtype=np.float64)
        return lines

    def away(self, values: _Floats, axis: int) -> _Floats:
        """Distance of positions from the nearest line; infinite where there is none."""
        lines = self.lines(axis)
        if not len(lines):
            return np.full(len(values), np.inf)
        nearest = np.clip(np.rint((values - self.first) / self.core), 0, len(lines) - 1).astype(np.intp)
        return np.abs(values - lines[nearest])

    def near(self, xy: _Floats, distance: float) -> Mask:
        """Which points (N, 2) are nearer to a line than a distance."""
        hit: Mask = np.minimum(self.away(xy[:, 0], 0), self.away(xy[:, 1], 1)) < distance
        return hit

    def gaps(self, axis: int, distance: float) -> list[tuple[float, float]]:
        """Intervals that are at least a distance away from every line."""
        size = float((self.grid.width, self.grid.height)[axis])
        lines = self.lines(axis)
        starts, stops = [0.0, *(lines + distance)], [*(lines - distance), size]
        return [(a, b) for a, b in zip(starts, stops, strict=True) if a < b]


def seam_figures(table: Path, *, grid: Grid, core_px: int, region: Region) -> SeamFigures:
    """Figures of a slide from its stored cells; two rows of tiles are in memory at a time.

    Parameters
    ----------
    table : Path
        ``cells.parquet``.
    grid : Grid
        The plane that its cells were found on.
    core_px : int
        Side of a core, grid px.
    region : Region
        Where cells were searched.

    Raises
    ------
    StoredResultsError
        The cells cannot be read.
    """
    areas = read_column(table, "area_um2")
    diameter_um = 2 * math.sqrt(float(np.median(areas)) / math.pi) if len(areas) else 0.0
    near_px = diameter_um / grid.mpp
    lattices = _Lattice(grid, core_px, core_px), _Lattice(grid, core_px, core_px / 2)
    counts = np.zeros((2, 2), np.int64)  # lattice; near, edges
    duplicates = 0
    for polygons, beside, xy in _walk(table, lattices[0], near_px):
        duplicates += count_duplicates(polygons, beside)
        for row, lattice in zip(counts, lattices, strict=True):
            row += lattice.near(xy, near_px).sum(), _edges(polygons, lattice)
    along = [
        _along(lattice, near_px, cells=len(areas), region=region, counts=row.tolist())
        for lattice, row in zip(lattices, counts, strict=True)
    ]
    borders = sum(len(lattices[0].lines(axis)) for axis in (0, 1))
    return SeamFigures(core_px * grid.mpp, borders, diameter_um, len(areas), duplicates, *along)


def count_duplicates(polygons: _Polygons, beside: _Polygons) -> int:
    """Pairs that overlap by more than `DUPLICATE_SHARE` of the smaller one: among polygons, or of them and others."""
    pool = np.concatenate([polygons, beside])
    first, second = shapely.STRtree(pool).query(polygons)
    once = first < second
    first, second = first[once], second[once]
    low = np.minimum(shapely.area(pool[first]), shapely.area(pool[second])) * DUPLICATE_SHARE
    bounds = shapely.bounds(pool)
    a, b = bounds[first], bounds[second]
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    may = sides[:, 0] * sides[:, 1] > low  # hardly any neighbours do
    shared = shapely.area(shapely.intersection(pool[first[may]], pool[second[may]]))
    return int((shared > low[may]).sum())


def _walk(table: Path, lattice: _Lattice, near_px: float) -> Iterator[tuple[_Polygons, _Polygons, _Floats]]:
    """Cells of each row group, those of earlier groups that may meet them, and centroids (N, 2), grid px.

    Groups hold whole tiles in row-major order, so cells of two groups can only meet at the borders of tiles; and no
    later cell begins above the row of tiles with which a group begins.
    """
    carried: _Polygons = np.zeros(0, object)
    for group in read_groups(table, _COLUMNS):
        polygons, xy = _cells_of(group, lattice.grid)
        top_l0 = _top(group, lattice) * lattice.grid.downsample
        carried = carried[shapely.bounds(carried)[:, 3] >= top_l0] if len(carried) else carried
        yield polygons, carried, xy
        bounds = shapely.bounds(polygons) / lattice.grid.downsample
        reach = [lattice.away(bounds[:, side], side % 2) < near_px * 2 for side in range(4)]
        reach += [_crosses(bounds, lattice, axis) for axis in (0, 1)]
        carried = np.concatenate([carried, polygons[np.logical_or.reduce(reach)]])


def _cells_of(group: Columns, grid: Grid) -> tuple[_Polygons, _Floats]:
    xy = np.stack([group["centroid_x"], group["centroid_y"]], axis=1) / grid.downsample
    polygons: _Polygons = shapely.from_wkb(group["geometry"])
    return polygons, xy


def _top(group: Columns, lattice: _Lattice) -> int:
    """Uppermost row of pixels of the tiles of a group, grid px; of cells without an anchor, all."""
    anchors = group["anchor"]
    return int(anchors.min() // lattice.grid.width // lattice.core * lattice.core) if len(anchors) else 0


def _crosses(bounds: _Floats, lattice: _Lattice, axis: int) -> Mask:
    low, high = (np.floor((bounds[:, side] - lattice.first) / lattice.core) for side in (axis, axis + 2))
    crossed: Mask = low != high
    return crossed


def _edges(polygons: _Polygons, lattice: _Lattice) -> int:
    """Pieces of outlines that lie on a line, along it, and are long enough."""
    coordinates, owner = shapely.get_coordinates(polygons, return_index=True)
    tolerance, longest = _TOUCH_L0 / lattice.grid.downsample, EDGE_UM / lattice.grid.mpp
    xy = coordinates / lattice.grid.downsample
    same = owner[1:] == owner[:-1]
    found = 0
    for axis in (0, 1):
        on = lattice.away(xy[:, axis], axis) <= tolerance
        level = np.abs(np.diff(xy[:, axis])) <= 2 * tolerance
        far = np.abs(np.diff(xy[:, 1 - axis])) >= longest - tolerance
        found += int((same & on[1:] & on[:-1] & level & far).sum())
    return found


def _along(lattice: _Lattice, near_px: float, *, cells: int, region: Region, counts: list[int]) -> Along:
    near, edges = counts
    mm2 = lattice.grid.area_mm2(region.area_l0)
    inner_mm2 = lattice.grid.area_mm2(_inner_area_l0(lattice, near_px, region)) if cells else mm2
    return Along(near, max(0.0, mm2 - inner_mm2), cells - near, inner_mm2, edges)


def _inner_area_l0(lattice: _Lattice, near_px: float, region: Region) -> float:
    """Area of the region that is farther from every line than a distance, square level-0 px."""
    scale = lattice.grid.downsample
    columns = [(a * scale, b * scale) for a, b in lattice.gaps(0, near_px)]
    total = 0.0
    for y0, y1 in lattice.gaps(1, near_px):
        # Band by band: cutting each box out of the whole region would walk all of its outline each time.
        band = shapely.clip_by_rect(region.polygons, 0, y0 * scale, lattice.grid.width * scale, y1 * scale)
        total += sum(shapely.area(shapely.clip_by_rect(band, a, y0 * scale, b, y1 * scale)) for a, b in columns)
    return float(total)
