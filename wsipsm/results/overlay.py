"""Pixels of a slide with the outlines of its cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import shapely
from PIL import Image as PillowImage

from wsipsm.core.errors import RegionError
from wsipsm.core.geometry import Box
from wsipsm.results.draw import color_of, outline
from wsipsm.slide import Slide

OVERLAY_PX = 2048
"""Longer side of an overlay whose resolution is not asked for, pixels."""
MAX_OVERLAY_PX = 100_000_000
"""Overlays of more pixels are refused."""


def overlay(
    slide: Slide,
    cells: Callable[[Box], pa.Table],
    region_l0: Box | tuple[int, int, int, int],
    mpp: float | None = None,
    zoom: int = 1,
) -> PillowImage.Image:
    """Pixels of a region under the outlines of its cells, in the colours of their classes.

    Parameters
    ----------
    slide : Slide
        Open.
    cells : callable
        ``geometry`` (WKB, level-0 px) and ``class`` of the cells that meet a box in level-0 px.
    region_l0, mpp, zoom
        As in `Result.overlay`.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Raises
    ------
    RegionError
        The region is empty, lies outside the slide, or makes too large a picture; or ``zoom`` is below 1.
    """
    box_l0 = _within(region_l0, Box(0, 0, slide.width_l0, slide.height_l0))
    if zoom < 1 or zoom != int(zoom):
        raise RegionError(f"zoom={zoom}: expected a whole number of 1 or more")
    finest = max(box_l0.width, box_l0.height) * zoom / OVERLAY_PX
    grid = slide.grid(mpp or max(1.0, finest) * slide.mpp_l0)
    box = _on_grid(box_l0, grid.downsample)
    if box.width * box.height * zoom**2 > MAX_OVERLAY_PX:
        sides = f"{box.width * zoom} x {box.height * zoom}"
        raise RegionError(f"{sides} px is too large a picture; give a coarser mpp or a smaller zoom")
    image = np.ascontiguousarray(slide.read(box, grid).repeat(zoom, axis=0).repeat(zoom, axis=1))
    wkb, names = cells(box_l0).columns
    for polygon, name in zip(shapely.from_wkb(wkb.to_numpy()), names.to_pylist(), strict=True):
        ring = np.asarray(polygon.exterior.coords) / grid.downsample - (box.x0, box.y0)
        outline(image, ring * zoom, color_of(name))
    return PillowImage.fromarray(image)


def _within(region: Box | tuple[int, int, int, int], slide: Box) -> Box:
    try:
        box = (region if isinstance(region, Box) else Box(*map(int, region))).intersect(slide)
    except (TypeError, ValueError):
        raise RegionError(f"region {region}: expected x0 < x1 and y0 < y1 in level-0 pixels") from None
    if box.empty:
        raise RegionError(f"region {region}: empty, or outside the slide of {slide.width} x {slide.height} px")
    return box


def _on_grid(box: Box, downsample: float) -> Box:
    x0, y0, x1, y1 = (round(side / downsample) for side in (box.x0, box.y0, box.x1, box.y1))
    return Box(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
