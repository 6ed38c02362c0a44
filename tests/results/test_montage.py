"""The picture of typical cells, and the colours of the clusters."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from wsipsm.cells.classes import CLASSES, CLUSTERS
from wsipsm.core.geometry import Box, Image
from wsipsm.results.draw import CELL_COLOR
from wsipsm.results.montage import CROPS, Crop, Row, crop_box, draw_montage

RING = np.array([[20.0, 20], [44, 20], [44, 44], [20, 44], [20, 20]])

BLINDNESS = {
    "none": np.eye(3),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
}
"""How linear RGB looks to those who lack the green or the red cones (Machado et al. 2009, severity 1)."""


def crop(color: tuple[int, int, int]) -> Crop:
    return Crop(np.full((64, 64, 3), color, np.uint8), RING)


def places(picture: Image, color: tuple[int, int, int]) -> tuple[slice, slice]:
    """Bounds of what has a colour."""
    y, x = np.nonzero((picture == color).all(-1))
    return slice(y.min(), y.max() + 1), slice(x.min(), x.max() + 1)


def test_every_row_has_its_colour_and_its_crops_in_order() -> None:
    rows = [Row("A", ("1 %",), (1, 2, 3), (crop((90, 0, 0)), crop((0, 90, 0)))), Row("B", (), (4, 5, 6), ())]

    picture = draw_montage("Title", "facts", rows, notes=("a note",))

    first, second = places(picture, (90, 0, 0)), places(picture, (0, 90, 0))
    assert first[0] == second[0]
    assert first[1].stop < second[1].start
    sides = {area.stop - area.start for area in (*first, *second)}
    assert len(sides) == 1
    swatches = [places(picture, color) for color in ((1, 2, 3), (4, 5, 6))]
    assert swatches[0][0].stop < swatches[1][0].start
    assert first[0].start <= swatches[0][0].start < swatches[0][0].stop <= first[0].stop
    assert swatches[0][1].stop < first[1].start


def test_the_outline_lies_around_the_middle_of_its_crop() -> None:
    picture = draw_montage("", "", [Row("A", (), (1, 2, 3), (crop((90, 0, 0)),))])

    y, x = places(picture, (90, 0, 0))
    inside = picture[y, x]
    side = inside.shape[0]
    drawn = np.nonzero((np.abs(inside.astype(int) - CELL_COLOR) < 60).all(-1))
    for axis in drawn:
        assert abs(axis.min() - side * 20 / 64) <= 2
        assert abs(axis.max() - side * 44 / 64) <= 2


def test_no_more_crops_than_fit_are_drawn() -> None:
    many = [Row("A", (), (1, 2, 3), tuple(crop((90, 0, 0)) for _ in range(CROPS + 5)))]

    assert draw_montage("", "", many).shape == draw_montage("", "", [Row("A", (), (1, 2, 3), ())]).shape


def test_a_crop_is_32_um_around_its_cell() -> None:
    assert crop_box((100.2, 50.0), 0.5) == Box(68, 18, 132, 82)
    assert crop_box((10.0, 10.0), 1.0) == Box(-6, -6, 26, 26)


def lab(colors: np.ndarray) -> np.ndarray:
    return rgb2lab(colors / 255)


def test_clusters_have_colours_that_are_told_apart() -> None:
    assert CLASSES.names[-20:] == CLUSTERS.names == tuple(f"Cluster {number}" for number in range(1, 21))
    assert CLASSES.colors[-20:] == CLUSTERS.colors
    assert len(CLASSES.names) == len(set(CLASSES.names)) == len(CLASSES.colors)
    seen = lab(np.array(CLUSTERS.colors))

    assert min(deltaE_ciede2000(seen[one], seen[other]) for one, other in combinations(range(20), 2)) > 8


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_first_dozen_colours_are_told_apart_by_the_colour_blind_too(kind: str) -> None:
    colors = np.array(CLUSTERS.colors[:12]) / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4) @ BLINDNESS[kind].T
    clipped = np.clip(linear, 0, 1)
    display = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    seen = lab(display * 255)

    assert min(deltaE_ciede2000(seen[one], seen[other]) for one, other in combinations(range(12), 2)) > 10
