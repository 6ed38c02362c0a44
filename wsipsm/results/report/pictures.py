"""Pictures of a report, small: the overview, close-ups of single cells, thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from wsipsm.core.errors import InputError, OutputError, SlideError, UnreadableSlideError
from wsipsm.core.geometry import Box, Grid, Image
from wsipsm.results.draw import color_of, jpeg, outline
from wsipsm.results.overview.gather import PANEL_NOTE
from wsipsm.results.overview.sheet import panels_box
from wsipsm.results.report.examples import Example
from wsipsm.results.result import Result
from wsipsm.slide import Slide

CELL_UM, CELL_PX = 32.0, 192
"""Side of a close-up, micrometres, and pixels of its picture."""
THUMBNAIL_PX = 150
"""Longer side of a thumbnail, pixels."""

_FINEST_MPP = 0.25
_SHEET_PX = 1400
_LARGEST_PX = 40_000_000


def overview_picture(folder: Path) -> bytes | None:
    """JPEG of the stored overview without its header; None where it cannot be read."""
    found = _stored_overview(folder)
    if found is None:
        return None
    sheet, panel = found
    whole = _whole(sheet)
    shown = panels_box(panel, whole.width, whole.height).intersect(whole) if panel else whole
    shown = whole if shown.empty else shown
    return jpeg(_shrunk(sheet[shown.slices], _SHEET_PX), quality=80)


def thumbnail(folder: Path) -> bytes | None:
    """Small JPEG of the slide, from the stored overview; None where it cannot be read."""
    found = _stored_overview(folder)
    if found is None:
        return None
    sheet, panel = found
    return jpeg(_shrunk(sheet[(panel or _whole(sheet)).slices], THUMBNAIL_PX), quality=75)


def open_slide_of(folder: Path) -> tuple[Slide | None, str]:
    """The slide of a folder, open, and nothing; or None and why it cannot be shown."""
    result = Result(folder)
    try:
        slide = result.open_slide()
    except (SlideError, InputError, OSError) as error:
        return None, str(error)
    if slide.fingerprint() != result.record["slide"]["fingerprint"]:
        slide.close()
        return None, f"{slide.path}: another file than the one that was processed"
    return slide, ""


def cell_pictures(slide: Slide, cells: Sequence[Example]) -> list[bytes | None]:
    """JPEG of each cell, outlined, in the middle of its surroundings; None for one where the slide cannot be read."""
    grid = slide.grid(max(_FINEST_MPP, slide.mpp_l0))
    return [_cell_picture(slide, grid, cell) for cell in cells]


def _cell_picture(slide: Slide, grid: Grid, cell: Example) -> bytes | None:
    ring = cell.ring_l0 / grid.downsample
    side = max(1, round(CELL_UM / grid.mpp))
    middle = (ring.min(axis=0) + ring.max(axis=0)) / 2
    # Moved inwards at the edge of the slide, beyond which there is nothing to see.
    x0, y0 = (
        max(0, min(round(float(at) - side / 2), size - side))
        for at, size in zip(middle, (grid.width, grid.height), strict=True)
    )
    try:
        image = slide.read(Box(x0, y0, x0 + side, y0 + side), grid)
    except UnreadableSlideError:
        return None
    scale = CELL_PX / side
    drawn = np.ascontiguousarray(cv2.resize(image, (CELL_PX, CELL_PX), interpolation=cv2.INTER_CUBIC), np.uint8)
    outline(drawn, (ring - (x0, y0)) * scale, color_of(cell.class_name), thickness=2)
    return jpeg(drawn, quality=80)


def _stored_overview(folder: Path) -> tuple[Image, Box | None] | None:
    """The picture and its first panel, where it says which that is; None where it cannot be read."""
    try:
        with PillowImage.open(folder / "overview.png") as picture:
            if picture.width * picture.height > _LARGEST_PX:
                raise OutputError(f"{folder}: overview.png is too large")
            sheet = np.asarray(picture.convert("RGB"))
            return sheet, _noted_panel(picture.info.get(PANEL_NOTE, ""), _whole(sheet))
    except (OSError, OutputError, ValueError, SyntaxError, PillowImage.DecompressionBombError):
        return None  # damaged, or not ours: the report says that it is missing


def _noted_panel(note: str, whole: Box) -> Box | None:
    try:
        panel = Box(*map(int, note.split()))
    except (TypeError, ValueError, AttributeError):
        return None
    return panel if not panel.empty and panel.intersect(whole) == panel else None


def _whole(image: Image) -> Box:
    return Box(0, 0, image.shape[1], image.shape[0])


def _shrunk(image: Image, most_px: int) -> Image:
    """Image whose longer side has at most so many pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, most_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
