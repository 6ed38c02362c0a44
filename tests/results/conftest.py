"""A finished slide for all tests of exports."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import pytest

from tests.helpers.results import SEGMENTER, cells_of, run_slide
from tests.helpers.slidegen import read_rgb, write_slide
from wsipsm.slide.sample import HE_FIELD_MPP, he_field


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a part of the H&E field, as if its slide had bounds from (40, 60) on."""
    folder = tmp_path_factory.mktemp("field")
    slide = write_slide(folder / "field.tiff", read_rgb(he_field())[:600, :640], mpp=HE_FIELD_MPP)
    found = run_slide(slide, folder / "out", SEGMENTER, "schedule.workers=1")
    record = json.loads((found / "run.json").read_text())
    record["origin_l0"]["qupath"] = [40, 60]
    (found / "run.json").write_text(json.dumps(record))
    return found


@pytest.fixture(scope="session")
def cells(results: Path) -> geopandas.GeoDataFrame:
    return cells_of(results)
