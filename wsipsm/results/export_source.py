"""What exporters read of a finished slide: the cells that were chosen, their labels, and the frame to write in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsipsm.cells.measurements import Measurement, stored_measurements
from wsipsm.cells.table import Cells
from wsipsm.core.errors import ConfigError, StoredResultsError, short_reason
from wsipsm.core.geometry import Box, Mask
from wsipsm.results.formats.geoparquet import CELL_GEOMETRY, read_cells
from wsipsm.results.result import Result
from wsipsm.results.where import parse_where
from wsipsm.slide.annotations import read_regions
from wsipsm.tissue.region import Region, region_from_roi

Batch = tuple[Cells, npt.NDArray[np.int64], list[str]]


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported, and how.

    Attributes
    ----------
    roi : Path or None
        GeoJSON polygons in the frame of ``origin``: only cells with their centroid inside.
    where : str
        Condition on the columns of ``cells.parquet``, see `parse_where`; empty: none.
    min_confidence : float or None
        Only cells of this confidence or more.
    origin : {'qupath', 'level0'} or None
        Frame of the coordinates; None: that of the format.
    objects : {'polygons', 'points', 'cells'} or None
        Geometry of GeoJSON: outlines of nuclei, centroids, or QuPath cells with an outline of cell and nucleus. Of
        label images: nuclei or whole cells. None: whole cells where the run grew them, else nuclei.
    mpp : float or None
        Micrometres per pixel of label images; None: those of ``labels.ome.zarr``.
    """

    roi: Path | None = None
    where: str = ""
    min_confidence: float | None = None
    origin: Literal["qupath", "level0"] | None = None
    objects: Literal["polygons", "points", "cells"] | None = None
    mpp: float | None = None


class ExportSource:
    """A finished slide, as exporters see it.

    Parameters
    ----------
    result : Result
        The slide.
    options : ExportOptions
        What is exported.
    origin : str
        Frame, ``qupath`` or ``level0``.

    Attributes
    ----------
    stain : str
        Of the run.
    path : Path
        The slide's file, which may be elsewhere by now.
    mpp_l0 : float
        Micrometres per level-0 pixel.
    offset_l0 : (int, int)
        Origin (x, y) of the frame, level-0 px.
    box_l0 : Box
        The slide.

    Raises
    ------
    StoredResultsError
        The record lacks something.
    RegionError
        The region is empty or outside the slide.
    ConfigError
        The condition cannot be read.
    """

    def __init__(self, result: Result, options: ExportOptions, origin: str) -> None:
        self.folder, self.options, record = result.folder, options, result.record
        self._record = record
        try:
            slide = record["slide"]
            x, y = record["origin_l0"][origin]
            self.stain = str(record["config"]["recognizer"]["stain"])
            self.path, self.mpp_l0 = Path(slide["path"]), float(slide["mpp_l0"])
            self.box_l0 = Box(0, 0, int(slide["width_l0"]), int(slide["height_l0"]))
        except (LookupError, TypeError, ValueError) as error:
            raise StoredResultsError(f"{self.folder / 'run.json'}: not the record of a run: {error!r}") from None
        self.offset_l0 = (int(x), int(y))
        self._condition  # noqa: B018 - a mistake shows before anything is written
        self.region  # noqa: B018

    @property
    def image(self) -> str:
        """Name of the slide's file."""
        return self.path.name

    @property
    def fingerprint(self) -> str:
        """Of the slide's content.

        Raises
        ------
        StoredResultsError
            It was not recorded.
        """
        try:
            return str(self._record["slide"]["fingerprint"])
        except LookupError:
            raise StoredResultsError(f"{self.folder / 'run.json'}: lacks the fingerprint of the slide") from None

    @property
    def table(self) -> Path:
        """Path of the cell table."""
        return self.folder / "cells.parquet"

    def cells(self) -> Iterator[Batch]:
        """Chosen cells with their labels and UUIDs, a row group at a time.

        Raises
        ------
        StoredResultsError
            The table cannot be read.
        """
        for batch in read_cells(self.table, stain=self.stain, keep=self._keep if self.is_filtered else None):
            if len(batch[0]):
                yield batch

    @cached_property
    def has_whole_cells(self) -> bool:
        """Whether the run grew its nuclei to whole cells."""
        return CELL_GEOMETRY in self._schema.names

    @property
    def measurements(self) -> dict[str, Measurement]:
        """How the columns of the cells are written, in the order of the exports."""
        return stored_measurements(self.stain, self._schema.names, whole=self.has_whole_cells)

    @property
    def is_filtered(self) -> bool:
        """Whether some cells may be left out."""
        return self._condition is not None or self.region is not None

    def chosen_labels(self) -> Mask | None:
        """Whether each label from 0 to the largest is exported; None: all are."""
        if not self.is_filtered:
            return None
        found = [labels for _, labels, _ in self.cells()]
        chosen = np.concatenate([np.zeros(0, np.int64), *found])
        kept = np.zeros(self._largest_label + 1, bool)
        kept[chosen] = True
        return kept

    @cached_property
    def _largest_label(self) -> int:
        labels = pq.read_table(self.table, columns=["label"])["label"]
        return int(pc.max(labels).as_py() or 0)

    @cached_property
    def region(self) -> Region | None:
        """Region of interest, level-0 px."""
        if self.options.roi is None:
            return None
        import shapely

        moved = shapely.transform(read_regions(self.options.roi).areas, lambda xy: xy + self.offset_l0)
        return region_from_roi(list(np.atleast_1d(moved)), self.box_l0)

    @cached_property
    def _schema(self) -> pa.Schema:
        try:
            return pq.read_schema(self.table)
        except (OSError, pa.ArrowException) as error:
            raise StoredResultsError(f"{self.table}: cells cannot be read: {short_reason(error)}") from None

    @cached_property
    def _condition(self) -> pc.Expression | None:
        schema = self._schema
        found: pc.Expression | None = parse_where(self.options.where, schema) if self.options.where.strip() else None
        if self.options.min_confidence is not None:
            if "confidence" not in schema.names:
                raise ConfigError(f"{self.table}: has no column confidence, so min_confidence cannot be asked for")
            sure = pc.field("confidence") >= self.options.min_confidence
            found = sure if found is None else found & sure
        return found

    def _keep(self, table: pa.Table) -> pa.Table:
        if self._condition is not None:
            table = table.filter(self._condition)
        if self.region is not None:
            xy: npt.NDArray[Any] = np.stack([table[f"centroid_{axis}"].to_numpy() for axis in "xy"], axis=1)
            table = table.filter(pa.array(self.region.contains_l0(xy), pa.bool_()))
        return table
