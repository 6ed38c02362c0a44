"""Squares of a plane at half its resolution, gathered from the squares of the plane itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from wsipsm.core.geometry import Box

_Place = tuple[int, int]
_Plane = npt.NDArray[Any]


@dataclass(slots=True)
class _Pieces:
    """Pieces of a coarser square, packed, and how many finer squares were seen of it."""

    seen: int = 0
    packed: list[tuple[Box, bytes]] = field(default_factory=list)


class Halved:
    """Keeps every second pixel of squares that come in any order, until the four that make a coarser one are there.

    What waits is packed: of squares in row-major order, about a hundredth of the bytes of one row of them.

    Parameters
    ----------
    shape : (int, int)
        Size of the finer plane, (y, x).
    side : int
        Side of a square, in either plane.
    dtype : dtype
        Of the pixels.
    """

    def __init__(self, shape: tuple[int, int], side: int, dtype: Any) -> None:
        self._side, self._dtype = side, np.dtype(dtype)
        self._rows, self._cols = (-(-size // side) for size in shape)
        self._plane = Box(0, 0, -(-shape[1] // 2), -(-shape[0] // 2))
        self._waiting: dict[_Place, _Pieces] = {}

    def add(self, square: Box, data: _Plane) -> Iterator[tuple[Box, _Plane]]:
        """Take a square, once each; gives the coarser one that it completes, unless all of that is 0.

        Parameters
        ----------
        square : Box
            Clipped to the plane.
        data : (y, x)
            Its pixels.
        """
        place = square.y0 // self._side // 2, square.x0 // self._side // 2
        pieces = self._waiting.setdefault(place, _Pieces())
        pieces.seen += 1
        kept = data[square.y0 % 2 :: 2, square.x0 % 2 :: 2]
        if kept.size and data.any():
            x0, y0 = -(-square.x0 // 2), -(-square.y0 // 2)
            box = Box(x0, y0, x0 + kept.shape[1], y0 + kept.shape[0])
            pieces.packed.append((box, isal_zlib.compress(np.ascontiguousarray(kept, self._dtype), 0)))
        if pieces.seen == self._needed(place):
            yield from self._joined(place)

    def rest(self) -> Iterator[tuple[Box, _Plane]]:
        """The coarser squares of which some finer ones never came, in row-major order; nothing waits then."""
        for place in sorted(self._waiting):
            yield from self._joined(place)

    def _needed(self, place: _Place) -> int:
        rows, cols = (min(2, size - 2 * at) for size, at in zip((self._rows, self._cols), place, strict=True))
        return rows * cols

    def _joined(self, place: _Place) -> Iterator[tuple[Box, _Plane]]:
        pieces, side = self._waiting.pop(place), self._side
        if not pieces.packed:
            return
        y0, x0 = (at * side for at in place)
        square = Box(x0, y0, x0 + side, y0 + side).intersect(self._plane)
        joined = np.zeros(square.shape, self._dtype)
        for box, packed in pieces.packed:
            piece = np.frombuffer(isal_zlib.decompress(packed), self._dtype).reshape(box.shape)
            joined[box.y0 - y0 : box.y1 - y0, box.x0 - x0 : box.x1 - x0] = piece
        yield square, joined
