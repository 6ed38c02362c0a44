"""Slide files that the tests write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from wsipsm.core.geometry import Image

HALF_UM = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_pyramid(path: Path, levels: list[Image]) -> Path:
    """Tiled lossless TIFF that OpenSlide reads as generic-tiff."""
    with tifffile.TiffWriter(path) as tiff:
        for i, level in enumerate(levels):
            tiff.write(level, photometric="rgb", tile=(64, 64), subfiletype=int(i > 0), metadata=None, **HALF_UM)
    return path


def write_ngff(path: Path, image: Image, mpp: float) -> Path:
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("0", shape=image.shape, chunks=(128, 128, image.shape[2]), dtype="u1")
    array[:] = image
    space = {"type": "space", "unit": "micrometer"}
    scale = [{"type": "scale", "scale": [mpp, mpp, 1.0]}]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "name": "image",
            "axes": [{"name": "y", **space}, {"name": "x", **space}, {"name": "c", "type": "channel"}],
            "datasets": [{"path": "0", "coordinateTransformations": scale}],
        }
    ]
    group.attrs["omero"] = {"id": 1, "name": "image", "channels": [], "rdefs": {"model": "color"}, "version": "0.4"}
    return path


def write_two_series(path: Path, image: Image) -> Path:
    with tifffile.TiffWriter(path, ome=True) as tiff:
        for series in (image[:50, :60], image):
            tiff.write(series, photometric="rgb", metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    return path


def blocks(image: Image, n: int) -> Image:
    """Every n-th pixel: what a coarser level holds is up to its writer."""
    return np.ascontiguousarray(image[::n, ::n])


def first(image: Image) -> npt.NDArray[np.uint8]:
    return np.moveaxis(image, 2, 0)


TURNS = {
    "tczyx": lambda image: first(image)[None, :, None],
    "cyx": first,
    "yxc": lambda image: image,
    "zcyx": lambda image: first(image)[None],
}


def write_ome_zarr(
    group: zarr.Group, axes: str, image: Image, version: str, *, omero: Any = None, levels: tuple[int, ...] = (1, 2)
) -> None:
    """Write levels as the format asks for them, by hand."""
    datasets = []
    for index, n in enumerate(levels):
        level = TURNS[axes](blocks(image, n))
        chunks = tuple(64 if axis in "yx" else 1 for axis in axes)
        keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if version == "0.4" else {}
        group.create_array(str(index), shape=level.shape, dtype="u1", chunks=chunks, **keys)[...] = level
        scale = [0.0005 * n if axis in "yx" else 1.0 for axis in axes]
        datasets.append({"path": str(index), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
    kinds = {"c": {"type": "channel"}, "t": {"type": "time"}}
    named = [{"name": axis, **kinds.get(axis, {"type": "space", "unit": "millimeter"})} for axis in axes]
    table = {"axes": named, "datasets": datasets, "name": "slide"}
    extra = {} if omero is None else {"omero": omero}
    if version == "0.4":
        group.attrs.update({"multiscales": [{"version": "0.4", **table}], **extra})
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": [table], **extra}
