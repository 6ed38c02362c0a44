"""File formats of a finished slide, one module each.

A new format is a module here and a row of `FORMATS`. The row names the files, so that they are known without importing
the module and its libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Format:
    """Files of one format, as glob patterns.

    Attributes
    ----------
    data : tuple of str
        Files that hold cells or labels; a finished slide has at least one of them, usually the first.
    extras : tuple of str
        Files that may accompany them.
    """

    data: tuple[str, ...]
    extras: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All patterns."""
        return self.data + self.extras

    def is_in(self, folder: Path) -> bool:
        """Whether a folder holds data of this format."""
        return any(True for pattern in self.data for _ in folder.glob(pattern))


FORMATS = {
    "geojson": Format(("cells.geojson.gz", "cells-[0-9]*.geojson.gz"), ("import.groovy",)),
    "geoparquet": Format(("cells.parquet",)),
    "ome_zarr": Format(("labels.ome.zarr",)),
}
"""All formats by the name of their module, in the order in which their files appear."""


@dataclass(frozen=True, slots=True)
class Export:
    """A format that finished slides are exported to on request.

    Attributes
    ----------
    place : str
        Module of this package and class in it, ``module:Class``; the class takes the file's path and an
        `ExportSource`, and its ``write()`` gives the files written.
    suffixes : tuple of str
        Ends of file names that it can write.
    origin : str
        Frame of its coordinates unless asked otherwise, ``qupath`` or ``level0``.
    """

    place: str
    suffixes: tuple[str, ...]
    origin: str = "level0"


EXPORTS = {
    "geojson": Export("geojson_export:GeoJsonExport", (".geojson", ".geojson.gz", ""), "qupath"),
    "csv": Export("measurement_table:MeasurementTable", (".csv", ".tsv", ".csv.gz", ".tsv.gz"), "qupath"),
    "annotationstore": Export("annotationstore:AnnotationStoreExport", (".db",)),
    "png": Export("label_image:LabelPng", (".png",)),
    "ome-tiff": Export("label_image:LabelOmeTiff", (".ome.tiff", ".ome.tif")),
    "ngff-0.4": Export("ngff:NgffLabels", (".zarr",)),
    "spatialdata": Export("spatial_data:SpatialDataExport", (".zarr",)),
    "dicom-ann": Export("dicom_annotations:DicomAnnotations", (".dcm",)),
    "visium-hd": Export("visium_hd:VisiumHd", (".geojson",)),
}
"""What ``wsipsm export --to`` takes. A new format is a module here and a row."""
