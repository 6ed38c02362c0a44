"""Whole cells of a run: the same however the slide was cut, without overlap, and as QuPath takes them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import shapely
import zarr

from tests.helpers.command import told_by
from tests.helpers.killed import killed_midway
from tests.helpers.qupath import OF_WHOLE_CELLS, read_as_qupath
from tests.helpers.results import SEGMENTER, cells_of, labels_of, run_slide
from tests.helpers.slidegen import mosaic, read_rgb, write_slide
from wsipsm.config import CellsConfig, Config
from wsipsm.core.errors import ConfigError
from wsipsm.evaluation.evaluate import evaluate
from wsipsm.results.export import ExportOptions, export
from wsipsm.results.result import open_result
from wsipsm.results.validate.geojson import check_geojson
from wsipsm.results.validate.labels import check_labels
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

GROWN = "cells.expand_um=3"
NINE_TILES = (SEGMENTER, GROWN, "tiles.core_px=256")


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H&E of 1300 x 1100 px at 40x: 650 x 550 at the working resolution, borders of cores across cells."""
    pixels = mosaic([read_rgb(he_field())], 1300)[:1100]
    return write_slide(tmp_path_factory.mktemp("slide") / "mosaic.tiff", pixels, mpp=HE_FIELD_MPP)


@pytest.fixture(scope="module")
def grown(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole cells with the slide as one tile."""
    return run_slide(slide, tmp_path_factory.mktemp("grown"), SEGMENTER, GROWN, "tiles.core_px=1024")


@pytest.fixture(scope="module")
def nuclei(slide: Path, grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run without growth."""
    out, calibration = tmp_path_factory.mktemp("nuclei"), grown / "calibration.safetensors"
    return run_slide(slide, out, SEGMENTER, "tiles.core_px=1024", encoder=calibration)


def whole_labels_of(results: Path) -> npt.NDArray[np.int32]:
    return np.asarray(zarr.open_group(results / "labels.ome.zarr", mode="r")["cells/0"])


def whole_of(results: Path) -> npt.NDArray[np.object_]:
    return np.array(cells_of(results)["cell_geometry"])


@pytest.fixture(scope="module")
def small_cores(slide: Path, grown: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole cells with the slide as nine tiles."""
    return run_slide(slide, tmp_path_factory.mktemp("small"), *NINE_TILES, encoder=grown / "calibration.safetensors")


def are_those_of(found: Path, expected: Path) -> None:
    """Cells and both label images of a run equal those of another one."""
    assert len(cells_of(expected)) > 200
    assert cells_of(found).equals(cells_of(expected))
    np.testing.assert_array_equal(labels_of(found), labels_of(expected))
    np.testing.assert_array_equal(whole_labels_of(found), whole_labels_of(expected))


@pytest.mark.parametrize(
    "cut",
    [
        ("tiles.core_px=512", "tiles.order=random", "schedule.workers=4"),
        ("tiles.core_px=512", "schedule.processes=true"),
    ],
    ids=["random order", "two processes"],
)
def test_a_cut_gives_the_whole_cells_of_the_whole(
    slide: Path, grown: Path, tmp_path: Path, cut: tuple[str, ...]
) -> None:
    results = run_slide(slide, tmp_path, SEGMENTER, GROWN, *cut, encoder=grown / "calibration.safetensors")

    are_those_of(results, grown)


def test_small_cores_give_the_whole_cells_of_the_whole(small_cores: Path, grown: Path) -> None:
    are_those_of(small_cores, grown)


def test_a_killed_run_goes_on_and_ends_with_the_files_of_an_undisturbed_one(
    slide: Path, small_cores: Path, tmp_path: Path
) -> None:
    options = [part for one in NINE_TILES for part in ("--set", one)]

    before = killed_midway(slide, tmp_path, *options, "--workers", "2", least=2)
    assert 2 <= len(before) < 9, "killed midway"
    again = run_slide(slide, tmp_path, *NINE_TILES)

    are_those_of(again, small_cores)
    for name in ("cells.geojson.gz", "cells.parquet", "overview.png", "tissue.geojson"):
        assert (again / name).read_bytes() == (small_cores / name).read_bytes(), name
    assert {path.name for path in again.iterdir()} == {path.name for path in small_cores.iterdir()}


def test_no_two_cells_overlap_and_nuclei_lie_inside(grown: Path) -> None:
    whole = whole_of(grown)
    one, other = shapely.STRtree(whole).query(whole, predicate="intersects")
    pairs = one < other

    assert pairs.sum() > 200
    assert shapely.area(shapely.intersection(whole[one[pairs]], whole[other[pairs]])).max() == 0
    assert shapely.covers(whole, np.array(cells_of(grown).geometry)).all()


def test_labels_agree_with_the_outlines(grown: Path) -> None:
    nuclear, whole, cells = labels_of(grown), whole_labels_of(grown), cells_of(grown)

    pixels = np.bincount(whole.ravel(), minlength=len(cells) + 1)[1:]
    assert (whole[nuclear > 0] == nuclear[nuclear > 0]).all()
    assert cells["cell_area_um2"].to_numpy() == pytest.approx(pixels * 0.25, rel=0.05)
    assert check_labels(grown / "labels.ome.zarr").findings == {}


def test_growth_changes_no_nucleus_but_where_outlines_overlapped(grown: Path, nuclei: Path) -> None:
    before, after = cells_of(nuclei), cells_of(grown)

    np.testing.assert_array_equal(labels_of(grown), labels_of(nuclei))
    assert after["uuid"].tolist() == before["uuid"].tolist()
    assert after["confidence"].equals(before["confidence"])
    assert (before.geometry.symmetric_difference(after.geometry).area <= 0.06 * before.geometry.area).all()
    assert (before.geometry == after.geometry).mean() > 0.5


def test_scores_are_those_of_nuclei(grown: Path, nuclei: Path) -> None:
    truth = nuclei / "cells.geojson.gz"

    scores = [evaluate(prediction, truth)[0][0].scores for prediction in (nuclei, grown, grown / "cells.geojson.gz")]

    assert scores[0] == scores[1]
    assert scores[2].aji == pytest.approx(1, abs=0.01)


def test_qupath_gets_cells_with_both_outlines_under_its_own_names(grown: Path) -> None:
    features = read_as_qupath(grown / "cells.geojson.gz", "cell")
    whole, cells = whole_of(grown), cells_of(grown)

    assert check_geojson(grown / "cells.geojson.gz").findings == {}
    by_label = {feature["properties"]["measurements"]["Label"]: feature for feature in features}
    assert len(by_label) == len(cells)
    for label, outline, nucleus in zip(cells["label"], whole, cells.geometry, strict=True):
        feature = by_label[label]
        written = [shapely.Polygon(feature[key]["coordinates"][0]) for key in ("geometry", "nucleusGeometry")]
        assert shapely.equals_exact(written, [outline, nucleus], 1e-9).all()
        measured = feature["properties"]["measurements"]
        assert set(measured) == OF_WHOLE_CELLS
        assert measured["Cell: Area"] == pytest.approx(outline.area * 0.0625, abs=0.006)
        assert measured["Nucleus: Area"] == pytest.approx(nucleus.area * 0.0625, abs=0.006)
        assert measured["Nucleus/Cell area ratio"] == pytest.approx(nucleus.area / outline.area, abs=1e-4)


def test_exports_take_whole_cells(grown: Path, tmp_path: Path) -> None:
    whole, cells = whole_of(grown), cells_of(grown)

    (path,) = export(grown, "csv", tmp_path / "cells.csv")
    frame = pd.read_csv(path)
    assert set(frame.columns[9:]) == OF_WHOLE_CELLS
    assert set(frame["Object type"]) == {"Cell"}
    assert frame["Cell: Area"].to_numpy() == pytest.approx(cells["cell_area_um2"].to_numpy(), abs=0.006)
    assert frame["Centroid X µm"].to_numpy() == pytest.approx(shapely.get_x(shapely.centroid(whole)) / 4, abs=0.001)

    (path,) = export(grown, "visium-hd", tmp_path / "cells.geojson")
    table = json.loads(path.read_bytes())
    outlines = {one["properties"]["cell_id"]: shapely.geometry.shape(one["geometry"]) for one in table["features"]}
    assert shapely.equals_exact([outlines[label] for label in cells["label"]], whole, 1e-9).all()


@pytest.mark.parametrize(("objects", "kind"), [("cells", "cell"), ("polygons", "detection"), (None, "cell")])
def test_geojson_has_the_objects_that_are_asked_for(grown: Path, tmp_path: Path, objects: Any, kind: str) -> None:
    (path,) = export(grown, "geojson", tmp_path / "some.geojson.gz", ExportOptions(objects=objects))

    features = json.loads(gzip.decompress(path.read_bytes()))["features"]
    nucleus = features[0]["nucleusGeometry" if kind == "cell" else "geometry"]
    assert {feature["properties"]["objectType"] for feature in features} == {kind}
    assert shapely.geometry.shape(nucleus).equals(cells_of(grown).set_index("label").geometry[1])
    assert check_geojson(path).findings == {}


@pytest.mark.parametrize(("objects", "name"), [(None, "cells"), ("polygons", "instances")])
def test_label_images_are_of_the_objects_that_are_asked_for(
    grown: Path, tmp_path: Path, objects: Any, name: str
) -> None:
    from PIL import Image

    (path,) = export(grown, "png", tmp_path / "labels.png", ExportOptions(objects=objects))

    expected = np.asarray(zarr.open_group(grown / "labels.ome.zarr", mode="r")[f"{name}/0"])
    assert np.array_equal(np.asarray(Image.open(path)), expected)


@pytest.mark.parametrize("objects", ["", "polygons"])
def test_spatialdata_reads_nuclei_and_whole_cells(grown: Path, tmp_path: Path, objects: str) -> None:
    code = """
import numpy as np
from pathlib import Path
from wsipsm.results.export import ExportOptions, export
options = ExportOptions(objects=sys.argv[3] or None, where="label > 20")
export(Path(sys.argv[2]), "spatialdata", Path(sys.argv[1]), options)
import spatialdata
data = spatialdata.read_zarr(sys.argv[1])
finest = {name: np.asarray(image["scale0"].image if hasattr(image, "children") else image)
          for name, image in data.labels.items()}
print(json.dumps({
    "shapes": {name: [shapes.index.tolist(), shapes.area.tolist()] for name, shapes in data.shapes.items()},
    "pixels": {name: np.bincount(labels.ravel()).tolist() for name, labels in finest.items()},
    "annotated": spatialdata.join_spatialelement_table(
        spatial_element_names="nuclei", sdata=data, table_name="table")[1].n_obs,
}))
"""

    told = told_by(code, tmp_path / "cells.zarr", grown, objects)

    chosen = cells_of(grown)[cells_of(grown)["label"] > 20]
    expected = {"nuclei": (chosen.geometry.area, labels_of(grown))}
    if not objects:
        expected["cells"] = (shapely.area(np.array(chosen["cell_geometry"])), whole_labels_of(grown))
    assert told["annotated"] == len(chosen)
    assert told["shapes"].keys() == expected.keys()
    assert told["pixels"].keys() == {f"{name}_labels" for name in expected}
    for name, (areas, labels) in expected.items():
        assert told["shapes"][name][0] == chosen["label"].tolist()
        assert told["shapes"][name][1] == pytest.approx(areas.tolist())
        assert told["pixels"][f"{name}_labels"] == np.bincount(np.where(labels > 20, labels, 0).ravel()).tolist()


def test_a_result_shows_both_outlines(grown: Path) -> None:
    frame = open_result(grown).cells

    assert frame.geometry.name == "geometry"
    assert shapely.covers(np.array(frame["cell_geometry"]), np.array(frame.geometry)).all()


def test_another_distance_makes_other_cells() -> None:
    distances = (0, 3, 5)
    keys = [Config(cells=CellsConfig(expand_um=distance)).result_keys() for distance in distances]

    assert len({str(one) for one in keys}) == len(distances)


def test_cores_that_are_smaller_than_the_reach_are_refused_before_anything_is_done(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"halo of \d+ px.*cells.expand_um"):
        run_slide(slide, tmp_path, SEGMENTER, "cells.expand_um=16", "tiles.core_px=256")
    assert not any(tmp_path.iterdir())
