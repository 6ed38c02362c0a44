"""Patches of a slide: seeded places over its tissue, and their pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from wsipsm.config import EncoderConfig
from wsipsm.core.errors import FitError, UnreadableSlideError
from wsipsm.core.geometry import Box, Grid, Image
from wsipsm.slide import Slide
from wsipsm.tissue.region import Region

Images = npt.NDArray[np.uint8]
"""(n, y, x, 3) uint8 RGB of one size at the working resolution."""

_READERS = 2
"""Threads that read patches."""
_DRAW = 4096
_DRAWS = 256


def patch_boxes(region: Region, grid: Grid, config: EncoderConfig) -> list[Box]:
    """Boxes of the patches of a slide; they depend on region, grid and seed, not on tiles.

    Parameters
    ----------
    region : Region
        Where patches have their centres, level-0 px.
    grid : Grid
        The working plane.
    config : EncoderConfig
        Number, side and seed.

    Returns
    -------
    list of Box
        Grid px, in row-major order, with repetitions on a small region. A box lies in the plane unless the plane is
        smaller than a patch.

    Raises
    ------
    FitError
        The region is empty.
    """
    if region.empty:
        raise FitError("no tissue to learn from: give a region with --roi, or leave this slide out")
    centres = points_inside(region, config.patches, np.random.default_rng(config.seed)) / grid.downsample
    corners = np.floor(centres - config.patch_px / 2).astype(int)
    limits = np.maximum(np.array([grid.width, grid.height]) - config.patch_px, 0)
    # A plane smaller than a patch lies in its middle: what is white around it takes the halo of the features.
    margins = np.minimum(np.array([grid.width, grid.height]) - config.patch_px, 0) // 2
    corners = np.clip(corners, margins, limits + margins)
    ordered = sorted((int(y), int(x)) for x, y in corners)
    return [Box(x, y, x + config.patch_px, y + config.patch_px) for y, x in ordered]


def points_inside(region: Region, count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(count, 2) level-0 points, uniform over the region.

    Parameters
    ----------
    region : Region
        Level-0 px.
    count : int
        Number of points.
    rng : Generator
        Draws them.
    """
    box = region.bounds_l0
    found = np.empty((0, 2))
    for _ in range(_DRAWS):
        drawn = rng.uniform((box.x0, box.y0), (box.x1, box.y1), size=(_DRAW, 2))
        found = np.concatenate([found, drawn[region.contains_l0(drawn)]])
        if len(found) >= count:
            return found[:count]
    # A sliver across a wide plane: what no draw hit is sampled at a point of each of its pieces.
    pieces = [piece.representative_point() for piece in region.polygons.geoms]
    found = np.concatenate([found, [(point.x, point.y) for point in pieces]])
    return found[np.arange(count) % len(found)]


def read_boxes(slide: Slide, boxes: list[Box], grid: Grid, *, least: float = 0.5) -> Images:
    """Pixels of the boxes that can be read; a damaged part of a slide must not cost all of it.

    Parameters
    ----------
    slide : Slide
        Open.
    boxes : list of Box
        Of one size, grid px.
    grid : Grid
        The working plane.
    least : float
        Share of the boxes that must be readable.

    Raises
    ------
    UnreadableSlideError
        Too many boxes cannot be read.
    """

    def read(box: Box) -> Image | UnreadableSlideError:
        try:
            return slide.read(box, grid)
        except UnreadableSlideError as error:
            return error

    with ThreadPoolExecutor(_READERS, "patches") as readers:
        found = list(readers.map(read, boxes))
    images = [image for image in found if not isinstance(image, UnreadableSlideError)]
    errors = [error for error in found if isinstance(error, UnreadableSlideError)]
    if errors and len(images) < least * len(boxes):
        raise errors[-1]
    return np.stack(images)
