"""Stored cells as the page reads them: columns indexed by label, outlines of a tile, one cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from wsipsm.cells.measurements import measurements
from wsipsm.core.errors import InputError, StoredResultsError, short_reason
from wsipsm.core.geometry import Box
from wsipsm.results.result import Result
from wsipsm.results.stored_cells import measured_columns, read_column, read_groups

NO_CLASS = 255
"""Class of labels without a cell."""
_POSITIONS = ("centroid_x", "centroid_y")
_HIDDEN = ("geometry", "cell_geometry", "bbox")


class CellTable:
    """Cells of a finished slide.

    Parameters
    ----------
    result : Result
        The slide.

    Attributes
    ----------
    largest_label : int
        0 without cells.
    measured : tuple of str
        Columns of measurements.
    class_counts : dict of str to int
        Cells by class, in alphabetical order.

    Raises
    ------
    StoredResultsError
        The table cannot be read.
    """

    def __init__(self, result: Result) -> None:
        self._result, self._path = result, result.folder / "cells.parquet"
        labels = read_column(self._path, "label")
        self.largest_label = int(labels.max(initial=0))
        self.measured = measured_columns(self._path)
        self.class_counts = _counted(self._path)

    def titles(self, stain: str) -> dict[str, str]:
        """Title of each measurement, as QuPath shows it."""
        known = {one.column: one.title.replace("^2", "²") for one in measurements(stain, whole=True).values()}
        return {name: known.get(name, name) for name in self.measured}

    def column(self, name: str) -> bytes:
        """A column by label, from label 0 on.

        Returns
        -------
        bytes
            float32 little-endian, NaN for labels without a cell; of ``class`` uint8, the place of the class in
            ``class_counts``, `NO_CLASS` for labels without a cell.

        Raises
        ------
        InputError
            No such column.
        """
        if name == "class":
            return self._classes().tobytes()
        if name not in (*self.measured, *_POSITIONS):
            raise InputError(f"{name[:80]}: no such column; there are {', '.join((*self.measured, 'class'))}")
        out = np.full(self.largest_label + 1, np.nan, "<f4")
        for group in read_groups(self._path, ["label", name]):
            out[group["label"]] = group[name]
        return out.tobytes()

    def _classes(self) -> npt.NDArray[np.uint8]:
        out = np.full(self.largest_label + 1, NO_CLASS, np.uint8)
        number = {name: code for code, name in enumerate(self.class_counts)}
        for group in read_groups(self._path, ["label", "class"]):
            names, codes = np.unique(group["class"].astype(str), return_inverse=True)
            out[group["label"]] = np.array([number[name] for name in names], np.uint8)[codes]
        return out

    def outlines(self, box_l0: Box) -> bytes:
        """Outlines of the cells whose centroids lie in a box.

        Parameters
        ----------
        box_l0 : Box
            Level-0 px.

        Returns
        -------
        bytes
            Little-endian: uint32 number N of cells; N labels, uint32; N + 1 offsets of their vertices, uint32; vertices
            (x, y), level-0 px, float32.
        """
        table = self._result.table(["label", "geometry", *_POSITIONS], box_l0=box_l0)
        xy: npt.NDArray[Any] = np.stack([table[name].to_numpy() for name in _POSITIONS], axis=1)
        inside = box_l0.contains_points(xy)
        rings = shapely.get_exterior_ring(shapely.from_wkb(table["geometry"].to_numpy()[inside]))
        counts = shapely.get_num_coordinates(rings)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        head = np.concatenate([[len(rings)], table["label"].to_numpy()[inside], offsets]).astype("<u4")
        return head.tobytes() + shapely.get_coordinates(rings).astype("<f4").tobytes()

    def cell(self, label: int) -> dict[str, Any]:
        """Row of a cell, without its outline.

        Raises
        ------
        InputError
            No such cell.
        StoredResultsError
            The table cannot be read.
        """
        try:
            names = [name for name in pq.read_schema(self._path).names if name not in _HIDDEN]
            found = pq.read_table(self._path, columns=names, filters=pc.field("label") == label).to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise StoredResultsError(f"{self._path}: cells cannot be read: {short_reason(error)}") from None
        if not found:
            raise InputError(f"no cell with the label {label}")
        return dict(found[0])


def _counted(path: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    for group in read_groups(path, ["class"]):
        names, found = np.unique(group["class"].astype(str), return_counts=True)
        for name, count in zip(names.tolist(), found.tolist(), strict=True):
            counts[name] = counts.get(name, 0) + count
    return dict(sorted(counts.items()))
