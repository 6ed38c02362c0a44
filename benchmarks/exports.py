"""Speed and memory of checks and exports: ``python -m benchmarks.exports --cells 1000000``.

A slide's folder is made, with table and label pyramid: of generated cells of 32 vertices in clusters, or of the real
outlines of a slide, for example the 592,349 that histolytics ships (BSD licence, 47k x 66k px). With ``--folder`` it
stays, and what stands there already is taken as it is::

    pip download --no-deps histolytics -d /tmp && unzip -j /tmp/histolytics-*.whl '*/hgsc_nuclei_wsi.parquet' -d /tmp
    python -m benchmarks.exports --outlines /tmp/hgsc_nuclei_wsi.parquet

Writers of table and labels, each export and each check run in a process of its own, whose peak memory (VmHWM) the
system keeps; the making of the cells is in the figures of the first two. Between, the steps of writing GeoJSON are
timed one by one, in CPU seconds of one core.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from isal import isal_zlib

from benchmarks.exported_slides import Generated, Taken, write_labels, write_table
from wsipsm.config import OutputConfig
from wsipsm.results.formats import EXPORTS
from wsipsm.results.formats.features import CellFeatures
from wsipsm.results.formats.geoparquet import GeoParquetWriter, read_cells

STEPS_CELLS = 1_000_000
"""Cells whose steps are timed one by one."""
HEAD = f"{'what':<28}{'seconds':>10}{'CPU s':>10}{'per CPU s':>12}{'peak MB':>10}{'file MB':>10}"

WATCHED = """
import re, sys, time
from wsipsm.cli.main import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print(re.search(r"VmHWM:\\s+(\\d+)", status)[1], time.process_time(), file=sys.stderr)
"""


def main(given: argparse.Namespace, folder: Path) -> None:
    slide = folder / "slide"
    slide.mkdir(parents=True, exist_ok=True)
    cells = Taken(given.outlines) if given.outlines else Generated(given.cells)
    print(HEAD, flush=True)
    for name, write in (("cells.parquet", write_table), ("labels.ome.zarr", write_labels)):
        if not (slide / name).exists():
            measure_writer(name, write, slide, cells)
    steps(slide, folder)
    count = pq.read_metadata(slide / "cells.parquet").num_rows
    for name in given.formats:
        target = slide / "cells.geojson.gz" if name == "geojson" else folder / f"cells{EXPORTS[name].suffixes[0]}"
        measure(f"export {name}", ["export", slide, "--to", name, "-o", target], count, target)
    check(folder, slide)


def check(folder: Path, slide: Path) -> None:
    """Check what was written; one file is spoilt and mended."""
    parts = sorted(slide.glob("cells*.geojson.gz"))
    for target in [*parts[:1], *folder.glob("cells.geojson"), slide / "labels.ome.zarr", slide]:
        what = "all of it" if target == slide else target.name
        measure(f"validate {what}", ["validate", target, "--json"], 0, target)
    if parts:
        spoilt = spoil(parts[0], folder / "spoilt.geojson.gz")
        measure(
            "validate --fix of a spoilt",
            ["validate", spoilt, "--fix", folder / "mended.geojson.gz", "--json"],
            0,
            spoilt,
        )


def measure_writer(name: str, write: Callable[[Path, Generated | Taken], int], *given: Any) -> None:
    """Write a part of the slide in a process of its own and print a line."""
    seconds, (count, peak_kb, cpu) = timed(lambda: in_process(watched_writer, write, *given))
    print_line(f"write {name}", seconds, cpu, count / cpu, peak_kb, size_mb(given[0] / name))


def in_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def watched_writer(write: Callable[..., int], *given: Any) -> tuple[int, int, float]:
    """Cells that were written, peak memory (kB) and CPU seconds of this process."""
    count = write(*given)
    return count, int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]), time.process_time()


def steps(slide: Path, folder: Path) -> None:
    """CPU seconds of the steps of reading and writing the first cells, and what they do in a second."""
    features, path = CellFeatures(OutputConfig(), (0, 0), "he"), folder / "again.parquet"
    spent, count = dict.fromkeys(("read Parquet", "text of GeoJSON", "gzip, level 3 of ISA-L", "write Parquet"), 0.0), 0
    batches, packer = read_cells(slide / "cells.parquet", stain="he"), isal_zlib.compressobj(3, wbits=31)
    with GeoParquetWriter(path, stain="he") as table:
        while count < STEPS_CELLS and (batch := spend(spent, "read Parquet", lambda: next(batches, None))):
            text = spend(spent, "text of GeoJSON", lambda: list(features.texts(*batch)))
            spend(spent, "gzip, level 3 of ISA-L", lambda: [packer.compress(one) for one in text])  # noqa: B023
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
        reports = json.loads(done.stdout)
        objects = sum(report["objects"] for report in reports)
        what += "" if all(report["good"] for report in reports) else " BAD"
    print_line(what, seconds, cpu, objects / cpu, peak_kb, size_mb(target))


def size_mb(target: Path) -> float:
    """Size of a file, of the files that it was split into, or of a folder."""
    stem, _, end = target.name.partition(".")
    found = [target] if target.exists() else [*target.parent.glob(f"{stem}-*.{end}")]
    files = [file for one in found for file in ([one] if one.is_file() else one.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def print_line(what: str, seconds: float, cpu: float, rate: float, peak_kb: float, size: float) -> None:
    print(
        f"{what:<28}{seconds:>10.1f}{cpu:>10.1f}{rate:>12,.0f}{peak_kb / 1000:>10,.0f}{size:>10,.0f}",
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
        main(given, given.folder or Path(temporary))
