"""Tissue of a slide that is cut off: a run and a training look in the same places."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely

from tests.helpers.slidegen import mosaic, read_rgb, write_slide
from wsipsm.config import load_config
from wsipsm.core.errors import UnreadableSlideError
from wsipsm.slide import open_slide
from wsipsm.slide.sample import HE_FIELD_MPP, he_field
from wsipsm.tissue.find import find_tissue
from wsipsm.training.slide_sample import sample_slide

CONFIG = load_config("he", ("encoder.patches=32", "training.fields=1"))


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tissue all over, of which about the lower quarter cannot be read."""
    path = tmp_path_factory.mktemp("cut") / "cut.tiff"
    write_slide(path, mosaic([read_rgb(he_field())], 2000), mpp=HE_FIELD_MPP)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 3 // 4)
    return path


def test_what_cannot_be_read_may_be_tissue(cut: Path) -> None:
    with open_slide(cut) as slide:
        region = find_tissue(slide, CONFIG.tissue).region

    assert region.polygons.covers(shapely.box(0, 1800, 2000, 2000))
    assert region.area_l0 > 0.8 * 2000**2


def test_damage_is_not_glass_to_a_training(tmp_path: Path) -> None:
    """The tissue stands where the slide is cut off: it cannot be read, which is not to say that there is none."""
    pixels = mosaic([read_rgb(he_field())], 2000)
    pixels[:1000] = 255
    path = write_slide(tmp_path / "cut.tiff", pixels, mpp=HE_FIELD_MPP)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 20)

    with open_slide(path) as slide, pytest.raises(UnreadableSlideError):
        sample_slide(slide, CONFIG, fingerprint="0" * 16)
