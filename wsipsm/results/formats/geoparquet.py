"""Cells as GeoParquet 1.1."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.measurements import measurements, stored_measurements
from wsipsm.cells.table import Cells
from wsipsm.core.errors import StoredResultsError, short_reason
from wsipsm.results.formats.arrow import number_column, word_column
from wsipsm.results.formats.wkb import from_wkb, ring_bounds, to_wkb
from wsipsm.results.stored_cells import CLASS_OF_RUN

GROUP_CELLS = 20_000
"""Batches are collected into row groups of at least this many cells."""

CELL_GEOMETRY = "cell_geometry"
"""Column of the outlines of whole cells, where nuclei were grown."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")

_BBOX = pa.struct([pa.field(corner, pa.float64(), nullable=False) for corner in _CORNERS])


_NAMES = word_column(CLASSES.names)


def _schema(stain: str, *, whole: bool) -> pa.Schema:
    columns = {
        "label": pa.int64(),
        "uuid": pa.string(),
        "anchor": pa.int64(),
        "geometry": pa.binary(),
        **({CELL_GEOMETRY: pa.binary()} if whole else {}),
        "bbox": _BBOX,
        "centroid_x": pa.float64(),
        "centroid_y": pa.float64(),
        **{one.column: pa.float32() for one in measurements(stain, whole=whole).values()},
        "class": pa.string(),
    }
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


class GeoParquetWriter:
    """Context manager that writes cells batch by batch.

    Columns: ``label`` int64, ``uuid``, ``anchor`` int64 (as `Cells.anchor`); ``geometry`` (WKB polygon, of the
    nucleus), ``cell_geometry`` of whole cells, ``bbox``, ``centroid_x`` and ``centroid_y``, all in level-0 px; the
    float32 measurements, named after the stain; ``class``.
    Batches in tile order make row groups of neighbouring cells, so that a reader can skip those outside its window.

    When the block ends, the file gets its final name. If the block raises, no file is left.

    Parameters
    ----------
    path : Path
        The file.
    stain : str
        ``recognizer.stain`` of the run; measurements are named after it.
    whole : bool
        Whether cells have whole outlines.
    """

    def __init__(self, path: Path, *, stain: str, whole: bool = False) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.part")
        self._schema = _schema(stain, whole=whole)
        self._names = {name: one.column for name, one in measurements(stain, whole=whole).items()}
        self._bounds_whole = self._no_bounds()
        self._waiting: list[pa.Table] = []
        self._bounds = self._no_bounds()

    def __enter__(self) -> Self:
        self._writer = pq.ParquetWriter(self._temporary, self._schema, compression="zstd", use_dictionary=["class"])
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush()
                self._writer.add_key_value_metadata({"geo": orjson.dumps(self._metadata()).decode()})
            self._writer.close()
            if kind is None:
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, cells: Cells, labels: npt.NDArray[np.integer[Any]], uuids: Sequence[str]) -> None:
        """Add N cells, their (N,) labels and their N UUIDs.

        Parameters
        ----------
        cells : Cells
            N cells, level-0 px.
        labels : (N,) int
            Their values in the label image.
        uuids : sequence of str
            N of them.
        """
        if len(cells) == 0:
            return
        bounds = ring_bounds(cells.outlines_l0)
        self._bounds = _joint(self._bounds, bounds)
        columns = {
            "label": number_column(labels.astype(np.int64, copy=False)),
            "uuid": word_column(uuids),
            "anchor": number_column(cells.anchor),
            "geometry": to_wkb(cells.outlines_l0),
            **self._whole(cells),
            "bbox": pa.StructArray.from_arrays(list(map(number_column, bounds.T)), fields=list(_BBOX)),
            "centroid_x": number_column(cells.centroid_l0[:, 0]),
            "centroid_y": number_column(cells.centroid_l0[:, 1]),
            **{title: number_column(cells.columns[name]) for name, title in self._names.items()},
            "class": _NAMES.take(number_column(cells.class_)),
        }
        self._waiting.append(pa.table(columns, schema=self._schema))
        if sum(table.num_rows for table in self._waiting) >= GROUP_CELLS:
            self._flush()

    def _whole(self, cells: Cells) -> dict[str, pa.Array]:
        if CELL_GEOMETRY not in self._schema.names:
            return {}
        self._bounds_whole = _joint(self._bounds_whole, ring_bounds(cells.outer_l0))
        return {CELL_GEOMETRY: to_wkb(cells.outer_l0)}

    @staticmethod
    def _no_bounds() -> npt.NDArray[np.float64]:
        return np.array([np.inf, np.inf, -np.inf, -np.inf])

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=2 * GROUP_CELLS)
            self._waiting = []

    def _metadata(self) -> dict[str, Any]:
        columns = {"geometry": _geometry(self._bounds) | {"covering": _COVERING}}
        if CELL_GEOMETRY in self._schema.names:
            columns[CELL_GEOMETRY] = _geometry(self._bounds_whole)
        return {"version": "1.1.0", "primary_column": "geometry", "columns": columns}


