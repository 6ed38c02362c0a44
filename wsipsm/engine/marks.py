"""Marks of tiles whose maps are stored: which blocks are missing, and how long the stored file is.

The length tells whether the file came whole to the disk. Where power fails a mark may be there and the maps may not,
and waiting for the disk at every tile would cost more.
"""

from __future__ import annotations

import contextlib
from dataclasses import astuple, dataclass

import orjson

from wsipsm.core.files import write_bytes
from wsipsm.core.geometry import Box
from wsipsm.engine import maps as store
from wsipsm.engine.job import Job
from wsipsm.engine.maps import Maps
from wsipsm.tissue.tiles import Tile


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said of the maps of a tile: blocks that could not be read, and bytes of the stored file."""

    missing: tuple[Box, ...]
    size: int


def read_mark(job: Job, tile: Tile) -> Mark | None:
    """Mark of a tile; None where there is none, or half of one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        table = orjson.loads(job.mapped_mark(tile).read_bytes())
        return Mark(tuple(Box(*block) for block in table["missing"]), int(table["size"]))
    return None


def write_mark(job: Job, maps: Maps, tile: Tile, missing: tuple[Box, ...]) -> None:
    """Say that the maps of a tile are stored.

    Where an earlier run had other blocks missing, what was recognised around the tile no longer holds, and goes.
    """
    mark, file = read_mark(job, tile), job.mapped_mark(tile)
    if file.exists() and (mark is None or mark.missing != missing):
        for near in tile.neighbourhood():
            job.tile_file(near).unlink(missing_ok=True)
    table = {"missing": [astuple(block) for block in missing], "size": store.core_bytes(maps, job.lattice.core(tile))}
    write_bytes(file, orjson.dumps(table))


def is_mapped(job: Job, maps: Maps, tile: Tile) -> bool:
    """Whether the maps of a tile are stored, whole and without a gap."""
    mark = read_mark(job, tile)
    return mark is not None and not mark.missing and mark.size == store.core_bytes(maps, job.lattice.core(tile))
