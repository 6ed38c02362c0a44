"""Folders of slides with very many cells, for `benchmarks.exports`: generated ones, or the real outlines of a slide.

Each part, table and label pyramid, is written by itself and core by core, so that its writer can be measured alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from wsipsm.cells.measurements import measurements
from wsipsm.cells.outlines import Rings, are_legal
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.config import TilesConfig
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.formats.geoparquet import GeoParquetWriter
from wsipsm.results.formats.ome_zarr import LabelsWriter
from wsipsm.results.formats.wkb import from_wkb, ring_bounds

CORE_PX, PITCH_PX = 2048, 24
MPP, DOWNSAMPLE = 0.5, 2.0
VERTICES = 32
SUBPIXEL_BITS = 4
PER_CORE = (CORE_PX // PITCH_PX) ** 2 * 3 // 4

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Generated:
    """So many round, long and lobed cells in clusters: a core has them where a smooth field is high."""

    wanted: int

    def __len__(self) -> int:
        return self.wanted

    @property
    def grid(self) -> Grid:
        """The plane, a square of cores."""
        side = int(np.ceil(np.sqrt(-(-self.wanted // PER_CORE)))) * CORE_PX
        return Grid(side, side, DOWNSAMPLE, MPP)

    def cores(self) -> Iterator[tuple[Box, int, Rings]]:
        """Each core with cells, the first label there, and outlines in level-0 px."""
        done = 0
        for number, box in enumerate(boxes(self.grid)):
            random = np.random.default_rng(number)
            origins = clustered(random)[: self.wanted - done]
            if len(origins):
                yield box, done + 1, blobs(origins + np.array([box.x0, box.y0]), random)
            done += len(origins)

    def near(self) -> Iterator[tuple[Box, int, Rings]]:
        """As `cores`: no outline crosses a border."""
        return self.cores()


@dataclass(frozen=True)
class Taken:
    """Legal polygons of a GeoParquet file, core by core."""

    source: Path

    def __len__(self) -> int:
        return len(self._rings)

    @cached_property
    def _rings(self) -> Rings:
        rings = from_wkb(pq.read_table(self.source, columns=["geometry"])["geometry"])
        rings = Rings(np.round(np.maximum(rings.vertices, 0), 1), rings.offsets)
        parts = [np.arange(start, min(start + 1_000, len(rings))) for start in range(0, len(rings), 1_000)]
        rings = rings.take(np.concatenate([are_legal(rings.take(part)) for part in parts]))
        bounds = ring_bounds(rings)
        column, row = ((bounds[:, i] + bounds[:, i + 2]) // (2 * CORE_PX) for i in (0, 1))
        return rings.take(np.lexsort((column, row)))

    @cached_property
    def _bounds(self) -> Floats:
        return ring_bounds(self._rings)

    @property
    def grid(self) -> Grid:
        """The plane that holds all outlines, in their own pixels: small ones keep their area."""
        width, height = np.ceil(self._bounds[:, 2:].max(axis=0)).astype(int).tolist()
        return Grid(width, height, 1.0, MPP)

    def cores(self) -> Iterator[tuple[Box, int, Rings]]:
        """Outlines some thousand at a time, each once."""
        for start in range(0, len(self), 5_000):
            rows = np.arange(start, min(start + 5_000, len(self)))
            yield self.grid.box, start + 1, self._rings.take(rows)

    def near(self) -> Iterator[tuple[Box, int, Rings]]:
        """Each core as often as outlines reach into it, and these one by one."""
        for box in boxes(self.grid):
            inside = (self._bounds[:, :2] < (box.x1, box.y1)).all(axis=1)
            inside &= (self._bounds[:, 2:] > (box.x0, box.y0)).all(axis=1)
            for row in np.flatnonzero(inside).tolist():
                yield box, row + 1, self._rings.part(slice(row, row + 1))


def boxes(grid: Grid) -> Iterator[Box]:
    """Cores of a plane."""
    for y in range(0, grid.height, CORE_PX):
        for x in range(0, grid.width, CORE_PX):
            yield Box(x, y, x + CORE_PX, y + CORE_PX).intersect(grid.box)


def write_table(slide: Path, cells: Generated | Taken) -> int:
    """Write ``cells.parquet`` and ``run.json``; the number of cells."""
    grid = cells.grid
    with GeoParquetWriter(slide / "cells.parquet", stain="he") as table:
        for _, first, rings in cells.cores():
            batch = measured_cells(rings, grid, np.random.default_rng(first))
            labels = np.arange(first, first + len(rings))
            table.write(batch, labels, cell_uuids("benchmark", grid, labels))
    write_record(slide, grid, len(cells))
    return len(cells)


def write_labels(slide: Path, cells: Generated | Taken) -> int:
    """Write ``labels.ome.zarr``, outlines filled, and its pyramid; the number of cells."""
    tiles, last, image, grid = TilesConfig(core_px=CORE_PX), None, np.zeros((0, 0), np.int32), cells.grid
    with LabelsWriter(slide / "labels.ome.zarr", ["instances"], grid=grid, tiles=tiles) as store:
        for box, first, rings in cells.near():
            if box != last:
                write_core(store, last, image)
                last, image = box, np.zeros(box.shape, np.int32)
            fill(image, box, first, Rings(rings.vertices / grid.downsample, rings.offsets))
        write_core(store, last, image)
    return len(cells)


def write_core(store: LabelsWriter, box: Box | None, image: npt.NDArray[np.int32]) -> None:
    if box is not None:
        store.write("instances", box, image)


def write_record(slide: Path, grid: Grid, count: int) -> None:
    size = {"width_l0": round(grid.width * grid.downsample), "height_l0": round(grid.height * grid.downsample)}
    record = {
        "status": "done",
        "slide": {"path": "slide.svs", "fingerprint": "benchmark", "mpp_l0": grid.mpp / grid.downsample} | size,
        "origin_l0": {"qupath": [0, 0], "level0": [0, 0]},
        "config": {"recognizer": {"stain": "he"}},
        "counts": {"cells": count},
    }
    (slide / "run.json").write_text(json.dumps(record))


def measured_cells(rings: Rings, grid: Grid, random: np.random.Generator) -> Cells:
    """Cells of outlines: their centres and areas are true, the other measurements are drawn."""
    columns: dict[str, Any] = {name: random.uniform(0, 1, len(rings)).astype(np.float32) for name in measurements("he")}
    centres, areas = middles_and_areas(rings)
    columns["area_um2"] = (areas * (grid.mpp / grid.downsample) ** 2).astype(np.float32)
    x, y = (centres / grid.downsample).astype(np.int64).T
    class_ = np.zeros(len(rings), np.uint8)
    return Cells(y * grid.width + x, rings.vertices, rings.offsets, centres, columns, class_)


def middles_and_areas(rings: Rings) -> tuple[Floats, Floats]:
    """Mean vertex (N, 2), px, and area (N,), px2, of closed rings."""
    starts, (x, y) = rings.offsets[:-1], rings.vertices.T
    twice = x * np.append(y[1:], 0) - np.append(x[1:], 0) * y
    twice[rings.offsets[1:] - 1] = 0
    sums = np.add.reduceat(rings.vertices, starts) - rings.vertices[starts]
    return sums / (rings.lengths - 1)[:, None], np.abs(np.add.reduceat(twice, starts)) / 2


def fill(image: npt.NDArray[np.int32], box: Box, first: int, rings: Rings) -> None:
    """Fill outlines, px of the plane, with their labels; vertices are rounded to 1/16 px.

    OpenCV fills every pixel that an outline touches, so outlines are drawn half a pixel smaller.
    """
    middles, areas = middles_and_areas(rings)
    smaller = np.maximum(0, 1 - 0.5 / np.sqrt(np.maximum(areas, 1) / np.pi))
    middles, smaller = (np.repeat(one, rings.lengths, axis=0) for one in (middles, smaller))
    drawn = middles + (rings.vertices - middles) * smaller[:, None]
    fixed = (drawn - (box.x0, box.y0) - 0.5) * 2**SUBPIXEL_BITS
    for i, ring in enumerate(np.split(np.round(fixed).astype(np.int32), rings.offsets[1:-1])):
        cv2.fillPoly(image, [ring], first + i, shift=SUBPIXEL_BITS)


def clustered(random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Upper left corners of the squares of a core that hold a cell, (N, 2): three of four, where a field is high."""
    count = CORE_PX // PITCH_PX
    field = cv2.resize(random.normal(size=(9, 9)), (count, count), interpolation=cv2.INTER_CUBIC)
    high = np.argsort((field + 0.3 * random.normal(size=field.shape)).ravel())[-PER_CORE:]
    rows, columns = np.divmod(np.sort(high), count)
    return np.stack([columns, rows], axis=1) * PITCH_PX


def blobs(origins: npt.NDArray[np.int64], random: np.random.Generator) -> Rings:
    """Outlines of cells inside their squares, of any size, length and direction, with lobes; level-0 px."""
    count, angle = len(origins), np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    size, longer, turn, phase = random.uniform([5, 1, 0, 0], [7.5, 1.4, np.pi, 6], (count, 4)).T[..., None]
    radius = size * (0.9 + 0.1 * np.sin(angle * 3 + phase))
    along, across = radius * np.cos(angle) * np.sqrt(longer), radius * np.sin(angle) / np.sqrt(longer)
    x, y = along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)
    centre = origins + PITCH_PX / 2 + random.uniform(-2.5, 2.5, (count, 2))
    rings = (centre[:, None] + np.stack([x, y], axis=-1)) * DOWNSAMPLE
    closed = np.round(np.concatenate([rings, rings[:, :1]], axis=1), 1)
    return Rings(closed.reshape(-1, 2), np.arange(count + 1) * (VERTICES + 1))
