"""Further exports and the outputs of a run, opened in the libraries that they are for.

spatialdata and napari-ome-zarr warn when they are imported, so they run in a process of their own.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import highdicom
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import shapely
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v04.image_label import ImageLabel
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.helpers.command import told_by
from tests.helpers.results import labels_of, nearest
from wsipsm.core.errors import ExtraError, OutputError
from wsipsm.results.export import ExportOptions, export


def levels_of(path: Path) -> list[npt.NDArray[Any]]:
    """Pyramid as ome-zarr-py reads it."""
    (node,) = Reader(parse_url(path, mode="r"))()
    return [np.asarray(level) for level in node.data]


@pytest.mark.parametrize("mpp", [None, 0.1])
def test_ome_zarr_py_reads_the_labels_for_older_viewers(results: Path, tmp_path: Path, mpp: float | None) -> None:
    (path,) = export(results, "ngff-0.4", tmp_path / "labels.ome.zarr", ExportOptions(mpp=mpp, origin="level0"))

    image = ImageLabel.from_zarr(zarr.open_group(path, mode="r")).attributes
    (pyramid,) = image.multiscales
    scales = [level.coordinateTransformations[0].scale for level in pyramid.datasets]
    levels = levels_of(path)
    assert zarr.open_group(path, mode="r").metadata.zarr_format == 2
    assert scales == [[(mpp or 0.5) * 2**i] * 2 for i in range(len(levels))]
    assert [axis.unit for axis in pyramid.axes] == ["micrometer"] * 2
    shapes = [(300, 320)] if mpp is None else [(1500, 1600), (750, 800)]
    assert [level.shape for level in levels] == shapes
    ratio = scales[-1][0] / 0.5
    np.testing.assert_array_equal(levels[-1], nearest(labels_of(results), ratio, 0, 0, shapes[-1]))


def test_labels_for_older_viewers_are_those_chosen_in_their_place(
    results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    roi = tmp_path / "roi.geojson"
    roi.write_text(json.dumps(shapely.geometry.mapping(shapely.box(100, 80, 400, 300))))

    options = ExportOptions(roi=roi, where="area_um2 > 30", origin="level0")
    (path,) = export(results, "ngff-0.4", tmp_path / "labels.zarr", options)

    inside = cells[cells["centroid_x"].between(100, 400) & cells["centroid_y"].between(80, 300)]
    chosen = inside["label"][inside["area_um2"] > 30]
    expected = np.where(np.isin(labels_of(results), chosen), labels_of(results), 0)[40:150, 50:200]
    np.testing.assert_array_equal(levels_of(path)[0], expected)
    (dataset,) = ImageLabel.from_zarr(zarr.open_group(path, mode="r")).attributes.multiscales[0].datasets
    assert [list(one.model_dump().values())[1] for one in dataset.coordinateTransformations] == [[0.5] * 2, [20, 25]]


def test_napari_shows_both_label_stores_as_labels(results: Path, tmp_path: Path) -> None:
    (older,) = export(results, "ngff-0.4", tmp_path / "labels.ome.zarr", ExportOptions(origin="level0"))

    layers = told_by(
        """
from napari_ome_zarr import napari_get_reader
layers = [napari_get_reader(path)(path) for path in sys.argv[1:]]
shown = [[kind, list(meta["scale"]), int(data[0].max()), list(data[0].shape)] for (data, meta, kind), in layers]
print(json.dumps(shown))
""",
        older,
        results / "labels.ome.zarr",
    )

    labels = labels_of(results)
    assert layers == [["labels", [0.5, 0.5], int(labels.max()), list(labels.shape)]] * 2


def test_spatialdata_reads_shapes_labels_and_table(
    results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "cells.zarr"
    told = told_by(
        """
