"""Chosen cells as a SpatialData store, which squidpy, napari-spatialdata, sopa and scverse read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.measurements import measurements
from wsipsm.cells.table import measurements_of
from wsipsm.core.errors import ExtraError
from wsipsm.core.files import appearing_folder
from wsipsm.results.export_source import ExportSource
from wsipsm.results.formats.label_image import LabelPlane
from wsipsm.results.formats.ngff import write_levels
from wsipsm.results.formats.ome_zarr import multiscale

SHAPES, LABELS, TABLE = "nuclei", "nuclei_labels", "table"
CELLS, CELL_LABELS = "cells", "cells_labels"
"""Names of the elements; the last two are whole cells, where the run grew them."""
PIXELS, MICROMETRES = "global", "micrometers"
"""Names of the coordinate systems: pixels of level 0, and micrometres."""
RASTER_FORMAT = "0.3"
"""Version of the form in which labels are written, since spatialdata 0.5."""


class SpatialDataExport:
    """Outlines as shapes, the pyramid of labels, and a table of measurements that annotates the shapes of nuclei.

    Shapes are indexed by the label, so those of whole cells have the index of their nuclei. All elements are in two
    coordinate systems, `PIXELS` (those of the slide at level 0, unless another frame is asked for) and `MICROMETRES`.
    Labels are streamed; outlines and table are held in memory, about 1 kB a cell.

    Parameters
    ----------
    target : Path
        ``.zarr``, a new folder.
    source : ExportSource
        The slide.

    Raises
    ------
    ExtraError
        spatialdata is not installed.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._libraries = _libraries()
        self._target, self._source = target, source
        self._whole = source.has_whole_cells and source.options.objects in (None, "cells")
        self._planes = {LABELS: LabelPlane(source, "instances")}
        if self._whole and (source.folder / "labels.ome.zarr" / "cells").is_dir():
            self._planes[CELL_LABELS] = LabelPlane(source, "cells")

    def write(self) -> list[Path]:
        """Write the folder; errors as `export`."""
        with appearing_folder(self._target) as folder, _without_its_warnings():
            store = self._libraries.spatialdata.SpatialData.init_from_elements(self._shapes_and_table())
            store.write(folder / "store", consolidate_metadata=False)
            self._write_labels(folder / "store")
            store.write_consolidated_metadata()
            _unpack(folder)
        return [self._target]

    def _shapes_and_table(self) -> dict[str, Any]:
        cells = _gathered(self._source)
        whole = {CELLS: self._shapes(cells.labels, cells.whole)} if self._whole else {}
        return {SHAPES: self._shapes(cells.labels, cells.outlines), TABLE: self._table(cells), **whole}

    def _shapes(self, labels: npt.NDArray[np.int64], outlines: npt.NDArray[np.object_]) -> Any:
        """Polygons by their labels."""
        transformations = self._libraries.transformations
        index = self._libraries.pandas.Index(labels, name="label")
        frame = self._libraries.geopandas.GeoDataFrame({"geometry": outlines}, index=index)
        in_um = transformations.Scale([self._source.mpp_l0] * 2, axes=("x", "y"))
        systems = {PIXELS: transformations.Identity(), MICROMETRES: in_um}
        return self._libraries.models.ShapesModel.parse(frame, transformations=systems)

    def _table(self, cells: _Gathered) -> Any:
        """Measurements by the UUIDs of the cells."""
        pd = self._libraries.pandas
        # anndata does not write the strings of pandas 3, so text is of type object.
        kinds, regions = (pd.Index(names, dtype=object) for names in (CLASSES.names, [SHAPES]))
        columns = {
            "label": cells.labels,
            "class": pd.Categorical.from_codes(cells.classes, categories=kinds).remove_unused_categories(),
            "region": pd.Categorical.from_codes(np.zeros(len(cells.labels), np.int8), categories=regions),
        }
        obs = pd.DataFrame(columns, index=pd.Index(cells.uuids, dtype=object))
        table = self._libraries.anndata.AnnData(
            cells.values, obs=obs, var=pd.DataFrame(index=pd.Index(cells.names, dtype=object))
        )
        table.obsm["spatial"] = cells.centres
        return self._libraries.models.TableModel.parse(table, region=SHAPES, region_key="region", instance_key="label")

    def _write_labels(self, store: Path) -> None:
        """Write the labels, chunk by chunk; spatialdata 0.7 itself writes none with some versions of ome-zarr."""
        labels = zarr.open_group(str(store), mode="r+", use_consolidated=False).create_group(
            "labels", attributes={"ome": {"labels": list(self._planes)}}
        )
        for name, plane in self._planes.items():
            attributes = {"ome": self._image(name, plane), "spatialdata_attrs": {"version": RASTER_FORMAT}}
            write_levels(labels.create_group(name, attributes=attributes), plane, dimension_names=("y", "x"))

    def _image(self, name: str, plane: LabelPlane) -> dict[str, Any]:
        """NGFF metadata of a label image."""
        mpp = self._source.mpp_l0
        ratio = plane.mpp / mpp
        start = [plane.box.y0 * ratio - self._source.offset_l0[1], plane.box.x0 * ratio - self._source.offset_l0[0]]
        image = multiscale(name, plane.mpp, len(plane.shapes))
        for level, dataset in enumerate(image["datasets"]):
            dataset["coordinateTransformations"] = [{"type": "scale", "scale": [float(2**level)] * 2}]
        image["coordinateTransformations"] = [
            _placed(PIXELS, ratio, start),
            _placed(MICROMETRES, plane.mpp, [one * mpp for one in start]),
        ]
        return {"version": "0.5-dev-spatialdata", "multiscales": [image], "image-label": {"version": "0.5"}}


