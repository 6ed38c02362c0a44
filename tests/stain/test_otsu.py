"""Otsu's threshold against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import threshold_otsu

from wsipsm.stain.otsu import otsu_threshold


@given(st.lists(st.integers(-300, 300), min_size=2, max_size=200).filter(lambda some: len(set(some)) > 1))
def test_it_is_that_of_scikit_image_to_the_bit(hundredths: list[int]) -> None:
    array = np.array(hundredths, np.float32) / 100

    assert otsu_threshold(array) == float(threshold_otsu(array))


@pytest.mark.parametrize("seed", range(5))
def test_it_parts_two_heaps_as_scikit_image_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    heaps = [rng.normal(0.2, 0.05, 30_000), rng.normal(0.9, 0.2, 1_000 * (seed + 1))]
    array = np.concatenate(heaps).astype(np.float32)

    found = otsu_threshold(array)

    assert found == float(threshold_otsu(array))
    assert 0.3 < found < 0.8
