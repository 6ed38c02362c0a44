"""Which slide a folder of results belongs to, what is an input, and which cell a UUID means."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import geopandas
import pytest
import shapely
from PIL import Image

from tests.helpers.results import PSM, TINY_FIT, cells_of
from tests.helpers.slidegen import read_rgb
from wsipsm.config import load_config
from wsipsm.core.events import SlideState
from wsipsm.core.geometry import Box
from wsipsm.engine.job import SlideTask
from wsipsm.engine.pipeline import run
from wsipsm.engine.request import Request
from wsipsm.engine.tasks.prepare import plan_slide
from wsipsm.slide import open_slide, slide_paths
from wsipsm.slide.sample import he_field

CONFIG = load_config("he", (PSM, *TINY_FIT, "schedule.workers=1", "schedule.processes=false"))


def field(path: Path, x: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(read_rgb(he_field())[:400, x : x + 400]).save(path)
    return path


def run_fields(out: Path, *slides: Path) -> list[SlideState]:
    return run(Request([str(slide) for slide in slides], out, CONFIG, slide_mpp=0.25))


def test_a_later_slide_of_the_same_stem_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    (first,) = run_fields(tmp_path / "out", field(tmp_path / "a" / "s.png", 0))
    before = (tmp_path / "out" / "s" / "run.json").read_bytes()

    (second,) = run_fields(tmp_path / "out", field(tmp_path / "b" / "s.png", 300))

    assert first.slide_id == "s"
    assert second.slide_id.startswith("s-")
    assert second.status == "done"
    assert (tmp_path / "out" / "s" / "run.json").read_bytes() == before
    rows = (tmp_path / "out" / "slides.csv").read_text().splitlines()
    assert len(rows) == 3, "the row of the earlier run stays"


def test_a_moved_slide_finds_its_results(tmp_path: Path) -> None:
    slide = field(tmp_path / "a" / "s.png", 0)
    run_fields(tmp_path / "out", slide)
    moved = Path(shutil.move(slide, tmp_path / "s.png"))

    (again,) = run_fields(tmp_path / "out", moved)

    assert again.slide_id == "s"
    assert again.found_done


def test_one_file_under_two_spellings_is_one_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slide = field(tmp_path / "a" / "s.png", 0)
    monkeypatch.chdir(tmp_path)

    assert slide_paths([os.path.join("a", "s.png"), slide, "a"]) == [Path("a/s.png")]


def test_results_inside_the_input_folder_are_no_input(tmp_path: Path) -> None:
    slide = field(tmp_path / "s.png", 0)
    run_fields(tmp_path / "out", slide)

    assert slide_paths([tmp_path], skip=tmp_path / "out") == [slide]
    assert slide_paths([f"{tmp_path}/**/*.png"], skip=tmp_path / "out") == [slide]
    assert slide_paths([tmp_path], skip=tmp_path / "elsewhere") == [slide], "those of another run"


def uuids_in_roi(folder: Path, *settings: str) -> tuple[geopandas.GeoDataFrame, geopandas.GeoDataFrame]:
    """Cells of a field by UUID, and those of a part of it by the same network and constants, with settings."""
    (whole,) = run_fields(folder / "whole", field(folder / "s.png", 0))
    roi = folder / "roi.geojson"
    roi.write_text(json.dumps(shapely.geometry.mapping(shapely.box(80, 80, 330, 330))))
    config = load_config("he", (PSM, *TINY_FIT, "schedule.workers=1", "schedule.processes=false", *settings))
    request = Request(
        [str(whole.slide)],
        folder / "part",
        config,
        slide_mpp=0.25,
        roi=roi,
        checkpoint=whole.out / "calibration.safetensors",
    )
    (part,) = run(request)
    return cells_of(whole.out).set_index("uuid"), cells_of(part.out).set_index("uuid")


def test_a_cell_has_the_same_uuid_in_a_region_and_on_the_whole_slide(tmp_path: Path) -> None:
    every, some = uuids_in_roi(tmp_path)

    same_outline = {outline.wkb: uuid for uuid, outline in every.geometry.items()}
    assert 15 < len(some) < len(every)
    assert [same_outline[outline.wkb] for outline in some.geometry] == list(some.index)


def test_a_cell_keeps_its_uuid_where_smaller_ones_are_left_out(tmp_path: Path) -> None:
    every, large = uuids_in_roi(tmp_path, "cells.min_area_um2=30")

    assert len(large) > 5
    assert set(large.index) <= set(every.index[every["area_um2"] >= 30])
    assert large.geometry.geom_equals(every.geometry[large.index]).all()


def test_slides_of_one_stem_share_no_uuid(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("slide,mpp,out\na/s.png,0.25,one\nb/s.png,0.25,two\n")
    field(tmp_path / "a" / "s.png", 0)
    field(tmp_path / "b" / "s.png", 300)

    states = run_fields(tmp_path / "out", tmp_path / "m.csv")

    assert [state.slide_id for state in states] == ["s", "s"]
    one, two = (set(cells_of(state.out)["uuid"]) for state in states)
    assert min(len(one), len(two)) > 20
    assert not one & two


def test_results_in_the_folder_of_the_slides_are_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``wsipsm run . -o .`` leaves them; a slide may lie in a folder of its own name, beside its results."""
    slides = [field(tmp_path / "a.png", 0), field(tmp_path / "s" / "s.png", 200)]
    monkeypatch.chdir(tmp_path)

    first = run_fields(Path(), Path())
    (tmp_path / "a" / "run.json").unlink()  # killed while it wrote the results

    assert [(state.status, state.out) for state in first] == [("done", tmp_path / "a"), ("done", tmp_path / "s")]
    assert (tmp_path / "s" / "overview.png").exists()
    found = {given: slide_paths([given], skip=Path()) for given in (".", "a*.png", "**/*", str(tmp_path))}
    assert {given: [path.resolve() for path in paths] for given, paths in found.items()} == {
        ".": slides,
        "a*.png": slides[:1],
        "**/*": slides,
        str(tmp_path): slides,
    }
    assert slide_paths([tmp_path / "s"], skip=tmp_path) == slides[1:], "a folder in the output folder"