import numpy as np
from pathlib import Path
from wsipsm.results.export import ExportOptions, export
options = ExportOptions(origin="qupath", where="label > 20")
export(Path(sys.argv[2]), "spatialdata", Path(sys.argv[1]), options)
import spatialdata
from spatialdata import get_extent
data = spatialdata.read_zarr(sys.argv[1])
shapes, labels, table = data["nuclei"], data["nuclei_labels"], data["table"]
finest = np.asarray(labels["scale0"].image if hasattr(labels, "children") else labels)
joined, matched = spatialdata.join_spatialelement_table(spatial_element_names="nuclei", sdata=data, table_name="table")
known = spatialdata.transform(data["nuclei"].iloc[:1], to_coordinate_system="micrometers")
print(json.dumps({
    "index": shapes.index.tolist(), "areas": shapes.area.tolist(), "ids": np.unique(finest).tolist(),
    "uuids": table.obs_names.tolist(), "class": table.obs["class"].tolist(), "names": table.var_names.tolist(),
    "area_um2": np.asarray(table[:, "area_um2"].X)[:, 0].tolist(), "matched": matched.obs["label"].tolist(),
    "centres": table.obsm["spatial"].tolist(), "systems": sorted(data.coordinate_systems),
    "um": known.total_bounds.tolist(),
    "extent": {s: [list(map(float, get_extent(labels, coordinate_system=s)[axis])) for axis in "xy"]
               for s in data.coordinate_systems},
}))
""",
        path,
        results,
    )

    chosen = cells[cells["label"] > 20]
    assert told["index"] == told["matched"] == chosen["label"].tolist()
    assert told["ids"] == [0, *(one for one in np.unique(labels_of(results)[30:, 20:]) if one > 20)]
    assert told["uuids"] == chosen["uuid"].tolist()
    assert told["class"] == chosen["class"].tolist()
    assert set(told["names"]) == set(cells.select_dtypes(np.float32).columns)
    np.testing.assert_allclose(told["areas"], chosen.area)
    np.testing.assert_array_equal(np.array(told["area_um2"], np.float32), chosen["area_um2"])
    np.testing.assert_allclose(told["centres"], chosen[["centroid_x", "centroid_y"]] - (40, 60))
    assert told["systems"] == ["global", "micrometers"]
    first = np.array(chosen.geometry.iloc[0].bounds) - (40, 60, 40, 60)
    np.testing.assert_allclose(told["um"], first * 0.25)
    assert told["extent"] == {"global": [[0, 600], [0, 540]], "micrometers": [[0, 150], [0, 135]]}


def test_highdicom_reads_a_group_a_class_with_areas(
    results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    slide = reclassified(results, tmp_path / "slide")

    (path,) = export(slide, "dicom-ann", tmp_path / "cells.dcm")

    annotations = highdicom.ann.annread(path)
    classes = pq.read_table(slide / "cells.parquet")["class"].to_pandas()
    groups = annotations.get_annotation_groups()
    assert {group.label: group.number_of_annotations for group in groups} == classes.value_counts().to_dict()
    for group in groups:
        of_class = cells[(classes == group.label).to_numpy()]
        outlines = [shapely.Polygon(ring) for ring in group.get_graphic_data("2D")]
        np.testing.assert_allclose(shapely.area(outlines), of_class.area)
        np.testing.assert_allclose(shapely.bounds(outlines), of_class.bounds)
        names, values, units = group.get_measurements()
        assert (names[0].meaning, units[0].value) == ("Area", "um2")
        np.testing.assert_array_equal(values[:, 0], of_class["area_um2"])
        assert names[-1].meaning == "Label"
        assert values[:, -1].tolist() == of_class["label"].tolist()


def reclassified(results: Path, folder: Path) -> Path:
    """The slide with every third cell of another class."""
    shutil.copytree(results, folder)
    table = pq.read_table(folder / "cells.parquet")
    names = np.where(np.arange(len(table)) % 3 == 0, "Positive", "Negative").tolist()
    where = table.column_names.index("class")
    pq.write_table(table.set_column(where, table.schema.field("class"), [names]), folder / "cells.parquet")
    return folder


def test_annotations_refer_to_the_slide_if_it_is_dicom(results: Path, tmp_path: Path) -> None:
    slide = shutil.copytree(results, tmp_path / "slide")
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.TotalPixelMatrixColumns, image.PatientID = "1.2.840.10008.5.1.4.1.1.77.1.6", 640, "P1"
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        setattr(image, name, generate_uid())
    image.Modality = "SM"
    image.save_as(tmp_path / "slide.dcm", enforce_file_format=True)
    record = json.loads((slide / "run.json").read_text())

    referred = {}
    for name in ("slide.dcm", "gone.svs"):
        record["slide"]["path"] = str(tmp_path / name)
        (slide / "run.json").write_text(json.dumps(record))
        (path,) = export(slide, "dicom-ann", tmp_path / "cells.dcm")
        referred[name] = highdicom.ann.annread(path)

    of_dicom, made = referred.values()
    assert of_dicom.ReferencedImageSequence[0].ReferencedSOPInstanceUID == image.SOPInstanceUID
    assert of_dicom.StudyInstanceUID == image.StudyInstanceUID
    assert of_dicom.PatientID == "P1"
    assert made.ReferencedImageSequence[0].ReferencedSOPInstanceUID.startswith("2.25.")
    assert made.PatientID == ""


def test_duckdb_reads_the_table(results: Path, cells: geopandas.GeoDataFrame) -> None:
    # Its extension for geometry would have to be downloaded: the outlines are read as well-known binary.
    query = f"SELECT label, geometry, class FROM '{results / 'cells.parquet'}' WHERE area_um2 > 40 AND bbox.xmin > 100"

    rows = duckdb.connect(config={"autoinstall_known_extensions": False}).sql(query).fetchall()

    expected = cells[(cells["area_um2"] > 40) & (cells.bounds["minx"] > 100)]
    labels, outlines, classes = zip(*sorted(rows), strict=True)
    assert list(labels) == expected["label"].tolist()
    assert list(classes) == expected["class"].tolist()
    np.testing.assert_array_equal(shapely.area(shapely.from_wkb(outlines)), expected.area)


@pytest.mark.parametrize(("to", "package"), [("dicom-ann", "highdicom"), ("spatialdata", "spatialdata")])
def test_an_extra_that_is_missing_is_told(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(ExtraError, match=f"{package} is not installed: pip install"):
        export(results, to, tmp_path / {"dicom-ann": "a.dcm", "spatialdata": "a.zarr"}[to])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_replaced(results: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "mine.txt").write_text("mine")

    with pytest.raises(OutputError, match="exists already"):
        export(results, "ngff-0.4", tmp_path / "a.zarr")

    assert [path.name for path in tmp_path.rglob("*")] == ["a.zarr", "mine.txt"]


def test_no_cell_gives_no_dicom(results: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no cell to write"):
        export(results, "dicom-ann", tmp_path / "a.dcm", ExportOptions(where="area_um2 > 1e6"))
    assert list(tmp_path.iterdir()) == []
