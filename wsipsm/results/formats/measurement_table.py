"""Chosen cells as a table with the columns of QuPath's measurement export."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import shapely

from wsipsm.cells.classes import CLASSES
from wsipsm.core.files import appearing
from wsipsm.results.export_source import Batch, ExportSource

PARENT, ROI = "Root object (Image)", "Polygon"
"""What QuPath writes for detections and cells that lie in no annotation."""


class MeasurementTable:
    """Comma- or tab-separated table, a row a cell.

    Cells with whole outlines are written as QuPath's cells, under its names for them, others as
    detections.
    Columns: Image, Object ID, Object type, Name, Classification, Parent, ROI, Centroid X µm, Centroid Y µm, then the
    measurements under QuPath's names, and Label. Centroids are in the frame that was asked for, micrometres.

    Parameters
    ----------
    target : Path
        ``.csv`` or ``.tsv``, with ``.gz`` gzipped.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._source = target, source
        self._measurements = source.measurements
        self._kind = "cell" if source.has_whole_cells else "detection"
        self._schema = pa.schema(
            [(name, pa.string()) for name in ("Image", "Object ID", "Object type", "Name", "Classification")]
            + [(name, pa.string()) for name in ("Parent", "ROI")]
            + [(name, pa.float64()) for name in ("Centroid X µm", "Centroid Y µm")]
            + [(one.name(self._kind), pa.float64()) for one in self._measurements.values()]
            + [("Label", pa.int64())]
        )

    def write(self) -> list[Path]:
        """Write the file; errors as `export`."""
        options = pacsv.WriteOptions(delimiter="\t" if ".tsv" in self._target.suffixes else ",", quoting_style="needed")
        gzipped = self._target.suffix == ".gz"
        with (
            appearing(self._target) as path,
            gzip.open(path, "wb", 5) if gzipped else path.open("wb") as file,
            pacsv.CSVWriter(file, self._schema, write_options=options) as writer,
        ):
            for batch in self._source.cells():
                writer.write_table(self._rows(batch))
        return [self._target]

    def _rows(self, batch: Batch) -> pa.Table:
        cells, labels, uuids = batch
        centres = cells.centroid_l0
        if self._kind == "cell":
            centres = shapely.get_coordinates(shapely.centroid(cells.outer_l0.polygons()))
        centroid_um = np.round((centres - self._source.offset_l0) * self._source.mpp_l0, 3)
        same = (self._source.image, self._kind.capitalize(), "", PARENT, ROI)
        image, kind, name, parent, roi = (pa.array([text] * len(cells), pa.string()) for text in same)
        classes = pa.array(np.array(CLASSES.names, object)[cells.class_], pa.string())
        values = [
            np.round(cells.columns[key].astype(np.float64), one.decimals) for key, one in self._measurements.items()
        ]
        ids = pa.array(uuids, pa.string())
        return pa.table(
            [image, ids, kind, name, classes, parent, roi, centroid_um[:, 0], centroid_um[:, 1], *values, labels],
            schema=self._schema,
        )
