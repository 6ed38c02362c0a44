"""What the pictures of the documents are made of: runs that they share, outlines, sheets of panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import shapely
import zarr
from PIL import Image, ImageDraw

import wsipsm
from wsipsm.core.geometry import Box
from wsipsm.results.draw import CELL_COLOR, Color, outline, viridis, write_text
from wsipsm.slide.sample import HE_FIELD_MPP, he_field

Pixels = npt.NDArray[np.uint8]
Place = tuple[int, int, int, int]
"""Level-0 px: x0, y0, x1, y1."""

ARRAYS = "output.arrays=[instances, pseudo_mask, activation]"
KEEP = "cells.keep_doubtful=true"
PSM = "recognizer.method=psm"
_ONE = ("schedule.workers=1", "schedule.processes=false")

INK: Color = (34, 40, 49)
WHITE: Color = (255, 255, 255)
ORANGE: Color = (240, 160, 30)
BLUE: Color = (60, 130, 255)
GAP, _TITLE = 12, 30


class Runs:
    """Runs that pictures share, made when they are asked for first.

    Parameters
    ----------
    folder : Path
        Their output folders.
    slide : Path
        The CMU slide.
    """

    def __init__(self, folder: Path, slide: Path) -> None:
        self.folder, self.slide = folder, slide

    def of(self, slide: Path, *settings: str, encoder: Path | None = None) -> wsipsm.Result:
        """Result of a slide with these settings; plain images are at the resolution of the field."""
        name = "_".join([slide.stem, *(setting.replace(" ", "").replace("/", "-") for setting in settings)])
        mpp = None if slide.suffix == ".svs" else HE_FIELD_MPP
        out = self.folder / name
        (result,) = wsipsm.run(slide, out, settings=[*_ONE, *settings], slide_mpp=mpp, checkpoint=encoder)
        return result

    def piece(self, image: Path, box: Place, name: str) -> Path:
        """Part of an image as a file."""
        path = self.folder / f"{name}.png"
        Image.open(image).convert("RGB").crop(box).save(path)
        return path

    @cached_property
    def field(self) -> Path:
        """The H&E field as a plain image of 1000 x 1000 px."""
        return self.piece(he_field(), (0, 0, 1000, 1000), "field")

    @cached_property
    def cmu(self) -> wsipsm.Result:
        """The CMU slide, refused cells kept as Doubtful."""
        return self.of(self.slide, KEEP)

    @cached_property
    def psm(self) -> wsipsm.Result:
        """The field by its pseudo mask, with all arrays."""
        return self.of(self.field, PSM, ARRAYS)

    @cached_property
    def segmented(self) -> wsipsm.Result:
        """The field by the shipped segmenter, with all arrays."""
        return self.of(self.field, ARRAYS)


def array(result: wsipsm.Result, name: str) -> Pixels:
    """Finest level of an array of the Zarr store, (y, x)."""
    return np.asarray(zarr.open_group(result.folder / "labels.ome.zarr", mode="r")[f"{name}/0"])


def pixels(result: wsipsm.Result, place: Place, zoom: float) -> Pixels:
    """Pixels of the slide without outlines, ``zoom`` px a level-0 px."""
    with result.open_slide() as slide:
        whole = slide.read(Box(*place), slide.grid(slide.mpp_l0))
    return scaled(whole, zoom)


def scaled(image: Pixels, zoom: float, *, smooth: bool = True) -> Pixels:
    """An image ``zoom`` times as large."""
    size = round(image.shape[1] * zoom), round(image.shape[0] * zoom)
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return np.ascontiguousarray(cv2.resize(image, size, interpolation=way))


def outlined(
    result: wsipsm.Result, place: Place, zoom: float, color: Callable[[float, str], Color], *, on: Pixels | None = None
) -> Pixels:
    """Pixels with the outlines of cells; ``color`` is asked with confidence and class."""
    image = pixels(result, place, zoom) if on is None else on
    cells = result.table(["geometry", "confidence", "class"], box_l0=None if on is not None else Box(*place))
    rows = zip(*(cells.column(name).to_pylist() for name in ("geometry", "confidence", "class")), strict=True)
    for wkb, confidence, name in rows:
        ring = np.asarray(shapely.from_wkb(wkb).exterior.coords)
        outline(image, (ring - place[:2]) * zoom, color(confidence, name), thickness=2 if zoom > 1 else 1)
    return image


def found(_: float, name: str) -> Color:
    """Green for cells, orange for refused ones."""
    return ORANGE if name == "Doubtful" else CELL_COLOR


def plain(color: Color) -> Callable[[float, str], Color]:
    """The same colour for all cells."""
    return lambda _confidence, _name: color


def confident(confidence: float, _: str) -> Color:
    """Colour of a confidence, 0.1 to 0.8."""
    red, green, blue = viridis(np.array([[brightened((confidence - 0.1) / 0.7)]], np.float32))[0, 0]
    return int(red), int(green), int(blue)


def brightened(share: Any) -> Any:
    """The upper part of a colour map: its lower part is as dark as nuclei."""
    return 0.25 + 0.75 * share


def painted(image: Pixels, mask: npt.NDArray[np.bool_]) -> Pixels:
    """An image with the border of a mask of another resolution."""
    large = cv2.resize(mask.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    shown = image.copy()
    cv2.drawContours(shown, cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0], -1, CELL_COLOR, 1)
    return shown


def cross(image: Pixels) -> Pixels:
    """An image with the borders of four tiles, dashed."""
    middle = image.shape[0] // 2
    for start in range(0, image.shape[0], 16):
        cv2.line(image, (start, middle), (start + 8, middle), INK, 2)
        cv2.line(image, (middle, start), (middle, start + 8), INK, 2)
    return image


def lattice(image: Pixels, side: int, halo: int) -> Pixels:
    """An image with borders of tiles, and one tile's core and what is read for it."""
    lines(image, side)
    cv2.rectangle(image, (side, side), (2 * side, 2 * side), BLUE, 3)
    cv2.rectangle(image, (side - halo, side - halo), (2 * side + halo, 2 * side + halo), BLUE, 2)
    return image