def _placed(system: str, scale: float, start: Sequence[float]) -> dict[str, Any]:
    """Pixels of a label image in a coordinate system, as SpatialData says it in NGFF."""
    axes = [{"name": axis, "type": "space", "unit": "unit"} for axis in ("y", "x")]
    ends = {"input": {"name": "yx", "axes": axes}, "output": {"name": system, "axes": axes}}
    scaled = {"type": "scale", "scale": [scale, scale]} | ends
    moved = {"type": "translation", "translation": list(start)} | ends
    return {"type": "sequence", "transformations": [scaled, moved]} | ends


def _libraries() -> SimpleNamespace:
    """Modules of the extra."""
    with _without_its_warnings():
        try:
            import anndata
            import geopandas
            import pandas
            import spatialdata
            from spatialdata import models, transformations
        except ImportError:
            raise ExtraError("spatialdata", "spatialdata") from None
    modules = {"anndata": anndata, "geopandas": geopandas, "pandas": pandas, "spatialdata": spatialdata}
    return SimpleNamespace(**modules, models=models, transformations=transformations)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Chosen cells in the frame of the export; M names and values (N, M) float32, centres (N, 2), the others (N,).

    ``whole`` are the outlines of whole cells, of which there are none where nuclei were not grown.
    """

    names: list[str]
    labels: npt.NDArray[np.int64]
    uuids: list[str]
    outlines: npt.NDArray[np.object_]
    whole: npt.NDArray[np.object_]
    centres: npt.NDArray[np.float64]
    values: npt.NDArray[np.float32]
    classes: npt.NDArray[np.uint8]


def _gathered(source: ExportSource) -> _Gathered:
    batches = list(source.cells())
    cells = [one.moved(source.offset_l0) for one, _, _ in batches]
    written = measurements_of(cells[0], source.stain) if cells else measurements(source.stain)
    values = [np.stack([one.columns[key] for key in written], axis=1) for one in cells]
    return _Gathered(
        names=[one.column for one in written.values()],
        labels=np.concatenate([np.zeros(0, np.int64), *(labels for _, labels, _ in batches)]),
        uuids=[uuid for _, _, uuids in batches for uuid in uuids],
        outlines=np.concatenate([np.zeros(0, object), *(one.polygons() for one in cells)]),
        whole=np.concatenate([np.zeros(0, object), *(one.whole_l0.polygons() for one in cells if one.whole_l0)]),
        centres=np.concatenate([np.zeros((0, 2)), *(one.centroid_l0 for one in cells)]),
        values=np.concatenate([np.zeros((0, len(written)), np.float32), *values]),
        classes=np.concatenate([np.zeros(0, np.uint8), *(one.class_ for one in cells)]),
    )


def _unpack(folder: Path) -> None:
    """Move the store, which makes its own folder, up."""
    inner = folder / "store"
    for path in inner.iterdir():
        path.rename(folder / path.name)
    inner.rmdir()


@contextmanager
def _without_its_warnings() -> Iterator[None]:
    """Of spatialdata and what it imports: none tells the user of wsipsm anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
