"""What is looked up in tables against what is computed for every pixel."""

from __future__ import annotations

import numpy as np
import pytest

from wsipsm.stain.normalise import SlideStats, network_planes, relative_planes, stain_density, stain_steps
from wsipsm.stain.registry import HDAB_VECTORS, HE_VECTORS

BACKGROUND = (0.02, 0.05, 0.01)
STATS = {
    "colours": SlideStats((0.9, 1.1, 0.8), 0.4),
    "above background": SlideStats((1.0, 1.0, 1.0), 0.3, HDAB_VECTORS, background=BACKGROUND),
    "other chromogen": SlideStats((1.0, 1.0, 1.0), 0.3, HE_VECTORS, background=BACKGROUND),
    "without chromogen": SlideStats((1.0,) * 3, 0.3, HDAB_VECTORS, background=BACKGROUND, without_chromogen=True),
    "stains": SlideStats((1.2, 0.7, 0.9), 0.3, HE_VECTORS),
}


@pytest.mark.parametrize("name", STATS)
def test_planes_and_steps_have_the_bits_of_the_plain_computation(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    stats = STATS[name]

    steps = stain_steps(image, stats, 0.02)

    np.testing.assert_array_equal(network_planes(image, stats), relative_planes(image, stats), strict=True)
    expected = [np.clip(np.rint(density / 0.02), -128, 127).astype(np.int8) for density in stain_density(image, stats)]
    np.testing.assert_array_equal(steps, np.stack(expected), strict=True)
