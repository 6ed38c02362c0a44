"""Clusters, the evidence they give, and the features they see."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate1d

from wsipsm.config import PseudoMaskConfig
from wsipsm.core.errors import FitError
from wsipsm.core.maps import DECISION
from wsipsm.nuclei.pseudomask import Clusters, FeatureScales, evidence, features, fit_clusters, margin
from wsipsm.stain.optics import optical_density, unmix

CONFIG = PseudoMaskConfig(eosin_weight=0.5)


def two_tissues(
    seed: int, *, nuclei: int = 300, stroma: int = 900
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Features of pixels of pale stroma and dark, active nuclei, and which are nuclei."""
    rng = np.random.default_rng(seed)
    pale = rng.normal((0.2, 0.3, 0.3), 0.03, (stroma, 3))
    dark = rng.normal((0.6, 0.7, 0.2), 0.05, (nuclei, 3))
    order = rng.permutation(nuclei + stroma)
    return np.concatenate([pale, dark]).astype(np.float32)[order], (np.arange(nuclei + stroma) >= stroma)[order]


def nearest_is_nucleus(pixels: npt.NDArray[np.float32], clusters: Clusters) -> npt.NDArray[np.float64]:
    """Distance to the nearest other centre minus distance to the nucleus centre, by brute force."""
    scaled = (pixels.astype(np.float64) - clusters.offset) * clusters.gain
    distances = np.linalg.norm(scaled[:, None] - np.array(clusters.centres)[None], axis=-1)
    others = np.delete(distances, clusters.nucleus, axis=1).min(axis=1)
    return others - distances[:, clusters.nucleus]


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mask_is_the_nearest_centre(seed: int, count: int) -> None:
    pixels, _ = two_tissues(seed)
    clusters = fit_clusters(pixels, CONFIG.model_copy(update={"clusters": count}), mpp=0.5, seed=seed)
    anywhere = np.random.default_rng(seed).random((5000, 3), dtype=np.float32)

    found = evidence(anywhere, clusters) >= DECISION

    lead = nearest_is_nucleus(anywhere, clusters)
    clear = np.abs(lead) > 1e-5
    np.testing.assert_array_equal(found[clear], lead[clear] > 0)
    assert 0.01 < found.mean() < 0.99


@pytest.mark.parametrize("seed", range(5))
def test_nuclei_are_found_whatever_the_seed(seed: int) -> None:
    pixels, nuclei = two_tissues(seed)

    clusters = fit_clusters(pixels, PseudoMaskConfig(), mpp=0.5, seed=seed)

    np.testing.assert_array_equal(evidence(pixels, clusters) >= DECISION, nuclei)


def test_evidence_rises_towards_the_nucleus() -> None:
    pixels, _ = two_tissues(0)
    clusters = fit_clusters(pixels, PseudoMaskConfig(), mpp=0.5, seed=0)
    way = np.linspace((0.1, 0.2, 0.3), (0.9, 1.0, 0.3), 200, dtype=np.float32)

    found = evidence(way, clusters).astype(int)

    assert (np.diff(found) >= 0).all()
    assert (found[0], found[-1]) == (0, 255)
    assert len(np.unique(found)) > 60


def test_the_dynamic_range_ends_at_the_surest_pixels() -> None:
    pixels, nuclei = two_tissues(0)

    found = evidence(pixels, fit_clusters(pixels, PseudoMaskConfig(), mpp=0.5, seed=0))

    assert 0.002 < (found == 255).mean() < 0.01
    assert np.median(found[nuclei]) > 170


def test_the_margin_is_a_distance() -> None:
    clusters = Clusters(0.7, 8, 0.5, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), ((0.0, 0, 0), (2.0, 0, 0), (0.0, 4, 0)), 0, 1.0)
    pixels = np.array([[0, 0, 0], [1, 0, 0], [1.5, 0, 7], [0, 1.75, 0], [0, 3, 0]], np.float32)

    np.testing.assert_allclose(margin(pixels, clusters), [1, 0, -0.5, 0.25, -1], atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(0.2, 5), shift=st.floats(-2, 2), seed=st.integers(0, 1000))
