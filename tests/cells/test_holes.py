"""Holes raised at every level, against one labelling of the background a level."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from wsipsm.cells import instances
from wsipsm.config import LabelsConfig


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    smooth=st.sampled_from([0.4, 0.8, 1.5]),
    top=st.integers(1, 17),
    area=st.integers(0, 60),
    extent=st.integers(1, 14),
)
def test_holes_are_raised_as_labelling_each_level_raises_them(
    seed: int, smooth: float, top: int, area: int, extent: int
) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((40, 44)), (0, 0), smooth)
    levels = np.clip(top * (0.5 + noise / noise.std() / 3), 0, top).astype(np.uint8)
    limits = dataclasses.replace(instances._Limits.of(LabelsConfig(), 0.5), hole_area=area, hole_extent=extent)

    np.testing.assert_array_equal(instances._fill_holes(levels, limits), _by_level(levels, area, extent))


def _by_level(levels: npt.NDArray[np.uint8], area: int, extent: int) -> npt.NDArray[np.uint8]:
    """Each level's small holes, from the lowest: what lies in one is at least that level."""
    filled = levels.copy()
    for level in range(1, int(levels.max()) + 1):
        holes, count = ndimage.label(levels < level, np.ones((3, 3)))
        for number, where in enumerate(ndimage.find_objects(holes), start=1):
            inside = holes == number
            rows, columns = where
            inner = rows.start > 0 and columns.start > 0
            inner &= rows.stop < levels.shape[0] and columns.stop < levels.shape[1]
            longest = max(rows.stop - rows.start, columns.stop - columns.start)
            if inner and longest <= extent and inside.sum() <= area:
                filled[inside] = level
        assert count == holes.max()
    return filled
