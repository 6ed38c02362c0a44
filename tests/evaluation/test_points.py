"""Points from files: classes, formats, frames, pairing, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from wsipsm.core.errors import EvaluationError
from wsipsm.evaluation.evaluate import Settings
from wsipsm.evaluation.evaluate_points import evaluate_points
from wsipsm.evaluation.point_files import read_csv, read_hdf5, read_points
from wsipsm.evaluation.point_sources import predicted_sources, true_sources
from wsipsm.evaluation.points import Kind, make_points
from wsipsm.evaluation.truth_kind import is_of_points

CELL, POSITIVE, NEGATIVE, IGNORED = Kind


def feature(geometry: shapely.Geometry, name: str | None = None, **more: Any) -> dict[str, Any]:
    properties = {} if name is None else {"classification": {"name": name}}
    return {"type": "Feature", "properties": properties, "geometry": shapely.geometry.mapping(geometry), **more}


def write_json(path: Path, table: Any) -> Path:
    text = json.dumps(table).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def write_run(folder: Path, *, stem: str, names: list[str], mpp: float | None = 0.25, status: str = "done") -> Path:
    """Output folder of a slide with one cell of each class name at x = 0, 10, 20 and so on, y = 5."""
    folder.mkdir(parents=True)
    table = {
        "status": status,
        "slide": {"path": f"/slides/{stem}.png", "width_l0": 100, "height_l0": 80, "mpp_l0": mpp},
        "grid": {"width": 50, "height": 40, "mpp": 0.5, "downsample": 2.0},
        "origin_l0": {"written": [3, 4]},
    }
    write_json(folder / "run.json", table)
    x = np.arange(len(names)) * 10.0
    cells = {"centroid_x": x, "centroid_y": np.full(len(names), 5.0), "class": pa.array(names, pa.string())}
    pq.write_table(pa.table(cells), folder / "cells.parquet")
    return folder


def test_names_of_classes() -> None:
    names = ["Positive", "1+", "2+", "3+", "Negative", "Tumor: Negative", "Nucleus", "", "Doubtful", "Ignore*", "Fat"]

    points = make_points(np.zeros((11, 2)), [*names])

    assert points.kinds.tolist() == [1, 1, 1, 1, 2, 2, 0, 0, 3, 3, 0]
    assert points.unknown == {"Fat": 1}
    assert len(points.counted().xy) == 9


def test_points_at_one_place_count_once_for_each_class() -> None:
    points = make_points([[1, 1], [2, 2], [1, 1], [1, 1]], ["Positive", "Negative", "Positive", "Negative"])

    once = points.once()

    assert once.xy.tolist() == [[1, 1], [2, 2], [1, 1]]
    assert once.kinds.tolist() == [POSITIVE, NEGATIVE, NEGATIVE]
    assert once.repeated == 1


@pytest.mark.parametrize("name", ["a.geojson", "a.geojson.gz"])
def test_geojson_of_qupath(tmp_path: Path, name: str) -> None:
    several = {**feature(shapely.Point(9, 9)), "properties": {"classification": {"names": ["Tumor", "Positive"]}}}
    nucleus = shapely.geometry.mapping(shapely.box(0, 0, 2, 2))
    path = write_json(
        tmp_path / name,
        {
            "type": "FeatureCollection",
            "features": [
                feature(shapely.MultiPoint([(1, 2), (3, 4)]), "Negative"),
                feature(shapely.box(10, 10, 14, 12), "3+"),
                feature(shapely.box(0, 0, 40, 40), "Negative", nucleusGeometry=nucleus),
                several,
            ],
        },
    )

    points = read_points(path)

    assert points.xy.tolist() == [[1, 2], [3, 4], [12, 11], [1, 1], [9, 9]]
    assert points.kinds.tolist() == [NEGATIVE, NEGATIVE, POSITIVE, NEGATIVE, POSITIVE]


def test_json_of_shidc(tmp_path: Path) -> None:
    table = [{"x": x, "y": 7, "label_id": label} for x, label in ((1, 1), (2, 2), (3, 3), (4, 8))]

    points = read_points(write_json(tmp_path / "a.json", table))

    assert points.xy.tolist() == [[1, 7], [2, 7], [3, 7], [4, 7]]
    assert points.kinds.tolist() == [POSITIVE, NEGATIVE, IGNORED, CELL]
    assert points.unknown == {"label_id 8": 1}


def test_csv_of_several_images(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("﻿Image,Y,X,Class\nb.png,2,1,Positive\nfolder/a.svs,4,3,neg\n\nempty.png,,,\nb.png,6,5,\n")

    tables = read_csv(path)

    assert list(tables) == ["b", "a", "empty"]
    assert tables["b"].xy.tolist() == [[1, 2], [5, 6]]
    assert tables["b"].kinds.tolist() == [POSITIVE, CELL]
    assert len(tables["empty"].xy) == 0


def test_csv_of_one_image_is_named_after_its_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,y,class\n")

    sources = true_sources(tmp_path)

    assert {name: len(source.read().xy) for name, source in sources.items()} == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x,class\n1,Positive\n", "expected the columns x, y and class"),
        ("x,y\n1,nan\n", "line 2: expected two finite numbers x and y, got '1' and 'nan'"),
        ("x,y\n1\n", "got '1' and ''"),
        ("image,x,y\n,1,2\n", "line 2: names no image"),
        ("", "got none"),
    ],
)
def test_bad_csv(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)

    with pytest.raises(EvaluationError) as caught:
        read_csv(path)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"a": 1},
        feature(shapely.LineString([(0, 0), (1, 1)])),
        [{"x": 1, "label_id": 1}],
        [{"x": "far", "y": 1, "label_id": 1}],
        {"type": "Point", "coordinates": [float("nan"), 1]},
    ],
)
def test_bad_json(tmp_path: Path, table: Any) -> None:
    path = write_json(tmp_path / "a.json", table)

    with pytest.raises(EvaluationError, match=r"a\.json"):
        read_points(path)


def test_cells_of_a_run(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out" / "a-0f", stem="a", names=["Positive", "Nucleus", "Doubtful"])
    write_run(tmp_path / "out" / "b", stem="b", names=[], status="empty")
    (tmp_path / "out" / "b" / "cells.parquet").unlink()
    write_json(folder / "cells.geojson", [feature(shapely.box(0, 0, 2, 2), "Negative")])

    sources = predicted_sources(tmp_path / "out")
    export = predicted_sources(folder / "cells.geojson")["a"]

    points = sources["a"].read()
    assert points.xy.tolist() == [[0, 5], [10, 5], [20, 5]]
    assert points.kinds.tolist() == [POSITIVE, CELL, IGNORED]
    assert sources["a"].mpp == 0.25
    assert len(sources["b"].read().xy) == 0
    assert export.read().xy.tolist() == [[1 + 3, 1 + 4]]
    assert export.mpp == 0.25


def test_marks_that_were_made_in_qupath_lie_in_the_frame_that_it_shows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "out" / "a", stem="a", names=["Positive", "Negative"])
    marks = [feature(shapely.Point(x - 3, 5 - 4), name) for x, name in ((0, "Positive"), (10, "Negative"))]
    for one in marks:
        one["properties"]["objectType"] = "annotation"
    truth = write_json(tmp_path / "a.geojson", {"type": "FeatureCollection", "features": marks})

    ((score,), _) = evaluate_points(run, truth, Settings(radius_um=0.3))

    assert score.counts[0, :, 0].tolist() == [1, 1, 2]
    assert score.truth.xy.tolist() == score.found.xy.tolist()


def test_classes_of_the_run_are_scored_where_cells_have_others_by_now(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", stem="a", names=["Cluster 1", "Cluster 2"])
    table = pq.read_table(run / "cells.parquet").append_column("class_of_run", pa.array(["Positive", "Negative"]))
    pq.write_table(table, run / "cells.parquet")

    assert predicted_sources(run)["a"].read().kinds.tolist() == [POSITIVE, NEGATIVE]


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", stem="a", names=[], status="failed")

    with pytest.raises(EvaluationError, match="the run is failed, not done"):
        predicted_sources(tmp_path)["a"].read()


def test_two_tables_of_one_image_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "all.csv").write_text("image,x,y\na.png,1,2\n")

    with pytest.raises(EvaluationError, match="two tables of the image a"):
        true_sources(tmp_path)


def test_points_and_areas_are_told_apart(tmp_path: Path) -> None:
    point, area = feature(shapely.Point(1, 1)), feature(shapely.box(0, 0, 2, 2))
    cases = {"p": [point], "a": [area], "none": [], "s": [{"x": 1, "y": 1, "label_id": 1}], "both": [point, area]}
    files = {name: write_json(tmp_path / f"{name}.json", table) for name, table in cases.items()}
    (tmp_path / "t.csv").write_text("x,y\n")

    assert [is_of_points(files[name]) for name in ("p", "a", "none", "s")] == [True, False, False, True]
    assert is_of_points(tmp_path / "t.csv")
    assert not is_of_points(files["both"]), "points beside areas are passed over"
    with pytest.raises(EvaluationError, match="mixes points and areas"):
        is_of_points(tmp_path)


def test_one_class_of_bcdata_alone_is_refused(tmp_path: Path) -> None:
    for name in ("positive/a.h5", "positive/b.h5", "negative/a.h5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert is_of_points(tmp_path)
    with pytest.raises(EvaluationError, match="b has no file in both positive and negative"):
        true_sources(tmp_path)
    with pytest.raises(EvaluationError, match="holds one class"):
        is_of_points(tmp_path / "positive" / "a.h5")


def test_hdf5_written_by_h5py(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for name, xy in (("positive", np.zeros((0, 2), np.int64)), ("negative", np.array([[5, 7], [1, 2]]))):
        (tmp_path / "annotations" / name).mkdir(parents=True)
        with h5py.File(tmp_path / "annotations" / name / "a.h5", "w") as file:
            file["coordinates"] = xy

    points = true_sources(tmp_path)["a"].read()

    assert points.xy.tolist() == [[5, 7], [1, 2]]
    assert points.kinds.tolist() == [NEGATIVE, NEGATIVE]


def test_hdf5_with_other_content_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    paths = {name: tmp_path / f"{name}.h5" for name in ("text", "other", "shape")}
    paths["text"].write_text("no HDF5")
    for name, table in (("other", {"points": np.zeros((1, 2))}), ("shape", {"coordinates": np.zeros((4, 3))})):
        with h5py.File(paths[name], "w") as file:
            file.update(table)

    for name, expected in (("text", "no data set"), ("other", "no data set"), ("shape", r"\(4, 3\)")):
        with pytest.raises(EvaluationError, match=rf"{name}\.h5: .*{expected}"):
            read_hdf5({"positive": paths[name]})


@pytest.mark.shared_data
def test_truth_of_bcdata(shared_data: Path) -> None:
    pytest.importorskip("h5py")
    folder = shared_data / "bcdata"

    points = {name: source.read() for name, source in true_sources(folder).items()}

    assert is_of_points(folder)
    assert sorted(points) == [str(number) for number in range(10)]
    # Data of these files begin at byte 2048, uncompressed.
    for name, one in points.items():
        parts = {
            kind: np.frombuffer((folder / "annotations" / kind / f"{name}.h5").read_bytes()[2048:], "<i8")
            for kind in ("positive", "negative")
        }
        assert one.of(POSITIVE).ravel().tolist() == parts["positive"].tolist()
        assert one.of(NEGATIVE).ravel().tolist() == parts["negative"].tolist()


@pytest.mark.shared_data
def test_truth_of_shidc(shared_data: Path) -> None:
    folder = shared_data / "shidc_ki67" / "annotations"

    points = {name: source.read() for name, source in true_sources(folder).items()}

    assert is_of_points(folder)
    assert len(points) == len(list(folder.iterdir())) > 0
    text = "".join(path.read_text() for path in folder.iterdir())
    for kind, label in ((POSITIVE, 1), (NEGATIVE, 2), (IGNORED, 3)):
        assert sum(len(one.of(kind)) for one in points.values()) == text.count(f'"label_id": {label}')
    assert all(((one.xy >= 0) & (one.xy <= 1228)).all() for one in points.values())
