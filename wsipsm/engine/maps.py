"""The maps that tiles share while a slide is worked on, one Zarr array with one shard a core, and each tile's status.

The status is a small file: which blocks of the tile's maps are missing, and how long the stored shard is. Where power
fails, the status may reach the disk and the shard may not: then the lengths differ. Waiting for the disk at every tile
would cost more.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import zarr
from zarr.codecs import BloscCodec

from wsipsm.config import TilesConfig
from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box, Grid

Maps = zarr.Array[Any]
"""The maps of a slide: uint8 (channel, y, x), one shard a core."""


def create_maps(folder: Path, channels: Sequence[str], grid: Grid, tiles: TilesConfig) -> None:
    """Create the maps of a slide, all zero: uint8 (channel, y, x), one shard a core.

    Parameters
    ----------
    folder : Path
        Where the array goes; one that is there stays, whoever made it meanwhile.
    channels : sequence of str
        Names of the channels, kept as an attribute.
    grid : Grid
        The plane.
    tiles : TilesConfig
        Sides of a core and of a block.
    """
    count = len(channels)
    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    zarr.create_array(
        str(draft),
        shape=(count, *grid.shape),
        dtype=np.uint8,
        chunks=(count, tiles.chunk_px, tiles.chunk_px),
        shards=(count, tiles.core_px, tiles.core_px),
        compressors=BloscCodec(cname="lz4", clevel=5, shuffle="noshuffle"),
        fill_value=0,
        dimension_names=("channel", "y", "x"),
        attributes={"channels": list(channels)},
        overwrite=True,
    )
    # Under its name it is complete: a run that was killed here must not find half an array. And what others may have
    # written into it already is not replaced: a folder that holds something cannot be renamed over.
    try:
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def open_maps(folder: Path) -> Maps:
    """Open the maps of a slide for reading and writing."""
    array = zarr.open_array(str(folder), mode="r+")
    assert isinstance(array, zarr.Array)
    return array


def write_core(maps: Maps, core: Box, data: npt.NDArray[np.uint8]) -> None:
    """Store the (channel, y, x) maps of a core, which is one shard: nobody else writes that file.

    Parameters
    ----------
    maps : Maps
        Opened by `open_maps`.
    core : Box
        Grid px.
    data : (channel, y, x) uint8
        Of the size of the core.
    """
    try:
        maps[:, *core.slices] = data
    except OSError:
        raise
    except Exception:  # whatever decoders make of a file that came half to the disk, and is read where the plane ends
        _core_file(maps, core).unlink(missing_ok=True)
        maps[:, *core.slices] = data


def _core_file(maps: Maps, core: Box) -> Path:
    assert isinstance(maps.store, zarr.storage.LocalStore)
    assert maps.shards is not None
    key = maps.metadata.encode_chunk_key((0, core.y0 // maps.shards[1], core.x0 // maps.shards[2]))
    return maps.store.root / maps.path / key


def _core_bytes(maps: Maps, core: Box) -> int:
    """Bytes of the shard of a core; 0 where there is none, as of maps that are all zero."""
    try:
        return _core_file(maps, core).stat().st_size
    except FileNotFoundError:
        return 0


def read_window(maps: Maps, window: Box) -> npt.NDArray[np.uint8]:
    """Read the (channel, y, x) maps of a window, which may leave the plane: they are 0 there."""
    count, height, width = maps.shape
    inside = window.intersect(Box(0, 0, width, height))
    data = np.zeros((count, *window.shape), np.uint8)
    if not inside.empty:
        data[:, *inside.relative_to(window).slices] = maps[:, *inside.slices]
    return data


@dataclass(frozen=True, slots=True)
class TileStatus:
    """Status of a tile whose maps are stored.

    Attributes
    ----------
    missing : tuple of Box
        Blocks that the slide could not give, grid px; the maps are 0 there.
    size : int
        Bytes of the stored shard.
    """

    missing: tuple[Box, ...]
    size: int


def read_status(file: Path) -> TileStatus | None:
    """Status of a tile from its file; None where the tile is not mapped, or the file is damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        table = orjson.loads(file.read_bytes())
        return TileStatus(tuple(Box(*block) for block in table["missing"]), int(table["size"]))
    return None


def write_status(file: Path, maps: Maps, core: Box, missing: tuple[Box, ...]) -> None:
    """Record that the maps of a core are stored, all but the missing blocks.

    Parameters
    ----------
    file : Path
        Written once the maps are stored.
    maps : Maps
        Opened by `open_maps`.
    core : Box
        Grid px.
    missing : tuple of Box
        Blocks that could not be read, grid px.
    """
    table = {"missing": [astuple(block) for block in missing], "size": _core_bytes(maps, core)}
    write_bytes(file, orjson.dumps(table))


def is_mapped(file: Path, maps: Maps, core: Box) -> bool:
    """Whether the maps of a core are stored, complete and without a missing block.

    Parameters
    ----------
    file : Path
        Of `write_status`.
    maps : Maps
        Opened by `open_maps`.
    core : Box
        Grid px.
    """
    status = read_status(file)
    return status is not None and not status.missing and status.size == _core_bytes(maps, core)
