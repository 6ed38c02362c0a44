"""Labels as OME-NGFF 0.5 on Zarr v3."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import zarr
from zarr.codecs import BloscCodec

from wsipsm.cells.classes import CLASSES
from wsipsm.config import TilesConfig
from wsipsm.core.errors import OutputError, short_reason
from wsipsm.core.geometry import Box, Grid

SMALLEST_LEVEL_PX = 1024
"""The pyramid of an array ends with the first level whose longer side is at most this."""


ARRAYS: dict[str, type[np.integer[Any]]] = {
    "instances": np.int32,
    "cells": np.int32,
    "pseudo_mask": np.uint8,
    "activation": np.uint8,
}
"""Arrays of labels.ome.zarr. ``activation`` is an image from 0 to 255, the others are labels; ``cells`` are whole cells
under the labels of their nuclei in ``instances``."""


LABEL_COLORS: dict[str, list[dict[str, Any]]] = {
    "instances": [{"label-value": 0, "rgba": [0, 0, 0, 0]}],
    "cells": [{"label-value": 0, "rgba": [0, 0, 0, 0]}],
    "pseudo_mask": [{"label-value": 0, "rgba": [0, 0, 0, 0]}, {"label-value": 1, "rgba": [*CLASSES.colors[0], 255]}],
}


class LabelsWriter:
    """Context manager that writes labels.ome.zarr core by core.

    The root is an NGFF ``labels`` group; each array is a multiscale image below it, with ``instances/0`` the finest
    level. Coarser levels take every second pixel. When the block ends, unless it was finished before, they are written
    and the folder gets its final name. If the block raises, nothing is left.

    Parameters
    ----------
    folder : Path
        The folder; an existing one is replaced at the end.
    arrays : sequence of str
        Names of ``ARRAYS``.
    grid : Grid
        The plane of the labels.
    tiles : TilesConfig
        Side of a core (one shard) and of a chunk.
    """

    def __init__(self, folder: Path, arrays: Sequence[str], *, grid: Grid, tiles: TilesConfig) -> None:
        self._folder = folder
        self._temporary = folder.with_name(f".{folder.name}.part")
        self._names = tuple(arrays)
        self._grid = grid
        self._tiles = tiles
        self._levels: dict[str, list[zarr.Array[Any]]] = {}
        self._filled: dict[str, set[tuple[int, int]]] = {name: set() for name in arrays}
        self._finished = False

    def __enter__(self) -> Self:
        shutil.rmtree(self._temporary, ignore_errors=True)
        listed = [name for name in self._names if name in LABEL_COLORS]
        root = zarr.create_group(
            str(self._temporary), zarr_format=3, attributes={"ome": {"version": "0.5", "labels": listed}}
        )
        self._levels = {name: self._create_pyramid(root, name) for name in self._names}
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._finished:
                self.finish()
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def finish(self) -> None:
        """Write the coarser levels and give the folder its final name; nothing can be added then."""
        for name in self._names:
            self._fill_pyramid(name)
        self._publish()
        self._finished = True

    def write(self, name: str, core: Box, data: npt.NDArray[Any]) -> None:
        """Store one core of an array, in any order and once each; empty cores are not written.

        Parameters
        ----------
        name : str
            Name of the array.
        core : Box
            Core of the lattice, clipped to the grid.
        data : (y, x) int
            Labels, or activations from 0 to 255.
        """
        if data.any():
            self._levels[name][0][core.slices] = data
            self._filled[name].add((core.y0 // self._tiles.core_px, core.x0 // self._tiles.core_px))

    def _create_pyramid(self, root: zarr.Group, name: str) -> list[zarr.Array[Any]]:
        shapes = [self._grid.shape]
        while max(shapes[-1]) > SMALLEST_LEVEL_PX:
            height, width = shapes[-1]
            shapes.append((-(-height // 2), -(-width // 2)))
        group = root.create_group(name, attributes={"ome": _image_metadata(name, self._grid.mpp, len(shapes))})
        return [
            group.create_array(
                str(level),
                shape=shape,
                dtype=ARRAYS[name],
                chunks=(self._tiles.chunk_px,) * 2,
                shards=(self._tiles.core_px,) * 2,
                compressors=BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"),
                fill_value=0,
                dimension_names=("y", "x"),
            )
            for level, shape in enumerate(shapes)
        ]

    def _fill_pyramid(self, name: str) -> None:
        """Make every level from the finer one, shard by shard, where a shard is not empty."""
        side, filled = self._tiles.core_px, self._filled[name]
        for fine, coarse in zip(self._levels[name], self._levels[name][1:], strict=False):
            filled = {(row // 2, col // 2) for row, col in filled}
            for row, col in sorted(filled):
                y, x = row * side, col * side
                data = np.asarray(fine[2 * y : 2 * (y + side), 2 * x : 2 * (x + side)])[::2, ::2]
                coarse[y : y + side, x : x + side] = data

    def _publish(self) -> None:
        earlier = self._folder.with_name(f".{self._folder.name}.old")
        shutil.rmtree(earlier, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(earlier)
        self._temporary.rename(self._folder)
        shutil.rmtree(earlier, ignore_errors=True)


def multiscale(name: str, mpp: float, levels: int, offset_um: Sequence[float] = (0.0, 0.0)) -> dict[str, Any]:
    """NGFF metadata of a pyramid, the same in 0.4 and 0.5.

    Parameters
    ----------
    name : str
        Of the image.
    mpp : float
        Micrometres per pixel of the finest level.
    levels : int
        Number of levels, each half as fine as the one before.
    offset_um : sequence of float
        Place (y, x) of the upper left corner, micrometres.
    """
    moved = [{"type": "translation", "translation": list(offset_um)}] if any(offset_um) else []
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [mpp * 2**level] * 2}, *moved]}
        for level in range(levels)
    ]
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in ("y", "x")]
    return {"name": name, "axes": axes, "datasets": datasets, "type": "nearest"}


def _image_metadata(name: str, mpp: float, levels: int) -> dict[str, Any]:
    """NGFF metadata of one multiscale image."""
    metadata: dict[str, Any] = {"version": "0.5", "multiscales": [multiscale(name, mpp, levels)]}
    if name in LABEL_COLORS:
        metadata["image-label"] = {"colors": LABEL_COLORS[name]}
    return metadata


def open_labels(folder: Path, name: str = "instances") -> zarr.Array[Any]:
    """Finest level of a label array, (y, x), opened for reading: only the pixels that are indexed are read.

    Parameters
    ----------
    folder : Path
        ``labels.ome.zarr`` as written by `LabelsWriter`.
    name : str
        One of ``ARRAYS``.

    Raises
    ------
    OutputError
        The array is missing or cannot be read.
    """
    with _explained(folder, name):
        return _finest(folder, name)[0]


def open_levels(folder: Path, name: str = "instances") -> list[tuple[zarr.Array[Any], float]]:
    """Levels of a label array, the finest first, each with its micrometres per pixel; otherwise as `open_labels`."""
    with _explained(folder, name):
        group = zarr.open_group(str(folder), mode="r", path=name)
        metadata: Any = group.attrs.asdict()["ome"]
        levels: list[Any] = metadata["multiscales"][0]["datasets"]
        arrays: list[Any] = [group[level["path"]] for level in levels]
        scales = [float(level["coordinateTransformations"][0]["scale"][0]) for level in levels]
    return list(zip(arrays, scales, strict=True))


def read_labels(folder: Path, name: str = "instances") -> tuple[npt.NDArray[Any], float]:
    """Finest level of a label array in memory, and its micrometres per pixel; otherwise as `open_labels`."""
    with _explained(folder, name):
        array, mpp = _finest(folder, name)
        return np.asarray(array[:]), mpp


def _finest(folder: Path, name: str) -> tuple[zarr.Array[Any], float]:
    group = zarr.open_group(str(folder), mode="r", path=name)
    metadata: Any = group.attrs.asdict()["ome"]
    finest = metadata["multiscales"][0]["datasets"][0]
    array: Any = group[finest["path"]]
    return array, float(finest["coordinateTransformations"][0]["scale"][0])


@contextmanager
def _explained(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OutputError(f"{folder}: the labels {name!r} cannot be read: {short_reason(error)}") from None
