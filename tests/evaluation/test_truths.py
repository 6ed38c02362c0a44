"""Ground truth as people bring it: QuPath's exports, frames around the nuclei, masks, labels cut to 8 bits."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from tests.evaluation.test_files import LABELS, big, save, write_run
from wsipsm.core.errors import EvaluationError
from wsipsm.evaluation.evaluate import Settings, evaluate
from wsipsm.evaluation.groundtruth import read_label_image, read_objects
from wsipsm.evaluation.pairing import find_truths
from wsipsm.evaluation.rasterise import Outlines

NUCLEI = [shapely.box(x, y, x + 4, y + 3) for x in range(2, 60, 8) for y in range(2, 40, 8)]
FRAME = shapely.box(0, 0, 60, 40)
BOXES = [shapely.box(8, 4, 20, 12), shapely.box(6, 20, 16, 30), shapely.box(40, 20, 56, 36)]
"""The objects of `LABELS` in a run of `write_run`, in pixels of its slide."""


def feature(shape: shapely.Geometry | None, kind: str = "", class_name: str = "", **more: Any) -> dict[str, Any]:
    properties = {"objectType": kind} if kind else {}
    properties |= {"classification": {"name": class_name}} if class_name else {}
    geometry = {} if shape is None else shapely.geometry.mapping(shape)
    return {"type": "Feature", "geometry": geometry, "properties": properties, **more}


def written(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def outlines_of(path: Path) -> Outlines:
    objects = read_objects(path)
    assert isinstance(objects, Outlines)
    return objects


def shifted(shapes: list[shapely.Polygon], x: int, y: int) -> list[shapely.Polygon]:
    return [shapely.transform(one, lambda xy: xy - (x, y)) for one in shapes]


def test_the_nucleus_of_a_cell_is_the_object(tmp_path: Path) -> None:
    cell = feature(shapely.box(0, 0, 9, 9), "cell", nucleusGeometry=shapely.geometry.mapping(NUCLEI[0]))
    path = written(tmp_path / "a.geojson", cell, feature(shapely.box(20, 0, 29, 9), "cell"))

    read = outlines_of(path)

    assert [one.equals(NUCLEI[0]) for one in read.polygons] == [True]
    assert read.note == "1 cell without a nucleus passed over"


def test_annotations_around_detections_are_no_objects(tmp_path: Path) -> None:
    detections = [feature(one, "detection") for one in NUCLEI]
    others = [feature(None, "root"), feature(FRAME, "annotation"), feature(shapely.Point(1, 1), "annotation")]
    path = written(tmp_path / "a.geojson", *others, *detections, feature(FRAME, "tile"))

    read = outlines_of(path)

    assert [one.area for one in read.polygons] == [12] * len(NUCLEI)
    assert read.note == "2 annotations, 1 root object without a geometry, 1 tile passed over"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("frame", "note"),
    [
        (feature(FRAME, "annotation", "Region*"), "1 object of class Region* passed over"),
        (feature(FRAME, "annotation"), "1 outline around many others left out"),
        (feature(FRAME), "1 outline around many others left out"),
    ],
)
def test_a_frame_around_the_nuclei_is_no_nucleus(tmp_path: Path, frame: dict[str, Any], note: str, first: bool) -> None:
    nuclei = [feature(one, frame["properties"].get("objectType", "")) for one in NUCLEI]
    path = written(tmp_path / "a.geojson", *([frame, *nuclei] if first else [*nuclei, frame]))

    read = outlines_of(path)

    assert [one.area for one in read.polygons] == [12] * len(NUCLEI)
    assert read.note == note


def test_all_nuclei_in_one_multipolygon_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.geojson", feature(shapely.MultiPolygon(NUCLEI)))

    with pytest.raises(EvaluationError, match=f"object 1 has {len(NUCLEI)} separate parts.*Split annotations"):
        read_objects(path)


def many_labels(count: int) -> np.ndarray:
    """Squares of 5 x 5 px, 40 a row."""
    labels = np.zeros((9 * (count // 40 + 1), 360), np.int32)
    for i in range(count):
        labels[9 * (i // 40) + 2 :, :][:5, 9 * (i % 40) + 2 :][:, :5] = i + 1
    return labels


def test_masks_and_labels_cut_to_8_bits_are_refused(tmp_path: Path) -> None:
    labels = many_labels(480)
    wrong = {
        "mask.png": (labels > 0, "a label marks 480 separate parts"),
        "classes.png": (labels % 3, "a label marks 160 separate parts"),
        "wrapped.png": (labels % 256, "at least 64 of 255 labels mark two objects far apart.*8 bits"),
        "few.png": (many_labels(258) % 256, "at least 2 of 255 labels"),
    }

    for name, (array, message) in wrong.items():
        Image.fromarray(array.astype(np.uint8)).save(tmp_path / name)
        with pytest.raises(EvaluationError, match=message):
            read_label_image(tmp_path / name)
    Image.fromarray(many_labels(255).astype(np.uint8)).save(tmp_path / "right.png")
    assert read_label_image(tmp_path / "right.png").max() == 255


def test_a_nucleus_cut_in_two_by_another_is_taken(tmp_path: Path) -> None:
    labels = many_labels(480)
    labels[30:36, 5:100], labels[30:36, 50:53] = 600, 601

    assert np.array_equal(read_label_image(save(tmp_path / "a.png", labels)), labels)


def test_large_labels_with_gaps_are_looked_at_too(tmp_path: Path) -> None:
    labels = many_labels(480).astype(np.int64)
    np.save(tmp_path / "right.npy", labels * 10**9)
    np.save(tmp_path / "wrong.npy", (labels > 0) * 10**12)

    assert len(np.unique(read_label_image(tmp_path / "right.npy"))) == 481
    with pytest.raises(EvaluationError, match="480 separate parts"):
        read_label_image(tmp_path / "wrong.npy")


@pytest.mark.parametrize("predicted", ["folder", "geojson"])
def test_truth_of_qupath_lies_in_the_frame_that_it_shows(tmp_path: Path, predicted: str) -> None:
    folder = write_run(tmp_path / "one", stem="one", origin=(10, 4))
    written(folder / "cells.geojson", *(feature(one, "detection") for one in shifted(BOXES, 10, 4)))
    truth = written(tmp_path / "one.geojson", *(feature(one, "annotation") for one in shifted(BOXES, 10, 4)))
    plain = written(tmp_path / "plain.geojson", *(feature(one) for one in BOXES))
    prediction = folder if predicted == "folder" else folder / "cells.geojson"

    scores = [evaluate(prediction, path)[0][0].scores.aji for path in (truth, plain, folder / "cells.geojson")]

    assert scores == [1, 1, 1]


def test_cells_written_from_the_corner_of_level_0_meet_truth_of_qupath(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", stem="one", origin=(0, 0))
    record = json.loads((folder / "run.json").read_text())
    record["origin_l0"] |= {"qupath": (10, 4)}
    (folder / "run.json").write_text(json.dumps(record))
    truth = written(tmp_path / "one.geojson", *(feature(one, "annotation") for one in shifted(BOXES, 10, 4)))

    assert evaluate(folder, truth)[0][0].scores.aji == 1


def test_what_was_left_out_is_in_the_scores(tmp_path: Path) -> None:
    found = save(tmp_path / "found.png", big(LABELS))
    path = written(tmp_path / "a.geojson", *map(feature, BOXES), feature(shapely.Point(3, 3)))

    (image,), _ = evaluate(found, path, Settings())

    assert (image.scores.n_true, image.notes) == (3, (f"{path}: 1 point passed over",))


def test_zips_of_geojson_alone_are_truths_of_a_folder(tmp_path: Path) -> None:
    for name, member in (("field.zip", "field.geojson"), ("images.zip", "field.tif")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, json.dumps(feature(BOXES[0])))
    (tmp_path / "data.tar.gz").write_bytes(b"")

    assert find_truths(tmp_path) == {"field": tmp_path / "field.zip"}
    assert [one.area for one in outlines_of(tmp_path / "field.zip").polygons] == [96]


@pytest.mark.shared_data
def test_files_of_qupaths_own_writer(shared_data: Path) -> None:
    cell, mixed = (outlines_of(shared_data / "qupath" / name) for name in ("cell.geojson", "mix_all_objects.geojson"))

    assert [one.area for one in cell.polygons] == [pytest.approx(78.5, abs=0.1)]
    assert [one.area for one in mixed.polygons] == [100] * 5
    assert mixed.note == "1 annotation passed over"
