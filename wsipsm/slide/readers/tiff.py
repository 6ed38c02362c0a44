"""TIFFs that OpenSlide and Pillow do not read right: several images, channels as pages, levels in SubIFDs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.core.errors import PixelFormatError, SlideError, UnreadableSlideError
from wsipsm.slide.base import EXPECTED_RGB
from wsipsm.slide.header import Header
from wsipsm.slide.readers.arrays import ArraySlide, Pyramid, shrinking
from wsipsm.slide.readers.messages import without_library_messages
from wsipsm.slide.resolution import Claim, imagej_claim, ome_claim, per_unit, resolve

_RGB, _YCBCR = 2, 6
_ASSOCIATED, _UNASSOCIATED = 1, 2
_UNITS = {2: "inch", 3: "centimeter"}
_LARGE_PX = 1 << 26
_CHANNELS = (("r", "g", "b"), ("red", "green", "blue"))
_COLOURS = ("-16776961", "16711935", "65535")
"""Red, green and blue as OME-XML writes them: RGBA in one signed number."""


class TiffSlide(ArraySlide):
    """The largest colour image of a TIFF, read by tifffile."""

    reader = "tifffile"

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        tiff = _open(path)
        try:
            with without_library_messages():
                series = _colour_series(path, tiff)
                pyramid = _pyramid(tiff, series)
                header = Header(
                    vendor="ome-tiff" if tiff.is_ome else "generic-tiff",
                    levels=pyramid.levels,
                    resolution=resolve(path, _claims(tiff, series), mpp),
                    properties=_properties(tiff, series),
                )
        except SlideError:
            tiff.close()
            raise
        except Exception as error:  # of any class on damaged files
            tiff.close()
            raise UnreadableSlideError(f"{path}: tifffile cannot open it ({_reason(error)})") from None
        super().__init__(path, pyramid, header, mpp=mpp, close=tiff.close)


def wants_tifffile(path: Path) -> bool:
    """Whether a TIFF has a colour image that OpenSlide and Pillow miss or misread.

    Because another image comes first, because its channels are pages or planes, because its levels are in SubIFDs, or
    because a fourth sample of no stated meaning would pass for alpha. And a large one of a single level, which is read
    as a whole for its thumbnails: that takes tifffile a third of the time.

    Raises
    ------
    PixelFormatError
        A colour image comes first and is smaller than another without colour; or it is to be shown turned.
    """
    try:
        with _open(path) as tiff, without_library_messages():
            return bool(tiff.series) and _wants_tifffile(path, tiff)
    except PixelFormatError:
        raise
    except Exception:  # of any class on damaged files: the other readers say what is wrong
        return False


def _wants_tifffile(path: Path, tiff: Any) -> bool:
    first = tiff.series[0].keyframe
    try:
        series = _colour_series(path, tiff)
    except PixelFormatError:
        if first.photometric in {_RGB, _YCBCR} and _pixels(tiff.series[0]) < max(map(_pixels, tiff.series)):
            raise
        return False
    _refuse_turned(path, series)
    page = series.keyframe
    planes = series.axes == "CYX" or (series.axes == "SYX" and page.is_tiled)
    in_subifds = len(_levels(series)) > 1 and page.subifds is not None
    unknown_sample = page.samplesperpixel == 4 and page.extrasamples and not _has_alpha(page)
    large = len(tiff.series) == 1 and len(series.levels) == 1 and page.is_tiled and _pixels(series) > _LARGE_PX
    return bool(page.index != 0 or planes or in_subifds or unknown_sample or large)


def _refuse_turned(path: Path, series: Any) -> None:
    orientation = series.keyframe.tags.get("Orientation")
    if orientation is not None and int(orientation.value) > 1:
        raise PixelFormatError(
            f"{path}: to be shown turned or mirrored (Orientation {int(orientation.value)}); save it upright"
        )


def _open(path: Path) -> Any:
    import tifffile  # with imagecodecs half a second

    try:
        with without_library_messages():
            return tifffile.TiffFile(path)
    except Exception as error:  # of any class on damaged files
        raise UnreadableSlideError(f"{path}: tifffile cannot open it ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _colour_series(path: Path, tiff: Any) -> Any:
    """Largest image, which has to have three 8-bit channels: a smaller one in colour is a thumbnail or a label."""
    if not tiff.series:
        raise UnreadableSlideError(f"{path}: tifffile cannot open it (no image in it: the file is damaged or cut off)")
    largest = max(map(_pixels, tiff.series))
    same = [(number, one) for number, one in enumerate(tiff.series) if _pixels(one) == largest]
    best = next((one for number, one in same if _is_colour(one, _channels(tiff, number))), None)
    if best is None:
        listed = ", ".join(_described(one) for one in tiff.series[:4])
        more = f" and {len(tiff.series) - 4} more" if len(tiff.series) > 4 else ""
        raise PixelFormatError(f"{path}: holds {listed}{more}; {EXPECTED_RGB}")
    return best


def _pixels(series: Any) -> int:
    """Width times height."""
    return int(np.prod([size for axis, size in zip(series.axes, series.shape, strict=False) if axis in "YX"]))


def _is_colour(series: Any, channels: tuple[int, ...] | None) -> bool:
    if series.dtype != np.uint8:
        return False
    if series.axes in {"YXS", "SYX"}:
        return series.keyframe.photometric in {_RGB, _YCBCR} and series.keyframe.samplesperpixel in {3, 4}
    return series.axes == "CYX" and channels is not None


def _described(series: Any) -> str:
    channels = next((size for axis, size in zip(series.axes, series.shape, strict=False) if axis in "SC"), 1)
    planes = int(np.prod([size for axis, size in zip(series.axes, series.shape, strict=False) if axis not in "SCYX"]))
    if channels in {3, 4} and planes > 1:
        return f"a stack of {planes} colour images (too many pages: save the one to be analysed)"
    kind = f"{channels} channel{'s' if channels > 1 else ''} of {series.dtype}"
    names = " that OME-XML does not call R, G, B" if "C" in series.axes and channels == 3 else ""
    return f"{planes} x {kind}{names}" if planes > 1 else f"{kind}{names}"


def _pyramid(tiff: Any, series: Any) -> Pyramid:
    import zarr

    axes = series.axes.lower().replace("s", "c")
    arrays = [zarr.open_array(series.aszarr(level=level), mode="r") for level in _levels(series)]
    if series.axes == "CYX":
        return Pyramid(arrays, axes, _channels(tiff, list(tiff.series).index(series)) or (0, 1, 2))
    return Pyramid(arrays, axes, (0, 1, 2, 3) if _has_alpha(series.keyframe) else (0, 1, 2))


def _levels(series: Any) -> list[int]:
    x, y = series.axes.index("X"), series.axes.index("Y")
    return shrinking([(level.shape[x], level.shape[y]) for level in series.levels])


def _has_alpha(page: Any) -> bool:
    return page.samplesperpixel == 4 and int(page.extrasamples[0]) in {_ASSOCIATED, _UNASSOCIATED}


def _channels(tiff: Any, number: int) -> tuple[int, ...] | None:
    """Where red, green and blue stand among the channels of an OME image; None if it does not say that it has them."""
    pixels = _ome_image(tiff, number)
    channels = re.findall(r"<(?:\w+:)?Channel\s[^>]*>", pixels)
    names = [attribute(text, "Name").lower() for text in channels]
    for wanted in _CHANNELS:
        if sorted(names) == sorted(wanted):
            return tuple(names.index(name) for name in wanted)
    colours = [attribute(text, "Color") for text in channels]
    return tuple(map(colours.index, _COLOURS)) if sorted(colours) == sorted(_COLOURS) else None


def attribute(element: str, name: str) -> str:
    """Value of an attribute of an XML start tag; empty if it has none.

    Examples
    --------
    >>> attribute('<Channel ID="Channel:0:1" Name="R">', "Name")
    'R'
    """
    found = re.search(rf'\s{name}="([^"]*)"', element)
    return found.group(1) if found else ""


def _ome_image(tiff: Any, number: int) -> str:
    """OME-XML of one image, from its ``Pixels`` element on."""
    parts = re.findall(r"<(?:\w+:)?Pixels\s.*?</(?:\w+:)?Pixels>", tiff.ome_metadata or "", re.DOTALL)
    return parts[number] if number < len(parts) else ""


def _claims(tiff: Any, series: Any) -> list[Claim]:
    page = series.keyframe
    x, y = (_per_unit(page.tags.get(name)) for name in ("XResolution", "YResolution"))
    unit = page.tags.get("ResolutionUnit")
    tags = per_unit("tiff.XResolution", x, y, _UNITS.get(2 if unit is None else int(unit.value), ""))
    ome = ome_claim(_ome_image(tiff, list(tiff.series).index(series)))
    return [ome, imagej_claim(page.description, x, y), tags]


def _per_unit(tag: Any) -> float | None:
    if tag is None or not tag.value[1]:
        return None
    return float(tag.value[0] / tag.value[1])


def _properties(tiff: Any, series: Any) -> dict[str, str]:
    images = {f"tiff.image-{number}": f"{one.name or 'unnamed'}: {one.shape}" for number, one in enumerate(tiff.series)}
    return images | {"tiff.read-image": str(list(tiff.series).index(series))}
