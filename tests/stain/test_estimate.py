"""Stain vectors that are found: against vectors that were painted, and under restaining."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from skimage.draw import disk
from skimage.filters import gaussian

from wsipsm.core.errors import FitError
from wsipsm.slide.sample import he_field
from wsipsm.stain.estimate import blind_vectors
from wsipsm.stain.normalise import SlideStats, measure_slide, relative_planes
from wsipsm.stain.optics import Floats, optical_density, tissue_pixels, unmix
from wsipsm.stain.registry import HE_VECTORS

GREEN_RED = np.array([[0.75, 0.25, 0.61], [0.2, 0.8, 0.57], [0.58, -0.55, 0.6]])
"""Stain vectors of no stain."""


def painted(vectors: npt.NDArray[np.float64], seed: int = 0) -> Floats:
    """Density of nuclei in the first stain on a wavy, rough ground of the second, (1, 256, 256, 3)."""
    rng = np.random.default_rng(seed)
    nuclear = np.full((256, 256), 0.05)
    for y, x in rng.integers(10, 246, (60, 2)):
        nuclear[disk((y, x), 6, shape=nuclear.shape)] = rng.uniform(0.5, 0.9)
    y, x = np.mgrid[:256, :256]
    texture = gaussian(rng.normal(0, 1, (256, 256)), 1.5)
    counter = 0.45 + 0.1 * np.sin(x / 17) * np.cos(y / 23) + 0.1 * texture / texture.std()
    both = np.stack([nuclear, counter], axis=-1) + rng.normal(0, 0.01, (256, 256, 2))
    return (both @ vectors[:2])[None].astype(np.float32)


def in_pixels(density: Floats) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(256 * 10.0**-density - 1), 0, 255).astype(np.uint8)


def restained(image: npt.NDArray[np.uint8], vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """H&E image in other stains."""
    stains = np.stack(unmix(optical_density(image)), axis=-1)
    return in_pixels((np.maximum(stains, 0) @ vectors[:2]).astype(np.float32))


@pytest.fixture(scope="module")
def field() -> npt.NDArray[np.uint8]:
    pixels = np.asarray(Image.open(he_field()).convert("RGB"))
    height, width = (size // 2 * 2 for size in pixels.shape[:2])
    halves = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    return halves.mean((1, 3)).round().astype(np.uint8)


@pytest.mark.parametrize("vectors", [np.array(HE_VECTORS), GREEN_RED])
def test_painted_stains_are_told_apart(vectors: npt.NDArray[np.float64]) -> None:
    density = painted(vectors)

    found = blind_vectors(density, np.ones(density.shape[:3], bool))

    expected = density @ np.linalg.pinv(vectors[:2])
    for k, plane in enumerate(unmix(density, found)):
        assert np.corrcoef(plane.ravel(), expected[..., k].ravel())[0, 1] > 0.97
    nuclear, counter, normal = map(np.array, found)
    np.testing.assert_allclose([normal @ nuclear, normal @ counter], 0, atol=1e-6)
    np.testing.assert_allclose([np.linalg.norm(v) for v in (nuclear, counter, normal)], 1)


def test_restaining_does_not_move_what_a_network_sees(field: npt.NDArray[np.uint8]) -> None:
    plain, other = restained(field, np.array(HE_VECTORS)), restained(field, GREEN_RED)

    seen = [relative_planes(image, measure_slide(image[None], "unknown")) for image in (plain, other)]

    tissue = tissue_pixels(optical_density(plain)) & tissue_pixels(optical_density(other))
    assert np.corrcoef(plain[tissue].ravel(), other[tissue].ravel())[0, 1] < 0.8, "it was restained"
    for k in range(3):
        assert np.corrcoef(*(planes[..., k][tissue] for planes in seen))[0, 1] > 0.97
        assert np.abs(seen[0][..., k] - seen[1][..., k])[tissue].mean() < 0.05


def test_on_hematoxylin_and_eosin_the_nuclear_stain_is_hematoxylin(field: npt.NDArray[np.uint8]) -> None:
    found, _ = unmix(optical_density(field), measure_slide(field[None], "unknown").vectors)
    known, eosin = unmix(optical_density(field))

    assert np.corrcoef(found.ravel(), known.ravel())[0, 1] > 0.98
    assert np.corrcoef(found.ravel(), eosin.ravel())[0, 1] < np.corrcoef(known.ravel(), eosin.ravel())[0, 1]


def test_one_stain_is_refused() -> None:
    density = painted(np.array(HE_VECTORS))[..., :1] * np.array([0.65, 0.7, 0.29], np.float32)

    with pytest.raises(FitError, match="one stain"):
        blind_vectors(density, np.ones(density.shape[:3], bool))


def test_planes_of_named_stains_know_no_vectors(field: npt.NDArray[np.uint8]) -> None:
    stats = measure_slide(field[None])

    assert stats.vectors is None
    expected = optical_density(field) / np.array(stats.od_p99, np.float32)
    np.testing.assert_array_equal(relative_planes(field, stats), expected)


def test_constants_with_vectors_survive_a_dictionary(field: npt.NDArray[np.uint8]) -> None:
    stats = measure_slide(field[None], "unknown")

    assert stats.vectors is not None
    assert SlideStats.from_dict(stats.to_dict()) == stats
    assert SlideStats.from_dict({"od_p99": [0.5, 1, 1], "nuclear_od": 0.3}).vectors is None
