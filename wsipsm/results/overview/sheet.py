"""Layout of the overview: panels, titles, scale bars and marks on one sheet."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from wsipsm.core.geometry import Box, Image, Map
from wsipsm.results.draw import CELL_COLOR, Color, fill, outline, plasma, viridis, write_text
from wsipsm.results.overview.contents import MAP_PX, CloseUp, Overview
from wsipsm.results.overview.maps import (
    Frame,
    crop_panel,
    density_per_mm2,
    nice_number,
    on_panel,
    positive_percent,
    rings,
)

_WIDTH, _MARGIN, _GAP = 1600, 40, 32
_PANEL = (_WIDTH - 2 * _MARGIN - _GAP) // 2
_BAR_WIDTH, _BAR_SPACE = 22, 110
_TITLE_HEIGHT = 34
_INK: Color = (28, 32, 38)
_FAINT: Color = (105, 112, 122)
_TISSUE: Color = (0, 130, 85)
_AMBER: Color = (176, 96, 0)
_WARNING_LETTERS, _WARNING_HEIGHT = 130, 29
_LETTERS = "ABC"


def draw_overview(overview: Overview) -> Image:
    """Draw the picture.

    Parameters
    ----------
    overview : Overview
        Its contents; a missing region and missing cells are stated in the picture.

    Returns
    -------
    (height, 1600, 3) uint8
        RGB.
    """
    panel, frame = crop_panel(overview, width=_PANEL - _BAR_SPACE)
    columns = max(2, len(overview.closeups))
    column = (_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns
    closeups = [_magnified(closeup, column) for closeup in overview.closeups]
    top = _top(overview)
    below = top + _TITLE_HEIGHT + frame.height + _GAP
    height = below + (_TITLE_HEIGHT + max(image.shape[0] for image in closeups) if closeups else 0) + _MARGIN
    sheet = _Sheet(height)
    sheet.text((_MARGIN, _MARGIN - 8), _shortened(overview.name), size=40)
    sheet.text((_MARGIN, _MARGIN + 48), "  ·  ".join(overview.facts), size=23, color=_FAINT)
    for number, line in enumerate(_warning_lines(overview)):
        sheet.text((_MARGIN, _MARGIN + 86 + _WARNING_HEIGHT * number), line, size=21, color=_AMBER)
    left, right = _MARGIN, _MARGIN + _PANEL + _GAP
    sheet.panel((left, top), _tissue_title(overview), _tissue_panel(overview, panel, frame))
    sheet.scale_bar((left, top), frame.width, frame.height, um_per_px=overview.mpp_l0 / frame.scale)
    shown = (
        _density_panel(overview, panel, frame) if overview.positive is None else _index_panel(overview, panel, frame)
    )
    sheet.panel((right, top), shown.title, shown.image)
    if shown.top:
        sheet.color_bar((right + frame.width + 14, top + _TITLE_HEIGHT), min(frame.height, MAP_PX // 2), shown)
    for number, bounds in reversed(list(enumerate(overview.hot_spots, 1))):  # the highest lies on top
        sheet.mark((right, top), frame, bounds, str(number))
    for i, (letter, closeup, image) in enumerate(zip(_LETTERS, overview.closeups, closeups, strict=False)):
        x = _MARGIN + i * (column + _GAP)
        sheet.panel((x, below), f"{letter}   {closeup.title}", image)
        um_per_px = (closeup.box_l0[2] - closeup.box_l0[0]) * overview.mpp_l0 / image.shape[1]
        sheet.scale_bar((x, below), image.shape[1], image.shape[0], um_per_px=um_per_px)
        for map_x in (left, right):
            sheet.mark((map_x, top), frame, closeup.box_l0, letter)
    return sheet.array()


def first_panel(overview: Overview) -> Box:
    """Where the picture shows the slide with its region, pixels of the picture, without the panel's title."""
    _, frame = crop_panel(overview, width=_PANEL - _BAR_SPACE)
    x0, y0 = _MARGIN, _top(overview) + _TITLE_HEIGHT
    return Box(x0, y0, x0 + frame.width, y0 + frame.height)


