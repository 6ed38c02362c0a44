"""Files that are no slide, or a damaged one: one clear error each, and never wrong pixels."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from tests.helpers.slide_files import HALF_UM, noise, write_ngff
from wsipsm.core.errors import InputError, PixelFormatError, SlideError, UnreadableSlideError
from wsipsm.core.geometry import Box
from wsipsm.slide import open_slide


def write_bad_pixels(folder: Path, kind: str) -> Path:
    """Write one image whose pixels are not 8-bit colour and return its path."""
    image = noise(64, 64)
    tiled = {"tile": (16, 16), **HALF_UM} if kind.startswith("tiled") else {}
    if kind.startswith("pillow"):
        path = folder / ("bad.jpg" if kind.endswith("L") else "bad.tif")
        Pillow.fromarray(image).convert(kind.split()[1]).save(path)
        return path
    pixels, photometric = {
        "grey": (image[..., 0], "minisblack"),
        "16 bits": (image.astype(np.uint16), "rgb"),
        "five channels": (np.dstack([image, image])[..., :5], "rgb"),
    }[kind.removeprefix("tiled ")]
    path = folder / "bad.tif"
    tifffile.imwrite(path, pixels, photometric=photometric, **tiled)
    return path


KINDS = ["grey", "tiled grey", "16 bits", "tiled 16 bits", "five channels", "pillow CMYK", "pillow L"]


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_that_are_not_8_bit_colour_are_refused(tmp_path: Path, kind: str) -> None:
    path = write_bad_pixels(tmp_path, kind)

    with pytest.raises(PixelFormatError, match="expected 8-bit RGB") as caught:
        open_slide(path, mpp=0.5)

    assert str(caught.value).startswith(f"{path}: ")


def test_a_stack_of_pictures_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([noise(64, 64), noise(64, 64)]), photometric="rgb")

    with pytest.raises(PixelFormatError, match="a stack of 2 colour images"):
        open_slide(path, mpp=0.5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.svs", b"", "is empty"),
        ("text.ndpi", b"this is not a slide\n", "not a slide"),
        ("text.png", b"\x89PNG\r\n\x1a\n", "not a slide"),
        ("header.tif", b"II*\0\x08\0\0\0", "cannot open"),
        ("gif.png", b"GIF89a\x01\0\x01\0\0\0\0;", "not a slide"),
        ("folder.svs", None, "is a folder"),
        ("folder.zarr", None, "cannot open"),
    ],
)
def test_what_is_no_slide_gives_one_clear_line(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content)

    with pytest.raises(UnreadableSlideError, match=message) as caught:
        open_slide(path, mpp=0.5)

    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.svs: no such file"):
        open_slide(tmp_path / "none.svs")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_truncated_image_opens_or_not_and_never_gives_pixels(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    Pillow.fromarray(noise(300, 300)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(UnreadableSlideError, match="cut"), open_slide(path, mpp=0.5) as slide:
        slide.read(Box(0, 0, 300, 300), slide.grid(0.5))


def test_a_plain_image_beyond_memory_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    header = b"IHDR" + struct.pack(">IIBBBBB", 2_000_000, 2_000_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 8) + b"IDAT" + bytes(12))

    with pytest.raises(UnreadableSlideError, match=r"huge\.png: .*needs 32000\.0 GB of memory"):
        open_slide(path, mpp=0.5).thumbnail(1000.0)


def test_a_damaged_tile_fails_alone_and_the_slide_reads_on(tmp_path: Path) -> None:
    image = noise(128, 128)
    path = tmp_path / "slide.tiff"
    tifffile.imwrite(path, image, photometric="rgb", tile=(64, 64), compression="zlib", metadata=None, **HALF_UM)
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[3]
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 200)

    with open_slide(path) as slide:
        grid = slide.grid(0.5)
        with pytest.raises(UnreadableSlideError, match=r"slide\.tiff: level 0, pixels x 60\.\.80 y 70\.\.90"):
            slide.read(Box(60, 70, 80, 90), grid)
        after = slide.read(Box(0, 0, 64, 64), grid)

    np.testing.assert_array_equal(after, image[:64, :64])


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "slide.ome.tif"
    tifffile.imwrite(path, noise(40, 50).astype(np.float32), photometric="rgb", metadata={"axes": "YXS"})

    with pytest.raises(PixelFormatError, match="3 channels of float32; expected 8-bit RGB"):
        open_slide(path, mpp=0.5)


def test_an_ngff_of_other_channels_is_refused(tmp_path: Path) -> None:
    five = np.dstack([noise(40, 50)] * 2)[..., :5]

    with pytest.raises(SlideError, match=r"slide\.zarr"):
        open_slide(write_ngff(tmp_path / "slide.zarr", five, 0.5))
