"""Label images as PNG and OME-TIFF: a region or the whole slide, at any resolution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import ConfigError, RegionError
from wsipsm.core.files import appearing
from wsipsm.core.geometry import Box, Mask
from wsipsm.results.export_source import ExportSource
from wsipsm.results.formats.ome_zarr import SMALLEST_LEVEL_PX, open_levels

MAX_PNG_PX = 100_000_000
"""A PNG of more pixels is refused: it is written from memory."""
MAX_PNG_LABEL = 65_535
TILE_PX = 512
"""Side of a tile of an OME-TIFF."""

Labels = npt.NDArray[np.uint32]


class LabelPlane:
    """Labels of a slide at any resolution, read by the nearest pixel of the level that is just fine enough.

    Parameters
    ----------
    source : ExportSource
        The slide; of a region of interest its bounds are taken, and labels that are not exported are 0.
    name : str, optional
        Which labels; by default those that the options ask for.

    Attributes
    ----------
    name : str
        Which labels, ``instances`` (nuclei) or ``cells`` (whole ones).
    mpp : float
        Micrometres per pixel.
    box : Box
        What is covered, in such pixels from the corner of level 0 on.
    shape : (int, int)
        Size, (y, x).
    shapes : list of (int, int)
        Sizes of the levels of a pyramid.
    """

    def __init__(self, source: ExportSource, name: str = "") -> None:
        whole = source.has_whole_cells and source.options.objects in (None, "cells")
        self.name = name or ("cells" if whole else "instances")
        self._levels = open_levels(source.folder / "labels.ome.zarr", self.name)
        self.mpp = self._levels[0][1] if source.options.mpp is None else source.options.mpp
        if not 0 < self.mpp < math.inf:
            raise ConfigError(f"mpp {self.mpp}: expected micrometres per pixel above 0")
        self.box = _box(source, self.mpp)
        self.shape = self.box.shape
        self.shapes = [self.shape]
        while max(self.shapes[-1]) > SMALLEST_LEVEL_PX:
            self.shapes.append((-(-self.shapes[-1][0] // 2), -(-self.shapes[-1][1] // 2)))
        self._chosen = source.chosen_labels()

    def read(self, box: Box, coarser: int = 1) -> Labels:
        """Labels of a box of this plane taken ``coarser`` times coarser, (y, x)."""
        mpp = self.mpp * coarser
        fine_enough = [level for level in self._levels if level[1] <= mpp * (1 + 1e-9)]
        array, scale = (fine_enough or self._levels[:1])[-1]
        rows = _nearest(self.box.y0 * self.mpp, box.y0, box.y1, mpp, scale, array.shape[0])
        cols = _nearest(self.box.x0 * self.mpp, box.x0, box.x1, mpp, scale, array.shape[1])
        block = np.asarray(array[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])
        labels = block[np.ix_(rows - rows[0], cols - cols[0])].astype(np.uint32)
        return labels if self._chosen is None else _only(labels, self._chosen)


def boxes_of(shape: tuple[int, int], side: int) -> Iterator[Box]:
    """Squares of a plane (y, x) in row-major order, cut off at its end."""
    plane = Box(0, 0, shape[1], shape[0])
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            yield Box(x, y, x + side, y + side).intersect(plane)


def _nearest(start_um: float, first: int, stop: int, mpp: float, scale: float, size: int) -> npt.NDArray[np.intp]:
    """Pixels of a level under the centres of pixels of a plane that begins at ``start_um``."""
    centres_um = start_um + (np.arange(first, stop) + 0.5) * mpp
    pixels: npt.NDArray[np.intp] = np.clip(np.floor(centres_um / scale).astype(np.intp), 0, size - 1)
    return pixels


def _only(labels: Labels, chosen: Mask) -> Labels:
    known = np.minimum(labels, len(chosen) - 1)
    return np.where(chosen[known] & (known == labels), labels, 0).astype(np.uint32)


def _box(source: ExportSource, mpp: float) -> Box:
    """Part of the plane that is written, px of it."""
    ratio = source.mpp_l0 / mpp
    if source.region is None:
        x, y = source.offset_l0
        whole = source.box_l0
        corners = (
            math.floor(x * ratio),
            math.floor(y * ratio),
            math.ceil(whole.x1 * ratio),
            math.ceil(whole.y1 * ratio),
        )
        return Box(*corners)
    bounds = source.region.bounds_l0
    x0, y0 = math.floor(bounds.x0 * ratio), math.floor(bounds.y0 * ratio)
    return Box(x0, y0, max(x0 + 1, math.ceil(bounds.x1 * ratio)), max(y0 + 1, math.ceil(bounds.y1 * ratio)))


class LabelPng:
    """16-bit grey PNG of the labels.

    Parameters
    ----------
    target : Path
        ``.png``.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._plane = target, LabelPlane(source)

    def write(self) -> list[Path]:
        """Write the file; errors as `export`.

        Raises
        ------
        RegionError
            It would be too large, or labels do not fit 16 bits.
        """
        from PIL import Image

        height, width = self._plane.shape
        if height * width > MAX_PNG_PX:
            raise RegionError(f"{width} x {height} px is too large for PNG; give a region, a coarser mpp, or ome-tiff")
        labels = self._plane.read(Box(0, 0, width, height))
        if labels.max(initial=0) > MAX_PNG_LABEL:
            raise RegionError(f"label {labels.max()} does not fit the 16 bits of a PNG; ome-tiff takes it")
        with appearing(self._target) as path:
            Image.fromarray(labels.astype(np.uint16)).save(path, format="PNG")
        return [self._target]


class LabelOmeTiff:
    """Tiled pyramid of 32-bit labels as OME-TIFF; one tile is held in memory at a time.

    Parameters
    ----------
    target : Path
        ``.ome.tiff`` or ``.ome.tif``.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._plane = target, LabelPlane(source)

    def write(self) -> list[Path]:
        """Write the file; errors as `export`."""
        import tifffile

        shapes = self._plane.shapes
        with appearing(self._target) as path, tifffile.TiffWriter(path, bigtiff=True, ome=True) as tiff:
            for level, shape in enumerate(shapes):
                first: dict[str, Any] = {"subifds": len(shapes) - 1, "metadata": self._metadata()}
                tiff.write(
                    self._tiles(shape, 2**level),
                    shape=shape,
                    dtype=np.uint32,
                    tile=(TILE_PX, TILE_PX),
                    compression="zlib",
                    photometric="minisblack",
                    **(first if level == 0 else {"subfiletype": 1, "metadata": None}),
                )
        return [self._target]

    def _metadata(self) -> dict[str, Any]:
        sizes = {f"PhysicalSize{axis}": self._plane.mpp for axis in "XY"}
        return {"axes": "YX", "Name": self._plane.name} | sizes | {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}

    def _tiles(self, shape: tuple[int, int], coarser: int) -> Iterator[Labels]:
        for box in boxes_of(shape, TILE_PX):
            tile = np.zeros((TILE_PX, TILE_PX), np.uint32)
            tile[: box.height, : box.width] = self._plane.read(box, coarser)
            yield tile