def panels_box(first: Box, width: int, height: int) -> Box:
    """All panels of a picture of a size, with their titles, but without the name and the facts above them.

    Parameters
    ----------
    first : Box
        Of `first_panel`, pixels of the picture.
    width, height : int
        Size of the picture, pixels.
    """
    x0, y0 = first.x0 - 1, first.y0 - _TITLE_HEIGHT
    return Box(x0, y0, max(x0, width - x0), max(y0, height - x0))


def _top(overview: Overview) -> int:
    return _MARGIN + 104 + _WARNING_HEIGHT * len(_warning_lines(overview))


def _warning_lines(overview: Overview) -> list[str]:
    return [line for warning in overview.warnings for line in textwrap.wrap(warning, _WARNING_LETTERS)]


class _Sheet:
    """White sheet with titled panels."""

    def __init__(self, height: int) -> None:
        self._paper = PillowImage.new("RGB", (_WIDTH, height), "white")
        self._draw = ImageDraw.Draw(self._paper)

    def array(self) -> Image:
        return np.array(self._paper)

    def text(self, at: tuple[float, float], words: str, *, size: int, color: Color = _INK, anchor: str = "la") -> None:
        write_text(self._draw, at, words, size=size, color=color, anchor=anchor)

    def panel(self, at: tuple[int, int], title: str, image: Image) -> None:
        self.text((at[0], at[1]), title, size=22)
        corner = at[0], at[1] + _TITLE_HEIGHT
        self._paper.paste(PillowImage.fromarray(image), corner)
        height, width = image.shape[:2]
        box = (corner[0] - 1, corner[1] - 1, corner[0] + width, corner[1] + height)
        self._draw.rectangle(box, outline=(205, 209, 214))

    def scale_bar(self, at: tuple[int, int], width: int, height: int, *, um_per_px: float) -> None:
        """Scale bar of a round length, at most a third of the panel, in its lower left corner."""
        length_um = nice_number(width * um_per_px / 3, up=False)
        words = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
        length = length_um / um_per_px
        text_width = self._draw.textlength(words, font=ImageFont.load_default(19))
        x, y = at[0] + 14, at[1] + _TITLE_HEIGHT + height - 52
        self._draw.rectangle((x - 6, y - 2, x + max(length, text_width) + 8, y + 44), fill="white")
        self.text((x, y), words, size=19)
        self._draw.rectangle((x, y + 29, x + length, y + 35), fill=_INK)

    def color_bar(self, at: tuple[int, int], height: int, shown: _MapPanel) -> None:
        """Colours of a map from 0 at the bottom to its uppermost value."""
        ramp = np.repeat(np.linspace(1, 0, height, dtype=np.float32)[:, None], _BAR_WIDTH, axis=1)
        self._paper.paste(PillowImage.fromarray(shown.colors(ramp)), at)
        for share in (1.0, 0.5, 0.0):
            y = at[1] + round((1 - share) * (height - 1))
            self._draw.line((at[0] + _BAR_WIDTH, y, at[0] + _BAR_WIDTH + 5, y), fill=_INK)
            anchor = {1.0: "lt", 0.5: "lm", 0.0: "lb"}[share]
            value = shown.top * share
            words = f"{value:,.0f}" if value >= 10 else f"{value:g}"
            self.text((at[0] + _BAR_WIDTH + 9, y), words, size=18, anchor=anchor)
        self.text((at[0], at[1] + height + 10), shown.unit, size=18, color=_FAINT)

    def mark(self, at: tuple[int, int], frame: Frame, box_l0: tuple[float, float, float, float], letter: str) -> None:
        """Frame of a close-up on a map, with its letter."""
        corners = frame.to_panel(np.array(box_l0).reshape(2, 2)) + np.array((at[0], at[1] + _TITLE_HEIGHT))
        (x0, y0), (x1, y1) = corners.tolist()
        grow = max(0.0, (14 - (x1 - x0)) / 2)
        box = (x0 - grow, y0 - grow, x1 + grow, y1 + grow)
        self._draw.rectangle((box[0] - 2, box[1] - 2, box[2] + 2, box[3] + 2), outline="white", width=2)
        self._draw.rectangle(box, outline=_INK, width=2)
        tag = (box[2] + 4, box[1] - 2, box[2] + 26, box[1] + 22)
        self._draw.rectangle(tag, fill="white", outline=_INK)
        self.text(((tag[0] + tag[2]) / 2, (tag[1] + tag[3]) / 2), letter, size=18, anchor="mm")