def test_evidence_does_not_depend_on_the_strength_of_the_stain(scale: float, shift: float, seed: int) -> None:
    pixels, _ = two_tissues(seed)
    moved = (pixels * np.float32(scale) + np.float32(shift)).astype(np.float32)

    one, other = (evidence(p, fit_clusters(p, CONFIG, mpp=0.5, seed=0)).astype(int) for p in (pixels, moved))

    assert np.abs(one - other).max() <= 1


def test_a_fit_is_repeated_to_the_bit() -> None:
    pixels, _ = two_tissues(3)

    assert fit_clusters(pixels, CONFIG, mpp=0.5, seed=1) == fit_clusters(pixels.copy(), CONFIG, mpp=0.5, seed=1)


def test_clusters_survive_json() -> None:
    clusters = fit_clusters(two_tissues(0)[0], CONFIG, mpp=0.5, seed=0)

    assert Clusters.from_dict(json.loads(json.dumps(clusters.to_dict()))) == clusters


def test_lengths_are_given_in_pixels_of_the_grid() -> None:
    pixels, _ = two_tissues(0)

    fine, coarse = (fit_clusters(pixels, CONFIG, mpp=mpp, seed=0) for mpp in (0.25, 0.5))

    assert (fine.smoothing_px, fine.surroundings_px) == (2 * coarse.smoothing_px, 2 * coarse.surroundings_px)
    assert fine.halo_px == FeatureScales(1.4, 16, 0.5).halo_px == 5 + 48


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((100, 3), 0.5, np.float32), "hematoxylin and activation and eosin the same"),
        (np.tile(np.array([[0.1, 0.2, 0.5], [0.3, 0.9, 0.5]], np.float32), (50, 1)), "^eosin the same"),
    ],
)
def test_flat_tissue_is_not_clustered(pixels: npt.NDArray[np.float32], reason: str) -> None:
    with pytest.raises(FitError, match=reason):
        fit_clusters(pixels, CONFIG, mpp=0.5, seed=0)


def test_a_feature_of_no_weight_may_be_flat() -> None:
    pixels, nuclei = two_tissues(0)
    pixels[:, 2] = 0.5

    found = evidence(pixels, fit_clusters(pixels, PseudoMaskConfig(eosin_weight=0), mpp=0.5, seed=0))

    np.testing.assert_array_equal(found >= DECISION, nuclei)


def test_fewer_colours_than_clusters_are_refused() -> None:
    pixels = np.tile(np.array([[0.1, 0.2, 0.3], [0.6, 0.7, 0.5]], np.float32), (50, 1))

    with pytest.raises(FitError, match=r"fewer distinct tissue pixels than clusters \(3\)"):
        fit_clusters(pixels, CONFIG.model_copy(update={"clusters": 3}), mpp=0.5, seed=0)


def slow_gaussian(plane: npt.NDArray[np.float64], sigma: float) -> npt.NDArray[np.float64]:
    """Gaussian of three standard deviations by scipy, in float64."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in (0, 1):
        plane = correlate1d(plane, kernel / kernel.sum(), axis=axis, mode="mirror")
    return plane


def test_features_are_smoothed_planes_less_their_surroundings() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)
    activation = rng.random((70, 80), dtype=np.float32)

    found = features(image, activation, FeatureScales(0.7, 4, 0.5), vectors=None)

    hematoxylin, eosin = unmix(optical_density(image))
    for k, plane in enumerate((hematoxylin, activation, eosin)):
        near = slow_gaussian(plane.astype(np.float64), 0.7)
        expected = near - 0.5 * slow_gaussian(near, 4)
        np.testing.assert_allclose(found[..., k], expected[15:-15, 15:-15], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(y=st.integers(0, 40), x=st.integers(0, 40), contrast=st.sampled_from([0.0, 0.6]))
def test_features_of_a_window_are_those_of_the_whole(y: int, x: int, contrast: float) -> None:
    rng = np.random.default_rng(1)
    image, activation = rng.integers(0, 256, (120, 120, 3), dtype=np.uint8), rng.random((120, 120), dtype=np.float32)
    scales = FeatureScales(0.7, 4, contrast)
    halo = scales.halo_px
    window = slice(y, y + 24 + 2 * halo), slice(x, x + 24 + 2 * halo)

    whole, part = (
        features(i, a, scales, vectors=None) for i, a in ((image, activation), (image[window], activation[window]))
    )

    np.testing.assert_allclose(part, whole[y : y + 24, x : x + 24], atol=1e-5)
