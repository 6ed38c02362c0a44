"""Exports stored cells of a finished slide to another file format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.table import Cells
from wsipsm.results.formats.geoparquet import read_cells


class CellWriter(Protocol):
    """Writes cells batch by batch."""

    def write(self, cells: Cells, labels: npt.NDArray[np.integer[Any]], uuids: Sequence[str]) -> None:
        """Add N cells, their (N,) labels and their N UUIDs."""


def export_cells(folder: Path, writer: CellWriter, *, stain: str) -> dict[str, int]:
    """Stream the cells of a finished slide from ``cells.parquet`` into a writer.

    Parameters
    ----------
    folder : Path
        The slide's output folder.
    writer : CellWriter
        An open writer.
    stain : str
        ``recognizer.stain`` of the run; measurements are named after it.

    Returns
    -------
    dict of str to int
        Number of cells of each class that has any, in the order of the classes.

    Raises
    ------
    OutputError
        The stored cells cannot be read.
    """
    counts = np.zeros(len(CLASSES.names), np.int64)
    for cells, labels, uuids in read_cells(folder / "cells.parquet", stain=stain):
        writer.write(cells, labels, uuids)
        counts += np.bincount(cells.class_, minlength=len(CLASSES.names))
    return {name: int(count) for name, count in zip(CLASSES.names, counts, strict=True) if count}
