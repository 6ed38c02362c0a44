"""Tiles of a slide and of its labels, as image files."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.geometry import Box, Image, Labels
from wsipsm.slide import Slide

TILE_PX = 512
"""Side of a tile, pixels."""
MARGIN_PX = 1
"""Labels around a tile that it brings along: outlines need the neighbours of its last pixels."""
LARGEST_ID = 1 << 24
"""Ids of tiles are smaller: they fill three bytes."""

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 88)
_DAMAGED = 200


def level_count(width: int, height: int) -> int:
    """Number of halvings, the slide itself included, until it fits into one tile."""
    return max(0, (max(width, height) - 1) // TILE_PX).bit_length() + 1


def picture_tile(slide: Slide, halvings: int, col: int, row: int) -> Image:
    """Pixels of a tile of the slide, reduced by a power of two; grey where the file is damaged.

    Parameters
    ----------
    slide : Slide
        Open.
    halvings : int
        0 is the slide's own resolution.
    col, row : int
        Place of the tile among those of that resolution.

    Returns
    -------
    (h, w, 3) uint8
        At most `TILE_PX` a side, less at the slide's edge.
    """
    box = picture_box((slide.width_l0, slide.height_l0), halvings, col, row)
    try:
        return slide.read_reduced(box, float(1 << halvings))[0]
    except UnreadableSlideError:
        return np.full((*box.shape, 3), _DAMAGED, np.uint8)


def picture_box(size_l0: tuple[int, int], halvings: int, col: int, row: int) -> Box:
    """Pixels of a tile of a slide of some width and height; empty beyond its edge.

    Parameters
    ----------
    size_l0 : (int, int)
        Width and height of the slide, level-0 px.
    halvings, col, row : int
        As of `picture_tile`.
    """
    width, height = (-(-size // (1 << halvings)) for size in size_l0)
    return tile_box(col, row).intersect(Box(0, 0, width, height))


def tile_box(col: int, row: int) -> Box:
    """Pixels of a tile in the plane of its level."""
    return Box(col * TILE_PX, row * TILE_PX, (col + 1) * TILE_PX, (row + 1) * TILE_PX)


def label_tile(labels: Any, col: int, row: int) -> Labels:
    """Labels of a tile with `MARGIN_PX` more on every side, 0 beyond the plane.

    Parameters
    ----------
    labels : array-like
        (y, x) int, one level of the stored labels.
    col, row : int
        Place of the tile.

    Returns
    -------
    (TILE_PX + 2 * MARGIN_PX, TILE_PX + 2 * MARGIN_PX) int32
    """
    box = tile_box(col, row).expand(MARGIN_PX)
    inside = box.intersect(Box(0, 0, labels.shape[1], labels.shape[0]))
    out = np.zeros(box.shape, np.int32)
    if not inside.empty:
        out[inside.relative_to(box).slices] = np.asarray(labels[inside.slices])
    return out


def as_jpeg(image: Image) -> bytes:
    """RGB image as JPEG."""
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _JPEG)[1])


def ids_as_png(labels: Labels) -> bytes:
    r"""Labels (y, x) as a PNG with the id in red + 256 * green + 65536 * blue.

    Without colour profile and without filters: the page unpacks the bytes itself. What a browser reads back from a
    canvas is not exact where it guards against fingerprinting.

    Examples
    --------
    >>> ids_as_png(np.array([[258]]))[:4]
    b'\x89PNG'
    """
    height, width = labels.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # the first byte of a line says that it has no filter
    low_first: npt.NDArray[Any] = labels.astype("<u4").view(np.uint8).reshape(height, width, 4)
    lines[:, 1:] = low_first[:, :, :3].reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
