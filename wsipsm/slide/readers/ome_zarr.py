"""OME-Zarr images, versions 0.4 and 0.5, of any axis order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.core.errors import PixelFormatError, UnreadableSlideError
from wsipsm.slide.base import EXPECTED_RGB
from wsipsm.slide.header import Header
from wsipsm.slide.readers.arrays import ArraySlide, Pyramid, shrinking
from wsipsm.slide.readers.messages import without_library_messages
from wsipsm.slide.resolution import Claim, resolve

_UM = {"angstrom": 1e-4, "nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
_FAULTS = (OSError, ValueError, TypeError, LookupError, AttributeError)
"""What zarr raises where there is no group or array, and what metadata of another form lead to."""


class OmeZarrSlide(ArraySlide):
    """The largest colour image of an OME-Zarr group."""

    reader = "ome-zarr"

    def __init__(self, path: Path, mpp: float | None = None) -> None:
        try:
            with without_library_messages():
                images = _images(path)
                pyramid, claim = max(images, key=lambda one: one[0].levels[0].width * one[0].levels[0].height)
        except _FAULTS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UnreadableSlideError(
                f"{path}: cannot open it as OME-Zarr 0.4 or 0.5 ({type(error).__name__}: {reason})"
            ) from None
        header = Header("ome-zarr", pyramid.levels, resolve(path, [claim], mpp))
        super().__init__(path, pyramid, header, mpp=mpp, close=lambda: None)


def _images(path: Path) -> list[tuple[Pyramid, Claim]]:
    """Colour images of a group, and of the numbered groups in it, as bioformats2raw writes them."""
    import zarr

    root = zarr.open_group(path, mode="r")
    groups = [root, *(root[name] for name in sorted(root.group_keys()) if name.isdigit())]
    tables = [(group, table) for group in groups if (table := _multiscales(group)) is not None]
    if not tables:
        raise UnreadableSlideError(f"{path}: no OME-Zarr image (no multiscales in its attributes)")
    found = [(group, table, _arrays(group, table)) for group, table in tables]
    colour = [
        (_pyramid(table, arrays), _claim(table))
        for group, table, arrays in found
        if _is_colour(table, arrays) and not _of_other_colours(group)
    ]
    if not colour:
        axes, array = _axes(found[0][1]), found[0][2][0]
        raise PixelFormatError(f"{path}: axes {axes} of {array.shape} {array.dtype}, no RGB; {EXPECTED_RGB}")
    return colour


def _multiscales(group: Any) -> dict[str, Any] | None:
    attributes = group.attrs.asdict()
    listed = attributes.get("ome", attributes).get("multiscales")
    return listed[0] if listed else None


def _arrays(group: Any, table: dict[str, Any]) -> list[Any]:
    return [group[dataset["path"]] for dataset in table["datasets"]]


def _axes(table: dict[str, Any]) -> str:
    """One letter an axis; before version 0.4 they were TCZYX."""
    return "".join(axis if isinstance(axis, str) else axis["name"] for axis in table.get("axes", "tczyx")).lower()


def _is_colour(table: dict[str, Any], arrays: list[Any]) -> bool:
    """Whether there are three 8-bit channels, and one plane of them."""
    sizes = dict(zip(_axes(table), arrays[0].shape, strict=True))
    planes = np.prod([size for axis, size in sizes.items() if axis not in "cyx"])
    return bool(sizes.get("c") == 3 and planes == 1 and arrays[0].dtype == np.uint8)


def _of_other_colours(group: Any) -> bool:
    """Whether the group says that its channels are not red, green and blue, in this order, as in fluorescence."""
    attributes = group.attrs.asdict()
    channels = (attributes.get("ome", attributes).get("omero") or attributes.get("omero") or {}).get("channels") or []
    colours = [str(channel.get("color", "")).upper() for channel in channels]
    names = "".join(str(channel.get("label", " "))[:1].lower() for channel in channels)
    return any(colours) and names != "rgb" and colours not in (["FF0000", "00FF00", "0000FF"], ["FFFFFF"] * 3)


def _pyramid(table: dict[str, Any], arrays: list[Any]) -> Pyramid:
    axes = _axes(table)
    x, y = axes.index("x"), axes.index("y")
    return Pyramid([arrays[i] for i in shrinking([(one.shape[x], one.shape[y]) for one in arrays])], axes)


def _claim(table: dict[str, Any]) -> Claim:
    """Pixel size of the finest level, if its axes have units of length."""
    axes = _axes(table)
    steps = [*table["datasets"][0].get("coordinateTransformations", ()), *table.get("coordinateTransformations", ())]
    scale = np.prod([step["scale"] for step in steps if step.get("type") == "scale"] or [[np.nan] * len(axes)], axis=0)
    units = [axis.get("unit", "") if isinstance(axis, dict) else "" for axis in table.get("axes", "tczyx")]

    def um(name: str) -> float | None:
        size = scale[axes.index(name)] * _UM.get(units[axes.index(name)], np.nan)
        return float(size) if np.isfinite(size) else None

    return Claim("ome-zarr.scale", um("x"), um("y"))
