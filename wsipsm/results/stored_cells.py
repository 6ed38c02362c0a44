"""Stored cells of a slide, read and given other classes in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.outlines import Rings
from wsipsm.core.errors import StoredResultsError, short_reason
from wsipsm.core.geometry import Mask
from wsipsm.results.formats.arrow import number_column, values_of, word_column
from wsipsm.results.formats.wkb import from_wkb

CLASS_OF_RUN = "class_of_run"
"""Column that keeps the class that the run gave a cell, where it has another one by now."""

Names = npt.NDArray[np.object_]
Columns = dict[str, npt.NDArray[Any]]


def measured_columns(path: Path) -> tuple[str, ...]:
    """Names of the float32 columns of a cell table: its measurements, in order.

    Raises
    ------
    StoredResultsError
        The file cannot be read.
    """
    with _reading(path):
        return tuple(field.name for field in pq.read_schema(path) if field.type == pa.float32())


def read_column(path: Path, name: str) -> npt.NDArray[Any]:
    """One numeric column of a cell table, (N,); errors as `measured_columns`."""
    parts = [group[name] for group in read_groups(path, [name])]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def of_class(path: Path, name: str) -> Mask:
    """Which cells the run gave a class, whatever they have been given since; (N,); errors as `measured_columns`."""
    column = CLASS_OF_RUN if is_reclassified(path) else "class"
    wanted = word_column([name])[0]
    parts = [values_of(pc.equal(table[column], wanted)) for table in _tables(path, [column])]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def read_classes(path: Path) -> npt.NDArray[np.uint8]:
    """Class that each cell has now, an index into the names of `CLASSES`; (N,); errors as `measured_columns`."""
    names = word_column(CLASSES.names)
    parts = [pc.index_in(table["class"], value_set=names) for table in _tables(path, ["class"])]
    first = number_column(np.zeros(1, np.int32))[0]
    codes = [values_of(part.fill_null(first).cast(pa.uint8())) for part in parts]
    return np.concatenate(codes) if codes else np.zeros(0, np.uint8)


def is_reclassified(path: Path) -> bool:
    """Whether cells have other classes than the run gave them; errors as `measured_columns`."""
    with _reading(path):
        return CLASS_OF_RUN in pq.read_schema(path).names


def read_groups(path: Path, columns: Sequence[str]) -> Iterator[Columns]:
    """Columns of a cell table, one row group at a time; errors as `measured_columns`."""
    for table in _tables(path, columns):
        yield {name: values_of(table[name]) for name in columns}


def read_ring_groups(path: Path, columns: Sequence[str]) -> Iterator[tuple[Rings, Columns]]:
    """Outlines (level-0 px) and columns of a cell table, one row group at a time; errors as `measured_columns`."""
    for table in _tables(path, [*columns, "geometry"]):
        with _reading(path):
            rings = from_wkb(table["geometry"])
        yield rings, {name: values_of(table[name]) for name in columns}


def read_outlines_of(path: Path, labels: Sequence[int]) -> dict[int, shapely.Polygon]:
    """Outlines of some cells by label, level-0 px; errors as `measured_columns`."""
    wanted, found = number_column(np.array(sorted(labels), np.int64)), dict[int, shapely.Polygon]()
    for table in _tables(path, ["label", "geometry"]):
        some = table.filter(pc.is_in(table["label"], wanted))
        found |= zip(some["label"].to_pylist(), shapely.from_wkb(some["geometry"].to_pylist()), strict=True)
    return found


def write_with_classes(
    source: Path, target: Path, columns: Sequence[str], classes_of: Callable[[Columns, Names], Names]
) -> None:
    """Copy a cell table with other classes, one row group at a time; the classes of the run are kept beside them.

    Parameters
    ----------
    source, target : Path
        Both exist at the end.
    columns : sequence of str
        What ``classes_of`` needs.
    classes_of : callable
        Gives the (N,) names of the classes of N cells from their columns and the classes that the run gave them.

    Raises
    ------
    StoredResultsError
        The source cannot be read.
    """

    def changed(table: pa.Table) -> pa.Table:
        of_run = _classes_of_run(table)
        names = classes_of({name: values_of(table[name]) for name in columns}, of_run)
        return _with_column(_with_column(table, "class", names), CLASS_OF_RUN, of_run)

    _copy(source, target, changed)


def write_with_classes_of_run(source: Path, target: Path) -> None:
    """Copy a cell table with the classes that the run gave; errors as `write_with_classes`."""

    def changed(table: pa.Table) -> pa.Table:
        kept = [name for name in table.column_names if name != CLASS_OF_RUN]
        return _with_column(table, "class", _classes_of_run(table)).select(kept)

    _copy(source, target, changed)


def _copy(source: Path, target: Path, changed: Callable[[pa.Table], pa.Table]) -> None:
    """Copy a table row group by row group, with its GeoParquet metadata."""
    with _reading(source), pq.ParquetFile(source) as file:
        empty, kept = file.schema_arrow.empty_table(), dict(file.metadata.metadata or {})
    kept.pop(b"ARROW:schema", None)  # the writer adds its own
    with pq.ParquetWriter(target, changed(empty).schema, compression="zstd") as writer:
        for table in _tables(source):
            writer.write_table(changed(table).combine_chunks(), row_group_size=max(1, table.num_rows))
        writer.add_key_value_metadata(kept)


def _tables(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    with _reading(path), pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=None if columns is None else list(columns))


def _classes_of_run(table: pa.Table) -> Names:
    return np.asarray(table[CLASS_OF_RUN if CLASS_OF_RUN in table.column_names else "class"].to_numpy(), object)


def _with_column(table: pa.Table, name: str, values: Names) -> pa.Table:
    """Table with a text column in its old place, or at the end."""
    field, column = pa.field(name, pa.string(), nullable=False), pa.array(values, pa.string())
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), field, column)
    return table.append_column(field, column)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, pa.ArrowException, shapely.errors.ShapelyError) as error:
        raise StoredResultsError(f"{path}: cells cannot be read: {short_reason(error)}") from None
