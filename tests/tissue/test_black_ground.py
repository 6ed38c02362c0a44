"""Black ground, with which some exports fill what was not scanned, is what white is: nothing, without a margin."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.slidegen import mosaic, read_rgb, write_slide
from wsipsm.config import TissueConfig, load_config
from wsipsm.core.geometry import Image
from wsipsm.engine.request import Request, slide_tasks
from wsipsm.engine.tasks.prepare import plan_slide
from wsipsm.slide import open_slide
from wsipsm.slide.sample import he_field
from wsipsm.tissue.colour import has_black_ground
from wsipsm.tissue.find import find_tissue


@pytest.fixture(scope="module")
def tissue() -> Image:
    return mosaic([read_rgb(he_field())], 1500)


def cut_off(image: Image, value: int) -> Image:
    """The picture with a frame and a square in the middle that were not scanned."""
    filled = np.full_like(image, value)
    filled[200:1300, 330:1400] = image[200:1300, 330:1400]
    filled[700:900, 700:900] = value
    return filled


@pytest.mark.parametrize("field_mm2", [0.0, 100.0], ids=["as a slide", "as a field"])
def test_black_and_white_ground_give_the_same_tissue_and_pixels(
    tmp_path: Path, tissue: Image, field_mm2: float
) -> None:
    config = TissueConfig(field_mm2=field_mm2)
    black, white = (write_slide(tmp_path / f"{v}.tif", cut_off(tissue, v), mpp=0.25) for v in (0, 255))

    with open_slide(black) as one, open_slide(white) as other:
        found, expected = find_tissue(one, config), find_tissue(other, config)
        grid = one.grid(0.5)
        pixels, same = one.read(grid.box, grid), other.read(grid.box, grid)
        again = pickle.loads(pickle.dumps(one))

    assert (one.black_ground, other.black_ground, again.black_ground) == (True, False, True)
    # On coarse levels of the file itself the edge is a blend with black, so outlines differ by a pixel of them.
    differing = found.region.polygons.symmetric_difference(expected.region.polygons).area
    assert differing < 0.05 * expected.region.area_l0
    assert expected.region.area_l0 > 1e6
    np.testing.assert_array_equal(pixels, same)


def test_workers_read_a_slide_as_it_was_when_its_tissue_was_found(tmp_path: Path, tissue: Image) -> None:
    path = write_slide(tmp_path / "a.tif", cut_off(tissue, 0), mpp=0.25)
    (task,) = slide_tasks(Request([str(path)], tmp_path / "out", load_config("he", ())))
    with task.open() as slide:
        job, _ = plan_slide(slide, task)

    with job.open() as slide:
        assert slide.read(job.grid.box, job.grid)[:50].min() == 255


def test_ink_and_pictures_on_black_are_no_black_ground(tissue: Image) -> None:
    ink, fluorescence = tissue.copy(), np.zeros_like(tissue)
    ink[400:800, 400:800] = 12
    fluorescence[::9, ::7, 2] = 90

    assert not has_black_ground(ink, mpp=4.0)
    assert not has_black_ground(fluorescence, mpp=4.0)
    assert not has_black_ground(np.zeros_like(tissue), mpp=4.0)
    assert has_black_ground(cut_off(tissue, 0), mpp=4.0)
