"""The overview of a slide from its cells, whoever holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.cells.measurements import COLUMNS
from wsipsm.cells.table import Cells
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.draw import CELL_COLOR
from wsipsm.results.overview.gather import PANEL_NOTE, Density, save_overview
from wsipsm.slide import open_slide
from wsipsm.tissue.region import Region

WHOLE = Region(shapely.MultiPolygon([shapely.box(0, 0, 1000, 800)]))


def squares(*corners: tuple[int, int], class_: int = 0) -> Cells:
    """Cells of 20 x 20 level-0 px by their upper left corners."""
    rings = [np.asarray(shapely.box(x, y, x + 20, y + 20).exterior.coords) for x, y in corners]
    return Cells(
        anchor=np.arange(len(corners)),
        vertices_l0=np.concatenate([np.zeros((0, 2)), *rings]),
        ring_offsets=np.arange(len(corners) + 1) * 5,
        centroid_l0=np.reshape(corners, (-1, 2)) + 10.0,
        columns={name: np.ones(len(corners), np.float32) for name in COLUMNS},
        class_=np.full(len(corners), class_, np.uint8),
    )


def picture_of(folder: Path, *batches: Cells) -> tuple[np.ndarray, list[Box]]:
    """Overview of a white slide of 1000 x 800 px with these cells, and the boxes that cells were asked for."""
    Image.new("RGB", (1000, 800), "white").save(folder / "white.png")
    asked: list[Box] = []

    def cells_in(box: Box) -> tuple[Cells, ...]:
        asked.append(box)
        return batches

    with open_slide(folder / "white.png", mpp=0.25) as slide:
        grid = slide.grid(0.5)
        density = Density.over(grid)
        for cells in batches:
            density.add(cells)
        file = folder / "overview.png"
        warning = save_overview(file, slide=slide, grid=grid, region=WHOLE, density=density, cells_in=cells_in)
    assert warning == ""
    return np.asarray(Image.open(file)), asked


def test_close_ups_show_the_cells_that_they_hold_and_no_others(tmp_path: Path) -> None:
    near, far = squares((100, 100), (150, 110)), squares((10, 740))
    both, asked = picture_of(tmp_path, near, far)
    alone, _ = picture_of(tmp_path, near)

    assert all(box.intersect(Box(0, 0, 500, 400)) == box for box in asked)
    shown = (both == CELL_COLOR).all(axis=2).sum() / (alone == CELL_COLOR).all(axis=2).sum()
    assert (alone == CELL_COLOR).all(axis=2).sum() > 300
    assert 1 <= shown < 3


def test_the_picture_says_where_its_first_panel_is(tmp_path: Path) -> None:
    picture, _ = picture_of(tmp_path, squares((10, 10), (900, 700)))
    with Image.open(tmp_path / "overview.png") as stored:
        x0, y0, x1, y1 = map(int, stored.info[PANEL_NOTE].split())

    framed = (picture == (205, 209, 214)).all(axis=2)
    around = framed[y0:y1, x0 - 1], framed[y0:y1, x1], framed[y0 - 1, x0:x1], framed[y1, x0:x1]
    assert min(edge.mean() for edge in around) > 0.2, "the frame of the panel, but for marks, runs along it"
    assert framed[y0:y1, x0:x1].mean() < 0.01
    assert (x1 - x0) / (y1 - y0) == pytest.approx(1000 / 800, rel=0.02)


def test_doubtful_cells_are_drawn_in_their_colour_in_a_close_up_of_their_own(tmp_path: Path) -> None:
    near = squares((100, 100), (150, 110))
    heap = [(800 + 30 * (i % 4), 600 + 30 * (i // 4)) for i in range(12)]

    _, asked_few = picture_of(tmp_path, near, squares(*heap[:9], class_=DOUBTFUL))
    many, asked_many = picture_of(tmp_path, near, squares(*heap, class_=DOUBTFUL))

    color = CLASSES.colors[DOUBTFUL]
    assert len(asked_many) == len(asked_few) + 1
    assert (many == color).all(axis=2).sum() > 300
    assert (many == CELL_COLOR).all(axis=2).any()
    alone, asked = picture_of(tmp_path, squares(*heap, class_=DOUBTFUL))
    assert len(asked) == 1
    assert (alone == color).all(axis=2).sum() > 300


def test_doubtful_cells_are_counted_apart() -> None:
    density = Density.over(Grid(500, 400, 2.0, 0.5))
    cells = squares((100, 100), (110, 100))
    cells.columns["confidence"][:] = 0.25, 0.5

    density.add(cells)
    density.add(squares((100, 100), (900, 700), class_=DOUBTFUL))

    assert density.counts.sum() == density.counts[0, 0] == 2
    assert density.confidence.sum() == density.confidence[0, 0] == 0.75
    assert density.doubtful.sum() == 2
    assert density.doubtful[0, 0] == 1


def test_without_cells_none_are_asked_for(tmp_path: Path) -> None:
    picture, asked = picture_of(tmp_path, squares())

    assert asked == []
    assert not (picture == CELL_COLOR).all(axis=2).any()


def test_cells_with_classes_are_outlined_in_the_colours_of_their_classes(tmp_path: Path) -> None:
    positive, negative = CLASSES.names.index("Positive"), CLASSES.names.index("Negative")

    picture, _ = picture_of(
        tmp_path, squares((100, 100), class_=positive), squares((150, 110), (150, 150), class_=negative)
    )

    red, blue = ((picture == CLASSES.colors[class_]).all(axis=2).sum() for class_ in (positive, negative))
    assert 100 < red < blue < 3 * red
    assert not (picture == CELL_COLOR).all(axis=2).any()


def test_positive_cells_of_every_grade_are_counted() -> None:
    density = Density.over(Grid(500, 400, 2.0, 0.5))

    for name in ("Nucleus", "Negative", "Positive", "1+", "2+", "3+", "Doubtful"):
        density.add(squares((100, 100), class_=CLASSES.names.index(name)))

    assert (density.positive.sum(), density.counts.sum(), density.doubtful.sum()) == (4, 6, 1)
