"""Immunohistochemistry as slides: classes in every output, whatever the tiles, and killed or not."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pytest
import skimage.data
from PIL import Image

import wsipsm
from tests.helpers.qupath import read_as_qupath
from tests.helpers.results import cells_of, labels_of
from tests.helpers.slidegen import mosaic, write_slide
from tests.helpers.written import written
from wsipsm.config import load_config
from wsipsm.engine.job import SlideTask
from wsipsm.engine.reports import Tally
from wsipsm.engine.tasks.calibrate import calibrate
from wsipsm.engine.tasks.find_cells import find_cells
from wsipsm.engine.tasks.map_tile import map_tile
from wsipsm.engine.tasks.prepare import prepare

MPP = 0.5
THREADS = ("schedule.workers=1", "schedule.processes=false")


@pytest.fixture(scope="module")
def pixels() -> npt.NDArray[np.uint8]:
    """Immunohistochemistry of 512 x 512 px: blue stroma, epithelium with brown cytoplasm."""
    return np.asarray(skimage.data.immunohistochemistry())


@pytest.fixture(scope="module")
def field(pixels: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("field") / "ihc.png"
    Image.fromarray(pixels).save(path)
    return path


def run(slide: Path, out: Path, *settings: str, mpp: float | None = MPP) -> Path:
    """Results folder of a slide."""
    (result,) = wsipsm.run(slide, out, config="ihc", settings=(*THREADS, *settings), slide_mpp=mpp)
    return result.folder


@pytest.fixture(scope="module")
def found(field: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(field, tmp_path_factory.mktemp("found"), "classes.compartment=ring")


def record_of(folder: Path) -> dict[str, object]:
    table: dict[str, object] = orjson.loads((folder / "run.json").read_bytes())
    return table


def test_classes_agree_in_all_outputs(found: Path) -> None:
    cells, record = cells_of(found), record_of(found)
    features = read_as_qupath(found / "cells.geojson.gz")

    counts = cells["class"].value_counts().to_dict()
    assert set(counts) == {"Positive", "Negative"}
    assert min(counts.values()) > 80
    assert record["counts"]["by_class"] == counts  # type: ignore[index]
    names = {f["properties"]["measurements"]["Label"]: f["properties"]["classification"]["name"] for f in features}
    assert names == dict(zip(cells["label"], cells["class"], strict=True))
    assert set(np.unique(labels_of(found))) - {0} == set(cells["label"])
    rule = record["classes"]
    assert (cells["class"] == "Positive").equals(cells["dab_od_ring"] >= np.float32(rule["threshold_od"]))  # type: ignore[index]


def test_positive_cells_lie_where_the_image_is_brown(found: Path, pixels: npt.NDArray[np.uint8]) -> None:
    brown = (pixels[..., 0].astype(int) - pixels[..., 2]) > 30
    cells, labels = cells_of(found), labels_of(found)

    around = {label: brown[_near(labels == label)].mean() for label in cells["label"][::4]}

    by_class = cells.set_index("label")["class"]
    assert np.mean([share for label, share in around.items() if by_class[label] == "Positive"]) > 0.6
    assert np.mean([share for label, share in around.items() if by_class[label] == "Negative"]) < 0.1


def _near(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    y, x = np.nonzero(mask)
    return slice(max(y.min() - 3, 0), y.max() + 4), slice(max(x.min() - 3, 0), x.max() + 4)


def test_densities_are_named_after_what_they_measure(found: Path) -> None:
    text = gzip.decompress((found / "cells.geojson.gz").read_bytes())

    assert b'"Nucleus: Hematoxylin OD mean"' in text
    assert b'"Nucleus: DAB OD mean"' in text
    assert b"Eosin" not in text


def test_a_chromogen_around_nuclei_is_said_where_nuclei_are_expected_to_have_it(field: Path, tmp_path: Path) -> None:
    warnings = record_of(run(field, tmp_path))["warnings"]

    assert any("classes.compartment=ring" in text for text in warnings)  # type: ignore[attr-defined]


def test_grades_are_written_where_they_are_asked_for(field: Path, tmp_path: Path) -> None:
    cells = cells_of(run(field, tmp_path, "classes.scheme=graded"))

    assert set(cells["class"]) == {"Negative", "1+", "2+", "3+"}
    strong = cells.loc[cells["class"] == "3+", "dab_od_core"]
    assert strong.min() >= np.float32(0.6)


@pytest.fixture(scope="module")
def slide(pixels: npt.NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("slide") / "mosaic.tiff", mosaic([pixels], 1400), mpp=MPP)


@pytest.fixture(scope="module")
def whole(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(slide, tmp_path_factory.mktemp("whole"), "tiles.core_px=2048", mpp=None)


@pytest.mark.parametrize(
    "cut",
    [
        ("tiles.core_px=256",),
        ("tiles.core_px=512", "tiles.order=random", "schedule.workers=3"),
        ("tiles.core_px=512", "schedule.workers=2", "schedule.processes=true"),
    ],
    ids=["small cores", "random order", "two processes"],
)
def test_a_cut_gives_the_classes_of_the_whole(slide: Path, whole: Path, tmp_path: Path, cut: tuple[str, ...]) -> None:
    other = run(slide, tmp_path, *cut, mpp=None)

    assert cells_of(other).equals(cells_of(whole))
    np.testing.assert_array_equal(labels_of(other), labels_of(whole))
    assert record_of(other)["classes"] == record_of(whole)["classes"]
    assert set(cells_of(whole)["class"]) == {"Positive", "Negative"}


def test_a_slide_that_is_taken_up_after_a_kill_has_the_classes_of_the_whole(
    slide: Path, whole: Path, tmp_path: Path
) -> None:
    config = load_config("ihc", ("tiles.core_px=512",))
    task = SlideTask(slide, "s", tmp_path / "out" / "s", config, token="first")
    begun = prepare(task)
    calibrate(begun.ref, progress=lambda _: None)
    for tile in begun.plan.tiles:
        map_tile(begun.ref, tile)
    for tile in begun.plan.tiles[:4]:
        find_cells(begun.ref, tile)

    again = prepare(task)
    left = [tile for tile in again.plan.tiles if tile not in again.done]
    assert len(left) == len(again.plan.tiles) - 4
    for tile in left:
        find_cells(again.ref, tile)
    written(again.ref, Tally(tiles=len(again.plan.tiles)))

    assert cells_of(task.out).equals(cells_of(whole))
