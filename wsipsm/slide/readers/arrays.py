"""Slides whose levels are arrays that zarr reads: TIFF through tifffile, OME-Zarr."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide.base import Slide
from wsipsm.slide.header import Header, Level
from wsipsm.slide.readers.messages import without_library_messages
from wsipsm.slide.resample import over_white


@dataclass(frozen=True, slots=True)
class Pyramid:
    """Levels of a colour image, 8 bits a sample.

    Attributes
    ----------
    arrays : sequence of array
        Fine to coarse, of any axis order.
    axes : str
        One lower-case letter a dimension: ``y``, ``x``, ``c`` for the samples; the first plane of any other is read.
    samples : tuple of int
        Where on ``c`` red, green and blue stand, and alpha if there is one.
    """

    arrays: Sequence[Any]
    axes: str
    samples: tuple[int, ...] = (0, 1, 2)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Size and downsample of each."""
        sizes = [(self._size(array, "x"), self._size(array, "y")) for array in self.arrays]
        return tuple(Level(width, height, sizes[0][0] / width) for width, height in sizes)

    def read(self, level: int, box: Box) -> Image:
        """Pixels of a box of a level, which lies inside it; (h, w, 3) uint8."""
        slices = {"y": slice(box.y0, box.y1), "x": slice(box.x0, box.x1), "c": slice(None)}
        block = np.asarray(self.arrays[level][tuple(slices.get(axis, 0) for axis in self.axes)])
        order = [axis for axis in self.axes if axis in slices]
        colour = block.transpose([order.index(axis) for axis in "yxc"])[..., list(self.samples)]
        return over_white(colour) if len(self.samples) == 4 else np.ascontiguousarray(colour)

    def _size(self, array: Any, axis: str) -> int:
        return int(array.shape[self.axes.index(axis)])


def shrinking(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Indices of the (width, height) that are levels of the first: each smaller than the one before, of its shape.

    Examples
    --------
    >>> shrinking([(1000, 800), (500, 400), (500, 500), (1000, 800), (125, 100)])
    [0, 1, 4]
    """
    kept = [0]
    for index, (width, height) in enumerate(sizes[1:], 1):
        by_x, by_y = sizes[0][0] / width, sizes[0][1] / height
        same_shape = abs(sizes[0][1] - by_x * height) <= by_y and abs(sizes[0][0] - by_y * width) <= by_x
        if width < sizes[kept[-1]][0] and height <= sizes[kept[-1]][1] and same_shape:
            kept.append(index)
    return kept


class ArraySlide(Slide):
    """A slide of such levels, one read at a time."""

    def __init__(self, path: Path, pyramid: Pyramid, header: Header, *, mpp: float | None, close: Callable[[], None]):
        self._lock = threading.Lock()
        self._pyramid, self._close, self._closed = pyramid, close, False
        super().__init__(path, header, mpp=mpp)

    def close(self) -> None:
        """Release the file; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._close()

    def _read_level(self, level: int, box: Box) -> Image:
        self._refuse_closed(self._closed)
        try:
            with self._lock, without_library_messages():
                return self._pyramid.read(level, box)
        except UnreadableSlideError:
            raise
        except Exception as error:  # the decoders behind it raise exceptions of any class on damaged data
            raise self._damaged(level, box, " ".join(str(error).split()) or type(error).__name__) from None
