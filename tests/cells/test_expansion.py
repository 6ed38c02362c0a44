"""Growth of nuclei against distances between all pixels, one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.draw import disk
from skimage.measure import label

from wsipsm.cells.expansion import context_px, grow, reach_px
from wsipsm.config import LabelsConfig
from wsipsm.core.geometry import Box

Labels = npt.NDArray[np.int32]


def grown(labels: Labels, radius_px: float) -> Labels:
    return grow(labels, radius_px=radius_px, plane=Box(0, 0, labels.shape[1], labels.shape[0]))


def nuclei(side: int = 90, seed: int = 0, share: float = 0.2) -> Labels:
    """Irregular nuclei, some of which touch, numbered in scan order."""
    rng = np.random.default_rng(seed)
    field, other = (ndimage.gaussian_filter(rng.standard_normal((side, side)), 3) for _ in range(2))
    there = field > np.quantile(field, 1 - share)
    pieces = label(there * (1 + (other > 0)), background=0, connectivity=1)
    large = np.bincount(pieces.ravel())[pieces] >= 16
    return np.asarray(label(pieces * large, background=0, connectivity=1), np.int32)


def nearest(labels: Labels, y: int, x: int) -> tuple[int, list[tuple[int, int, int]]]:
    """Squared distance of a pixel to the nearest pixels of nuclei, and their labels and places (y, x)."""
    ys, xs = np.nonzero(labels)
    square = (ys - y) ** 2 + (xs - x) ** 2
    least = int(square.min())
    return least, [
        (int(labels[b, a]), int(b), int(a)) for b, a in zip(ys, xs, strict=True) if (b - y) ** 2 + (a - x) ** 2 == least
    ]


def by_the_rule(labels: Labels, radius_px: float) -> Labels:
    """The rule as it is written, pixel by pixel, the nearest first."""
    cells = labels.copy()
    free = [(*nearest(labels, y, x), y, x) for y, x in np.argwhere(labels == 0).tolist()] if labels.any() else []
    for square, places, y, x in sorted(free, key=lambda one: one[0]):
        if square > radius_px**2 + 1e-6:  # a radius is a quotient: 1 um at 0.1 um/px must be 10 px, rounded or not
            continue
        reached, passed = [], []
        for number, b, a in places:
            dy, dx = b - y, a - x
            steps = [(0, np.sign(dx))] * (abs(dx) >= abs(dy)) + [(np.sign(dy), 0)] * (abs(dy) >= abs(dx))
            before = [int(cells[y + step_y, x + step_x]) for step_y, step_x in steps]
            passed += before
            reached += [number] if number in before else []
        cells[y, x] = min(reached or passed)
    return cells


@given(
    hnp.arrays(np.int32, st.tuples(st.integers(3, 14), st.integers(3, 14)), elements=st.sampled_from([0, 0, 0, 0, 1])),
    st.floats(0.5, 7),
)
@example(np.eye(3, dtype=np.int32) * [1, 0, 0], 1.9999999999999991)
@settings(max_examples=60, deadline=None)
def test_cells_are_those_of_the_rule(there: Labels, radius_px: float) -> None:
    labels = np.asarray(label(there, background=0, connectivity=1), np.int32)

    assert np.array_equal(grown(labels, radius_px), by_the_rule(labels, radius_px))


@pytest.mark.parametrize("radius_px", [2.0, 6.0, 9.7])
def test_a_pixel_within_the_distance_belongs_to_a_nearest_nucleus_and_no_other_to_any(radius_px: float) -> None:
    labels = nuclei(60)
    cells = grown(labels, radius_px)

    squares, places = {}, {}
    for y, x in np.argwhere(labels == 0).tolist():
        squares[y, x], places[y, x] = nearest(labels, y, x)
    within = {place for place, square in squares.items() if square <= radius_px**2}
    at_the_nearest = [cells[place] in {number for number, _, _ in places[place]} for place in within]

    assert {tuple(place) for place in np.argwhere((cells > 0) & (labels == 0)).tolist()} == within
    assert np.mean(at_the_nearest) > 0.99  # the others would have lain apart from their cells


def test_the_nucleus_of_the_first_anchor_takes_what_lies_half_way() -> None:
    labels = np.zeros((1, 7), np.int32)
    labels[0, [1, 5]] = 1, 2

    assert grown(labels, 2).tolist() == [[1, 1, 1, 1, 2, 2, 2]]


def test_each_cell_is_one_piece_around_its_nucleus() -> None:
    labels = nuclei(120, share=0.35)
    cells = grown(labels, 8)

    pieces = label(cells, background=0, connectivity=1)
    assert pieces.max() == labels.max() == cells.max()
    assert (cells[labels > 0] == labels[labels > 0]).all()


def test_a_lone_disk_grows_by_the_distance() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[disk((30, 30), 8)] = 1

    assert (grown(labels, 6) > 0).sum() == pytest.approx(np.pi * 14**2, rel=0.05)


@given(st.integers(0, 1000), st.sampled_from([1.0, 3.0, 6.0, 9.3]))
@settings(max_examples=20, deadline=None)
def test_a_window_with_the_reach_around_gives_the_cells_of_the_plane(seed: int, radius_px: float) -> None:
    labels, reach = nuclei(seed=seed, share=0.3), reach_px(radius_px)
    core = Box(30, 24, 62, 50)
    window = core.expand(reach).intersect(Box(0, 0, 90, 90))

    cut = grow(labels[window.slices], radius_px=radius_px, plane=Box(0, 0, 90, 90).relative_to(window))

    assert np.array_equal(cut[core.relative_to(window).slices], grown(labels, radius_px)[core.slices])


def test_nothing_grows_beyond_the_slide() -> None:
    labels = np.zeros((12, 12), np.int32)
    labels[4:6, 4:6] = 1

    cells = grow(labels, radius_px=6, plane=Box(2, 3, 7, 12))

    assert (np.argwhere(cells).min(axis=0) == (3, 2)).all()
    assert np.argwhere(cells)[:, 1].max() == 6


def test_no_nucleus_gives_no_cell() -> None:
    assert not grown(np.zeros((8, 8), np.int32), 4).any()


def test_the_context_is_nothing_without_growth_and_widens_with_it() -> None:
    rules = LabelsConfig()

    assert context_px(rules, 0.5, 0) == 0
    assert context_px(rules, 0.5, 3) < context_px(rules, 0.5, 6) < context_px(rules, 0.25, 6)
