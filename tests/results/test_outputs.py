"""The files of a real run, read with the field's own libraries, tell one story."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image_label import ImageLabel
from PIL import Image

from tests.helpers.qupath import read_annotations_as_qupath, read_as_qupath
from tests.helpers.results import QUICK_FIT, cells_of, labels_of, run_slide
from wsipsm.results.validate.geojson import check_geojson
from wsipsm.slide import open_slide


def test_every_feature_passes_the_oracle_of_qupath(whole: Path) -> None:
    features = read_as_qupath(whole / "cells.geojson.gz")

    assert len(features) > 500


def test_the_region_passes_the_oracle_of_qupath(whole: Path) -> None:
    found = read_annotations_as_qupath(whole / "tissue.geojson")

    area = sum(shapely.geometry.shape(feature["geometry"]).area for feature in found)
    run = json.loads((whole / "run.json").read_text())
    assert area * run["slide"]["mpp_l0"] ** 2 / 1e6 == pytest.approx(run["counts"]["mm2"], rel=1e-3)
    for name in ("tissue.geojson", "cells.geojson.gz"):
        assert check_geojson(whole / name).good


def test_labels_agree_across_the_three_files(whole: Path) -> None:
    features = read_as_qupath(whole / "cells.geojson.gz")
    cells, labels = cells_of(whole), labels_of(whole)

    in_geojson = sorted(int(feature["properties"]["measurements"]["Label"]) for feature in features)
    assert in_geojson == cells["label"].tolist() == np.unique(labels)[1:].tolist() == list(range(1, len(cells) + 1))
    assert {feature["id"] for feature in features} == set(cells["uuid"])
    assert json.loads((whole / "run.json").read_text())["counts"]["cells"] == len(cells)


def test_a_cell_lies_at_the_same_place_in_the_three_files(whole: Path, slide: Path) -> None:
    features = {f["id"]: shapely.geometry.shape(f["geometry"]) for f in read_as_qupath(whole / "cells.geojson.gz")}
    cells, labels = cells_of(whole), labels_of(whole)
    with open_slide(slide) as opened:
        downsample = opened.grid(0.5).downsample

    for row in cells.iloc[::25].itertuples():
        assert features[row.uuid].equals(row.geometry)
        y, x = np.nonzero(labels == row.label)
        centre = np.array([x.mean() + 0.5, y.mean() + 0.5]) * downsample
        assert np.abs(centre - (row.centroid_x, row.centroid_y)).max() < 0.5 * downsample
        assert row.geometry.bounds == pytest.approx(
            np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) * downsample, abs=2 * downsample
        )


def test_ome_zarr_py_shows_the_labels_at_the_right_scale(whole: Path) -> None:
    import zarr

    ImageLabel.from_zarr(zarr.open_group(whole / "labels.ome.zarr" / "instances", mode="r"))
    (node,) = Reader(parse_url(whole / "labels.ome.zarr" / "instances"))()

    assert node.metadata["coordinateTransformations"][0][0]["scale"] == pytest.approx([0.5, 0.5])
    np.testing.assert_array_equal(np.asarray(node.data[0]), labels_of(whole))


def test_the_overview_is_a_picture_and_nothing_half_written_is_left(whole: Path) -> None:
    with Image.open(whole / "overview.png") as picture:
        assert picture.width > 1000
    assert sorted(path.name for path in whole.iterdir()) == [
        "calibration.safetensors",
        "cells.geojson.gz",
        "cells.parquet",
        "labels.ome.zarr",
        "overview.png",
        "run.json",
        "tissue.geojson",
    ]


def test_the_tissue_given_back_as_roi_gives_the_same_cells(whole: Path, slide: Path, tmp_path: Path) -> None:
    again = run_slide(slide, tmp_path, QUICK_FIT, roi=whole / "tissue.geojson")

    assert cells_of(again).equals(cells_of(whole))


def test_a_roi_keeps_the_cells_whose_anchors_lie_inside(whole: Path, slide: Path, tmp_path: Path) -> None:
    drawn = shapely.Polygon([(611, 503), (1805, 700), (1203, 1950), (640, 1400)])
    (tmp_path / "roi.geojson").write_text(json.dumps(shapely.geometry.mapping(drawn)))
    labels, expected = labels_of(whole), cells_of(whole)
    _, first = np.unique(labels, return_index=True)
    y, x = np.divmod(first[1:], labels.shape[1])
    inside = shapely.contains_xy(drawn, (x + 0.5) * 2, (y + 0.5) * 2)

    cut = (QUICK_FIT, "tiles.core_px=256")
    some = run_slide(
        slide, tmp_path / "out", *cut, encoder=whole / "calibration.safetensors", roi=tmp_path / "roi.geojson"
    )

    found = cells_of(some)
    expected = expected[inside].reset_index(drop=True)
    same = ["geometry", "centroid_x", "centroid_y", "area_um2", "perimeter_um", "solidity", "confidence"]
    assert found[same].equals(expected[same])
    assert found["label"].tolist() == list(range(1, len(found) + 1))


def test_other_arrays_and_points_come_on_request(slide: Path, whole: Path, tmp_path: Path) -> None:
    import zarr

    settings = ("output.arrays=[instances, pseudo_mask, activation]", "output.objects=points")

    results = run_slide(slide, tmp_path, QUICK_FIT, *settings, encoder=whole / "calibration.safetensors")

    root = zarr.open_group(results / "labels.ome.zarr", mode="r")
    mask, activation = np.asarray(root["pseudo_mask/0"]), np.asarray(root["activation/0"])
    assert set(np.unique(mask)) == {0, 1}
    assert activation[mask == 1].mean() > activation[mask == 0].mean() + 30
    assert (mask[labels_of(results) > 0] == 1).mean() > 0.8
    features = json.loads(gzip.decompress((results / "cells.geojson.gz").read_bytes()))["features"]
    assert {feature["geometry"]["type"] for feature in features} == {"Point"}


def test_a_finished_slide_is_not_computed_again(slide: Path, whole: Path, tmp_path: Path) -> None:
    results = run_slide(slide, tmp_path, QUICK_FIT, encoder=whole / "calibration.safetensors")
    before = {path: path.stat().st_mtime_ns for path in results.iterdir()}

    run_slide(slide, tmp_path, QUICK_FIT, encoder=whole / "calibration.safetensors")

    assert {path: path.stat().st_mtime_ns for path in results.iterdir()} == before


def test_a_changed_configuration_is_computed_anew(slide: Path, whole: Path, tmp_path: Path) -> None:
    results = run_slide(slide, tmp_path, QUICK_FIT, encoder=whole / "calibration.safetensors")
    before = len(cells_of(results))

    run_slide(slide, tmp_path, QUICK_FIT, "cells.min_area_um2=30", encoder=whole / "calibration.safetensors")

    assert 0 < len(cells_of(results)) < before
