"""Pictures that reports embed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from wsipsm.results.draw import png
from wsipsm.results.overview.gather import PANEL_NOTE
from wsipsm.results.report.examples import Example
from wsipsm.results.report.pictures import CELL_PX, CELL_UM, THUMBNAIL_PX, cell_pictures, overview_picture, thumbnail
from wsipsm.slide import open_slide

BLACK, GREY = 0, 150


def read(content: bytes | None) -> np.ndarray:
    assert content is not None
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.mark.parametrize(("x", "y"), [(200, 150), (0, 0), (388, 291)])
def test_a_cell_is_shown_with_its_outline_and_never_beyond_the_slide(tmp_path: Path, x: int, y: int) -> None:
    pixels = np.full((300, 400, 3), GREY, np.uint8)
    pixels[y : y + 9, x : x + 12] = BLACK
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    cell = Example(np.asarray(shapely.box(x - 4, y - 4, x + 16, y + 13).exterior.coords), "Nucleus", 0.5, 20.0)

    with open_slide(tmp_path / "slide.png", mpp=0.25) as slide:
        (content,) = cell_pictures(slide, [cell])

    picture = read(content)
    assert picture.shape == (CELL_PX, CELL_PX, 3)
    share = 12 * 9 * 0.25**2 / CELL_UM**2
    assert (picture.max(axis=2) < 75).mean() == pytest.approx(share, rel=0.2)
    green = (picture[..., 1] - picture[..., 0]) > 60
    assert green.any()
    assert not (picture.min(axis=2) > 220).any(), "no white from beyond the slide"
    rows, columns = np.nonzero(picture.max(axis=2) < 75)
    if (x, y) == (200, 150):
        assert abs(columns.mean() - CELL_PX / 2) < 3
        assert abs(rows.mean() - CELL_PX / 2) < 3


@pytest.mark.parametrize("note", [None, "40 100 240 300", "0 0 0 0", "1 2", "-5 0 9999 10", "0 0 2 2"])
def test_a_panel_is_cut_out_where_the_overview_says_a_possible_one(tmp_path: Path, note: str | None) -> None:
    sheet = np.full((400, 500, 3), 255, np.uint8)
    sheet[100:300, 40:240] = (200, 0, 0)
    content = png(sheet, {PANEL_NOTE: note} if note else None)
    (tmp_path / "overview.png").write_bytes(content)

    small, whole = read(thumbnail(tmp_path)), read(overview_picture(tmp_path))

    red = (small[..., 0] - small[..., 1] > 100).mean()
    if note == "40 100 240 300":
        assert red > 0.98
        assert small.shape == (THUMBNAIL_PX, THUMBNAIL_PX, 3)
        assert whole.shape[:2] == (400 - 66 - 39, 500 - 2 * 39)
    else:
        assert note == "0 0 2 2" or red == pytest.approx(0.2, abs=0.01)
        assert max(whole.shape) > 300


def test_a_folder_without_an_overview_has_no_pictures(tmp_path: Path) -> None:
    assert thumbnail(tmp_path) is overview_picture(tmp_path) is None
