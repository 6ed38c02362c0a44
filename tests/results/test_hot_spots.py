"""Hot spots: the known one is found, whatever the order of the cells, and by brute force there is none higher."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipsm.core.geometry import Box, Grid
from wsipsm.results.index.hot_spots import FieldRule, HotSpot, find_hot_spots
from wsipsm.results.index.lattice import GradeLattice

GRID = Grid(4000, 3000, 2.0, 0.5)
"""2 x 1.5 mm."""


def lattice_of(anchors: npt.NDArray[np.int64], grades: npt.NDArray[np.uint8]) -> GradeLattice:
    lattice = GradeLattice.over(GRID)
    lattice.add(anchors, grades)
    return lattice


def slide_with_a_hot_spot() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """15,000 cells, one in ten positive; in a square of 320 um at (1024, 640) two of three. Anchors and grades."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, GRID.width, 15_000), rng.integers(0, GRID.height, 15_000)
    hot = (x >= 1024) & (x < 1664) & (y >= 640) & (y < 1280)
    grades = np.where(rng.random(15_000) < np.where(hot, 0.67, 0.1), rng.integers(1, 4, 15_000), 0)
    return y * GRID.width + x, grades.astype(np.uint8)


def overlap(first: Box, second: Box) -> bool:
    return not first.intersect(second).empty


def brute_force(lattice: GradeLattice, rule: FieldRule) -> list[HotSpot]:
    """Every square, looked at one by one."""
    _, rows, cols = lattice.counts.shape
    total = lattice.total()
    fields = []
    for side in rule.sides(lattice.bin_um):
        for row, col in itertools.product(range(rows - side + 1), range(cols - side + 1)):
            counts = lattice.counts[:, row : row + side, col : col + side].sum((1, 2))
            cells, positive = int(counts.sum()), int(counts[1:].sum())
            most = np.inf if rule.mm2 else 2 * rule.least_cells
            if rule.least_cells <= cells <= most and positive:
                box, low = lattice.square(row, col, side), positive * sum(total) < sum(total[1:]) * cells
                fields.append(((-positive / cells, -cells, side, row, col, low), HotSpot(box, tuple(counts.tolist()))))
    found: list[HotSpot] = []
    for (*_, low), field in sorted(fields, key=lambda one: one[0]):
        if len(found) < 5 and not (found and low) and not any(overlap(field.box, other.box) for other in found):
            found.append(field)
    return found


def test_the_known_hot_spot_is_found() -> None:
    lattice = lattice_of(*slide_with_a_hot_spot())

    spots = find_hot_spots(lattice, FieldRule(least_cells=300, mm2=0.1024))

    assert spots[0].box.intersect(Box(1024, 640, 1664, 1280)).width >= 0.9 * 640
    assert spots[0].box.intersect(Box(1024, 640, 1664, 1280)).height >= 0.9 * 640
    assert 0.55 < sum(spots[0].counts[1:]) / sum(spots[0].counts) < 0.8


def test_fields_hold_five_hundred_to_a_thousand_cells_and_do_not_overlap() -> None:
    spots = find_hot_spots(lattice_of(*slide_with_a_hot_spot()), FieldRule())

    assert len(spots) == 5
    assert all(500 <= sum(spot.counts) <= 1000 for spot in spots)
    assert not any(overlap(one.box, other.box) for one, other in itertools.combinations(spots, 2))
    shares = [sum(spot.counts[1:]) / sum(spot.counts) for spot in spots]
    assert shares == sorted(shares, reverse=True)
    assert overlap(spots[0].box, Box(1024, 640, 1664, 1280))


def test_a_field_counts_exactly_the_cells_whose_anchors_lie_in_it() -> None:
    anchors, grades = slide_with_a_hot_spot()
    y, x = np.divmod(anchors, GRID.width)

    for spot in find_hot_spots(lattice_of(anchors, grades), FieldRule()):
        inside = spot.box.contains_points(np.stack([x, y], axis=1))
        assert spot.counts == tuple(np.bincount(grades[inside], minlength=4).tolist())


@pytest.mark.parametrize("batches", [1, 7, 200])
def test_neither_order_nor_batches_of_cells_matter(batches: int) -> None:
    anchors, grades = slide_with_a_hot_spot()
    expected = find_hot_spots(lattice_of(anchors, grades), FieldRule())

    shuffled = GradeLattice.over(GRID)
    for part in np.array_split(np.random.default_rng(batches).permutation(len(anchors)), batches):
        shuffled.add(anchors[part], grades[part])

    assert find_hot_spots(shuffled, FieldRule()) == expected


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), least=st.integers(1, 12), fixed=st.booleans(), bins=st.integers(1, 8))
def test_no_field_is_better_by_brute_force(seed: int, least: int, fixed: bool, bins: int) -> None:
    rng, grid = np.random.default_rng(seed), Grid(64 * 7, 64 * bins - 10, 2.0, 0.5)
    lattice = GradeLattice.over(grid)
    lattice.counts[:] = rng.poisson(rng.choice([0.2, 2.0]), lattice.counts.shape) * (
        rng.random(lattice.counts.shape) < 0.5
    )
    rule = FieldRule(least, mm2=0.0041 if fixed else None)

    assert find_hot_spots(lattice, rule) == brute_force(lattice, rule)


@pytest.mark.parametrize(
    ("anchors", "grades"),
    [([], []), (range(2000), [0] * 2000), (range(400), [1] * 400)],
    ids=["no cell", "no positive cell", "too few cells"],
)
def test_where_there_is_no_hot_spot_none_is_made_up(anchors: list[int], grades: list[int]) -> None:
    lattice = lattice_of(np.array(anchors, np.int64), np.array(grades, np.uint8))

    assert find_hot_spots(lattice, FieldRule()) == []


def test_bins_grow_on_a_slide_so_large_that_they_would_fill_the_memory() -> None:
    lattice = GradeLattice.over(Grid(400_000, 1000, 1.0, 0.25))

    assert lattice.counts.shape[2] <= 2048
    assert lattice.bin_px == 196
