"""Drawing on RGB images: outlines, edges of labels, the viridis colour map, PNG and JPEG files."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from wsipsm.cells.classes import CLASSES
from wsipsm.core.geometry import Image, Mask

Points = npt.NDArray[np.float64]
"""float64, (N, 2), (x, y)."""
Color = tuple[int, int, int]
"""RGB, 0 to 255."""

CELL_COLOR: Color = (0, 245, 140)
"""Outlines of cells: a green far from the pink, violet and brown of stained tissue."""

_SHIFT = 4
"""OpenCV draws in units of 2 ** -_SHIFT pixel."""


def color_of(name: str) -> Color:
    """Colour of the outlines of a class; nuclei without a class have one that is seen on their own stain."""
    number = CLASSES.names.index(name)
    return CLASSES.colors[number] if number else CELL_COLOR


def outline(image: Image, ring: Points, color: Color, *, thickness: int = 1) -> None:
    """Draw a closed ring onto an image in place, anti-aliased and exact to a sixteenth of a pixel.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB, contiguous.
    ring : (N, 2) float64
        Corners (x, y) in pixels of the image, whose first pixel covers [0, 1) x [0, 1); what lies outside is cut off.
    color : (int, int, int)
        RGB.
    thickness : int
        Pixels.
    """
    cv2.polylines(image, [_fixed_point(ring)], True, color, thickness, cv2.LINE_AA, _SHIFT)


def fill(shape: tuple[int, int], rings: list[Points]) -> Mask:
    """Mask (y, x) of rings in pixels; a ring inside another is a hole."""
    mask = np.zeros(shape, np.uint8)
    if rings:
        cv2.fillPoly(mask, [_fixed_point(ring) for ring in rings], 1, cv2.LINE_8, _SHIFT)
    return mask.astype(bool)


def label_edges(labels: npt.NDArray[np.integer[Any]], *, at_border: bool = False) -> Mask:
    """Pixels of objects with a 4-neighbour of another label, or (``at_border``) outside the image; (y, x)."""
    padded = np.pad(labels, 1, mode="constant" if at_border else "edge")
    edge = np.zeros(labels.shape, bool)
    for y, x in ((0, 1), (2, 1), (1, 0), (1, 2)):
        edge |= padded[y : y + labels.shape[0], x : x + labels.shape[1]] != labels
    return edge & (labels > 0)


def viridis(values: npt.NDArray[np.float32]) -> Image:
    """RGB of values in [0, 1], (y, x), in the colour map viridis; values outside are clipped."""
    return _colored(values, cv2.COLORMAP_VIRIDIS)


def plasma(values: npt.NDArray[np.float32]) -> Image:
    """RGB of values in [0, 1], (y, x), in the colour map plasma; values outside are clipped."""
    return _colored(values, cv2.COLORMAP_PLASMA)


def _colored(values: npt.NDArray[np.float32], color_map: int) -> Image:
    levels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, color_map), cv2.COLOR_BGR2RGB), np.uint8)


def write_text(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], words: str, *, size: int, color: Color, anchor: str = "la"
) -> None:
    """Write a line of text; Pillow's font has neither µ nor ², so they are composed of a u and a 2.

    Parameters
    ----------
    draw : ImageDraw
        Of the picture.
    at : (float, float)
        (x, y), pixels.
    words : str
        One line.
    size : int
        Of the font, pixels.
    color : (int, int, int)
        RGB.
    anchor : str
        Which point of the text lies at ``at``, as Pillow names it.
    """
    x, y = at
    for part in re.split("([µ²])", words):
        letters = {"µ": "u", "²": "2"}.get(part, part)
        font = ImageFont.load_default(round(size * 0.62) if part == "²" else size)
        draw.text((x, y), letters, fill=color, font=font, anchor=anchor)
        if part == "µ":
            left, top, _, bottom = draw.textbbox((x, y), "u", font=font, anchor=anchor)
            draw.rectangle((left + size // 12, (top + bottom) // 2, left + size // 6, bottom + size * 0.2), fill=color)
        x += draw.textlength(letters, font=font)


def png(image: Image, notes: Mapping[str, str] | None = None) -> bytes:
    """PNG file of an RGB image (y, x, 3) uint8, with notes as text chunks."""
    content, info = io.BytesIO(), PngInfo()
    for name, text in (notes or {}).items():
        info.add_text(name, text)
    # Level 1 takes half of the time of 6 and a tenth more bytes.
    PillowImage.fromarray(image).save(content, "png", compress_level=1, pnginfo=info)
    return content.getvalue()


def jpeg(image: Image, *, quality: int) -> bytes:
    """JPEG file of an RGB image (y, x, 3) uint8; quality as in Pillow."""
    content = io.BytesIO()
    PillowImage.fromarray(image).save(content, "jpeg", quality=quality)
    return content.getvalue()


def _fixed_point(ring: Points) -> npt.NDArray[np.int32]:
    """Corners as OpenCV expects them: relative to the centre of the first pixel, in units of 2 ** -_SHIFT pixel."""
    fixed: npt.NDArray[np.int32] = np.round((ring - 0.5) * 2**_SHIFT).astype(np.int32)
    return fixed
