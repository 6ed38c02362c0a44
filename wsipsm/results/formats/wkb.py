"""Polygons of one ring as well-known binary (WKB, little-endian), many at once; `shapely` reads and writes the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

_HEADER = np.dtype([("order", "u1"), ("kind", "<u4"), ("rings", "<u4"), ("vertices", "<u4")])
_VERTEX_BYTES = 16
_POLYGON = 3

Rings = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]
"""Vertices (V, 2) and N + 1 offsets of rings in them."""


def to_wkb(vertices: npt.NDArray[np.float64], offsets: npt.NDArray[np.int64]) -> pa.Array:
    """WKB of N closed rings, binary; errors where all together exceed 2 GB, as Arrow does."""
    headers = np.zeros(len(offsets) - 1, _HEADER)
    headers["order"], headers["kind"], headers["rings"], headers["vertices"] = 1, _POLYGON, 1, np.diff(offsets)
    heads, raw = headers.tobytes(), np.ascontiguousarray(vertices, "<f8").tobytes()
    side, cuts = _HEADER.itemsize, (offsets * _VERTEX_BYTES).tolist()
    parts = [
        part
        for i, (start, stop) in enumerate(pairwise(cuts))
        for part in (heads[i * side : (i + 1) * side], raw[start:stop])
    ]
    ends = offsets * _VERTEX_BYTES + np.arange(len(offsets)) * side
    buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(parts))]
    return pa.Array.from_buffers(pa.binary(), len(headers), buffers)


def from_wkb(column: pa.ChunkedArray) -> Rings:
    """Exterior rings of N polygons.

    Raises
    ------
    shapely.errors.ShapelyError
        A value is not WKB.
    """
    plain = column.type == pa.binary() and column.null_count == 0
    found = [_plain_rings(chunk) if plain else None for chunk in column.chunks if len(chunk)]
    if not found or any(one is None for one in found):
        return _any_rings(column)
    vertices, lengths = zip(*(one for one in found if one is not None), strict=True)
    return np.concatenate(vertices), np.concatenate([[0], np.cumsum(np.concatenate(lengths))])


def ring_bounds(vertices: npt.NDArray[np.float64], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Smallest x and y, largest x and y of each of N rings that have vertices; (N, 4)."""
    x, y = np.ascontiguousarray(vertices.T)
    starts = offsets[:-1]
    return np.stack([extreme.reduceat(one, starts) for extreme in (np.minimum, np.maximum) for one in (x, y)], axis=1)


def _plain_rings(chunk: pa.Array) -> Rings | None:
    """Vertices and the number of those of each ring; None: not all are little-endian polygons of one ring."""
    _, ends, data = chunk.buffers()
    ends = np.frombuffer(ends, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1].astype(np.int64)
    raw: npt.NDArray[Any] = np.frombuffer(data, np.uint8)
    lengths, side = np.diff(ends), _HEADER.itemsize
    if lengths.min() < side:
        return None
    headers = np.lib.stride_tricks.sliding_window_view(raw, side)[ends[:-1]].copy().view(_HEADER)[:, 0]
    count = headers["vertices"].astype(np.int64)
    usual = (headers["order"] == 1) & (headers["kind"] == _POLYGON) & (headers["rings"] == 1)
    if not (usual & (lengths == side + count * _VERTEX_BYTES)).all():
        return None
    whole, starts = data.to_pybytes(), (ends[:-1] + side).tolist()
    rings = b"".join([whole[start:stop] for start, stop in zip(starts, ends[1:].tolist(), strict=True)])
    return np.frombuffer(rings, "<f8").reshape(-1, 2), count


def _any_rings(column: pa.ChunkedArray) -> Rings:
    outer = shapely.get_exterior_ring(shapely.from_wkb(column.to_numpy()))
    offsets = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(outer))])
    return shapely.get_coordinates(outer), offsets
