"""Finished runs whose reports are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import skimage.data
from PIL import Image

import wsipsm
from tests.helpers.classified import QUICK
from tests.helpers.slidegen import read_rgb
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

HOSTILE = "<script>alert(1)&\"'.png"
"""Name of a slide that is a script where it is not escaped."""


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of three slides: H&E on tiles of 128 px, another with a hostile name, and no slide; unchanged."""
    folder, pixels = tmp_path_factory.mktemp("slides"), read_rgb(he_field())
    Image.fromarray(pixels[:500, :600]).save(folder / "a.png")
    Image.fromarray(pixels[500:900, :400]).save(folder / HOSTILE)
    (folder / "broken.png").write_bytes(b"<b>no picture</b>")
    found = wsipsm.run(folder, folder / "out", slide_mpp=HE_FIELD_MPP, settings=QUICK)
    assert sorted(one.status for one in found) == ["done", "done", "failed"]
    return folder / "out"


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a field of immunohistochemistry; unchanged."""
    folder = tmp_path_factory.mktemp("marked")
    Image.fromarray(skimage.data.immunohistochemistry()).save(folder / "ihc.png")
    settings = ["schedule.workers=1", "schedule.processes=false", "classes.compartment=ring", "classes.scheme=graded"]
    (result,) = wsipsm.run(folder / "ihc.png", folder / "out", config="ihc", slide_mpp=0.5, settings=settings)
    assert result.status == "done"
    return result.folder
