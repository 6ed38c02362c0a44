"""Base class of slides: levels, the working plane, area-averaged reads."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np

from wsipsm.core.errors import ResolutionError, UnreadableSlideError
from wsipsm.core.geometry import Box, Grid, Image, reduced_px
from wsipsm.slide.fingerprint import fingerprint_of
from wsipsm.slide.header import Header, Level, Thumbnail
from wsipsm.slide.resample import area_mean, bands, black_to_white, compressed_tiles, read_mirrored, source_box

EXPECTED_RGB = "expected 8-bit RGB. wsipsm reads brightfield colour scans: export the slide as RGB"
MAKE_PYRAMID = "convert it to a tiled pyramid (vips tiffsave --tile --pyramid --bigtiff)"
"""Ends of messages of more than one reader."""

_SNAP = 0.03
_EXACT = 1e-9


class Slide(ABC):
    """An open slide: a context manager, pickled as its path, so that another process opens it again.

    Attributes
    ----------
    path : Path
    width_l0, height_l0 : int
        Size in level-0 pixels.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    mpp_source : str
        Where that stands: ``override``, ``aperio.MPP``, ``openslide.mpp-x``, ``tiff.XResolution``, ...
    overruled : Resolution or None
        What the file says, where the user said another.
    vendor, reader : str
        Format, and the library that reads it.
    levels : tuple of Level
        Fine to coarse.
    bounds_l0 : Box or None
        Scanned part, level-0 pixels; None unless the file has all four openslide.bounds properties.
    properties : dict of str to str
        Metadata, named as by the reader.
    associated : dict of str to (int, int)
        Width and height of label, macro and thumbnail.
    black_ground : bool
        Whether pure black is what was not scanned, and read as white; False until somebody finds that it is.
    """

    reader: ClassVar[str]

    def __init__(self, path: Path, header: Header, *, mpp: float | None) -> None:
        self.path = path
        self.vendor = header.vendor
        self.levels = header.levels
        self.width_l0, self.height_l0 = header.levels[0].width, header.levels[0].height
        self.mpp_l0, self.mpp_source = header.resolution.mpp, header.resolution.source
        self.overruled = header.resolution.overruled
        self.bounds_l0 = header.bounds_l0
        self.properties = header.properties
        self.associated = header.associated
        self.black_ground = False
        self._mpp_override = mpp

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # A handle cannot be pickled: the other process opens the file again.
        return type(self), (self.path, self._mpp_override), {"black_ground": self.black_ground}

    def _damaged(self, level: int, box: Box, reason: object) -> UnreadableSlideError:
        """Error for a box of a level that cannot be read."""
        return UnreadableSlideError(
            f"{self.path}: level {level}, pixels x {box.x0}..{box.x1} y {box.y0}..{box.y1} cannot be read ({reason}); "
            "the file is damaged there: copy it again from its source"
        )

    def _refuse_closed(self, closed: bool) -> None:
        if closed:
            raise ValueError(f"{self.path}: the slide is closed")

    @abstractmethod
    def close(self) -> None:
        """Release the file; closing twice is harmless."""

    @abstractmethod
    def _read_level(self, level: int, box: Box) -> Image:
        """Pixels of a box within a level, in the level's pixels; what was not scanned is white."""

    def grid(self, mpp: float) -> Grid:
        """Working plane at a resolution.

        A downsample within 3 % of a whole number becomes that number, and the plane's ``mpp`` follows: block means
        of whole pixels are equally sharp everywhere, while 2.004 would make bands of blur that drift over the slide.

        Parameters
        ----------
        mpp : float
            Micrometres per grid pixel.

        Raises
        ------
        ResolutionError
            The slide is coarser than that.
        """
        downsample = mpp / self.mpp_l0
        nearest = round(downsample)
        if nearest >= 1 and abs(downsample - nearest) <= _SNAP * downsample:
            downsample, mpp = float(nearest), self.mpp_l0 * nearest
        elif downsample < 1:
            raise ResolutionError(
                f"{self.path}: its pixels are {self.mpp_l0:.4g} um, coarser than the working {mpp:g} um; "
                f"work at the slide's own resolution with --mpp {self.mpp_l0:.4g}, or correct it with --slide-mpp"
            )
        size = (self.width_l0, self.height_l0)
        return Grid(reduced_px(size[0], downsample), reduced_px(size[1], downsample), downsample, mpp, size)

    def read(self, box: Box, grid: Grid) -> Image:
        """Pixels of a box of the working plane.

        Area averages of level-0 pixels, or of a coarser level that is an exact whole fraction of level 0.
        The bytes of a pixel do not depend on the box it is read with.

        Parameters
        ----------
        box : Box
            In grid pixels; what lies outside the plane, partly or wholly, is white.
        grid : Grid
            From ``self.grid``.

        Returns
        -------
        (box.height, box.width, 3) uint8

        Raises
        ------
        UnreadableSlideError
            The file is damaged there.
        """
        if grid.downsample < 1:
            raise ValueError(f"expected a grid of at least one level-0 pixel a pixel, got {grid.downsample}")
        level = self._level_for_tiles(grid.downsample)
        scale = grid.downsample / round(self.levels[level].downsample)
        return self._average(level, box, scale, scale)

    def read_mirrored(self, box: Box, grid: Grid) -> Image:
        """Pixels of a box of the working plane, as `read`, but the plane's mirror image where the box leaves it.

        For a network, which would take white beyond the edge for background. The edge pixels are the mirror and are not
        repeated, as in ``numpy.pad(mode="reflect")``; a pixel's bytes depend on its position alone.

        Parameters
        ----------
        box : Box
            In grid pixels, of any size.
        grid : Grid
            From ``self.grid``.

        Returns
        -------
        (box.height, box.width, 3) uint8

        Raises
        ------
        UnreadableSlideError
            The file is damaged there.
        """
        return read_mirrored(functools.partial(self.read, grid=grid), box, grid.box)

    def thumbnail(self, mpp: float, *, shown_l0: Box | None = None) -> Thumbnail:
        """Whole slide, small, from the coarsest level that is fine enough.

        Parameters
        ----------
        mpp : float
            Micrometres per thumbnail pixel; a slide coarser than that gives its own pixels.
        shown_l0 : Box, optional
            The part that is read, level-0 px; the rest stays white. By default everything.

        Raises
        ------
        UnreadableSlideError
            Nothing of the level can be read.
        """
        downsample = max(1.0, mpp / self.mpp_l0)
        whole = Box(0, 0, reduced_px(self.width_l0, downsample), reduced_px(self.height_l0, downsample))
        part = whole if shown_l0 is None else whole.intersect(shown_l0.scaled(1 / downsample, 1 / downsample))
        image = np.full((*whole.shape, 3), 255, np.uint8)
        image[part.slices], damaged = self.read_reduced(part, downsample)
        return Thumbnail(image, downsample, damaged)

    def read_reduced(self, box: Box, downsample: float) -> tuple[Image, tuple[Box, ...]]:
        """Pixels of a reduced slide, to be looked at: from the coarsest level that is fine enough, exact or not.

        Parameters
        ----------
        box : Box
            Pixels of the reduced slide, whose pixel (0, 0) starts at that of level 0; beyond its edge it is white.
        downsample : float
            Level-0 pixels per pixel, at least 1.

        Returns
        -------
        (box.height, box.width, 3) uint8, tuple of Box
            Pixels; damaged parts, which are white, level-0 px.

        Raises
        ------
        UnreadableSlideError
            Nothing of it can be read.
        """
        fits = [i for i, level in enumerate(self.levels) if max(self._steps(level)) <= downsample * (1 + _EXACT)]
        level, damaged = max(fits, key=lambda i: self.levels[i].downsample), list[Box]()
        step_x, step_y = self._steps(self.levels[level])
        read = functools.partial(self._read_around_damage, damaged=damaged)
        image = self._average(level, box, max(1.0, downsample / step_x), max(1.0, downsample / step_y), read=read)
        return image, tuple(one.scaled(step_x, step_y) for one in damaged)

    def keep_pixels(self, file: Path) -> None:  # noqa: B027
        """Write the pixels to a file for `take_pixels`; only of an image that each reader would decode as a whole."""

    def take_pixels(self, file: Path) -> None:  # noqa: B027
        """Read from a file that `keep_pixels` has written, if there is one."""

    def fingerprint(self) -> str:
        """Identity of the content, see `fingerprint_of`."""
        return fingerprint_of(self.path)

    def _steps(self, level: Level) -> tuple[float, float]:
        """Level-0 pixels per pixel of the level in x and in y."""
        return self.width_l0 / level.width, self.height_l0 / level.height

    def _level_for_tiles(self, downsample: float) -> int:
        # On a level of fractional downsample OpenSlide interpolates with a phase that depends on the request, so bytes
        # would depend on the tile. On whole ones every request starts on a whole pixel.
        def exact(level: Level) -> bool:
            n = round(level.downsample)
            sizes = (n * level.width, n * level.height) == (self.width_l0, self.height_l0)
            return sizes and abs(level.downsample - n) <= _EXACT and n <= downsample * (1 + _EXACT)

        return max((i for i, level in enumerate(self.levels) if exact(level)), key=lambda i: self.levels[i].downsample)

    def _average(
        self, level: int, box: Box, scale_x: float, scale_y: float, *, read: Callable[[int, Box], Image] | None = None
    ) -> Image:
        out = np.full((*box.shape, 3), 255, np.uint8)
        plane = self.levels[level]
        touched = box.intersect(Box(0, 0, math.ceil(plane.width / scale_x), math.ceil(plane.height / scale_y)))
        for band in bands(touched, scale_x, scale_y):
            source = self._read_padded(level, source_box(band, scale_x, scale_y), read or self._read_level)
            source = black_to_white(source) if self.black_ground else source
            out[band.relative_to(box).slices] = area_mean(source, band, scale_x, scale_y)
        return out

    def _read_around_damage(self, level: int, box: Box, *, damaged: list[Box]) -> Image:
        """Pixels of a level, white where the file is damaged; an error when nothing of the box can be read."""
        try:
            return self._read_level(level, box)
        except UnreadableSlideError:
            out, readable = np.full((*box.shape, 3), 255, np.uint8), False
            for tile in compressed_tiles(box):
                try:
                    out[tile.relative_to(box).slices] = self._read_level(level, tile)
                    readable = True
                except UnreadableSlideError:
                    damaged.append(tile)
            if not readable:
                raise
            return out

    def _read_padded(self, level: int, box: Box, read: Callable[[int, Box], Image]) -> Image:
        inside = box.intersect(Box(0, 0, self.levels[level].width, self.levels[level].height))
        if inside == box:
            return read(level, box)
        out = np.full((*box.shape, 3), 255, np.uint8)
        if not inside.empty:
            out[inside.relative_to(box).slices] = read(level, inside)
        return out


def qupath_origin(slide: Slide) -> tuple[int, int]:
    """Origin (x, y) of the frame that QuPath shows, level-0 px: the corner of the slide's bounds, if it has any."""
    return (slide.bounds_l0.x0, slide.bounds_l0.y0) if slide.bounds_l0 else (0, 0)
