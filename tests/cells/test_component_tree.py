"""The component tree against one labelling a level."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipsm.cells.component_tree import component_tree

SUMS = ("area", "x", "y", "xx", "yy", "xy", "x0", "x1", "y0", "y1")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), values=st.sampled_from([2, 5, 200]))
def test_the_nodes_of_a_tree_are_the_components_scipy_finds(seed: int, values: int) -> None:
    levels = np.random.default_rng(seed).integers(0, values, (12, 14)).astype(np.uint8)
    mask = np.random.default_rng(seed + 1).random(levels.shape) < 0.5

    tree = component_tree(levels)

    sums, masked = tree.sums(), tree.count(mask)
    lowest = np.where(tree.parent >= 0, tree.level[tree.parent] + 1, 1)
    for k in range(1, int(levels.max()) + 1):
        components, count = ndimage.label(levels >= k)
        nodes = np.flatnonzero((lowest <= k) & (k <= tree.level))
        expected = sorted(_described(components == n, mask) for n in range(1, count + 1))
        found = np.stack([*(getattr(sums, name) for name in SUMS), masked], axis=1)[nodes]
        assert sorted(map(tuple, found.tolist())) == expected
    assert (np.diff(tree.level) <= 0).all()
    assert (tree.parent[tree.parent >= 0] > np.flatnonzero(tree.parent >= 0)).all()


def _described(component: np.ndarray, mask: np.ndarray) -> tuple[int, ...]:
    y, x = np.nonzero(component)
    sums = (len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())
    return (*map(int, sums), int(x.min()), int(x.max()), int(y.min()), int(y.max()), int((component & mask).sum()))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_pixel_gets_the_value_of_the_smallest_component_that_holds_it(seed: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 4, (9, 11)).astype(np.uint8)
    tree = component_tree(levels)

    painted = tree.paint(tree.level, levels.shape)

    np.testing.assert_array_equal(painted, levels)


def test_values_go_up_to_every_component_around_and_the_outermost_wanted_one_is_found() -> None:
    levels = np.array([[0, 1, 3, 1, 2, 0, 2]], np.uint8)
    tree = component_tree(levels)  # 3, two of 2, and 1 around the first two

    largest = tree.maximum(np.array([0.5, 4.0, 2.0, 1.0]))
    outermost = tree.topmost(np.array([True, False, True, False]))

    assert tree.level.tolist() == [3, 2, 2, 1]
    assert tree.parent.tolist() == [3, 3, -1, -1]
    assert largest.tolist() == [0.5, 4.0, 2.0, 4.0]
    assert outermost.tolist() == [0, -1, 2, -1]
