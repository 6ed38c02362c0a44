"""Warnings of a slide: said where there is a reason, and not elsewhere."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely

from wsipsm.config import Config, load_config
from wsipsm.core.geometry import Grid
from wsipsm.engine.doubts import doubts
from wsipsm.engine.job import Job, SlideTask
from wsipsm.tissue.region import Region

FINE: dict[str, Any] = {
    "stats": {"od_p99": [1, 1, 1], "nuclear_od": 0.4, "foreign_colour": 0.01},
    "levels": {"cells": 500},
}
FEW = {"low_confidence": 30, "unlike_nuclei": 0}


def job_of(config: Config) -> Job:
    task = SlideTask(Path("/slide.svs"), "slide", Path("/out"), config)
    return Job(task, Grid(1000, 1000, 2.0, 0.5), Region(shapely.MultiPolygon()), (0, 0))


def warned(calibration: dict[str, Any], *settings: str, written: int = 1000, refused: dict[str, int] = FEW) -> str:
    return " | ".join(doubts(job_of(load_config("he", settings)), calibration, written=written, refused=refused))


def changed(section: str, **values: Any) -> dict[str, Any]:
    table = copy.deepcopy(FINE)
    table[section] |= values
    return table


def test_a_usual_slide_has_none_and_one_without_tissue_neither() -> None:
    assert warned(FINE) == ""
    assert warned({}, written=0, refused={"low_confidence": 0, "unlike_nuclei": 0}) == ""


def test_another_stain_is_said_unless_it_is_expected() -> None:
    brown = changed("stats", foreign_colour=0.4)

    assert "40% of the stained tissue" in warned(brown)
    assert "recognizer.stain=unknown" in warned(brown)
    assert warned(brown, "recognizer.stain=unknown") == ""


def test_a_resolution_that_is_off_by_two_is_said_with_the_option_that_mends_it() -> None:
    assert "--slide-mpp 0.5" in warned(changed("levels", nuclear_scale={"factor": 2.0, "cores": 300}))
    assert warned(changed("levels", nuclear_scale={"factor": 1.1, "cores": 300})) == ""


def test_few_nuclei_are_said() -> None:
    assert "only 9 clear nuclei" in warned(changed("levels", cells=9))
    assert warned(changed("levels", cells=10)) == ""


def test_where_the_user_brought_the_model_that_may_be_what_is_wrong(tmp_path: Path) -> None:
    job = job_of(load_config("he"))
    own = replace(job, task=replace(job.task, checkpoint=tmp_path / "model.safetensors"))
    calibration = changed("levels", cells=0)

    with_own, without = (doubts(one, calibration, written=0, refused=FEW)[0] for one in (own, job))

    assert "the model of --checkpoint learnt too little, the slide is pale" in with_own
    assert "--checkpoint" not in without


@pytest.mark.parametrize(("settings", "written"), [((), 1000), (("cells.keep_doubtful=true",), 2000)])
def test_many_refused_cells_are_said_with_their_reasons(settings: tuple[str, ...], written: int) -> None:
    refused = {"low_confidence": 400, "unlike_nuclei": 600}

    text = warned(FINE, *settings, written=written, refused=refused)

    assert "1,000 of 2,000 cells were refused (400 for their own low confidence and 600 for surroundings" in text
    assert "--keep-doubtful" in text


def test_a_job_of_the_pseudo_mask_has_no_levels() -> None:
    assert doubts(job_of(load_config("he")), {"stats": FINE["stats"]}, written=5, refused=FEW) == ()


def test_kept_doubtful_cells_count_once() -> None:
    refused = {"low_confidence": 50, "unlike_nuclei": 200}

    assert warned(FINE, "cells.keep_doubtful=true", written=1000, refused=refused) == ""
    assert "250 of 800" in warned(FINE, "cells.keep_doubtful=true", written=800, refused=refused)
