"""Polygons of one ring as well-known binary (WKB, little-endian), many at once; `shapely` reads and writes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from wsipsm.cells.outlines import Rings

_HEADER = np.dtype([("order", "u1"), ("kind", "<u4"), ("rings", "<u4"), ("vertices", "<u4")])
_VERTEX = np.dtype("V16")
_POLYGON = 3

_Offsets = npt.NDArray[np.int64]


def to_wkb(rings: Rings) -> pa.Array:
    """WKB of N closed rings; together they take less than 2 GB, the limit of the Arrow type."""
    headers, offsets = np.zeros(len(rings), _HEADER), rings.offsets
    headers["order"], headers["kind"], headers["rings"], headers["vertices"] = 1, _POLYGON, 1, rings.lengths
    ends = offsets * _VERTEX.itemsize + np.arange(len(offsets)) * _HEADER.itemsize
    raw = np.empty(ends[-1], np.uint8)
    if len(headers):
        _at_any_byte(raw, _HEADER)[ends[:-1]] = headers
        _at_any_byte(raw, _VERTEX)[_places(ends, offsets)] = np.ascontiguousarray(rings.vertices, "<f8").view(_VERTEX)[
            :, 0
        ]
    return pa.Array.from_buffers(
        pa.binary(), len(headers), [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(raw)]
    )


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
    return Rings(np.concatenate(vertices), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))


def ring_bounds(rings: Rings) -> npt.NDArray[np.float64]:
    """Smallest x and y, largest x and y of each of N rings that have vertices; (N, 4)."""
    from wsipsm.results.formats.compiled import extents

    return extents(rings.vertices, rings.offsets)


def _plain_rings(chunk: pa.Array) -> tuple[npt.NDArray[np.float64], _Offsets] | None:
    """Vertices and the number of those of each ring; None: not all are little-endian polygons of one ring."""
    _, ends, data = chunk.buffers()
    ends = np.frombuffer(ends, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1].astype(np.int64)
    lengths = np.diff(ends)
    if lengths.min() < _HEADER.itemsize + _VERTEX.itemsize:
        return None
    headers = _at_any_byte(data, _HEADER)[ends[:-1]]
    count = headers["vertices"].astype(np.int64)
    usual = (headers["order"] == 1) & (headers["kind"] == _POLYGON) & (headers["rings"] == 1)
    if not (usual & (lengths == _HEADER.itemsize + count * _VERTEX.itemsize)).all():
        return None
    places = _places(ends, np.concatenate([[0], np.cumsum(count)]))
    return _at_any_byte(data, _VERTEX)[places].view("<f8").reshape(-1, 2), count


def _places(ends: _Offsets, offsets: _Offsets) -> _Offsets:
    """Byte at which each vertex stands; polygon ``i`` is ``ends[i]:ends[i + 1]``."""
    side = _VERTEX.itemsize
    first = ends[:-1] + _HEADER.itemsize - offsets[:-1] * side
    places: _Offsets = np.repeat(first, np.diff(offsets)) + np.arange(offsets[-1]) * side
    return places


def _at_any_byte(raw: Any, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """The value that begins at each byte of a buffer: WKB is not aligned."""
    size = memoryview(raw).nbytes - kind.itemsize + 1
    return np.ndarray(size, kind, raw, strides=(1,))


def _any_rings(column: pa.ChunkedArray) -> Rings:
    outer = shapely.get_exterior_ring(shapely.from_wkb(column.to_numpy()))
    offsets = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(outer))])
    return Rings(shapely.get_coordinates(outer), offsets)
