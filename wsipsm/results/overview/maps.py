"""Maps of the overview: panel of the slide, outlines of the region, density of cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.core.geometry import Box, Grid, Image, Map, Mask
from wsipsm.results.draw import Points
from wsipsm.results.overview.contents import MAP_PX, Overview
from wsipsm.tissue.region import Region

_FINE = 4
"""A bin is sampled at this many points a side to measure how much of it the region covers."""
_AROUND = 0.04
LEAST_CELLS = 20
"""Fewest cells in three by three bins for which the index map has a colour."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Position of a panel on the slide: panel px = (level-0 px - origin) * scale."""

    x0_l0: float
    y0_l0: float
    scale: float
    width: int
    height: int

    def to_panel(self, xy_l0: Points) -> Points:
        """Positions (N, 2) on the panel."""
        return (np.asarray(xy_l0, np.float64) - (self.x0_l0, self.y0_l0)) * self.scale


def shown_of(region: Region, downsample_l0: float) -> Box:
    """What `crop_panel` shows of a thumbnail at most, level-0 px; it may reach beyond the slide."""
    box = region.bounds_l0
    return box.expand(math.ceil(_AROUND * max(box.width, box.height) + 2 * downsample_l0))


def crop_panel(overview: Overview, *, width: int) -> tuple[Image, Frame]:
    """Crop of the thumbnail around the region with a margin, at most ``width`` x `MAP_PX` px, and its frame."""
    height_px, width_px = overview.thumbnail.shape[:2]
    box = np.array([0, 0, width_px, height_px], np.float64)
    if not overview.region.is_empty:
        box = np.array(overview.region.bounds) / overview.downsample_l0
    rim = _AROUND * max(box[2] - box[0], box[3] - box[1])
    x0, y0 = (int(max(0, v)) for v in np.floor(box[:2] - rim))
    x1, y1 = min(width_px, int(np.ceil(box[2] + rim))), min(height_px, int(np.ceil(box[3] + rim)))
    crop = overview.thumbnail[y0:y1, x0:x1]
    scale = min(width / (x1 - x0), MAP_PX / (y1 - y0))
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    panel = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    downsample = overview.downsample_l0
    return np.asarray(panel, np.uint8), Frame(x0 * downsample, y0 * downsample, scale / downsample, *size)


def rings(region: shapely.MultiPolygon) -> list[Points]:
    """Every ring of the region, shells and holes; level-0 px."""
    return [
        np.asarray(ring.coords, np.float64)
        for polygon in region.geoms
        for ring in (polygon.exterior, *polygon.interiors)
    ]


def density_per_mm2(overview: Overview) -> Map:
    """Cells per square millimetre of region in every bin, slightly smoothed; 0 outside the region."""
    share = coverage(Region(overview.region), overview.counts.shape, bin_l0=overview.bin_l0, mpp_l0=overview.mpp_l0)
    bin_mm2 = (overview.bin_l0 * overview.mpp_l0 / 1000) ** 2
    cells = _soften(overview.counts.astype(np.float32))
    area = np.maximum(_soften(share), 0.15) * np.float32(bin_mm2)
    density: Map = np.where(share > 0, cells / area, 0).astype(np.float32)
    return density


def positive_percent(overview: Overview, frame: Frame) -> tuple[Map, Mask]:
    """Share of positive cells around every pixel of a panel, percent, and where there are enough cells to tell.

    Both are counted over squares of three bins a side.
    """
    positive = overview.counts if overview.positive is None else overview.positive
    cells, hits = (on_panel(_around(plane), frame, overview.bin_l0) for plane in (overview.counts, positive))
    percent: Map = (100 * hits / np.maximum(cells, 1)).astype(np.float32)
    return percent, cells >= LEAST_CELLS


def coverage(region: Region, shape: tuple[int, ...], *, bin_l0: float, mpp_l0: float) -> Map:
    """Share of every bin that the region covers; (rows, cols), the first bin at level-0 (0, 0).

    Parameters
    ----------
    region : Region
        Level-0 px.
    shape : (int, int)
        Rows and columns of bins.
    bin_l0 : float
        Side of a bin, level-0 px.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    """
    rows, cols = shape
    fine = Grid(cols * _FINE, rows * _FINE, bin_l0 / _FINE, bin_l0 / _FINE * mpp_l0)
    inside = region.mask(fine.box, fine)
    share: Map = inside.reshape(rows, _FINE, cols, _FINE).mean(axis=(1, 3), dtype=np.float32)
    return share


def on_panel(plane: Map, frame: Frame, bin_l0: float) -> Map:
    """Values of bins, the first at level-0 (0, 0), interpolated to the pixels of a panel.

    Parameters
    ----------
    plane : (rows, cols) float32
        A value for each bin.
    frame : Frame
        Which part of the slide the panel shows, and its size.
    bin_l0 : float
        Side of a bin, level-0 px.
    """
    step = 1 / (frame.scale * bin_l0)
    x = ((np.arange(frame.width, dtype=np.float32) + 0.5) * step + frame.x0_l0 / bin_l0 - 0.5).astype(np.float32)
    y = ((np.arange(frame.height, dtype=np.float32) + 0.5) * step + frame.y0_l0 / bin_l0 - 0.5).astype(np.float32)
    across, down = np.meshgrid(x, y)
    return np.asarray(cv2.remap(plane, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def nice_number(value: float, *, up: bool) -> float:
    """Nearest 1, 2 or 5 times a power of ten that is not below (``up``) or not above the value.

    Examples
    --------
    >>> nice_number(3300, up=True), nice_number(130, up=False)
    (5000.0, 100.0)
    """
    power = 10.0 ** np.floor(np.log10(value))
    steps = [power * step for step in (1, 2, 5, 10)]
    if up:
        return float(min(step for step in steps if step >= value * (1 - 1e-9)))
    return float(max(step for step in steps if step <= value * (1 + 1e-9)))


def _around(plane: npt.NDArray[np.integer[Any]]) -> Map:
    """Sum over three by three bins."""
    summed = cv2.boxFilter(plane.astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, np.float32)


def _soften(plane: Map) -> Map:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 0.7, borderType=cv2.BORDER_CONSTANT), np.float32)
