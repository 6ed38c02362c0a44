"""Optical density, fixed vectors, and the constants of a slide."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.color import hed2rgb, rgb2hed
from skimage.filters import threshold_otsu

from wsipsm.core.errors import FitError
from wsipsm.stain.normalise import MIN_TISSUE_PX, SlideStats, measure_slide
from wsipsm.stain.optics import mean_density, optical_density, smooth, smooth_radius_px, tissue_pixels, unmix


def random_image(seed: int, shape: tuple[int, ...] = (40, 50)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def test_optical_density_is_the_logarithm_of_every_byte() -> None:
    image = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)

    found = optical_density(image)

    expected = [-math.log10((value + 1) / 256) for value in range(256)]
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)
    assert found.dtype == np.float32


def test_unmixing_is_that_of_scikit_image_up_to_the_base_of_the_logarithm() -> None:
    image = random_image(0)

    hematoxylin, eosin = unmix(optical_density(image))

    # scikit-image divides by log(1e-6) and clips; its values are proportional where they are not clipped.
    theirs = rgb2hed((image.astype(float) + 1) / 256) * -math.log(1e-6) / math.log(10)
    for ours, plane in ((hematoxylin, theirs[..., 0]), (eosin, theirs[..., 1])):
        free = plane > 0
        np.testing.assert_allclose(ours[free], plane[free], atol=1e-5)
        assert (ours[~free] <= 1e-5).all()


def test_pure_haematoxylin_has_no_eosin() -> None:
    stain = np.zeros((1, 1, 3))
    stain[..., 0] = 0.1
    image = np.rint(hed2rgb(stain) * 256 - 1).clip(0, 255).astype(np.uint8)

    hematoxylin, eosin = unmix(optical_density(image))

    assert hematoxylin.item() > 0.3
    assert abs(eosin.item()) < 0.02


def test_smoothing_looks_no_further_than_its_radius() -> None:
    plane = np.zeros((41, 41), np.float32)
    plane[20, 20] = 1

    blurred = smooth(plane, 2.0)

    y, x = np.nonzero(blurred)
    assert smooth_radius_px(2.0) == 6
    assert (y.min(), y.max(), x.min(), x.max()) == (14, 26, 14, 26)
    assert blurred.sum() == pytest.approx(1, abs=1e-5)


def test_smoothing_with_no_width_changes_nothing() -> None:
    plane = np.random.default_rng(0).random((5, 5), dtype=np.float32)

    assert smooth_radius_px(0) == 0
    np.testing.assert_array_equal(smooth(plane, 0), plane)


def test_the_constants_are_those_of_the_tissue_and_ignore_glass() -> None:
    rng = np.random.default_rng(1)
    tissue = rng.integers(60, 200, (4, 64, 64, 3), dtype=np.uint8)
    glass = np.full((12, 64, 64, 3), 250, np.uint8)

    alone, beside_glass = measure_slide(tissue), measure_slide(np.concatenate([tissue, glass]))

    assert beside_glass == alone
    expected = np.percentile(-np.log10((tissue.reshape(-1, 3) + 1.0) / 256), 99, axis=0)
    np.testing.assert_allclose(alone.od_p99, expected, rtol=1e-4)


def test_the_border_is_otsus_threshold_between_two_colours() -> None:
    image = np.full((1, 128, 128, 3), (230, 150, 200), np.uint8)
    image[:, 32:96, 32:96] = (90, 60, 140)

    stats = measure_slide(image)

    light, dark = (unmix(optical_density(image[0, y, y]))[0] for y in (0, 64))
    assert light < stats.nuclear_od < dark
    hematoxylin = smooth(unmix(optical_density(image[0]))[0], 1.5)
    assert stats.nuclear_od == pytest.approx(float(threshold_otsu(hematoxylin)))


@pytest.mark.parametrize("value", [255, 240])
def test_glass_is_not_learnt_from(value: int) -> None:
    with pytest.raises(FitError, match=f"only 0 of 4096 .*at least {MIN_TISSUE_PX}"):
        measure_slide(np.full((1, 64, 64, 3), value, np.uint8))


def test_one_colour_is_not_learnt_from() -> None:
    with pytest.raises(FitError, match="one colour"):
        measure_slide(np.full((2, 64, 64, 3), 100, np.uint8))


def test_the_mean_of_three_colours_is_that_of_numpy_to_the_bit() -> None:
    density = optical_density(np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), np.uint8))

    np.testing.assert_array_equal(mean_density(density), density.mean(axis=-1))


def test_tissue_is_what_is_darker_than_glass() -> None:
    image = np.array([[[255, 255, 255], [235, 235, 235], [180, 120, 160], [0, 0, 0]]], np.uint8)

    assert tissue_pixels(optical_density(image)).tolist() == [[False, False, True, True]]


def test_constants_survive_a_dictionary() -> None:
    stats = SlideStats((0.5, 1.25, 0.75), 0.3)

    assert SlideStats.from_dict(stats.to_dict()) == stats
