"""Speed and memory of checks and exports: ``python -m benchmarks.exports --cells 1000000``.

A slide's folder is made, with table and label pyramid: of generated cells of 32 vertices in clusters, or of the real
outlines of a slide, for example the 592,349 that histolytics ships (BSD licence, 47k x 66k px)::

    pip download --no-deps histolytics -d /tmp && unzip -j /tmp/histolytics-*.whl '*/hgsc_nuclei_wsi.parquet' -d /tmp
    python -m benchmarks.exports --outlines /tmp/hgsc_nuclei_wsi.parquet

Then the steps of the writers are timed one by one in this process, in CPU seconds of one core, and each export and
each check runs in a process of its own, whose peak memory (VmHWM) the system keeps.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import shapely

from wsipsm.cells.measurements import measurements
from wsipsm.cells.outlines import Rings, are_legal
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.config import OutputConfig, TilesConfig
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.formats import EXPORTS
from wsipsm.results.formats.features import CellFeatures
from wsipsm.results.formats.geoparquet import GeoParquetWriter, read_cells
from wsipsm.results.formats.ome_zarr import LabelsWriter
from wsipsm.results.formats.wkb import from_wkb, ring_bounds

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


def main(cells: int, outlines: Path | None, folder: Path, formats: list[str]) -> None:
    slide = folder / "slide"
    slide.mkdir(parents=True, exist_ok=True)
    seconds, count = timed(lambda: taken_over(slide, outlines) if outlines else generate(slide, cells))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    size_mb = (slide / "cells.parquet").stat().st_size / 1e6
    print(
        f"{count:,} cells: table ({size_mb:.0f} MB) and labels in {seconds:.0f} s, peak {peak_mb:,.0f} MB", flush=True
    )
    steps(slide, folder)
    print(f"{'what':<28}{'seconds':>10}{'CPU s':>10}{'per CPU s':>12}{'peak MB':>10}{'file MB':>10}")
    for name in formats:
        target = folder / f"cells{'.geojson.gz' if name == 'geojson' else EXPORTS[name].suffixes[0]}"
        measure(f"export {name}", ["export", slide, "--to", name, "-o", target], count, target)
    parts = sorted(folder.glob("cells*.geojson.gz"))
    for target in [*parts, *folder.glob("cells.geojson"), slide / "labels.ome.zarr"]:
        measure(f"validate {target.name}", ["validate", target, "--json"], 0, target)
    part = next(iter(parts), None)
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
                if done == wanted:
                    continue
                origins = lattice(random)[: max(0, wanted - done)]
                labels = np.arange(done + 1, done + len(origins) + 1)
                cells = blobs(origins + np.array([x, y]), grid, random)
                table.write(cells, labels, cell_uuids("benchmark", grid, cells.anchor))
                store.write("instances", Box(x, y, x + CORE_PX, y + CORE_PX), painted(origins, labels))
                done += len(origins)
    write_record(slide, grid, done)
    return done


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


def taken_over(slide: Path, source: Path) -> int:
    """Table, labels and record of the polygons of a GeoParquet file, core by core."""
    rings = from_wkb(pq.read_table(source, columns=["geometry"])["geometry"])
    rings = Rings(np.round(np.maximum(rings.vertices, 0), 1), rings.offsets)
    parts = [np.arange(start, min(start + 1_000, len(rings))) for start in range(0, len(rings), 1_000)]
    rings = rings.take(np.concatenate([are_legal(rings.take(part)) for part in parts]))
    bounds = ring_bounds(rings) / 2
    grid = Grid(*np.ceil(bounds[:, 2:].max(axis=0)).astype(int).tolist(), 2.0, 0.5)
    column, row = ((bounds[:, i] + bounds[:, i + 2]) // (2 * CORE_PX) for i in (0, 1))
    rings = rings.take(np.lexsort((column, row)))
    bounds = ring_bounds(rings) / 2
    with (
        GeoParquetWriter(slide / "cells.parquet", stain="he") as table,
        LabelsWriter(slide / "labels.ome.zarr", ["instances"], grid=grid, tiles=TilesConfig(core_px=CORE_PX)) as store,
    ):
        for start in range(0, len(rings), 5_000):
            labels = np.arange(start, min(start + 5_000, len(rings)))
            cells = outlined(rings.take(labels), grid)
            table.write(cells, labels + 1, cell_uuids("benchmark", grid, cells.anchor))
        for y in range(0, grid.height, CORE_PX):
            for x in range(0, grid.width, CORE_PX):
                core = Box(x, y, x + CORE_PX, y + CORE_PX).intersect(grid.box)
                store.write("instances", core, filled(rings, bounds, core))
    write_record(slide, grid, len(rings))
    return len(rings)


def outlined(rings: Rings, grid: Grid) -> Cells:
    """Cells of outlines, with their areas."""
    random, polygons = np.random.default_rng(0), rings.polygons()
    columns = {name: random.uniform(0, 1, len(rings)).astype(np.float32) for name in measurements("he")}
    columns["area_um2"] = (shapely.area(polygons) * (grid.mpp / grid.downsample) ** 2).astype(np.float32)
    centres = shapely.get_coordinates(shapely.centroid(polygons))
    x, y = (centres / grid.downsample).astype(np.int64).T
    class_ = np.zeros(len(rings), np.uint8)
    return Cells(y * grid.width + x, rings.vertices, rings.offsets, centres, columns, class_)


def filled(rings: Rings, bounds: np.ndarray, core: Box) -> np.ndarray:
    """Labels of a core, outlines filled."""
    image = np.zeros(core.shape, np.int32)
    near = (bounds[:, :2] < (core.x1, core.y1)).all(axis=1) & (bounds[:, 2:] > (core.x0, core.y0)).all(axis=1)
    for i in np.flatnonzero(near).tolist():
        ring = rings.vertices[rings.offsets[i] : rings.offsets[i + 1]] / 2 - (core.x0, core.y0) - 0.5
        cv2.fillPoly(image, [np.round(ring).astype(np.int32)], i + 1)
    return image


def steps(slide: Path, folder: Path) -> None:
    """CPU seconds of the steps of reading and writing, and what they do in a second."""
    features, path = CellFeatures(OutputConfig(), (0, 0), "he"), folder / "again.parquet"
    spent, count = dict.fromkeys(("read Parquet", "text of GeoJSON", "gzip, level 5", "write Parquet"), 0.0), 0
    batches, packer = read_cells(slide / "cells.parquet", stain="he"), zlib.compressobj(5, wbits=31)
    with GeoParquetWriter(path, stain="he") as table:
        while (batch := spend(spent, "read Parquet", lambda: next(batches, None))) is not None:
            text = spend(spent, "text of GeoJSON", lambda: list(features.texts(*batch)))
            spend(spent, "gzip, level 5", lambda: [packer.compress(one) for one in text])  # noqa: B023
            spend(spent, "write Parquet", partial(table.write, *batch))
            count += len(batch[0])
        spend(spent, "write Parquet", table._flush)
    path.unlink()
    for name, seconds in spent.items():
        print(f"{name:<28}{'':>10}{seconds:>10.1f}{count / seconds:>12,.0f}")
    before = spent["read Parquet"] + spent["text of GeoJSON"]
    print(f"{'GeoJSON before gzip':<28}{'':>10}{before:>10.1f}{count / before:>12,.0f}", flush=True)


def spend(spent: dict[str, float], name: str, call):  # type: ignore[no-untyped-def]
    start = time.process_time()
    found = call()
    spent[name] += time.process_time() - start
    return found


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
    parser.add_argument("--outlines", type=Path, help="GeoParquet of polygons, instead of generated ones")
    parser.add_argument("--folder", type=Path, help="keep the files there")
    parser.add_argument("--formats", nargs="*", default=[name for name in EXPORTS if name != "png"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(given.cells, given.outlines, given.folder or Path(temporary), given.formats)