def _shortened(name: str, most: int = 66) -> str:
    half = most // 2 - 1
    name = " ".join(name.split())  # a line break in a file's name ends the drawing of text
    return name if len(name) <= most else f"{name[:half]} … {name[-half:]}"


def _tissue_title(overview: Overview) -> str:
    return "No tissue found" if overview.region.is_empty else "Region searched for cells"


def _tissue_panel(overview: Overview, panel: Image, frame: Frame) -> Image:
    drawn = panel.copy()
    for ring in rings(overview.region):
        outline(drawn, frame.to_panel(ring), _TISSUE, thickness=2)
    return drawn


@dataclass(frozen=True, eq=False)
class _MapPanel:
    """A map of the slide: its picture, and what the uppermost colour means; ``top`` is 0 for a map without values."""

    title: str
    image: Image
    colors: Callable[[Map], Image] = viridis
    top: float = 0.0
    unit: str = ""


def _density_panel(overview: Overview, panel: Image, frame: Frame) -> _MapPanel:
    """Density on the grey slide."""
    grey, pale = _faded(panel)
    density = density_per_mm2(overview)
    if not (density > 0).any():
        return _MapPanel("No cells", pale)
    top = nice_number(float(np.percentile(density[density > 0], 98)), up=True)
    inside = fill(pale.shape[:2], [frame.to_panel(ring) for ring in rings(overview.region)])
    mixed = _mixed(viridis(on_panel(density, frame, overview.bin_l0) / np.float32(top)), grey)
    return _MapPanel("Density of cells", np.where(inside[..., None], mixed, pale), viridis, top, "cells/mm²")


def _index_panel(overview: Overview, panel: Image, frame: Frame) -> _MapPanel:
    """Share of positive cells on the grey slide, blank where there are too few cells to tell."""
    grey, pale = _faded(panel)
    percent, known = positive_percent(overview, frame)
    if not known.any():
        return _MapPanel("Too few cells for a map of positive ones", pale)
    top = min(100.0, nice_number(max(2.0, float(np.percentile(percent[known], 98))), up=True))
    inside = fill(pale.shape[:2], [frame.to_panel(ring) for ring in rings(overview.region)]) & known
    mixed = _mixed(plasma(percent / np.float32(top)), grey)
    title = "Positive cells, and hot spots by number" if overview.hot_spots else "Positive cells"
    return _MapPanel(title, np.where(inside[..., None], mixed, pale), plasma, top, "% of cells")


def _faded(panel: Image) -> tuple[Image, Image]:
    """The slide in grey, and in pale grey."""
    grey = np.asarray(cv2.cvtColor(cv2.cvtColor(panel, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    return grey, (255 - (255 - grey.astype(np.float32)) * 0.35).astype(np.uint8)


def _mixed(colors: Image, grey: Image) -> Image:
    return np.round(colors * 0.85 + grey * 0.15).astype(np.uint8)


def _magnified(closeup: CloseUp, side: int) -> Image:
    """Crop enlarged to a panel, with outlines."""
    height, width = closeup.image.shape[:2]
    scale = side / max(height, width)
    size = round(width * scale), round(height * scale)
    image = np.ascontiguousarray(cv2.resize(closeup.image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    colors = closeup.colors or (CELL_COLOR,) * len(closeup.outlines)
    for ring, color in zip(closeup.outlines, colors, strict=True):
        outline(image, np.asarray(ring, np.float64) * scale, color, thickness=2)
    return image
