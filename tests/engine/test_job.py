"""What is asked of a slide, from the request to every task."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
import shapely
from PIL import Image

from wsipsm.config import load_config
from wsipsm.core.errors import StaleError
from wsipsm.core.geometry import Grid
from wsipsm.engine.job import Job, SlideOptions, SlideTask
from wsipsm.engine.request import Request, slide_tasks
from wsipsm.nuclei.models import shipped_model
from wsipsm.tissue.region import Region


@pytest.fixture
def job(tmp_path: Path) -> Job:
    region = Region(shapely.MultiPolygon([shapely.box(0.1, 1 / 3, 700, 2**0.5 * 300)]))
    task = SlideTask(
        tmp_path / "ü s.svs",
        "s",
        tmp_path / "out",
        load_config("he", ("grid.mpp=0.3333333333333333", "output.arrays=[instances,activation]")),
        slide_mpp=0.1 + 0.2,
        roi=tmp_path / "roi.geojson",
        token="mine",
    )
    return Job(task, Grid(1000, 700, 2 / 3, 0.1 * 3), region, (7, -3), digest="0123456789abcdef")


def test_a_job_comes_back_from_its_folder_as_it_was_saved(job: Job) -> None:
    assert job.save().load() == job


def test_a_job_is_another_s_once_another_run_saves_its_own(job: Job) -> None:
    ref = job.save()
    assert job.is_mine()

    replace(job, task=replace(job.task, token="another")).save()

    assert not job.is_mine()
    with pytest.raises(StaleError, match="another run has taken over"):
        ref.load()


def test_every_option_of_a_request_reaches_its_slides(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "s.png")
    (tmp_path / "roi.geojson").write_text(json.dumps(shapely.geometry.mapping(shapely.box(0, 0, 9, 9))))
    options = {
        "slide_mpp": 0.25,
        "roi": tmp_path / "roi.geojson",
        "device": "cpu",
        "checkpoint": shipped_model("he"),
        "fresh": True,
    }

    (task,) = slide_tasks(Request([str(tmp_path / "s.png")], tmp_path / "out", load_config("he"), **options))

    assert {field.name: getattr(task, field.name) for field in fields(SlideOptions)} == options
