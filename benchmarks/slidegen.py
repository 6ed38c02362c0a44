"""Slides made from real images, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
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
