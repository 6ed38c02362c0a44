"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.results import QUICK_FIT, run_slide
from tests.helpers.slidegen import mosaic, read_rgb, write_slide
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real images; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real images are not here: {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H&E of 2500 x 2500 px at 40x: no core border at 0.5 um/px falls on a seam of the mosaic."""
    pixels = mosaic([read_rgb(he_field())], 2500)
    return write_slide(tmp_path_factory.mktemp("slide") / "mosaic.tiff", pixels, mpp=HE_FIELD_MPP)


@pytest.fixture(scope="session")
def whole(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the slide as one tile: what every cut is compared with."""
    return run_slide(slide, tmp_path_factory.mktemp("whole"), "tiles.core_px=2048", QUICK_FIT)
