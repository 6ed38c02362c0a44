"""Chosen cells as TIAToolbox's annotation store, which TIAViz shows.

Tables and metadata are those of its ``SQLiteStore`` 1.0.1. They are written directly: many builds of Python refuse the
extensions that the class itself asks SQLite for, and row by row it takes far longer.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from wsipsm.cells.classes import CLASSES
from wsipsm.core.errors import OutputError
from wsipsm.core.files import appearing
from wsipsm.results.export_source import Batch, ExportSource

_SCHEMA = """
CREATE TABLE metadata (key TEXT UNIQUE, value TEXT);
CREATE VIRTUAL TABLE rtree USING rtree(id, min_x, max_x, min_y, max_y);
CREATE TABLE annotations(id INTEGER PRIMARY KEY, key TEXT UNIQUE, objtype TEXT, cx FLOAT NOT NULL, cy FLOAT NOT NULL,
    geometry BLOB, properties TEXT, area FLOAT NOT NULL);
"""
CACHE_KB = 131_072
"""Pages that SQLite keeps in memory: UUIDs come in no order, so that the index of keys is written all over."""

_METADATA = (("version", '"1.0.1"'), ("compression", '"zlib"'), ("compression_level", "1"))


class AnnotationStoreExport:
    """Outlines in level-0 px; key: UUID, properties: ``type``, ``prob``, ``label`` and measurements.

    ``type`` and ``prob`` are what TIAViz colours and filters by.

    Parameters
    ----------
    target : Path
        ``.db``.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._source = target, source
        self._measurements = source.measurements
        self._count = 0

    def write(self) -> list[Path]:
        """Write the file; errors as `export`."""
        try:
            with appearing(self._target) as path, closing(sqlite3.connect(path)) as store:
                # A draft needs no journal: what is not finished is removed.
                store.executescript(
                    f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{CACHE_KB}; {_SCHEMA}"
                )
                store.executemany("INSERT INTO metadata VALUES (?, ?)", _METADATA)
                for batch in self._source.cells():
                    self._append(store, batch)
                store.execute('CREATE INDEX area ON annotations("area")')  # the order in which TIAViz draws
                store.commit()
        except sqlite3.Error as error:
            raise OutputError(f"{self._target}: cannot be written: {error}") from None
        return [self._target]

    def _append(self, store: sqlite3.Connection, batch: Batch) -> None:
        cells, _, uuids = batch
        outlines = shapely.transform(cells.polygons(), lambda xy: xy - self._source.offset_l0)
        ids = range(self._count + 1, self._count + len(cells) + 1)
        self._count += len(cells)
        x0, y0, x1, y1 = shapely.bounds(outlines).T.tolist()
        store.executemany("INSERT INTO rtree VALUES (?, ?, ?, ?, ?)", zip(ids, x0, x1, y0, y1, strict=True))
        centres = shapely.centroid(outlines)
        rows = zip(
            *(ids, uuids, ["Polygon"] * len(cells), shapely.get_x(centres).tolist(), shapely.get_y(centres).tolist()),
            *(_packed(outlines), self._properties(batch), shapely.area(outlines).tolist()),
            strict=True,
        )
        store.executemany("INSERT INTO annotations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _properties(self, batch: Batch) -> Iterator[str]:
        cells, labels, _ = batch
        names = ["type", "label", *(one.column for one in self._measurements.values()), "prob"]
        values = [
            np.round(cells.columns[key].astype(np.float64), one.decimals).tolist()
            for key, one in self._measurements.items()
        ]
        classes = [CLASSES.names[class_] for class_ in cells.class_.tolist()]
        prob = np.round(cells.columns["confidence"].astype(np.float64), 4).tolist()
        for row in zip(classes, labels.tolist(), *values, prob, strict=True):
            yield orjson.dumps(dict(zip(names, row, strict=True))).decode()


def _packed(outlines: npt.NDArray[Any]) -> Iterator[bytes]:
    return (zlib.compress(wkb, 1) for wkb in shapely.to_wkb(outlines))
