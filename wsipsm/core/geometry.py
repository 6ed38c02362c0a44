"""Boxes, the grid that a slide is processed on, and the coordinate frames.

Level 0
    Pixels of the slide at its full resolution, as OpenSlide counts them from the upper left corner of the whole slide.
    Names of such values end in ``_l0``. Outlines, centroids and regions are kept in this frame.
Grid
    The plane that cells are found on, at the working resolution of ``mpp`` micrometres per pixel. Its corner (0, 0) is
    that of level 0, and ``downsample`` level-0 pixels, not necessarily a whole number, make one grid pixel:
    ``xy_l0 = xy_grid * downsample``. Positions are not rounded.
QuPath
    Level-0 pixels minus the origin of the slide's bounds (``openslide.bounds-x`` and ``-y``; 0 where a slide has none):
    QuPath shows such a slide cropped to its bounds. GeoJSON is written and read in this frame by default.

Points are (x, y), boxes (x0, y0, x1, y1), arrays (y, x). The pixel (x, y) covers [x, x + 1) x [y, y + 1), so integers
are corners of pixels and x + 0.5 is the centre of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""uint8 RGB, (y, x, 3)."""
Map = npt.NDArray[np.float32]
"""float32, (y, x), in [0, 1]."""
Mask = npt.NDArray[np.bool_]
"""bool, (y, x)."""
Labels = npt.NDArray[np.signedinteger[Any]]
"""integer, (y, x), 0 is background."""

Array = TypeVar("Array", bound=npt.NDArray[Any])


def reduced_px(size_l0: int, downsample: float) -> int:
    """Pixels of a side of so many level-0 pixels, at least one."""
    return max(1, math.ceil(size_l0 / downsample - 1e-6))


def crop(array: Array, margin: int) -> Array:
    """View of a (y, x, ...) array without ``margin`` pixels on every side."""
    return cast(Array, array[margin : array.shape[0] - margin, margin : array.shape[1] - margin])


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A half-open rectangle [x0, x1) x [y0, y1) of whole pixels.

    Examples
    --------
    >>> Box(0, 0, 4, 2).expand(1)
    Box(x0=-1, y0=-1, x1=5, y1=3)
    >>> Box(2, 2, 6, 6).relative_to(Box(1, 0, 9, 9)).slices
    (slice(2, 6, None), slice(1, 5, None))
    """

    x0: int
    y0: int
    x1: int
    y1: int

    def __post_init__(self) -> None:
        if self.x1 < self.x0 or self.y1 < self.y0:
            raise ValueError(f"expected x0 <= x1 and y0 <= y1, got {self.x0, self.y0, self.x1, self.y1}")

    @property
    def width(self) -> int:
        """Pixels in x."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Pixels in y."""
        return self.y1 - self.y0

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape, (y, x)."""
        return self.height, self.width

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return self.width == 0 or self.height == 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in an array that starts at the origin of the frame."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def scaled(self, x: float, y: float) -> Box:
        """Box that covers this one in a frame of so many times finer pixels."""
        return Box(math.floor(self.x0 * x), math.floor(self.y0 * y), math.ceil(self.x1 * x), math.ceil(self.y1 * y))

    def expand(self, margin: int) -> Box:
        """Box with ``margin`` more pixels on every side; it may extend beyond the plane."""
        return Box(self.x0 - margin, self.y0 - margin, self.x1 + margin, self.y1 + margin)

    def intersect(self, other: Box) -> Box:
        """Common part; an empty box at the nearest corner where there is none."""
        x0, y0 = max(self.x0, other.x0), max(self.y0, other.y0)
        return Box(x0, y0, max(x0, min(self.x1, other.x1)), max(y0, min(self.y1, other.y1)))

    def relative_to(self, other: Box) -> Box:
        """Same box in the frame whose origin is the upper left corner of ``other``."""
        return Box(self.x0 - other.x0, self.y0 - other.y0, self.x1 - other.x0, self.y1 - other.y0)

    def contains_points(self, xy: npt.NDArray[Any]) -> Mask:
        """Which of the (N, 2) points (x, y) lie in the half-open box; (N,) bool."""
        x, y = xy[:, 0], xy[:, 1]
        inside: Mask = (self.x0 <= x) & (x < self.x1) & (self.y0 <= y) & (y < self.y1)
        return inside


@dataclass(frozen=True, slots=True)
class Grid:
    """The plane that the cells of one slide are found on.

    Attributes
    ----------
    width, height : int
        Pixels of the plane.
    downsample : float
        Level-0 pixels per grid pixel, the same in x and y.
    mpp : float
        Micrometres per grid pixel.
    size_l0 : (int, int) or None
        Width and height of the slide, level-0 pixels; the last pixels of the plane may reach beyond it. None where
        outlines may too.
    """

    width: int
    height: int
    downsample: float
    mpp: float
    size_l0: tuple[int, int] | None = None

    @property
    def box(self) -> Box:
        """The whole plane."""
        return Box(0, 0, self.width, self.height)

    @property
    def shape(self) -> tuple[int, int]:
        """Array shape, (y, x)."""
        return self.height, self.width

    def to_l0(self, xy: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Grid positions (..., 2) in level-0 pixels."""
        return np.asarray(xy, np.float64) * self.downsample

    def area_mm2(self, area_l0: float) -> float:
        """Square millimetres of an area in square level-0 pixels."""
        um_per_l0 = self.mpp / self.downsample
        return area_l0 * um_per_l0**2 / 1e6
