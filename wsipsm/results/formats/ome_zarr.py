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
from wsipsm.results.formats.halved import Halved

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
    level. Coarser levels take every second pixel. When the block ends, unless it was finished before, they are complete
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
        self._halved: dict[str, list[Halved]] = {}
        self._finished = False

    def __enter__(self) -> Self:
        shutil.rmtree(self._temporary, ignore_errors=True)
        listed = [name for name in self._names if name in LABEL_COLORS]
        root = zarr.create_group(
            str(self._temporary), zarr_format=3, attributes={"ome": {"version": "0.5", "labels": listed}}
        )
        self._levels = {name: self._create_pyramid(root, name) for name in self._names}
        self._halved = {
            name: [Halved((level.shape[0], level.shape[1]), self._tiles.core_px, level.dtype) for level in levels[:-1]]
            for name, levels in self._levels.items()
        }
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and not self._finished:
                self.finish()
        finally:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def finish(self) -> None:
        """Write what is left of the coarser levels and give the folder its final name; nothing can be added then."""
        for name in self._names:
            for level, halved in enumerate(self._halved[name], start=1):
                for square, data in halved.rest():
                    self._store(name, level, square, data)
        self._publish()
        self._finished = True

    def write(self, name: str, core: Box, data: npt.NDArray[Any]) -> None:
        """Store one core of an array, in any order and once each, and the coarser ones that it completes.

        Empty ones are not written.

        Parameters
        ----------
        name : str
            Name of the array.
        core : Box
            Core of the lattice, clipped to the grid.
        data : (y, x) int
            Labels, or activations from 0 to 255.
        """
        self._store(name, 0, core, np.asarray(data, ARRAYS[name]))

    def _store(self, name: str, level: int, square: Box, data: npt.NDArray[Any]) -> None:
        if data.any():
            self._levels[name][level][square.slices] = data
        if level < len(self._halved[name]):
            for coarser, halved in self._halved[name][level].add(square, data):
                self._store(name, level + 1, coarser, halved)

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
                compressors=_compressor(ARRAYS[name], self._tiles.chunk_px),
                fill_value=0,
                dimension_names=("y", "x"),
            )
            for level, shape in enumerate(shapes)
        ]

    def _publish(self) -> None:
        earlier = self._folder.with_name(f".{self._folder.name}.old")
        shutil.rmtree(earlier, ignore_errors=True)
        if self._folder.exists():
            self._folder.rename(earlier)
        self._temporary.rename(self._folder)
        shutil.rmtree(earlier, ignore_errors=True)


def _compressor(dtype: type[np.integer[Any]], chunk_px: int) -> BloscCodec:
    """Labels are runs of equal pixels: shuffled, or in small blocks, they take twice the time."""
    size = np.dtype(dtype).itemsize
    if size > 1:
        return BloscCodec(cname="zstd", clevel=1, shuffle="noshuffle", blocksize=chunk_px * chunk_px * size)
    return BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")


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
