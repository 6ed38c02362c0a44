"""Two slides, their results, a model, and the results with its clusters; run once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image as PillowImage

import wsipsm
from tests.helpers.classified import QUICK
from tests.helpers.slidegen import read_rgb
from wsipsm.slide.sample import HE_FIELD_MPP, he_field


@pytest.fixture(scope="session")
def slides(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two fields of the H&E image that comes with TIAToolbox."""
    folder, pixels = tmp_path_factory.mktemp("slides"), read_rgb(he_field())
    paths = [folder / "a.png", folder / "b.png"]
    for path, part in zip(paths, (pixels[:480, :480], pixels[480:960, 400:960]), strict=True):
        PillowImage.fromarray(part).save(path)
    return paths


@pytest.fixture(scope="session")
def done(slides: list[Path]) -> Path:
    """Their results; no test changes them."""
    out = slides[0].parent / "out"
    found = wsipsm.run(slides, out, slide_mpp=HE_FIELD_MPP, settings=QUICK)
    assert [one.status for one in found] == ["done", "done"]
    return out


@pytest.fixture(scope="session")
def model(done: Path) -> Path:
    path = done.parent / "model.json"
    wsipsm.classify(done, fit=path, clusters=4)
    return path


@pytest.fixture(scope="session")
def applied(done: Path, model: Path) -> Path:
    """A copy of the results with the clusters of the model; no test changes it."""
    out = done.parent / "applied"
    shutil.copytree(done, out)
    wsipsm.classify(out, apply=model)
    return out


@pytest.fixture
def out(done: Path, tmp_path: Path) -> Path:
    """A copy of the results."""
    return Path(shutil.copytree(done, tmp_path / "out"))