@pytest.mark.parametrize("lost", ["cells.geojson.gz", "cells.parquet", "run.json"])
def test_results_that_are_not_complete_are_made_again(tmp_path: Path, lost: str) -> None:
    slide = field(tmp_path / "s.png", 0)
    run_fields(tmp_path / "out", slide)
    (tmp_path / "out" / "s" / lost).unlink()
    if lost == "run.json":
        (tmp_path / "out" / "s" / lost).write_text("{}")

    (again,) = run_fields(tmp_path / "out", slide)

    assert again.status == "done"
    assert (tmp_path / "out" / "s" / lost).stat().st_size > 2


@pytest.mark.parametrize(("origin", "offset"), [("qupath", (500, 300)), ("level0", (0, 0))])
def test_a_roi_is_drawn_in_the_frame_of_qupath(
    slide: Path, tmp_path: Path, origin: str, offset: tuple[int, int]
) -> None:
    (tmp_path / "roi.geojson").write_text(json.dumps(shapely.geometry.mapping(shapely.box(0, 0, 100, 100))))
    config = load_config("he", (f"output.origin={origin}",))
    task = SlideTask(slide, "s", tmp_path / "s", config, roi=tmp_path / "roi.geojson")

    with open_slide(slide) as opened:
        opened.bounds_l0 = Box(500, 300, 2400, 2400)  # no slide with bounds is small enough to come along
        job, _ = plan_slide(opened, task)

    assert job.region.polygons.bounds == (500, 300, 600, 400)
    assert job.origin_l0 == offset, "of the cells that are written"
