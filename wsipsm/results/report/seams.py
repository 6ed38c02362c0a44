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

from wsipsm.cells.outlines import Rings
from wsipsm.core.geometry import Grid, Mask
from wsipsm.results.formats.wkb import ring_bounds
from wsipsm.results.stored_cells import Columns, read_column, read_ring_groups
from wsipsm.tissue.region import Region

DUPLICATE_SHARE = 0.1
"""Two cells are one found twice if they share more than this part of the smaller one; neighbours, whose outlines are
simplified apart from each other, share up to 0.02."""
EDGE_UM = 2.0
"""Shortest piece of an outline that counts as a straight edge on a line, micrometres."""

_TOUCH_L0 = 0.11
"""Distance from a line within which an outline lies on it, level-0 px: outlines have one decimal."""
_COLUMNS = ("anchor", "centroid_x", "centroid_y")
_Z = 1.959964

_Floats = npt.NDArray[np.float64]


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
    for rings, beside, xy in _walk(table, lattices[0], near_px):
        duplicates += count_duplicates(rings, beside)
        for row, lattice in zip(counts, lattices, strict=True):
            row += lattice.near(xy, near_px).sum(), _edges(rings, lattice)
    along = [
        _along(lattice, near_px, cells=len(areas), region=region, counts=row.tolist())
        for lattice, row in zip(lattices, counts, strict=True)
    ]
    borders = sum(len(lattices[0].lines(axis)) for axis in (0, 1))
    return SeamFigures(core_px * grid.mpp, borders, diameter_um, len(areas), duplicates, *along)


def count_duplicates(rings: Rings, beside: Rings) -> int:
    """Pairs that overlap by more than `DUPLICATE_SHARE` of the smaller one: among cells, or of them and others."""
    from wsipsm.results.report.compiled import pairs_that_may_share  # here, as it imports the compiler

    pool = _joined(rings, beside)
    first, second = pairs_that_may_share(pool.vertices, pool.offsets, len(rings), DUPLICATE_SHARE).T
    one, other = pool.take(first).polygons(), pool.take(second).polygons()
    low = np.minimum(shapely.area(one), shapely.area(other)) * DUPLICATE_SHARE
    return int((shapely.area(shapely.intersection(one, other)) > low).sum())


def _walk(table: Path, lattice: _Lattice, near_px: float) -> Iterator[tuple[Rings, Rings, _Floats]]:
    """Cells of each row group, those of earlier groups that may meet them, and centroids (N, 2), grid px.

    Groups hold whole tiles in row-major order, so cells of two groups can only meet at the borders of tiles; and no
    later cell begins above the row of tiles with which a group begins.
    """
    carried = Rings(np.zeros((0, 2)), np.zeros(1, np.int64))
    for rings, group in read_ring_groups(table, _COLUMNS):
        top_l0 = _top(group, lattice) * lattice.grid.downsample
        carried = carried.take(ring_bounds(carried)[:, 3] >= top_l0) if len(carried) else carried
        xy = np.stack([group["centroid_x"], group["centroid_y"]], axis=1) / lattice.grid.downsample
        yield rings, carried, xy
        bounds = ring_bounds(rings) / lattice.grid.downsample
        reach = [lattice.away(bounds[:, side], side % 2) < near_px * 2 for side in range(4)]
        reach += [_crosses(bounds, lattice, axis) for axis in (0, 1)]
        carried = _joined(carried, rings.take(np.logical_or.reduce(reach)))


def _joined(rings: Rings, more: Rings) -> Rings:
    offsets = np.concatenate([rings.offsets, rings.offsets[-1] + more.offsets[1:]])
    return Rings(np.concatenate([rings.vertices, more.vertices]), offsets)


def _top(group: Columns, lattice: _Lattice) -> int:
    """Uppermost row of pixels of the tiles of a group, grid px; of cells without an anchor, all."""
    anchors = group["anchor"]
    return int(anchors.min() // lattice.grid.width // lattice.core * lattice.core) if len(anchors) else 0


def _crosses(bounds: _Floats, lattice: _Lattice, axis: int) -> Mask:
    low, high = (np.floor((bounds[:, side] - lattice.first) / lattice.core) for side in (axis, axis + 2))
    crossed: Mask = low != high
    return crossed


def _edges(rings: Rings, lattice: _Lattice) -> int:
    """Pieces of outlines that lie on a line, along it, and are long enough."""
    from wsipsm.results.report.compiled import edges_on_lines

    tolerance, longest = _TOUCH_L0 / lattice.grid.downsample, EDGE_UM / lattice.grid.mpp
    across, down = (float(len(lattice.lines(axis))) for axis in (0, 1))
    lines = float(lattice.first), float(lattice.core), across, down
    return int(edges_on_lines(rings.vertices / lattice.grid.downsample, rings.offsets, lines, (tolerance, longest)))


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
