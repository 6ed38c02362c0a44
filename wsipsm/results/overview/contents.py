"""Contents of the overview."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from wsipsm.core.geometry import Box, Image
from wsipsm.results.draw import Color, Points

MAP_PX = 720
"""Longer side of the two maps of the slide, pixels of the picture."""


@dataclass(frozen=True, eq=False)
class CloseUp:
    """A crop of the slide with the outlines of its cells.

    Attributes
    ----------
    image : (h, w, 3) uint8
        Crop at the working grid.
    box_l0 : tuple of float
        Bounds x0, y0, x1, y1 of the crop, level-0 px.
    outlines : sequence of (N, 2) float64
        Rings in pixels of the crop, whose first pixel covers [0, 1) x [0, 1); they may extend beyond it.
    title : str
        Written above it.
    colors : tuple of Color
        One per outline; empty for `CELL_COLOR`.
    """

    image: Image
    box_l0: tuple[float, float, float, float]
    outlines: tuple[Points, ...]
    title: str
    colors: tuple[Color, ...] = ()


@dataclass(frozen=True, eq=False)
class Overview:
    """Contents of the picture.

    Attributes
    ----------
    name : str
        Name of the slide.
    facts : tuple of str
        Short texts under the name: number of cells, area, resolution.
    thumbnail : (h, w, 3) uint8
        The whole slide; see `thumbnail_mpp`.
    downsample_l0 : float
        Level-0 pixels per thumbnail pixel.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    region : shapely.MultiPolygon
        Where cells were searched, level-0 px.
    counts : (rows, cols) int
        Number of cells, without doubtful ones, in square bins; bin (0, 0) starts at level-0 (0, 0).
    bin_l0 : float
        Side of a bin, level-0 px.
    closeups : tuple of CloseUp
        Up to three.
    warnings : tuple of str
        What a reader of the results must know, under the facts.
    positive : (rows, cols) int, optional
        Number of positive cells among ``counts``; None where cells have no classes.
    hot_spots : tuple of (float, float, float, float)
        Bounds x0, y0, x1, y1 of the hot spots, level-0 px, the highest first.
    """

    name: str
    facts: tuple[str, ...]
    thumbnail: Image
    downsample_l0: float
    mpp_l0: float
    region: shapely.MultiPolygon
    counts: npt.NDArray[np.integer[Any]]
    bin_l0: float
    closeups: tuple[CloseUp, ...] = ()
    warnings: tuple[str, ...] = ()
    positive: npt.NDArray[np.integer[Any]] | None = None
    hot_spots: tuple[tuple[float, float, float, float], ...] = ()


def thumbnail_mpp(region_l0: Box, slide_l0: Box, mpp_l0: float) -> float:
    """Resolution of the thumbnail for the overview, micrometres per pixel.

    Fine enough that the region fills its panel without enlargement, coarse enough that the thumbnail of the whole slide
    has at most 4096 pixels a side.

    Parameters
    ----------
    region_l0 : Box
        Bounds of the region, level-0 px; the whole slide is used if it is empty.
    slide_l0 : Box
        The whole slide, level-0 px.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    """
    shown = slide_l0 if region_l0.empty else region_l0
    sharp = max(shown.width, shown.height) / MAP_PX
    small = max(slide_l0.width, slide_l0.height) / 4096
    return max(sharp, small, 1.0) * mpp_l0
