"""Picture of typical cells: a row a class, with its name and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from wsipsm.core.geometry import Box, Image
from wsipsm.results.draw import CELL_COLOR, Color, Points, outline, write_text

CROP_UM, CROP_MPP = 32.0, 0.5
"""Side of a crop, micrometres, and its resolution, micrometres per pixel."""
CROPS = 12
"""Most crops of a row."""

_SIDE, _GAP, _MARGIN, _TEXT = 112, 6, 24, 268
_INK: Color = (28, 32, 38)
_FAINT: Color = (105, 112, 122)


@dataclass(frozen=True, eq=False)
class Crop:
    """A cell and what is around it.

    Attributes
    ----------
    image : (n, n, 3) uint8
        RGB; the cell is in the middle.
    ring : (N, 2) float64
        Its outline in pixels of the crop, whose first pixel covers [0, 1) x [0, 1).
    """

    image: Image
    ring: Points


@dataclass(frozen=True, eq=False)
class Row:
    """A class: name, figures below it, colour, and typical cells."""

    name: str
    facts: tuple[str, ...]
    color: Color
    crops: tuple[Crop, ...]


def crop_box(center: tuple[float, float], mpp: float) -> Box:
    """Box of a crop around a point (x, y) of the working plane, its pixels; ``mpp`` is that of the plane."""
    side = max(1, round(CROP_UM / mpp))
    x0, y0 = (round(at - side / 2) for at in center)
    return Box(x0, y0, x0 + side, y0 + side)


def draw_montage(title: str, facts: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> Image:
    """Draw typical cells.

    Parameters
    ----------
    title, facts : str
        Written above the rows.
    rows : sequence of Row
        From top to bottom.
    notes : sequence of str
        Written below them.

    Returns
    -------
    (height, width, 3) uint8
        RGB.
    """
    width = 2 * _MARGIN + _TEXT + CROPS * (_SIDE + _GAP) - _GAP
    top = _MARGIN + 72
    bottom = top + len(rows) * (_SIDE + _GAP)
    paper = PillowImage.new("RGB", (width, bottom + 26 * len(notes) + _MARGIN), "white")
    draw = ImageDraw.Draw(paper)
    write_text(draw, (_MARGIN, _MARGIN - 6), title, size=28, color=_INK)
    write_text(draw, (_MARGIN, _MARGIN + 32), facts, size=18, color=_FAINT)
    for number, row in enumerate(rows):
        _draw_row(paper, draw, row, top + number * (_SIDE + _GAP))
    for number, note in enumerate(notes):
        write_text(draw, (_MARGIN, bottom + 6 + 26 * number), note, size=16, color=_FAINT)
    return np.array(paper)


def _draw_row(paper: PillowImage.Image, draw: ImageDraw.ImageDraw, row: Row, y: int) -> None:
    draw.rectangle((_MARGIN, y + 4, _MARGIN + 14, y + _SIDE - 4), fill=row.color)
    write_text(draw, (_MARGIN + 26, y + 4), row.name, size=22, color=_INK)
    for line, fact in enumerate(row.facts):
        write_text(draw, (_MARGIN + 26, y + 34 + 22 * line), fact, size=16, color=_FAINT)
    for number, crop in enumerate(row.crops[:CROPS]):
        x = _MARGIN + _TEXT + number * (_SIDE + _GAP)
        paper.paste(PillowImage.fromarray(_magnified(crop)), (x, y))


def _magnified(crop: Crop) -> Image:
    scale = _SIDE / crop.image.shape[0]
    image = np.ascontiguousarray(cv2.resize(crop.image, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)
    outline(image, crop.ring * scale, CELL_COLOR)
    return image
