"""Exports a finished slide to another file format, from its stored cells and labels."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.table import Cells
from wsipsm.core.errors import ConfigError
from wsipsm.results.export_source import ExportOptions, ExportSource
from wsipsm.results.formats import EXPORTS
from wsipsm.results.formats.geoparquet import read_cells
from wsipsm.results.result import open_result


class CellWriter(Protocol):
    """Writes cells batch by batch."""

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


def export(folder: Path, to: str, target: Path, options: ExportOptions | None = None) -> list[Path]:
    """Write the cells or labels of a finished slide in another format.

    Parameters
    ----------
    folder : Path
        The slide's output folder.
    to : str
        A format of `EXPORTS`.
    target : Path
        The file; it appears whole or not at all.
    options : ExportOptions, optional
        Which cells, and how.

    Returns
    -------
    list of Path
        Files that were written, more than one where GeoJSON is split.

    Raises
    ------
    ConfigError
        The format is unknown, the name of the file does not fit it, or the condition cannot be read.
    RegionError
        The region is empty, malformed or outside the slide.
    OutputError
        The results cannot be read, or the file not written.
    """
    options = options or ExportOptions()
    if to not in EXPORTS:
        raise ConfigError(f"format {to!r}: expected one of {', '.join(EXPORTS)}")
    row = EXPORTS[to]
    if not any(target.name.lower().endswith(suffix) if suffix else not target.suffix for suffix in row.suffixes):
        expected = " or ".join(suffix or "a folder" for suffix in row.suffixes)
        raise ConfigError(f"{target}: expected a name that ends with {expected} for {to}")
    if not target.parent.is_dir():
        raise ConfigError(f"{target.parent}: no such folder")
    source = ExportSource(open_result(folder), options, options.origin or row.origin)
    module, name = row.place.split(":")
    exporter = getattr(importlib.import_module(f"wsipsm.results.formats.{module}"), name)
    written: list[Path] = exporter(target, source).write()
    return written
