"""Slides that OpenSlide reads."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openslide
import PIL.Image

from wsipsm.core.errors import UnreadableSlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide.base import Slide
from wsipsm.slide.header import Header, Level
from wsipsm.slide.resample import over_white
from wsipsm.slide.resolution import Claim, imagej_claim, number, ome_claim, per_unit, resolve

_BOUNDS = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")


def detect_vendor(path: Path) -> str | None:
    """OpenSlide's name of a file's format; None if OpenSlide does not know it."""
    try:
        vendor = openslide.OpenSlide.detect_format(str(path))
    except openslide.OpenSlideError:
        return None
    return None if vendor is None else str(vendor)


class OpenSlideSlide(Slide):
    """A slide read by OpenSlide; safe to read from several threads."""

    reader = "openslide"

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._handle = _open(path)
        try:
            header = _header(path, self._handle, mpp)
        except BaseException:
            self._handle.close()
            raise
        super().__init__(path, header, mpp=mpp)

    def close(self) -> None:
        """Release the file; closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._handle.close()

    def _read_level(self, level: int, box: Box) -> Image:
        self._refuse_closed(self._closed)
        downsample = self.levels[level].downsample
        corner_l0 = (round(box.x0 * downsample), round(box.y0 * downsample))
        for _attempt in range(2):
            handle = self._handle
            try:
                region = handle.read_region(corner_l0, level, (box.width, box.height))
            except openslide.OpenSlideError as error:
                reason = error
                self._replace(handle)
            else:
                return _rgb(region)
        raise self._damaged(level, box, reason)

    def _replace(self, dead: openslide.OpenSlide) -> None:
        # After one failed read every further one of an OpenSlide handle fails. It is not closed here, because another
        # thread may still read from it; it is closed when the last reference goes.
        with self._lock:
            if self._handle is dead:
                self._handle = _open(self.path)


def _rgb(region: PIL.Image.Image) -> Image:
    """Pixels of an RGBA region over white, (y, x, 3); an alpha that says nothing is dropped on the way, read-only."""
    if region.getchannel("A").getextrema() != (255, 255):
        return over_white(np.asarray(region))
    return np.frombuffer(region.tobytes("raw", "RGB"), np.uint8).reshape(region.height, region.width, 3)


def _open(path: Path) -> openslide.OpenSlide:
    try:
        return openslide.OpenSlide(str(path))
    except openslide.OpenSlideError as error:
        raise UnreadableSlideError(f"{path}: OpenSlide cannot open it ({error})") from None


def _header(path: Path, handle: openslide.OpenSlide, mpp: float | None) -> Header:
    properties = dict(handle.properties)
    sizes = zip(handle.level_dimensions, handle.level_downsamples, strict=True)
    return Header(
        vendor=properties.get("openslide.vendor", "unknown"),
        levels=tuple(Level(width, height, downsample) for (width, height), downsample in sizes),
        resolution=resolve(path, _claims(properties), mpp),
        bounds_l0=bounds_of(properties),
        properties=properties,
        associated=_associated(properties),
    )


def _claims(properties: Mapping[str, str]) -> list[Claim]:
    """Pixel sizes that OpenSlide's properties claim, most trusted first."""
    x, y = number(properties.get("openslide.mpp-x")), number(properties.get("openslide.mpp-y"))
    per_x, per_y = number(properties.get("tiff.XResolution")), number(properties.get("tiff.YResolution"))
    tags = per_unit("tiff.XResolution", per_x, per_y, properties.get("tiff.ResolutionUnit", ""))
    description = properties.get("tiff.ImageDescription", properties.get("openslide.comment", ""))
    if properties.get("openslide.vendor") == "generic-tiff":
        # OpenSlide's value comes from the resolution tags here; micrometres that the writing program noted are better.
        return [ome_claim(description), imagej_claim(description, per_x, per_y), Claim("tiff.XResolution", x, y), tags]
    source = "aperio.MPP" if "aperio.MPP" in properties else "openslide.mpp-x"
    return [Claim(source, x, y), tags]


def bounds_of(properties: Mapping[str, str]) -> Box | None:
    """Scanned part, level-0 pixels; None unless all four bounds properties are there (QuPath's rule)."""
    values = [number(properties.get(f"openslide.{name}")) for name in _BOUNDS]
    found = [int(value) for value in values if value is not None]
    if len(found) < len(_BOUNDS):
        return None
    x, y, width, height = found
    return Box(x, y, x + width, y + height) if width > 0 and height > 0 else None


def _associated(properties: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    # From the properties: asking for the images would decode them, and after a damaged one the handle is of no use.
    prefix, suffix = "openslide.associated.", ".width"
    names = [k[len(prefix) : -len(suffix)] for k in properties if k.startswith(prefix) and k.endswith(suffix)]
    return {
        name: (int(properties[f"{prefix}{name}.width"]), int(properties[f"{prefix}{name}.height"]))
        for name in sorted(names)
    }


def openslide_versions() -> str:
    """Versions of OpenSlide's library and of its Python binding, for messages."""
    return f"{openslide.__library_version__}, openslide-python {openslide.__version__}"
