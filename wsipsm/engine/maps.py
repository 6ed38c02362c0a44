"""The maps that tiles share while a slide is worked on, a file a core, and each tile's status.

A file holds the squares of a core, row by row, compressed one by one: a window reads and decodes no more of the cores
around its own than it needs. First come the lengths of the squares in bytes, little-endian uint32, 0 for one that is
all zero; a core that is all zero has no file.

The status is a small file: which blocks of the tile's maps are missing, and how long the stored file is. Where power
fails, the status may reach the disk and the maps may not: then the lengths differ. Waiting for the disk at every tile
would cost more.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson

from wsipsm.core.errors import OutputError
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box, Grid
from wsipsm.core.maps import CHANNELS

_Maps = npt.NDArray[np.uint8]

_SQUARE_PX = 128
_HASTE = 16
"""LZ4's acceleration: half of the time of its best, for a sixth more bytes."""


@dataclass(frozen=True, slots=True)
class Maps:
    """Where the maps of a slide are stored, uint8 (channel, y, x).

    Attributes
    ----------
    folder : Path
        Of the files; it exists.
    grid : Grid
        The plane.
    core_px : int
        Side of a core.
    channels : int
        Number of channels.
    """

    folder: Path
    grid: Grid
    core_px: int
    channels: int = len(CHANNELS)

    def file(self, core: Box) -> Path:
        """File of a core."""
        return self.folder / f"{core.y0 // self.core_px:05d}_{core.x0 // self.core_px:05d}"

    def cores(self, window: Box) -> Iterator[Box]:
        """Cores of the plane that a window touches."""
        return _lattice(window.intersect(self.grid.box), self.core_px, self.grid.box)


def _lattice(touched: Box, side: int, whole: Box) -> Iterator[Box]:
    """Squares that a box touches, row by row, of the lattice through the origin, cut at the edge of the whole."""
    if touched.empty:
        return
    for y in range(touched.y0 // side * side, touched.y1, side):
        for x in range(touched.x0 // side * side, touched.x1, side):
            yield Box(x, y, x + side, y + side).intersect(whole)


def write_core(maps: Maps, core: Box, data: _Maps) -> None:
    """Store the maps of a core; they appear whole or not at all, and nobody else writes that file.

    Parameters
    ----------
    maps : Maps
        Of the slide.
    core : Box
        Grid px.
    data : (channel, y, x) uint8
        Of the size of the core.

    Raises
    ------
    DiskFullError
        No space is left.
    OutputError
        The folder is missing or not writable.
    """
    if data.any():
        write_bytes(maps.file(core), _encoded(data))
    else:
        maps.file(core).unlink(missing_ok=True)


def _encoded(data: _Maps) -> bytes:
    """Content of the file of a core."""
    from imagecodecs import lz4_encode

    whole = Box(0, 0, data.shape[2], data.shape[1])
    squares = [data[:, *square.slices] for square in _lattice(whole, _SQUARE_PX, whole)]
    parts = [lz4_encode(square.tobytes(), level=_HASTE) if square.any() else b"" for square in squares]
    return b"".join([np.array([len(part) for part in parts], "<u4").tobytes(), *parts])


def _core_bytes(maps: Maps, core: Box) -> int:
    """Bytes of the file of a core; 0 where there is none, as of maps that are all zero."""
    try:
        return maps.file(core).stat().st_size
    except FileNotFoundError:
        return 0


def read_window(maps: Maps, window: Box) -> _Maps:
    """Read the (channel, y, x) maps of a window; they are 0 where none are stored, and beyond the plane.

    Raises
    ------
    OutputError
        A file is damaged.
    """
    data = np.zeros((maps.channels, *window.shape), np.uint8)
    for core in maps.cores(window):
        with contextlib.suppress(FileNotFoundError), maps.file(core).open("rb", buffering=0) as file:
            try:
                _read_core(file.fileno(), core, window, data)
            except (RuntimeError, ValueError, IndexError) as error:  # whatever decoders make of it
                raise OutputError(
                    f"{maps.file(core)}: damaged maps of a tile ({error}); delete it and run again"
                ) from None
    return data


def _read_core(file: int, core: Box, window: Box, data: _Maps) -> None:
    """Copy what a window shows of a core from its open file into the maps of the window."""
    whole, shown = core.relative_to(core), core.intersect(window).relative_to(core)
    columns = -(-whole.width // _SQUARE_PX)
    count = columns * -(-whole.height // _SQUARE_PX)
    lengths = np.frombuffer(os.pread(file, 4 * count, 0), "<u4")
    ends = (4 * count + np.cumsum(lengths, dtype=np.int64)).tolist()
    starts = [4 * count, *ends]
    for square in _lattice(shown, _SQUARE_PX, whole):
        number = square.y0 // _SQUARE_PX * columns + square.x0 // _SQUARE_PX
        if lengths[number]:
            found = _decoded(os.pread(file, ends[number] - starts[number], starts[number]), (len(data), *square.shape))
            part = square.intersect(shown)
            place = part.relative_to(window.relative_to(core))
            data[:, *place.slices] = found[:, *part.relative_to(square).slices]


def _decoded(content: bytes, shape: tuple[int, int, int]) -> _Maps:
    """Maps of a square from its compressed bytes."""
    from imagecodecs import lz4_decode

    return np.frombuffer(lz4_decode(content, out=math.prod(shape)), np.uint8).reshape(shape)


@dataclass(frozen=True, slots=True)
class TileStatus:
    """Status of a tile whose maps are stored.

    Attributes
    ----------
    missing : tuple of Box
        Blocks that the slide could not give, grid px; the maps are 0 there.
    size : int
        Bytes of the stored file.
    """

    missing: tuple[Box, ...]
    size: int


def read_status(file: Path) -> TileStatus | None:
    """Status of a tile from its file; None where the tile is not mapped, or the file is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        table = orjson.loads(file.read_bytes())
        return TileStatus(tuple(Box(*block) for block in table["missing"]), int(table["size"]))
    return None


def write_status(file: Path, maps: Maps, core: Box, missing: tuple[Box, ...]) -> None:
    """Record that the maps of a core are stored, all but the missing blocks.

    Parameters
    ----------
    file : Path
        Written once the maps are stored.
    maps : Maps
        Of the slide.
    core : Box
        Grid px.
    missing : tuple of Box
        Blocks that could not be read, grid px.
    """
    table = {"missing": [astuple(block) for block in missing], "size": _core_bytes(maps, core)}
    write_bytes(file, orjson.dumps(table))


def is_mapped(file: Path, maps: Maps, core: Box) -> bool:
    """Whether the maps of a core are stored, complete and without a missing block.

    Parameters
    ----------
    file : Path
        Of `write_status`.
    maps : Maps
        Of the slide.
    core : Box
        Grid px.
    """
    status = read_status(file)
    return status is not None and not status.missing and status.size == _core_bytes(maps, core)