def lines(image: Pixels, step: int) -> None:
    """Draw borders of tiles onto an image."""
    for at in range(step, image.shape[0], step):
        cv2.line(image, (at, 0), (at, image.shape[0]), WHITE, 1)
        cv2.line(image, (0, at), (image.shape[0], at), WHITE, 1)


def density(result: wsipsm.Result, image: Pixels, scale: float) -> Pixels:
    """Cells per area in viridis over a slide in grey; what was refused does not count."""
    cells = result.table(["geometry", "class"])
    kept = cells.filter(pc.not_equal(cells["class"], "Doubtful"))
    centres = shapely.get_coordinates(shapely.centroid(shapely.from_wkb(kept["geometry"].to_numpy()))) * scale
    counts, *_ = np.histogram2d(*centres.T[::-1], bins=image.shape[:2], range=[(0, side) for side in image.shape[:2]])
    smooth = cv2.GaussianBlur(counts.astype(np.float32), (0, 0), 9)
    share = np.clip(smooth / np.percentile(smooth, 99.5), 0, 1)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    strength = 0.75 * np.sqrt(share)[..., None]
    return np.ascontiguousarray(grey * (1 - strength) + viridis(share) * strength, np.uint8)


def sheet(panels: Sequence[tuple[str, Pixels]], *, columns: int) -> Image.Image:
    """Panels of one size in rows, each below its title."""
    height, width = panels[0][1].shape[:2]
    rows = -(-len(panels) // columns)
    step_x, step_y = width + GAP, height + _TITLE + GAP
    page = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), "white")
    draw = ImageDraw.Draw(page)
    for number, (title, image) in enumerate(panels):
        y, x = (part * step + GAP for part, step in zip(divmod(number, columns), (step_y, step_x), strict=True))
        write_text(draw, (x, y), title, size=17, color=INK)
        page.paste(Image.fromarray(image), (x, y + _TITLE))
    return page
