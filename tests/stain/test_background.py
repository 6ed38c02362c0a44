"""Background of tissue: against one that was painted, whatever is stained on it."""

from __future__ import annotations

import numpy as np
import pytest

from wsipsm.stain.background import background_density

HAZE = np.array([0.07, 0.08, 0.11])


@pytest.mark.parametrize("stained", [0.0, 0.2, 0.45])
def test_the_background_is_found_however_much_is_stained(stained: float) -> None:
    rng = np.random.default_rng(0)
    density = HAZE + rng.normal(0, 0.015, (200, 200, 3))
    nuclei = rng.random((200, 200)) < stained
    density[nuclei] += rng.exponential(0.5, (int(nuclei.sum()), 1)) * np.array([0.65, 0.70, 0.29])

    np.testing.assert_allclose(background_density(density.astype(np.float32)), HAZE, atol=0.006)


def test_white_paint_is_no_background() -> None:
    density = np.zeros((100, 100, 3), np.float32)
    density[:40] = HAZE

    np.testing.assert_allclose(background_density(density), HAZE, atol=0.003)


def test_nothing_but_white_has_a_background_of_nothing() -> None:
    assert background_density(np.zeros((10, 10, 3), np.float32)) == (0.0, 0.0, 0.0)
