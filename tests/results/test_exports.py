"""Each export of a real run, opened in its own library."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile
from PIL import Image

from tests.helpers.command import wsipsm
from tests.helpers.qupath import MEASUREMENTS
from tests.helpers.results import cells_of, labels_of, nearest
from wsipsm.core.errors import ConfigError, OutputError, RegionError
from wsipsm.results.export import ExportOptions, export
from wsipsm.results.formats import EXPORTS
from wsipsm.results.validate.geojson import check_geojson


def roi_of(path: Path, polygon: shapely.Polygon) -> Path:
    path.write_text(json.dumps(shapely.geometry.mapping(polygon)))
    return path


def test_geopandas_reads_the_geojson(results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    (path,) = export(results, "geojson", tmp_path / "some.geojson")

    frame = geopandas.read_file(path).set_crs(None, allow_override=True)
    assert len(frame) == len(cells) > 100
    assert frame["id"].tolist() == cells["uuid"].tolist()
    moved = cells.translate(-40, -60)
    assert (frame.geometry.symmetric_difference(moved).area < 0.02 * moved.area).all()
    assert check_geojson(path).findings == {}


@pytest.mark.parametrize("objects", ["polygons", "points", "cells"])
@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz", "folder"])
def test_every_geojson_passes_the_check(results: Path, tmp_path: Path, objects: Any, name: str) -> None:
    written = export(results, "geojson", tmp_path / name, ExportOptions(objects=objects))

    report = check_geojson(written[0])
    assert report.findings == {}
    assert report.objects > 100
    kinds = {"polygons": "detection", "points": "detection", "cells": "cell"}
    raw = written[0].read_bytes()
    features = json.loads(gzip.decompress(raw) if written[0].suffix == ".gz" else raw)["features"]
    assert {one["properties"]["objectType"] for one in features} == {kinds[objects]}
    assert {one["geometry"]["type"] for one in features} == {"Point" if objects == "points" else "Polygon"}
    assert all(("nucleusGeometry" in one) == (objects == "cells") for one in features)


def test_geojson_of_many_cells_is_split(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wsipsm.results.formats import geojson_export

    config = geojson_export.OutputConfig
    monkeypatch.setattr(geojson_export, "OutputConfig", lambda **given: config(max_objects_per_file=50, **given))

    written = export(results, "geojson", tmp_path / "some.geojson")

    assert [path.name for path in written[:2]] == ["some-001.geojson", "some-002.geojson"]
    counts = [check_geojson(path).objects for path in written]
    assert max(counts) == 50
    assert sum(counts) == len(cells_of(results))
    assert sorted(tmp_path.iterdir()) == written


def test_pandas_reads_the_measurement_table(results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    for name, separator in (("a.csv", ","), ("a.tsv", "\t"), ("a.csv.gz", ",")):
        (path,) = export(results, "csv", tmp_path / name)
        frame = pd.read_csv(path, sep=separator)
        assert list(frame.columns)[:9] == [
            "Image",
            "Object ID",
            "Object type",
            "Name",
            "Classification",
            "Parent",
            "ROI",
            "Centroid X µm",
            "Centroid Y µm",
        ]
        assert set(frame.columns[9:]) == MEASUREMENTS
        assert set(frame["Image"]) == {"field.tiff"}
        assert frame["Object ID"].tolist() == cells["uuid"].tolist()
        np.testing.assert_allclose(frame["Centroid X µm"], (cells["centroid_x"] - 40) * 0.25, atol=0.001)
        np.testing.assert_allclose(frame["Centroid Y µm"], (cells["centroid_y"] - 60) * 0.25, atol=0.001)
        np.testing.assert_allclose(frame["Area µm^2"], cells["area_um2"], atol=0.006)


@pytest.mark.filterwarnings("ignore")  # of TIAToolbox, when it is imported
def test_tiatoolbox_opens_the_annotation_store(
    results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiatoolbox.annotation.storage import SQLiteStore

    # Builds of Python without extensions of SQLite stop its look at the options before it has seen them.
    with sqlite3.connect(":memory:") as connection:
        options = [option for (option,) in connection.execute("pragma compile_options")]
    monkeypatch.setattr(SQLiteStore, "compile_options", staticmethod(lambda: options))
    (path,) = export(results, "annotationstore", tmp_path / "cells.db")

    store = SQLiteStore.open(path)
    try:
        assert len(store) == len(cells)
        first = cells.iloc[0]
        annotation = store[first["uuid"]]
        assert annotation.properties["type"] == first["class"]
        assert annotation.properties["prob"] == pytest.approx(first["confidence"], abs=1e-4)
        areas = {key: one.geometry.area for key, one in store.items()}
        np.testing.assert_allclose([areas[key] for key in cells["uuid"]], cells.geometry.area, rtol=0.001)
        window = (100, 100, 300, 250)
        inside = set(cells["uuid"][cells.intersects(shapely.box(*window))])
        assert set(store.query(window)) == inside
        assert len(store.query(window, where="props['prob'] > 0.9")) < len(inside)
    finally:
        store.close()
        connection.close()


@pytest.mark.parametrize(("mpp", "shape"), [(None, (300, 320)), (0.25, (600, 640)), (0.7, (215, 229))])
def test_label_images_are_those_of_the_store(
    results: Path, tmp_path: Path, mpp: float | None, shape: tuple[int, int]
) -> None:
    labels = labels_of(results)

    export(results, "png", tmp_path / "a.png", ExportOptions(mpp=mpp))
    export(results, "ome-tiff", tmp_path / "a.ome.tiff", ExportOptions(mpp=mpp))

    expected = nearest(labels, (mpp or 0.5) / 0.5, 0, 0, shape)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)
    with tifffile.TiffFile(tmp_path / "a.ome.tiff") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), expected)
        assert tiff.is_ome
        pixels = tifffile.xml2dict(tiff.ome_metadata or "")["OME"]["Image"]["Pixels"]
        assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (mpp or 0.5, "µm")


def test_a_large_label_image_is_a_pyramid(results: Path, tmp_path: Path) -> None:
    export(results, "ome-tiff", tmp_path / "a.ome.tif", ExportOptions(mpp=0.1))

    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        levels = tiff.series[0].levels
        assert [level.shape for level in levels] == [(1500, 1600), (750, 800)]
        assert levels[0].keyframe.tile == (512, 512)
        labels = labels_of(results)
        np.testing.assert_array_equal(levels[1].asarray(), nearest(labels, 0.4, 0, 0, (750, 800)))


def test_a_region_and_a_condition_hold_for_labels_too(
    results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    drawn = shapely.Polygon([(100, 80), (420, 120), (380, 500), (140, 460)])
    options = ExportOptions(roi=roi_of(tmp_path / "roi.geojson", drawn), where="area_um2 > 30", origin="level0")

    export(results, "png", tmp_path / "a.png", options)
    (path,) = export(results, "csv", tmp_path / "a.csv", options)

    centres = shapely.points(cells["centroid_x"], cells["centroid_y"])
    chosen = cells[shapely.contains(drawn, centres) & (cells["area_um2"] > 30)]
    assert 10 < len(chosen) < len(cells)
    assert pd.read_csv(path)["Label"].tolist() == chosen["label"].tolist()
    labels = np.where(np.isin(labels_of(results), chosen["label"]), labels_of(results), 0)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), labels[40:250, 50:210])


def test_a_region_is_in_the_frame_of_the_export(results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    roi = roi_of(tmp_path / "roi.geojson", shapely.box(60, 40, 260, 240))

    (path,) = export(results, "csv", tmp_path / "a.csv", ExportOptions(roi=roi, min_confidence=0.4))

    box = shapely.box(100, 100, 300, 300)
    inside = shapely.contains(box, shapely.points(cells["centroid_x"], cells["centroid_y"]))
    assert pd.read_csv(path)["Label"].tolist() == cells["label"][inside & (cells["confidence"] >= 0.4)].tolist()


def test_space_ranger_takes_the_segmentation_feature_by_feature(
    results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    (path,) = export(results, "visium-hd", tmp_path / "cells.geojson")

    table = json.loads(path.read_bytes())
    assert set(table) == {"type", "features"}
    assert table["type"] == "FeatureCollection"
    for feature, outline in zip(table["features"], cells.geometry, strict=True):
        assert set(feature) == {"type", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert type(feature["properties"]["cell_id"]) is int
        assert feature["geometry"]["type"] == "Polygon"
        (ring,) = feature["geometry"]["coordinates"]
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
        assert shapely.Polygon(ring).area == pytest.approx(outline.area, rel=0.02)
        assert shapely.Polygon(ring).centroid.distance(outline.centroid) < 0.1
    assert [feature["properties"]["cell_id"] for feature in table["features"]] == cells["label"].tolist()
    assert min(cells["label"]) == 1


def test_the_command_writes_and_tells_where(results: Path, cells: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"

    done = wsipsm("export", results, "--to", "csv", "-o", path, "--where", "area_um2 > 40 and class = 'Nucleus'")

    assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
    assert len(pd.read_csv(path)) == (cells["area_um2"] > 40).sum()
    for arguments, expected in (
        (("--to", "xml", "-o", "a.xml"), "expected one of geojson, csv"),
        (("--to", "csv", "-o", "a.txt"), "ends with .csv or .tsv"),
        (("--to", "csv", "-o", path, "--where", "area > 3"), "known columns: label, uuid"),
    ):
        refused = wsipsm("export", results, *arguments)
        assert refused.returncode == 1
        assert expected in refused.stderr


def test_the_help_tells_every_format_and_its_files() -> None:
    lines = wsipsm("export", "--help").stdout.splitlines()

    for name, row in EXPORTS.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert row.suffixes[0] in line


def test_what_cannot_be_exported_leaves_no_file(results: Path, tmp_path: Path) -> None:
    outside = roi_of(tmp_path / "roi.geojson", shapely.box(5000, 5000, 5100, 5100))
    for to in EXPORTS:
        target = tmp_path / f"a{EXPORTS[to].suffixes[0]}"
        with pytest.raises(RegionError):
            export(results, to, target, ExportOptions(roi=outside))
        with pytest.raises(ConfigError):
            export(results, to, tmp_path / "no" / target.name)
        with pytest.raises(OutputError):
            export(tmp_path, to, target)
    with pytest.raises(RegionError, match="too large"):
        export(results, "png", tmp_path / "a.png", ExportOptions(mpp=0.001))
    assert [path.name for path in tmp_path.iterdir()] == ["roi.geojson"]
