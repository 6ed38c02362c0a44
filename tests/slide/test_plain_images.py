"""Plain images: decoded once, whatever their size, and what is decoded serves other processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.helpers.slide_files import noise
from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.geometry import Box
from wsipsm.slide import open_slide

SIDE = 5900
"""Of a picture that is large: 35 Mpx."""


def write_large(path: Path) -> Path:
    image = np.full((SIDE, SIDE, 3), 240, np.uint8)
    image[100:200, 5000:5100] = noise(100, 100)
    Pillow.fromarray(image).save(path, compress_level=1)
    return path


def test_the_decoded_pixels_of_a_large_image_serve_every_other_reader(tmp_path: Path) -> None:
    path, kept = write_large(tmp_path / "large.png"), tmp_path / "pixels.npy"
    with open_slide(path, mpp=0.5) as first:
        first.keep_pixels(kept)
        assert not kept.exists(), "nothing is decoded yet"
        first.read(Box(0, 0, 9, 9), first.grid(0.5))
        first.keep_pixels(kept)
    whole = path.read_bytes()
    path.write_bytes(whole[:500])  # its header: whoever decodes it fails

    with open_slide(path, mpp=0.5) as second:
        second.take_pixels(kept)
        read = second.read(Box(4990, 90, 5110, 210), second.grid(0.5))
        small = second.thumbnail(20.0).image

    np.testing.assert_array_equal(read[10:110, 10:110], noise(100, 100))
    assert (read[:10] == 240).all()
    assert small.shape == (148, 148, 3)


@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY\x01\x00", b"other"])
def test_pixels_that_are_not_there_or_damaged_are_decoded_again(tmp_path: Path, content: bytes | None) -> None:
    path, kept = tmp_path / "a.png", tmp_path / "pixels.npy"
    Pillow.fromarray(noise(50, 60)).save(path)
    if content is not None:
        kept.write_bytes(content)

    with open_slide(path, mpp=0.5) as slide:
        slide.take_pixels(kept)
        np.testing.assert_array_equal(slide.read(Box(0, 0, 60, 50), slide.grid(0.5)), noise(50, 60))


def test_pixels_of_another_image_are_not_taken(tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", noise(50, 61))
    Pillow.fromarray(noise(50, 60)).save(tmp_path / "a.png")

    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        slide.take_pixels(tmp_path / "pixels.npy")
        np.testing.assert_array_equal(slide.read(Box(0, 0, 60, 50), slide.grid(0.5)), noise(50, 60))


def test_small_images_are_not_kept(tmp_path: Path) -> None:
    Pillow.fromarray(noise(50, 60)).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        slide.read(Box(0, 0, 9, 9), slide.grid(0.5))
        slide.keep_pixels(tmp_path / "pixels.npy")

    assert not (tmp_path / "pixels.npy").exists()


def test_a_damaged_image_is_decoded_once_and_not_for_each_of_its_parts(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Pillow.fromarray(noise(300, 300)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000])

    with open_slide(path, mpp=0.5) as slide:
        with pytest.raises(UnreadableSlideError, match="the file is damaged"):
            slide.thumbnail(2.0)
        path.write_bytes(whole)
        with pytest.raises(UnreadableSlideError, match="the file is damaged"):
            slide.read(Box(0, 0, 9, 9), slide.grid(0.5))


def test_an_rgba_png_with_a_16_in_its_size_keeps_its_pixels(tmp_path: Path) -> None:
    """Pillow tells the bits of a sample beside the size."""
    image = noise(20, 160)
    Pillow.fromarray(np.dstack([image, np.full((20, 160), 255, np.uint8)])).save(tmp_path / "a.png")

    with open_slide(tmp_path / "a.png", mpp=0.5) as slide:
        np.testing.assert_array_equal(slide.read(Box(0, 0, 160, 20), slide.grid(0.5)), image)
