"""Slides made from real images, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def read_rgb(path: Path) -> Pixels:
    """RGB pixels of an image file, (y, x, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def mosaic(images: Sequence[Pixels], side: int) -> Pixels:
    """Square of ``side`` px tiled by images, every other one mirrored so that each seam continues the tissue.

    Images are taken in turn; where two different ones meet, half nuclei meet too.
    """
    height, width = images[0].shape[:2]
    rows, cols = -(-side // height), -(-side // width)
    canvas = np.empty((rows * height, cols * width, 3), np.uint8)
    for row in range(rows):
        for col in range(cols):
            image = images[(row * cols + col) % len(images)]
            piece = image[:: -1 if row % 2 else 1, :: -1 if col % 2 else 1]
            canvas[row * height : (row + 1) * height, col * width : (col + 1) * width] = piece
    return canvas[:side, :side]


def write_slide(path: Path, pixels: Pixels, *, mpp: float | None, compression: str = "deflate") -> Path:
    """Write a tiled TIFF pyramid that OpenSlide reads; ``mpp`` goes into its resolution tags."""
    resolution = {} if mpp is None else {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    shape = {"tile": (256, 256), "photometric": "rgb", "compression": compression}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **shape, **resolution)
        level = pixels
        while max(level.shape[:2]) > 1024:
            height, width = (size // 4 * 4 for size in level.shape[:2])
            level = level[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3)).astype(np.uint8)
            coarse = (
                {} if mpp is None else {"resolution": (1e4 / mpp / 4, 1e4 / mpp / 4), "resolutionunit": "CENTIMETER"}
            )
            tiff.write(level, **shape, **coarse, subfiletype=1)
    return path


def write_endless(path: Path, texture: Pixels, side: int, *, mpp: float) -> Path:
    """Write a square pyramid of any side, JPEG, the texture over and over; one row of tiles is held at a time.

    ``texture`` is square, its side a multiple of 1024 px, so that levels at 4 and 16 repeat whole tiles too.
    """
    shape = {"tile": (256, 256), "photometric": "rgb", "compression": "jpeg", "dtype": np.uint8}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        step = 1
        while side // step >= 1024 or step == 1:
            height, width = (size // step for size in texture.shape[:2])
            level = texture[: height * step, : width * step].reshape(height, step, width, step, 3).mean((1, 3))
            pixels = side // step
            tiff.write(
                _tiles(level.astype(np.uint8), pixels),
                shape=(pixels, pixels, 3),
                subfiletype=int(step > 1),
                resolution=(1e4 / mpp / step, 1e4 / mpp / step),
                resolutionunit="CENTIMETER",
                **shape,
            )
            step *= 4
    return path


def _tiles(texture: Pixels, side: int) -> Iterator[Pixels]:
    """Tiles of 256 px of a plane that repeats the texture, row by row."""
    height, width = texture.shape[:2]
    for y in range(0, side, 256):
        rows = texture[np.arange(y, y + 256) % height]
        for x in range(0, side, 256):
            yield rows[:, np.arange(x, x + 256) % width]
