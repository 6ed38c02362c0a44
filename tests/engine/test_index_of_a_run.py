"""The index that a run writes: the same in all its files, for every tile size, and in regions drawn later."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import skimage.data
from PIL import Image

from tests.helpers.qupath import read_annotations_as_qupath
from tests.helpers.results import PSM, TINY_FIT
from tests.helpers.slidegen import mosaic
from wsipsm.config import load_config
from wsipsm.core.events import SlideState
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.results.index.hot_spots import FieldRule
from wsipsm.results.index.report import report

DRAWN = shapely.Polygon([(100.3, 50), (900, 180.7), (860, 940), (90, 800)])


def run_marked(
    slide: Path, out: Path, *settings: str, roi: Path | None = None, encoder: Path | None = None
) -> SlideState:
    """A run with classes, its network learnt on the slide or given."""
    config = load_config("ihc", (PSM, *TINY_FIT, "schedule.workers=1", "schedule.processes=false", *settings))
    (state,) = run(Request([str(slide)], out, config, slide_mpp=0.5, roi=roi, checkpoint=encoder))
    assert state.status == "done", state.error
    return state


def record_of(state: SlideState) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state.out / "run.json").read_text())
    return found


def row_of(state: SlideState) -> dict[str, str]:
    rows = csv.DictReader((state.out.parent / "slides.csv").read_text().splitlines())
    return next(row for row in rows if row["out"] == str(state.out))


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SlideState]:
    """A mosaic of immunohistochemistry, 0.26 mm2, and its run."""
    folder = tmp_path_factory.mktemp("marked")
    Image.fromarray(mosaic([skimage.data.immunohistochemistry()], 1024)).save(folder / "ihc.png")
    return folder / "ihc.png", run_marked(folder / "ihc.png", folder / "out", "tiles.core_px=1024")


def test_files_of_a_run_agree_on_the_index(marked: tuple[Path, SlideState]) -> None:
    _, state = marked
    record, cells, row = record_of(state), geopandas.read_parquet(state.out / "cells.parquet"), row_of(state)

    slide = record["index"]["slide"]
    positive = int((cells["class"] == "Positive").sum())
    assert record["counts"]["by_class"] == {"Positive": positive, "Negative": len(cells) - positive}
    assert (slide["counted"], slide["positive"]) == (len(cells), positive)
    assert 0 < positive < len(cells)
    assert slide["positive_percent"] == pytest.approx(100 * positive / len(cells), abs=1e-4)
    density = cells["dab_od_core"].to_numpy()
    edges = [record["classes"]["threshold_od"], *record["classes"]["grades_od"]]
    weighted = sum(100 * (density >= np.float32(max(edges[0], edge))).mean() for edge in edges)
    assert slide["h_score"] == pytest.approx(weighted, abs=1e-3)
    assert float(row["positive_percent"]) == slide["positive_percent"] == state.index.positive_percent
    assert (int(row["counted"]), float(row["h_score"])) == (slide["counted"], slide["h_score"])


def test_hot_spots_of_a_run_are_annotations_with_their_figures(marked: tuple[Path, SlideState]) -> None:
    _, state = marked
    spots = record_of(state)["index"]["hot_spots"]

    features = read_annotations_as_qupath(state.out / "hotspots.geojson")

    assert spots
    assert [feature["properties"]["name"] for feature in features] == [spot["region"] for spot in spots]
    for feature, spot in zip(features, spots, strict=True):
        assert shapely.geometry.shape(feature["geometry"]).bounds == pytest.approx(spot["bounds_l0"])
        assert feature["properties"]["measurements"]["Index: Positive %"] == spot["positive_percent"]
        assert 500 <= spot["counted"] <= 1000


def test_stored_cells_give_the_index_of_the_run(marked: tuple[Path, SlideState]) -> None:
    _, state = marked

    found = [field.to_dict() for field in report(state.out, rule=FieldRule()).fields]

    index = record_of(state)["index"]
    assert {name: found[0][name] for name in index["slide"]} == index["slide"]
    assert found[1:] == index["hot_spots"]


def test_regions_drawn_later_give_what_a_run_with_them_gives(marked: tuple[Path, SlideState], tmp_path: Path) -> None:
    slide, state = marked
    roi = tmp_path / "roi.geojson"
    roi.write_text(json.dumps(shapely.geometry.mapping(DRAWN)))
    frozen = f"classes.threshold_od={record_of(state)['classes']['threshold_od']}"

    again = run_marked(
        slide, tmp_path / "out", frozen, "tiles.core_px=512", roi=roi, encoder=state.out / "calibration.safetensors"
    )
    later = [field.to_dict() for field in report(state.out, roi=roi, rule=FieldRule()).fields]

    index = record_of(again)["index"]
    assert 100 < index["slide"]["counted"] < record_of(state)["counts"]["cells"]
    assert {name: later[0][name] for name in index["slide"]} == index["slide"]
    assert later[1:] == index["hot_spots"]


def test_the_index_does_not_depend_on_tiles(marked: tuple[Path, SlideState], tmp_path: Path) -> None:
    slide, state = marked

    small = run_marked(
        slide, tmp_path, "tiles.core_px=256", "tiles.order=random", encoder=state.out / "calibration.safetensors"
    )

    assert record_of(small)["index"] == record_of(state)["index"]
    assert (small.out / "hotspots.geojson").read_bytes() == (state.out / "hotspots.geojson").read_bytes()


def test_a_finished_slide_keeps_its_index_in_the_table(marked: tuple[Path, SlideState], tmp_path: Path) -> None:
    slide, state = marked
    shutil.copytree(state.out.parent, tmp_path / "out")
    before = state.index

    found = run_marked(slide, tmp_path / "out", "tiles.core_px=1024")
    exported = run_marked(slide, tmp_path / "out", "tiles.core_px=1024", "output.objects=points")

    assert found.found_done
    assert found.index == exported.index == before
    assert float(row_of(exported)["positive_percent"]) == before.positive_percent


def test_a_slide_without_classes_has_no_index(marked: tuple[Path, SlideState], tmp_path: Path) -> None:
    slide, _ = marked

    state = run_marked(slide, tmp_path, "classes.scheme=none")

    assert record_of(state)["index"] is None
    assert not (state.out / "hotspots.geojson").exists()
    assert [row_of(state)[name] for name in ("positive_percent", "counted", "h_score")] == ["", "", ""]
