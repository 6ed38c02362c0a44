"""Stain vectors of synthetic mixtures, and densities in other stains."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wsipsm.core.errors import FitError
from wsipsm.stain.registry import HDAB_VECTORS
from wsipsm.stain.two_stains import complete, degrees_between, find_two_stains, restained

CHROMOGENS = {"DAB": (0.27, 0.57, 0.78), "AEC": (0.27, 0.68, 0.68), "Fast Red": (0.21, 0.85, 0.48)}
"""Ruifrok and Johnston 2001, and ImageJ's colour deconvolution."""


def mixture(vectors: npt.NDArray[np.float64], positive: float, seed: int) -> npt.NDArray[np.float32]:
    """Density of pixels of the one stain, of the other, and of both, with the noise of a camera."""
    rng = np.random.default_rng(seed)
    amounts = rng.exponential(0.4, (60_000, 2))
    kind = rng.choice(3, len(amounts), p=[0.9 - positive, positive, 0.1])
    amounts[kind == 0, 1] = 0
    amounts[kind == 1, 0] = 0
    return (amounts @ vectors + rng.normal(0, 0.008, (len(amounts), 3))).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    chromogen=st.sampled_from(sorted(CHROMOGENS)),
    tilt=st.tuples(*[st.floats(-0.08, 0.08)] * 6),
    positive=st.floats(0.05, 0.85),
    seed=st.integers(0, 100),
)
def test_known_vectors_are_found(chromogen: str, tilt: tuple[float, ...], positive: float, seed: int) -> None:
    vectors = np.array([HDAB_VECTORS[0], CHROMOGENS[chromogen]]) + np.array(tilt).reshape(2, 3)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assume(degrees_between(tuple(vectors[0]), tuple(vectors[1])) > 25)

    found = find_two_stains(mixture(vectors, positive, seed), HDAB_VECTORS)

    for k in range(2):
        assert degrees_between(found[k], tuple(vectors[k])) < 6
        assert np.linalg.norm(found[k]) == pytest.approx(1)
    assert np.dot(found[2], found[0]) == pytest.approx(0, abs=1e-9)


def test_a_slide_of_one_stain_says_so() -> None:
    rng = np.random.default_rng(1)
    density = rng.exponential(0.4, (60_000, 1)) * np.array(HDAB_VECTORS[0]) + rng.normal(0, 0.008, (60_000, 3))

    with pytest.raises(FitError, match="one stain only"):
        find_two_stains(density.astype(np.float32), HDAB_VECTORS)


def test_too_little_stain_says_so() -> None:
    with pytest.raises(FitError, match="stained pixels"):
        find_two_stains(np.full((5_000, 3), 0.01, np.float32), HDAB_VECTORS)


def test_restaining_keeps_the_amounts() -> None:
    amounts = np.random.default_rng(0).exponential(0.5, (500, 2))
    red = complete(HDAB_VECTORS[0], CHROMOGENS["Fast Red"])
    brown = complete(HDAB_VECTORS[0], HDAB_VECTORS[1])
    density = (amounts @ np.array(red[:2])).astype(np.float32)

    np.testing.assert_allclose(restained(density, red, HDAB_VECTORS), amounts @ np.array(brown[:2]), atol=1e-5)
    np.testing.assert_allclose(restained(density, HDAB_VECTORS, HDAB_VECTORS), density, atol=1e-5)
