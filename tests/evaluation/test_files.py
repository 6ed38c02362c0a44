"""Predictions and ground truth from files: pixel conventions, frames, pairing, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import tifffile
from PIL import Image
from skimage.draw import polygon as draw_polygon

from wsipsm.config import TilesConfig
from wsipsm.core.errors import EvaluationError, OutputError
from wsipsm.core.geometry import Box, Grid
from wsipsm.evaluation.evaluate import Settings, evaluate
from wsipsm.evaluation.groundtruth import read_label_image, read_objects, read_xml
from wsipsm.evaluation.pairing import pair
from wsipsm.evaluation.predictions import read_prediction, resample
from wsipsm.evaluation.rasterise import Outlines, rasterise
from wsipsm.results.formats.geoparquet import GeoParquetWriter, read_outlines
from wsipsm.results.formats.ome_zarr import LabelsWriter, read_labels

BOX = shapely.box(0, 0, 6, 3)
LABELS = np.zeros((20, 30), np.int32)
LABELS[2:6, 4:10], LABELS[10:15, 3:8], LABELS[10:18, 20:28] = 1, 2, 3


def write_xml(path: Path, rings: list[list[tuple[float, float]]]) -> Path:
    regions = "".join(
        f'<Region Id="{i}"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in ring)
        + "</Vertices></Region>"
        for i, ring in enumerate(rings, 1)
    )
    path.write_text(
        f'<Annotations MicronsPerPixel="0.25"><Annotation><Regions>{regions}</Regions></Annotation></Annotations>'
    )
    return path


def write_geojson(path: Path, polygons: list[shapely.Geometry]) -> Path:
    features = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(one)} for one in polygons]
    text = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def write_run(folder: Path, *, stem: str, status: str = "done", origin: tuple[int, int] = (0, 0)) -> Path:
    """Output folder of a slide of 60 x 40 px worked on at half its resolution, holding ``LABELS``."""
    folder.mkdir(parents=True)
    table = {
        "status": status,
        "slide": {"path": f"/slides/{stem}.svs", "width_l0": 60, "height_l0": 40},
        "grid": {"width": 30, "height": 20, "mpp": 0.5, "downsample": 2.0},
        "origin_l0": {"written": origin},
    }
    (folder / "run.json").write_text(json.dumps(table))
    tiles = TilesConfig(core_px=512, block_px=256)
    with LabelsWriter(folder / "labels.ome.zarr", ["instances"], grid=Grid(30, 20, 2.0, 0.5), tiles=tiles) as writer:
        writer.write("instances", Box(0, 0, 30, 20), LABELS)
    return folder


def big(labels: np.ndarray = LABELS) -> np.ndarray:
    return labels.repeat(2, 0).repeat(2, 1)


def save(path: Path, labels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels.astype(np.uint16)).save(path)
    return path


def test_a_box_has_the_pixels_whose_centre_it_holds() -> None:
    labels = rasterise(Outlines([BOX]), (10, 10))

    assert labels.sum() == 18
    assert labels[:3, :6].all()


def test_the_vertex_convention_is_that_of_monusegs_maps() -> None:
    labels = rasterise(Outlines([BOX], "vertex"), (10, 10))

    expected = np.zeros((10, 10), int)
    expected[draw_polygon([0, 0, 3, 3], [0, 6, 6, 0])] = 1
    assert np.array_equal(labels, expected)
    assert labels.sum() == 28


def test_centres_inside_as_shapely_sees_them() -> None:
    blob = shapely.Point(20.3, 17.8).buffer(9.37).difference(shapely.Point(19.1, 18.2).buffer(3.21))
    y, x = np.mgrid[:40, :40] + 0.5

    labels = rasterise(Outlines([blob]), (40, 40))

    assert np.array_equal(labels > 0, shapely.contains_xy(blob, x, y))


def test_an_object_in_the_hole_of_another_stays_and_the_border_cuts() -> None:
    ring = shapely.box(-4, -4, 8, 8).difference(shapely.box(2, 2, 6, 6))

    labels = rasterise(Outlines([shapely.box(3, 3, 5, 5), ring, shapely.box(50, 50, 60, 60)]), (10, 10))

    assert np.bincount(labels.ravel()).tolist() == [100 - 48 - 4, 4, 48]


def test_shifts_of_half_a_pixel_and_of_one_cost(tmp_path: Path) -> None:
    vertices = [(4.0, 4.0), (14.0, 4.0), (14.0, 14.0), (4.0, 14.0)]
    truth = write_xml(tmp_path / "a.xml", [vertices])
    drawn = np.zeros((20, 20), int)
    drawn[4:15, 4:15] = 1  # corners on the outline count
    save(tmp_path / "drawn" / "a.png", drawn)
    centred = np.zeros((20, 20), int)
    centred[4:14, 4:14] = 1

    def aji(labels: np.ndarray, convention: str) -> float:
        path = save(tmp_path / "found.png", labels)
        return evaluate(path, truth, Settings(xml_convention=convention))[0][0].scores.aji  # type: ignore[arg-type]

    assert aji(drawn, "vertex") == aji(centred, "centre") == 1
    assert aji(centred, "vertex") == pytest.approx(100 / 121)
    assert aji(np.roll(centred, 1, 1), "centre") == pytest.approx(90 / 110)


def test_xml_regions_are_read_in_order_without_scraps(tmp_path: Path) -> None:
    path = write_xml(tmp_path / "a.xml", [[(0, 0), (4, 0), (4, 4)], [(1, 1), (2, 2)], [(5, 5), (9, 5), (9, 9), (5, 9)]])

    assert [one.area for one in read_xml(path)] == [8, 16]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<svg><path/></svg>", "the root is <svg>"),
        ("<Annotations><Other/></Annotations>", "not an Aperio annotation file"),
        ("<Annotations>", "not XML"),
        (
            '<Annotations><Annotation><Regions><Region Id="7"><Vertices><Vertex X="1"/></Vertices></Region></Regions>'
            "</Annotation></Annotations>",
            "region 7",
        ),
    ],
)
def test_xml_of_another_kind_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "a.xml").write_text(text)

    with pytest.raises(EvaluationError) as caught:
        read_xml(tmp_path / "a.xml")
    assert expected in str(caught.value)


def test_label_images_of_every_kind(tmp_path: Path) -> None:
    labels = LABELS * 20_000  # 60 000 needs 16 bits without a sign
    save(tmp_path / "a.png", labels)
    tifffile.imwrite(tmp_path / "b.tif", labels.astype(np.int32) * 10)
    tifffile.imwrite(tmp_path / "c.tiff", labels.astype(np.uint32) * 10)
    np.save(tmp_path / "d.npy", labels.astype(np.int64))

    read = {name: read_label_image(tmp_path / name) for name in ("a.png", "b.tif", "c.tiff", "d.npy")}

    assert all(np.array_equal(read[name], labels) for name in ("a.png", "d.npy"))
    assert all(np.array_equal(read[name], labels * 10) for name in ("b.tif", "c.tiff"))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros((5, 5, 3), np.uint8), "RGB image"),
        (np.zeros((5, 5), np.float32), "float32 values"),
        (np.full((5, 5), -3), "a label is -3"),
        (np.eye(6, dtype=np.uint8)[::2] * 255, "a mask of 0 and 255"),
        (np.zeros((2, 5, 5, 1), int), "shape (2, 5, 5, 1)"),
    ],
)
def test_what_is_no_label_image_is_refused(tmp_path: Path, array: np.ndarray, expected: str) -> None:
    np.save(tmp_path / "a.npy", array)

    with pytest.raises(EvaluationError) as caught:
        read_label_image(tmp_path / "a.npy")
    assert expected in str(caught.value)


def test_a_damaged_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG and no more")

    with pytest.raises(EvaluationError, match=r"a\.png: cannot be read"):
        read_label_image(tmp_path / "a.png")


def test_geojson_gzipped_and_empty(tmp_path: Path) -> None:
    full = write_geojson(tmp_path / "a.geojson.gz", [BOX, shapely.MultiPolygon([BOX, shapely.box(8, 8, 9, 9)])])
    points = write_geojson(tmp_path / "c.geojson", [shapely.Point(1, 1)])

    objects = read_objects(full)

    assert isinstance(objects, Outlines)
    assert [one.area for one in objects.polygons] == [18, 19]
    assert read_objects(write_geojson(tmp_path / "b.geojson", [])) == Outlines([])
    with pytest.raises(EvaluationError, match="holds no area"):
        read_objects(points)


def test_resampling_takes_the_pixel_below_the_centre() -> None:
    labels = np.arange(1, 5).reshape(1, 4)

    assert resample(labels, (1, 6), downsample=1.5).tolist() == [[1, 2, 2, 3, 4, 4]]
    assert resample(labels, (3, 10), downsample=2)[:, 7:].tolist() == [[4, 0, 0], [4, 0, 0], [0, 0, 0]]


def test_a_run_is_put_in_the_slides_own_pixels(tmp_path: Path) -> None:
    write_run(tmp_path / "out" / "one-0a1b2c", stem="one")
    write_run(tmp_path / "out" / "two", stem="two")
    for name in ("one", "two"):
        save(tmp_path / "labels" / f"{name}.png", big())

    images, pairs = evaluate(tmp_path / "out", tmp_path / "labels")

    assert [(image.name, image.scores.aji, image.scores.n_found) for image in images] == [("one", 1, 3), ("two", 1, 3)]
    assert pairs.unused == ()


def test_geojson_of_a_run_is_moved_by_its_origin(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", stem="one", origin=(10, 4))
    boxes = [shapely.box(8, 4, 20, 12), shapely.box(6, 20, 16, 30), shapely.box(40, 20, 56, 36)]
    write_geojson(folder / "cells.geojson.gz", [shapely.transform(one, lambda xy: xy - (10, 4)) for one in boxes])
    truth = save(tmp_path / "one.png", big())

    images, _ = evaluate(folder / "cells.geojson.gz", truth)

    assert images[0].scores.aji == 1
    with pytest.raises(EvaluationError, match=r"cells\.parquet is missing"):
        read_prediction(folder, outlines=True)


def test_outlines_of_a_cell_table_are_those_in_it(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", stem="one")
    boxes = [shapely.box(8, 4, 20, 12), shapely.box(6, 20, 16, 30), shapely.box(40, 20, 56, 36)]
    pq.write_table(pa.table({"label": [1, 2, 3], "geometry": shapely.to_wkb(boxes)}), folder / "cells.parquet")
    truth = save(tmp_path / "one.png", big())

    images, _ = evaluate(folder, truth, Settings(outlines=True))

    assert images[0].scores.aji == 1
    assert read_outlines(folder / "cells.parquet").tolist() == boxes


def test_an_empty_or_damaged_cell_table(tmp_path: Path) -> None:
    with GeoParquetWriter(tmp_path / "cells.parquet", stain="he"):
        pass
    assert len(read_outlines(tmp_path / "cells.parquet")) == 0
    (tmp_path / "cells.parquet").write_bytes(b"PAR1")
    with pytest.raises(OutputError, match="cannot be read"):
        read_outlines(tmp_path / "cells.parquet")


def test_labels_come_back_with_their_resolution(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "one", stem="one")

    labels, mpp = read_labels(folder / "labels.ome.zarr")

    assert np.array_equal(labels, LABELS)
    assert mpp == 0.5
    with pytest.raises(OutputError, match="'activation' cannot be read"):
        read_labels(folder / "labels.ome.zarr", "activation")


def test_a_run_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="incomplete, not done"):
        read_prediction(write_run(tmp_path / "one", stem="one", status="incomplete"))
    (tmp_path / "one" / "run.json").write_text("{}")
    with pytest.raises(EvaluationError, match="not the record of a wsipsm run"):
        read_prediction(tmp_path / "one")


def test_labels_of_a_lower_resolution_need_to_be_told(tmp_path: Path) -> None:
    found, truth = save(tmp_path / "found.png", LABELS), save(tmp_path / "truth.png", big())

    with pytest.raises(EvaluationError, match=r"truth: shapes differ: the truth 60 x 40 px, the prediction 30 x 20 px"):
        evaluate(found, truth)
    assert evaluate(found, truth, Settings(downsample=2))[0][0].scores.aji == 1
    with pytest.raises(EvaluationError, match="expected a positive number"):
        Settings(downsample=0)


def test_outlines_alone_need_no_size(tmp_path: Path) -> None:
    truth = write_xml(tmp_path / "a.xml", [[(0, 0), (6, 0), (6, 3), (0, 3)]])
    found = write_geojson(tmp_path / "b.geojson", [BOX, shapely.box(20, 20, 24, 24)])

    scores = evaluate(found, truth)[0][0].scores

    assert scores.aji == pytest.approx(18 / (28 + 16))


def test_pairing_names_what_is_left_over(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "found" / f"{name}.png", LABELS)
    for name in ("b", "c"):
        save(tmp_path / "truth" / f"{name}.png", LABELS)

    with pytest.raises(EvaluationError, match="1 of 2 truths have no prediction: c;"):
        pair(tmp_path / "found", tmp_path / "truth")
    pairs = pair(tmp_path / "found", tmp_path / "truth", allow_missing=True)
    assert (list(pairs.paths), pairs.missing, pairs.unused) == (["b"], ("c",), ("a",))
    save(tmp_path / "found" / "b.tif", LABELS)
    with pytest.raises(EvaluationError, match="two files of the name b"):
        pair(tmp_path / "found", tmp_path / "truth")


def test_folders_with_nothing_to_pair_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "truth" / "a.png", LABELS)
    (tmp_path / "empty").mkdir()
    save(tmp_path / "other" / "z.png", LABELS)

    for folder, expected in (("empty", "empty"), ("absent", "no such file"), ("other", "no prediction has the name")):
        with pytest.raises(EvaluationError, match=expected):
            pair(tmp_path / folder, tmp_path / "truth")