_COVERING = {"bbox": {corner: ["bbox", corner] for corner in _CORNERS}}


def _geometry(bounds: npt.NDArray[np.float64]) -> dict[str, Any]:
    """What a column of polygons is, for readers of GeoParquet."""
    found: dict[str, Any] = {"encoding": "WKB", "geometry_types": ["Polygon"], "edges": "planar"}
    found["crs"] = None  # pixels of a slide, not a place on Earth
    return found | ({"bbox": bounds.tolist()} if np.isfinite(bounds).all() else {})


def _joint(bounds: npt.NDArray[np.float64], more: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Bounds (4,) that hold others, (N, 4), too."""
    low, high = np.minimum(bounds[:2], more[:, :2].min(axis=0)), np.maximum(bounds[2:], more[:, 2:].max(axis=0))
    return np.concatenate([low, high])


def read_outlines(path: Path) -> npt.NDArray[np.object_]:
    """Polygons of a cell table in the order of its rows; (N,), level-0 px.

    Raises
    ------
    StoredResultsError
        The file cannot be read or has no geometry.
    """
    try:
        column = pq.read_table(path, columns=["geometry"]).column("geometry")
        polygons: npt.NDArray[np.object_] = shapely.from_wkb(column.to_numpy())
    except (OSError, LookupError, ValueError, shapely.errors.ShapelyError) as error:
        raise StoredResultsError(f"{path}: outlines cannot be read: {short_reason(error)}") from None
    return polygons


def read_centroids(path: Path) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Centroids (N, 2), level-0 px, and names of the classes of the cells of a table, in the order of its rows.

    Raises
    ------
    StoredResultsError
        The file cannot be read or lacks a column.
    """
    try:
        names = pq.read_schema(path).names
        class_ = CLASS_OF_RUN if CLASS_OF_RUN in names else "class"
        table = pq.read_table(path, columns=["centroid_x", "centroid_y", class_])
        xy = np.stack([table[name].to_numpy() for name in ("centroid_x", "centroid_y")], axis=1)
        return xy, table[class_].to_pylist()
    except (OSError, LookupError, ValueError) as error:
        raise StoredResultsError(f"{path}: centroids cannot be read: {short_reason(error)}") from None


def read_cells(
    path: Path, *, stain: str, keep: Callable[[pa.Table], pa.Table] | None = None
) -> Iterator[tuple[Cells, npt.NDArray[np.int64], list[str]]]:
    """Cells of a table written by `GeoParquetWriter` with their labels and UUIDs, one row group at a time.

    Anchors that an earlier version did not store are -1. ``keep`` takes rows out of the table of a row group.

    Parameters
    ----------
    path : Path
        ``cells.parquet``.
    stain : str
        Of the run, which names the columns of densities.
    keep : callable, optional
        Takes the table of a row group, gives the rows of it that are wanted.

    Raises
    ------
    StoredResultsError
        The file cannot be read or has other columns.
    """
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                table = table if keep is None else keep(table)
                yield _cells(table, stain), table["label"].to_numpy(), table["uuid"].to_pylist()
    except (OSError, LookupError, ValueError, shapely.errors.ShapelyError) as error:
        raise StoredResultsError(f"{path}: cells cannot be read: {short_reason(error)}") from None


def _cells(table: pa.Table, stain: str) -> Cells:
    nuclei, whole = from_wkb(table["geometry"]), CELL_GEOMETRY in table.column_names
    written = stored_measurements(stain, table.column_names, whole=whole)
    return Cells(
        anchor=table["anchor"].to_numpy() if "anchor" in table.column_names else np.full(len(nuclei), -1),
        vertices_l0=nuclei.vertices,
        ring_offsets=nuclei.offsets,
        centroid_l0=np.stack([table["centroid_x"].to_numpy(), table["centroid_y"].to_numpy()], axis=1),
        columns={name: table[one.column].to_numpy() for name, one in written.items()},
        class_=_class_numbers(table["class"]),
        whole_l0=from_wkb(table[CELL_GEOMETRY]) if whole else None,
    )


def _class_numbers(names: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    numbers = pc.index_in(names, _NAMES)
    if numbers.null_count:
        raise ValueError(f"class {names.filter(numbers.is_null())[0].as_py()!r} is none of wsipsm")
    found: npt.NDArray[np.uint8] = numbers.to_numpy().astype(np.uint8)
    return found
