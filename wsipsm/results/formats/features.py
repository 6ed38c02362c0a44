"""Text of GeoJSON features, many at once.

The bytes are those of ``orjson.dumps`` of each feature: coordinates of one decimal, measurements of as many as
`Measurement` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.outlines import Rings
from wsipsm.cells.table import Cells, measurements_of
from wsipsm.config import OutputConfig
from wsipsm.results.formats.text import Blocks, Numbers, Part, numbers, rows, text_word

CHUNK_CELLS = 1_000
"""So many cells are written at once: few enough that their text stays in the caches of a core."""

_UUID_CHARACTERS = 36

_Array = npt.NDArray[Any]
_Offset = tuple[int, int]


class CellFeatures:
    """Text of cells as QuPath reads them.

    Parameters
    ----------
    config : OutputConfig
        Geometry and object type.
    offset_l0 : (int, int)
        Origin (x, y) of the frame of the written coordinates, level-0 px.
    stain : str
        ``recognizer.stain`` of the run; measurements are named after it.
    """

    def __init__(self, config: OutputConfig, offset_l0: _Offset, stain: str) -> None:
        self._config, self._offset_l0, self._stain = config, offset_l0, stain
        classes = zip(CLASSES.names, CLASSES.colors, strict=True)
        self._classes = text_word([orjson.dumps({"name": name, "color": rgb}).decode() for name, rgb in classes])

    def texts(self, cells: Cells, labels: _Array, uuids: Sequence[str]) -> Iterator[bytes]:
        """Features of cells: some at a time, each with a comma before it.

        Parameters
        ----------
        cells : Cells
            N cells.
        labels : (N,) int
            Theirs.
        uuids : sequence of str
            N UUIDs.
        """
        for one in _chunks(len(cells)):
            yield self._chunk(cells.part(one), labels[one], uuids[one])

    def _chunk(self, cells: Cells, labels: _Array, uuids: Sequence[str]) -> bytes:
        ids = np.frombuffer("".join(uuids).encode("ascii"), f"S{_UUID_CHARACTERS}")
        kind, points = self._config.type_of(whole=cells.whole_l0 is not None), self._config.objects == "points"
        nucleus = _polygon(cells.outlines_l0, self._offset_l0)
        outer = _polygon(cells.outer_l0, self._offset_l0) if kind == "cell" and cells.whole_l0 is not None else nucleus
        shown = _point(cells.centroid_l0, self._offset_l0) if points else outer
        inner = [b',"nucleusGeometry":', *nucleus] if kind == "cell" else []
        head: list[Part] = [b',{"type":"Feature","id":"', ids, b'","geometry":', *shown]
        return rows(len(cells), *head, *self._properties(cells, labels, kind), *inner, b"}")

    def _properties(self, cells: Cells, labels: _Array, kind: str) -> list[Part]:
        begin = b',"properties":{"objectType":"%s","classification":' % kind.encode()
        parts: list[Part] = [begin, self._classes[cells.class_], b',"measurements":{']
        for name, one in measurements_of(cells, self._stain).items():
            scaled = np.rint(cells.columns[name].astype(np.float64) * 10**one.decimals)
            parts += [orjson.dumps(one.name(kind)), b":", numbers(scaled, one.decimals), b","]
        return [*parts, b'"Label":', numbers(labels.astype(np.float64)), b"}}"]


def polygon_features(cells: Cells, labels: _Array, offset_l0: _Offset) -> Iterator[bytes]:
    """Features of cells, the outer polygon and as ``cell_id`` the label; otherwise as `CellFeatures.texts`.

    Parameters
    ----------
    cells : Cells
        N cells.
    labels : (N,) int
        Theirs.
    offset_l0 : (int, int)
        Origin (x, y) of the frame of the written coordinates, level-0 px.
    """
    for one in _chunks(len(cells)):
        part = cells.part(one)
        outline = _polygon(part.outer_l0, offset_l0)
        cell_id: list[Part] = [b',"properties":{"cell_id":', numbers(labels[one].astype(np.float64)), b"}}"]
        yield rows(len(part), b',{"type":"Feature","geometry":', *outline, *cell_id)


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK_CELLS) for start in range(0, count, CHUNK_CELLS))


def _polygon(rings: Rings, offset_l0: _Offset) -> list[Part]:
    """Polygons of one ring each."""
    ring = Blocks(rings.offsets, (b"[", *_pair(rings.vertices, offset_l0), b"],"))
    return [b'{"type":"Polygon","coordinates":[[', ring, b"]]}"]


def _point(xy_l0: _Array, offset_l0: _Offset) -> list[Part]:
    return [b'{"type":"Point","coordinates":[', *_pair(xy_l0, offset_l0), b"]}"]


def _pair(xy_l0: _Array, offset_l0: _Offset) -> list[Numbers | bytes]:
    """Coordinates rounded to one decimal, with a comma between them."""
    tenths = np.rint((np.ascontiguousarray(xy_l0.T) - np.array(offset_l0)[:, None]) * 10.0) + 0.0  # no negative zero
    return [numbers(tenths[0], 1), b",", numbers(tenths[1], 1)]
