"""Speed and memory of checks and exports: ``python -m benchmarks.exports --cells 1000000``.

A slide's folder is generated: cells of 32 vertices in clusters, their table and their label pyramid. Then each export
and each check runs in a process of its own, whose peak memory (VmHWM) the system keeps.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from wsipsm.cells.measurements import measurements
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.config import TilesConfig
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.formats import EXPORTS
from wsipsm.results.formats.geoparquet import GeoParquetWriter
from wsipsm.results.formats.ome_zarr import LabelsWriter

CORE_PX, PITCH_PX, SIDE_PX = 2048, 24, 14
VERTICES = 32

WATCHED = """
import re, sys, time
from wsipsm.cli.main import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print(re.search(r"VmHWM:\\s+(\\d+)", status)[1], time.process_time(), file=sys.stderr)
"""


def main(cells: int, folder: Path, formats: list[str]) -> None:
    slide = folder / "slide"
    slide.mkdir(parents=True, exist_ok=True)
    seconds, count = timed(lambda: generate(slide, cells))
    print(f"{count:,} cells generated in {seconds:.0f} s")
    print(f"{'what':<28}{'seconds':>10}{'CPU s':>10}{'per CPU s':>12}{'peak MB':>10}{'file MB':>10}")
    for name in formats:
        target = folder / f"cells{'.geojson.gz' if name == 'geojson' else EXPORTS[name].suffixes[0]}"
        measure(f"export {name}", ["export", slide, "--to", name, "-o", target], count, target)
    for target in sorted([*folder.glob("cells*.geojson*"), slide / "labels.ome.zarr"]):
        measure(f"validate {target.name}", ["validate", target, "--json"], 0, target)
    part = next(iter(sorted(folder.glob("cells*.geojson.gz"))), None)
    if part is not None:
        spoilt = spoil(part, folder / "spoilt.geojson.gz")
        measure("validate --fix", ["validate", spoilt, "--fix", folder / "mended.geojson.gz", "--json"], 0, spoilt)


def generate(slide: Path, wanted: int) -> int:
    """Table, labels and record of about so many cells, core by core."""
    per_core = (CORE_PX // PITCH_PX) ** 2 * 3 // 4
    side = int(np.ceil(np.sqrt(wanted / per_core)))
    grid = Grid(side * CORE_PX, side * CORE_PX, 2.0, 0.5)
    random, done = np.random.default_rng(0), 0
    with (
        GeoParquetWriter(slide / "cells.parquet", stain="he") as table,
        LabelsWriter(slide / "labels.ome.zarr", ["instances"], grid=grid, tiles=TilesConfig(core_px=CORE_PX)) as store,
    ):
        for y in range(0, grid.height, CORE_PX):
            for x in range(0, grid.width, CORE_PX):
                origins = lattice(random)[: max(0, wanted - done)]
                labels = np.arange(done + 1, done + len(origins) + 1)
                cells = blobs(origins + np.array([x, y]), grid, random)
                table.write(cells, labels, cell_uuids("benchmark", grid, cells.anchor))
                store.write("instances", Box(x, y, x + CORE_PX, y + CORE_PX), painted(origins, labels))
                done += len(origins)
    record = {
        "status": "done",
        "slide": {"path": "slide.svs", "mpp_l0": 0.25, "width_l0": 2 * grid.width, "height_l0": 2 * grid.height},
        "origin_l0": {"qupath": [0, 0], "level0": [0, 0]},
        "config": {"recognizer": {"stain": "he"}},
        "counts": {"cells": done},
    }
    (slide / "run.json").write_text(json.dumps(record))
    return done


def lattice(random: np.random.Generator) -> np.ndarray:
    """Upper left corners of the cells of a core, (N, 2), in clusters."""
    count = CORE_PX // PITCH_PX
    corners = np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1).reshape(-1, 2) * PITCH_PX + 4
    return corners[np.sort(random.permutation(len(corners))[: len(corners) * 3 // 4])]


def blobs(origins: np.ndarray, grid: Grid, random: np.random.Generator) -> Cells:
    """Round cells with an uneven outline inside their squares, and the area of these squares."""
    count, angle = len(origins), np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    radius = SIDE_PX * (0.75 + 0.2 * np.sin(angle * 3 + random.uniform(0, 6, (count, 1))))
    centre = (origins + SIDE_PX / 2) * grid.downsample
    rings = centre[:, None] + radius[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    closed = np.round(np.concatenate([rings, rings[:, :1]], axis=1), 1)
    columns = {name: random.uniform(0, 1, count).astype(np.float32) for name in measurements("he")}
    columns["area_um2"][:] = SIDE_PX**2 * grid.mpp**2
    return Cells(
        anchor=origins[:, 1].astype(np.int64) * grid.width + origins[:, 0],
        vertices_l0=closed.reshape(-1, 2),
        ring_offsets=np.arange(count + 1) * (VERTICES + 1),
        centroid_l0=centre,
        columns=columns,
        class_=np.zeros(count, np.uint8),
    )


def painted(origins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels of a core, a square a cell."""
    image = np.zeros((CORE_PX, CORE_PX), np.int32)
    for (x, y), label in zip(origins.tolist(), labels.tolist(), strict=True):
        image[y : y + SIDE_PX, x : x + SIDE_PX] = label
    return image


def spoil(source: Path, target: Path) -> Path:
    """File whose features lack the object type, as many tools write it."""
    target.write_bytes(
        gzip.compress(gzip.decompress(source.read_bytes()).replace(b'"objectType":"detection",', b""), 1)
    )
    return target


def measure(what: str, arguments: list[object], objects: int, target: Path) -> None:
    """Run a command in a process of its own and print a line."""
    command = [sys.executable, "-c", WATCHED, *map(str, arguments)]
    seconds, done = timed(lambda: subprocess.run(command, capture_output=True, text=True, check=False))
    try:
        peak_kb, cpu = map(float, done.stderr.split())
    except ValueError:
        print(f"{what:<28} {done.stderr[-200:]}")
        return
    if not objects:
        objects = sum(report["objects"] for report in json.loads(done.stdout))
    files = [*target.parent.glob(f"{target.name.split('.')[0]}*")] if target.is_file() or not target.exists() else []
    size = sum(path.stat().st_size for path in files if path.is_file() and path.suffix == target.suffix) / 1e6
    print(
        f"{what:<28}{seconds:>10.1f}{cpu:>10.1f}{objects / cpu:>12,.0f}{peak_kb / 1000:>10,.0f}{size:>10,.0f}",
        flush=True,
    )


def timed(call):  # type: ignore[no-untyped-def]
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the files there")
    parser.add_argument("--formats", nargs="*", default=[name for name in EXPORTS if name != "png"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(given.cells, given.folder or Path(temporary), given.formats)
