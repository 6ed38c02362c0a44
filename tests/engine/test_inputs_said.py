"""What a reader of results must know of the inputs: drawn regions, and a resolution that the file contradicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping

from tests.helpers.slide_files import noise, write_ngff
from tests.helpers.slidegen import write_slide
from wsipsm.config import load_config
from wsipsm.engine.estimate import tiles_at_most
from wsipsm.engine.job import Job
from wsipsm.engine.request import Request, slide_tasks
from wsipsm.engine.tasks.prepare import plan_slide


def planned(slide: Path, **options: Any) -> Job:
    (task,) = slide_tasks(Request([str(slide)], slide.parent / "out", load_config("he", ()), **options))
    with task.open() as opened:
        return plan_slide(opened, task)[0]


def annotation(shape: shapely.Geometry, kind: str, name: str) -> dict[str, Any]:
    properties = {"objectType": kind, "classification": {"name": name}}
    return {"type": "Feature", "geometry": mapping(shape), "properties": properties}


def test_what_is_of_an_ignored_class_is_not_searched_and_that_is_said(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "a.tif", noise(600, 600), mpp=0.25)
    table = [
        annotation(shapely.box(0, 0, 600, 600), "annotation", "Tissue"),
        annotation(shapely.box(0, 0, 600, 300), "annotation", "Ignore*"),
        annotation(shapely.box(10, 10, 20, 20), "detection", "Nucleus"),
    ]
    (tmp_path / "roi.geojson").write_text(json.dumps(table))

    job = planned(slide, roi=tmp_path / "roi.geojson")

    assert job.region.polygons.equals(shapely.box(0, 300, 600, 600))
    assert job.said == ("--roi roi.geojson: 1 detection passed over and 1 of an ignored class (*) cut out",)


def test_a_resolution_that_overrules_that_of_the_file_is_said(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "a.tif", noise(300, 300), mpp=0.5)
    silent = write_slide(tmp_path / "b.tif", noise(300, 300), mpp=None)

    (said,) = planned(slide, slide_mpp=0.25).said

    assert said.startswith("the file states 0.5 um per pixel (tiff.XResolution), 0.25 were used as --slide-mpp")
    assert planned(slide, slide_mpp=0.501).said == planned(slide).said == planned(silent, slide_mpp=0.25).said == ()


def test_no_more_tiles_are_expected_than_the_slides_have(tmp_path: Path) -> None:
    slides = [write_slide(tmp_path / f"{n}.tif", noise(600, 1000), mpp=0.25) for n in range(2)]
    (tmp_path / "broken.svs").write_text("no slide")
    names = [str(path) for path in (*slides, tmp_path / "broken.svs")]
    tasks = slide_tasks(Request(names, tmp_path / "out", load_config("he", ("tiles.core_px=256",))))

    assert tiles_at_most(tasks, 64) == 2 * 2 * 2 + 1, "500 x 300 px of 0.5 um, and one to find out that it is broken"
    assert tiles_at_most(tasks[:1], 64) == 4
    assert tiles_at_most(tasks, 3) == 3


def test_formats_that_are_slow_to_open_may_have_any_number_of_tiles(tmp_path: Path) -> None:
    path = write_ngff(tmp_path / "a.zarr", noise(60, 60), 0.5)

    assert tiles_at_most(slide_tasks(Request([str(path)], tmp_path / "out", load_config("he", ()))), 64) == 64
