"""Means around cells against a walk over all pixels."""

from __future__ import annotations

import numpy as np
import pytest

from wsipsm.cells.regions import largest_components
from wsipsm.cells.surroundings import mean_around


@pytest.mark.parametrize("radius", [1, 3, 4, 6, 8, 16])
def test_means_are_those_of_a_walk_over_all_pixels(radius: int) -> None:
    rng = np.random.default_rng(radius)
    labels = np.zeros((60, 70), np.int32)
    labels[20:26, 20:30], labels[35:41, 40:44], labels[:3, :3] = 1, 2, 3
    plane = rng.integers(-128, 128, labels.shape).astype(np.int8)
    background = (labels == 0) & (rng.random(labels.shape) < 0.5)

    found = mean_around(largest_components(labels, np.ones(3, bool)), plane, background, radius_px=radius)

    free = np.argwhere(background)
    for label, mean in enumerate(found, start=1):
        own = np.argwhere(labels == label)
        near = ((own[:, None] - free[None]) ** 2).sum(axis=-1) <= radius**2
        values = plane[tuple(free.T)].astype(int)
        assert mean == (near.sum(axis=0) * values).sum() / near.sum()


@pytest.mark.parametrize("radius", [4, 6, 12])
def test_a_cell_without_background_has_a_mean_of_nothing_in_every_window(radius: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.ones((90, 90), np.int32)
    labels[40:50, 40:50] = 2
    plane = rng.integers(-128, 128, labels.shape).astype(np.int8)
    background = np.zeros(labels.shape, bool)
    background[:5] = True

    for cut in range(6):
        window = slice(cut, 90 - cut)
        components = largest_components(labels[window, window], np.array([False, True]))
        found = mean_around(components, plane[window, window], background[window, window], radius_px=radius)
        assert found.tolist() == [0.0]
