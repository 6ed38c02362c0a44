"""Contents of a slide's overview: thumbnail, density of cells, close-ups with outlines."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES, DOUBTFUL, POSITIVE
from wsipsm.cells.table import Cells
from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.draw import Color, Points, color_of, png
from wsipsm.results.index.scores import Scores
from wsipsm.results.index.slide import SlideIndex
from wsipsm.results.overview.closeups import Bins, pick_closeups
from wsipsm.results.overview.contents import CloseUp, Overview, thumbnail_mpp
from wsipsm.results.overview.maps import coverage, shown_of
from wsipsm.results.overview.sheet import draw_overview, first_panel
from wsipsm.slide import Slide, Thumbnail
from wsipsm.tissue.region import Region

BIN_UM = 64.0
"""Smallest side of a density bin, micrometres."""
MAX_BINS = 1024
"""Largest number of bins along a side of the slide."""
CLOSEUP_PX = 280
"""Side of a close-up, grid px."""

PANEL_NOTE = "wsipsm-panel"
"""Text in overview.png: bounds x0 y0 x1 y1 of its first panel, pixels."""

CellsIn = Callable[[Box], Iterable[Cells]]
"""Gives, in batches, at least all cells that meet a box of grid px."""


@dataclass(frozen=True, eq=False)
class Density:
    """Number and confidence of cells in square bins over the slide.

    Attributes
    ----------
    counts : (rows, cols) int64
        Cells that are not doubtful in square bins; bin (0, 0) starts at level-0 (0, 0).
    confidence : (rows, cols) float64
        Sum of their confidences.
    doubtful : (rows, cols) int64
        Doubtful cells.
    positive : (rows, cols) int64
        Positive cells, of any grade.
    bin_l0 : float
        Side of a bin, level-0 px.
    bin_um : float
        The same, micrometres.
    """

    counts: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    doubtful: npt.NDArray[np.int64]
    positive: npt.NDArray[np.int64]
    bin_l0: float
    bin_um: float

    @classmethod
    def over(cls, grid: Grid) -> Density:
        """Empty bins over a whole grid."""
        side = max(BIN_UM / grid.mpp, max(grid.width, grid.height) / MAX_BINS)
        shape = tuple(int(-(-size // side)) for size in grid.shape)
        counts, doubtful, positive = (np.zeros(shape, np.int64) for _ in range(3))
        return cls(counts, np.zeros(shape), doubtful, positive, side * grid.downsample, side * grid.mpp)

    def add(self, cells: Cells) -> None:
        """Count cells by their centroids."""
        col, row = (cells.centroid_l0 / self.bin_l0).astype(np.int64).T
        doubtful = cells.class_ == DOUBTFUL
        known = row[~doubtful], col[~doubtful]
        np.add.at(self.counts, known, 1)
        np.add.at(self.doubtful, (row[doubtful], col[doubtful]), 1)
        positive = np.isin(cells.class_, POSITIVE)
        np.add.at(self.positive, (row[positive], col[positive]), 1)
        # Whole 65536ths: their sum is the same in whatever order the tiles come.
        np.add.at(self.confidence, known, np.rint(cells.columns["confidence"][~doubtful] * 65536.0) / 65536)


def save_overview(  # noqa: PLR0913
    path: Path,
    *,
    slide: Slide,
    grid: Grid,
    region: Region,
    density: Density,
    cells_in: CellsIn,
    index: SlideIndex | None = None,
    warnings: tuple[str, ...] = (),
) -> str:
    """Draw the overview of a slide and write it as PNG; a slide that cannot be read is left blank.

    Parameters
    ----------
    path : Path
        The picture.
    slide : Slide
        Open.
    grid : Grid
        The plane that its cells were found on.
    region : Region
        Where cells were searched.
    density : Density
        Counts of all cells.
    cells_in : callable
        Gives the cells of a box.
    index : SlideIndex, optional
        Of the slide; where its cells have classes, a map of positive cells takes the place of that of the density.
    warnings : tuple of str
        Written under the facts.

    Returns
    -------
    str
        Why the slide is blank in the picture; empty if it is not.
    """
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    found = index.scores() if index else None
    small, warning = _thumbnail(slide, thumbnail_mpp(region.bounds_l0, whole, slide.mpp_l0), region)
    shown = Overview(
        name=slide.path.name,
        facts=_facts(int(density.counts.sum()), grid.area_mm2(region.area_l0), grid.mpp) + _index_facts(found),
        thumbnail=small.image,
        downsample_l0=small.downsample_l0,
        mpp_l0=slide.mpp_l0,
        region=region.polygons,
        counts=density.counts,
        positive=density.positive if found else None,
        bin_l0=density.bin_l0,
        closeups=_closeups(slide, grid, region, density, cells_in),
        warnings=warnings,
        hot_spots=tuple(spot.polygons.bounds for spot in index.hot_spots) if index else (),
    )
    panel = first_panel(shown)
    write_bytes(path, png(draw_overview(shown), {PANEL_NOTE: f"{panel.x0} {panel.y0} {panel.x1} {panel.y1}"}))
    return warning


def _facts(cells: int, mm2: float, mpp: float) -> tuple[str, ...]:
    per_mm2 = [f"{cells / mm2:,.0f} cells/mm²"] if mm2 else []
    return (f"{cells:,} cells", f"{mm2:.2f} mm²", *per_mm2, f"{mpp:.3g} µm/px")


def _index_facts(index: Scores | None) -> tuple[str, ...]:
    if index is None or index.positive_percent is None:
        return ()
    interval = f"{index.positive_percent_low:.1f} to {index.positive_percent_high:.1f}"
    return f"{index.positive_percent:.1f} % positive ({interval})", f"H-score {index.h_score:.0f}"


def _thumbnail(slide: Slide, mpp: float, region: Region) -> tuple[Thumbnail, str]:
    """Thumbnail, read around the region, and an empty text; a white one and the reason where it cannot be read."""
    downsample = max(1.0, mpp / slide.mpp_l0)
    try:
        return slide.thumbnail(mpp, shown_l0=None if region.empty else shown_of(region, downsample)), ""
    except UnreadableSlideError as error:
        shape = math.ceil(slide.height_l0 / downsample), math.ceil(slide.width_l0 / downsample), 3
        return Thumbnail(np.full(shape, 255, np.uint8), downsample), f"the slide is blank in overview.png: {error}"


def _closeups(slide: Slide, grid: Grid, region: Region, density: Density, cells_in: CellsIn) -> tuple[CloseUp, ...]:
    covered = coverage(region, density.counts.shape, bin_l0=density.bin_l0, mpp_l0=slide.mpp_l0)
    bins = Bins(density.counts, density.confidence, density.doubtful, covered)
    bin_px, plane = density.bin_l0 / grid.downsample, _bounds(region, grid)
    boxes = pick_closeups(bins, bin_px=bin_px, side_px=CLOSEUP_PX, plane=plane)
    shown = []
    for title, box in boxes.items():
        drawn = [one for cells in cells_in(box) for one in _rings(cells, box, grid.downsample)]
        outlines, colors = tuple(ring for ring, _ in drawn), tuple(color for _, color in drawn)
        x0, y0, x1, y1 = (float(side * grid.downsample) for side in (box.x0, box.y0, box.x1, box.y1))
        with contextlib.suppress(UnreadableSlideError):
            shown.append(CloseUp(slide.read(box, grid), (x0, y0, x1, y1), outlines, title, colors))
    return tuple(shown)


def _bounds(region: Region, grid: Grid) -> Box:
    """Bounds of the region on the grid: a close-up beyond would show nuclei that were not searched for."""
    box = region.bounds_l0
    x0, y0, x1, y1 = (side / grid.downsample for side in (box.x0, box.y0, box.x1, box.y1))
    return Box(math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)).intersect(grid.box)


def _rings(cells: Cells, box: Box, downsample: float) -> Iterator[tuple[Points, Color]]:
    """Outlines of the cells that meet a box, in pixels of the box, and their colours, of their classes if they have."""
    vertices, starts = cells.vertices_l0 / downsample - (box.x0, box.y0), cells.ring_offsets[:-1]
    if not len(starts):
        return
    low, high = (extreme.reduceat(vertices, starts) for extreme in (np.minimum, np.maximum))
    met = (high > 0).all(axis=1) & (low < (box.width, box.height)).all(axis=1)
    colors = [color_of(name) for name in CLASSES.names]
    for number in np.flatnonzero(met).tolist():
        start, stop = cells.ring_offsets[number : number + 2].tolist()
        yield vertices[start:stop], colors[cells.class_[number]]
