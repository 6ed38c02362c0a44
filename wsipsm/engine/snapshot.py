"""Gathers what the overview of a slide shows: thumbnail, density of cells, close-ups with their outlines."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wsipsm.cells.table import Cells
from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box, Grid
from wsipsm.engine.job import Job
from wsipsm.engine.scratch import load_tile
from wsipsm.results.draw import png
from wsipsm.results.overview import CloseUp, Overview, draw_overview, pick_closeups, thumbnail_mpp
from wsipsm.slide import Slide, Thumbnail
from wsipsm.tissue.tiles import Tile

BIN_UM = 64.0
"""Least side of a density bin, micrometres."""
MAX_BINS = 1024
"""Most bins along a side of the slide."""
CLOSEUP_PX = 280
"""Side of a close-up, grid px."""


@dataclass(frozen=True, eq=False)
class Density:
    """Cells by place.

    Attributes
    ----------
    counts : (rows, cols) int64
        Cells in square bins; bin (0, 0) starts at level-0 (0, 0).
    bin_l0 : float
        Side of a bin, level-0 px.
    """

    counts: npt.NDArray[np.int64]
    bin_l0: float

    @classmethod
    def over(cls, grid: Grid) -> Density:
        """Empty bins over a whole grid."""
        side = max(BIN_UM / grid.mpp, max(grid.width, grid.height) / MAX_BINS)
        rows, cols = (int(-(-size // side)) for size in grid.shape)
        return cls(np.zeros((rows, cols), np.int64), side * grid.downsample)

    def add(self, cells: Cells) -> None:
        """Count cells by their centroids."""
        col, row = (cells.centroid_l0 / self.bin_l0).astype(np.int64).T
        np.add.at(self.counts, (row, col), 1)


def save_overview(path: Path, *, slide: Slide, job: Job, density: Density, tiles: Sequence[Tile]) -> str:
    """Draw the overview of a slide and write it as PNG; cells are not lost for a slide that cannot be shown.

    Parameters
    ----------
    path : Path
        The picture.
    slide : Slide
        Open.
    job : Job
        Its grid, region and tile files are used.
    density : Density
        All cells.
    tiles : sequence of Tile
        Tiles with a result.

    Returns
    -------
    str
        Why the slide is blank in it; empty where it is not.
    """
    whole = Box(0, 0, slide.width_l0, slide.height_l0)
    small, warning = _thumbnail(slide, thumbnail_mpp(job.region.bounds_l0, whole, slide.mpp_l0))
    cells, mm2 = int(density.counts.sum()), job.region_mm2
    facts = (f"{cells:,} cells", f"{mm2:.2f} mm²", f"{job.grid.mpp:.3g} µm/px")
    picture = draw_overview(
        Overview(
            name=job.task.slide.name,
            facts=facts if not mm2 else (*facts[:2], f"{cells / mm2:,.0f} cells/mm²", facts[2]),
            thumbnail=small.image,
            downsample_l0=small.downsample_l0,
            mpp_l0=slide.mpp_l0,
            region=job.region.polygons,
            counts=density.counts,
            bin_l0=density.bin_l0,
            closeups=_closeups(slide, job, density, tiles),
        )
    )
    write_bytes(path, png(picture))
    return warning


def _thumbnail(slide: Slide, mpp: float) -> tuple[Thumbnail, str]:
    """Thumbnail and an empty text; a white one, and why, where the slide has none."""
    try:
        return slide.thumbnail(mpp), ""
    except UnreadableSlideError as error:
        downsample = max(1.0, mpp / slide.mpp_l0)
        shape = math.ceil(slide.height_l0 / downsample), math.ceil(slide.width_l0 / downsample), 3
        return Thumbnail(np.full(shape, 255, np.uint8), downsample), f"the slide is blank in overview.png: {error}"


def _closeups(slide: Slide, job: Job, density: Density, tiles: Sequence[Tile]) -> tuple[CloseUp, ...]:
    if not density.counts.any():
        return ()
    boxes = pick_closeups(
        density.counts, bin_px=density.bin_l0 / job.grid.downsample, side_px=CLOSEUP_PX, plane=_searched(job)
    )
    titles = ("Densest place", "Typical place")
    shown = []
    for box, title in zip(boxes, titles, strict=False):
        with contextlib.suppress(UnreadableSlideError):
            shown.append(_closeup(slide, job, box, tiles, title))
    return tuple(shown)


def _searched(job: Job) -> Box:
    """What the region spans of the grid: a close-up beyond it would show nuclei that nobody looked for."""
    box, downsample = job.region.bounds_l0, job.grid.downsample
    x0, y0, x1, y1 = (side / downsample for side in (box.x0, box.y0, box.x1, box.y1))
    return Box(math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1)).intersect(job.grid.box)


def _closeup(slide: Slide, job: Job, box: Box, tiles: Sequence[Tile], title: str) -> CloseUp:
    outlines: list[npt.NDArray[np.float64]] = []
    for tile in tiles:
        if box.expand(job.halo_px).intersect(job.lattice.core(tile)).empty:
            continue
        cells = load_tile(job.tile_file(tile)).cells
        rings = np.split(cells.vertices_l0 / job.grid.downsample - (box.x0, box.y0), cells.ring_offsets[1:-1])
        size = (box.width, box.height)
        outlines += (
            [ring for ring in rings if (ring.max(0) > 0).all() and (ring.min(0) < size).all()] if len(cells) else []
        )
    (x0, y0), (x1, y1) = job.grid.to_l0(np.array([[box.x0, box.y0], [box.x1, box.y1]]))
    return CloseUp(slide.read(box, job.grid), (float(x0), float(y0), float(x1), float(y1)), tuple(outlines), title)
