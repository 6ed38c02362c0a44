"""Drawing: lines lie where they belong, edges agree with scikit-image, colours with matplotlib's viridis."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage
from skimage.segmentation import find_boundaries

from wsipsm.results.draw import CELL_COLOR, label_edges, outline, png, viridis


def test_outlines_run_along_the_corners_of_pixels() -> None:
    image = np.zeros((40, 40, 3), np.uint8)

    outline(image, np.array([[10.0, 12], [20, 12], [20, 30], [10, 30]]), (255, 255, 255))

    weight = image[..., 0].astype(float)
    y, x = np.mgrid[:40, :40] + 0.5
    assert np.average(x, weights=weight) == pytest.approx(15, abs=0.1)
    assert np.average(y, weights=weight) == pytest.approx(21, abs=0.1)
    assert image[11:13, 15, 0].min() > 60


def test_a_ring_that_leaves_the_image_is_cut_off() -> None:
    image = np.zeros((20, 20, 3), np.uint8)

    outline(image, np.array([[-10.0, 5], [30, 5], [30, 50], [-10, 50]]), CELL_COLOR, thickness=2)

    assert (image[4:6] == CELL_COLOR).all()
    assert not image[:3].any()
    assert not image[8:].any()


@pytest.mark.parametrize("at_border", [False, True])
def test_edges_are_the_inner_boundaries_of_scikit_image(*, at_border: bool) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (12, 15)).repeat(3, 0).repeat(3, 1)

    edges = label_edges(labels, at_border=at_border)

    expected = find_boundaries(np.pad(labels, 1), mode="inner", connectivity=1)[1:-1, 1:-1]
    if not at_border:
        expected = find_boundaries(labels, mode="inner", connectivity=1)
    np.testing.assert_array_equal(edges, expected)


def test_viridis_runs_from_violet_to_yellow() -> None:
    colors = viridis(np.array([[-1, 0, 0.5, 1, 2]], np.float32))[0]

    assert tuple(colors[1]) == (68, 1, 84)
    assert tuple(colors[3]) == (253, 231, 37)
    assert np.abs(colors[2].astype(int) - (33, 145, 140)).max() <= 1
    assert (colors[0] == colors[1]).all()
    assert (colors[4] == colors[3]).all()


def test_a_png_holds_the_same_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)

    with PillowImage.open(io.BytesIO(png(image))) as opened:
        np.testing.assert_array_equal(np.asarray(opened), image)
