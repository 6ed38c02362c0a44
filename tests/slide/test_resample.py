"""Area averages against block means and a written-out float64 reference, and their independence of the request."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from wsipsm.core.geometry import Box, Grid, Image
from wsipsm.slide import Slide, open_slide
from wsipsm.slide.resample import area_mean, over_white, source_box

WIDTH, HEIGHT = 151, 97


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def block_means(image: Image, n: int) -> Image:
    """Exact means of n x n blocks, halves up, white beyond the edge."""
    height, width = (math.ceil(size / n) * n for size in image.shape[:2])
    padded = np.full((height, width, 3), 255, np.int64)
    padded[: image.shape[0], : image.shape[1]] = image
    sums = padded.reshape(height // n, n, width // n, n, 3).sum(axis=(1, 3))
    return ((2 * sums + n * n) // (2 * n * n)).astype(np.uint8)


def overlap_matrix(n_out: int, n_in: int, scale: float) -> np.ndarray:
    """Dense (n_out, n_in) float64 share of each source pixel in each output pixel."""
    low = np.arange(n_out)[:, None] * scale
    pixel = np.arange(n_in)[None]
    return np.clip(np.minimum(low + scale, pixel + 1) - np.maximum(low, pixel), 0, None) / scale


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = tmp_path_factory.mktemp("plain") / "noise.png"
    Pillow.fromarray(noise(HEIGHT, WIDTH)).save(path)
    return open_slide(path, mpp=1.0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 16, 300])
def test_whole_downsamples_are_exact_block_means(n: int) -> None:
    box = Box(0, 0, 900 // n, 600 // n)
    image = noise(box.height * n, box.width * n)

    out = area_mean(image, box, n, n)

    np.testing.assert_array_equal(out, block_means(image, n))


@pytest.mark.parametrize(("scale_x", "scale_y"), [(1.7, 1.7), (2.0005, 1.9995), (1.25, 3.0), (2.0, 5.3)])
def test_fractional_downsamples_match_dense_float64_weights(scale_x: float, scale_y: float) -> None:
    box = Box(0, 0, 40, 30)
    need = source_box(box, scale_x, scale_y)
    image = noise(need.height, need.width)

    out = area_mean(image, box, scale_x, scale_y)

    rows, columns = overlap_matrix(30, need.height, scale_y), overlap_matrix(40, need.width, scale_x)
    exact = np.einsum("yj,jic,xi->yxc", rows, image.astype(float), columns)
    assert np.abs(out - exact).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("scale", [1.3, 2.0, 17.77])
def test_a_flat_image_keeps_its_value(value: int, scale: float) -> None:
    box = Box(3, 5, 20, 23)
    source = np.full((*source_box(box, scale, scale).shape, 3), value, np.uint8)

    out = area_mean(source, box, scale, scale)

    assert (out == value).all()


@settings(deadline=None, max_examples=150)
@given(
    downsample=st.sampled_from([1.0, 1.7, 2.0, 2.0005, 3.0, 5.31, 16.0]) | st.floats(1, 12),
    x=st.integers(-30, WIDTH),
    y=st.integers(-30, HEIGHT),
    width=st.integers(0, 40),
    height=st.integers(0, 40),
)
def test_a_small_read_equals_the_crop_of_a_large_one(
    slide: Slide, downsample: float, x: int, y: int, width: int, height: int
) -> None:
    grid = Grid(math.ceil(WIDTH / downsample), math.ceil(HEIGHT / downsample), downsample, downsample)
    large, small = Box(-40, -40, WIDTH + 80, HEIGHT + 80), Box(x, y, x + width, y + height)

    crop = slide.read(large, grid)[small.relative_to(large).slices]

    np.testing.assert_array_equal(slide.read(small, grid), crop)


def test_memory_bands_do_not_show(slide: Slide, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(89, 58, 1.7, 1.7)
    whole = slide.read(grid.box, grid)

    monkeypatch.setattr("wsipsm.slide.resample._SOURCE_PX_AT_ONCE", 1000)

    np.testing.assert_array_equal(slide.read(grid.box, grid), whole)


def test_outside_the_plane_is_white(slide: Slide) -> None:
    grid = slide.grid(2.0)

    assert (slide.read(Box(-50, -50, -10, 0), grid) == 255).all()
    assert (slide.read(Box(grid.width, 0, grid.width + 5, 9), grid) == 255).all()
    assert slide.read(Box(3, 3, 3, 9), grid).shape == (6, 0, 3)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jp2"])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_grid_pixel_zero_starts_at_level_0_pixel_zero(tmp_path: Path, suffix: str, n: int) -> None:
    image = noise(HEIGHT, WIDTH, seed=1)
    path = tmp_path / f"image{suffix}"
    Pillow.fromarray(image).save(path)

    with open_slide(path, mpp=0.25) as slide:
        grid = slide.grid(0.25 * n)
        out = slide.read(grid.box, grid)

    assert grid.shape == (math.ceil(HEIGHT / n), math.ceil(WIDTH / n))
    np.testing.assert_array_equal(out, block_means(image, n))


def test_transparent_pixels_are_white_and_half_transparent_ones_half_way() -> None:
    rgba = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [100, 0, 255, 51]]], np.uint8)

    out = over_white(rgba)

    assert out.tolist() == [[[255, 255, 255], [10, 20, 30], [224, 204, 255]]]


def test_opaque_images_pass_unchanged() -> None:
    image = noise(5, 7)
    rgba = np.dstack([image, np.full((5, 7), 255, np.uint8)])

    np.testing.assert_array_equal(over_white(rgba), image)
