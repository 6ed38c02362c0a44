"""Prove on a large mosaic that cells do not depend on how the slide was cut and worked on.

``python -m benchmarks.seams --data ../shared/data/monuseg --side 8192`` writes one slide of real H&E, runs it as one
tile, then under every other setting, and compares cells, labels and ids.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas
import numpy as np
import zarr

from tests.helpers.slidegen import mosaic, read_rgb, write_slide

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))

CUTS = {
    "cores of 256 px": ["tiles.core_px=256"],
    "cores of 512 px": ["tiles.core_px=512"],
    "cores of 1024 px": ["tiles.core_px=1024"],
    "cores of 512 px, random order": ["tiles.core_px=512", "tiles.order=random"],
    "cores of 512 px, 1 worker": ["tiles.core_px=512", "schedule.workers=1"],
    "cores of 512 px, 4 workers": ["tiles.core_px=512", "schedule.workers=4"],
    "cores of 512 px, threads": ["tiles.core_px=512", "schedule.processes=false"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--recognizer", choices=["segmenter", "psm"], default="segmenter")
    parser.add_argument("--keep", type=Path, help="folder for slide and results, kept")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    images = [read_rgb(path) for path in sorted((options.data / "images").iterdir())]
    slide = write_slide(folder / "mosaic.tiff", mosaic(images, options.side), mpp=0.25)
    method = f"recognizer.method={options.recognizer}"
    whole = run(slide, folder / "whole", [method, f"tiles.core_px={-(-options.side // 512) * 256}"])
    report("one tile", whole, whole)
    # Learning again would take a minute each time.
    encoder = whole / "calibration.safetensors" if options.recognizer == "psm" else None
    for name, settings in CUTS.items():
        report(name, run(slide, folder / name.replace(" ", "_"), [method, *settings], encoder=encoder), whole)


def run(slide: Path, out: Path, settings: list[str], encoder: Path | None = None) -> Path:
    """Results folder of a run with settings."""
    command = [WSIPSM, "run", str(slide), "-o", str(out)]
    command += [part for setting in settings for part in ("--set", setting)]
    command += ["--encoder", str(encoder)] if encoder else []
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"({time.perf_counter() - start:.0f} s) ", end="")
    return out / slide.stem


def report(name: str, found: Path, expected: Path) -> None:
    """Print how results differ from the expected ones."""
    mine, theirs = (geopandas.read_parquet(path / "cells.parquet").sort_values("label") for path in (found, expected))
    labels = [
        np.asarray(zarr.open_group(path / "labels.ome.zarr", mode="r")["instances/0"]) for path in (found, expected)
    ]
    both = mine.merge(theirs, on=["label", "geometry"], suffixes=("", "_expected"))
    doubled = int(mine.duplicated("geometry").sum())
    same_values = mine.reset_index(drop=True).equals(theirs.reset_index(drop=True))
    different = int((labels[0] != labels[1]).sum())
    seconds = json.loads((found / "run.json").read_text())["seconds"]["wall"]
    print(
        f"{name}: {len(mine)} cells, missing {len(theirs) - len(both)}, extra {len(mine) - len(both)}, "
        f"doubled {doubled}, measurements and ids equal: {same_values}, "
        f"label pixels that differ: {different}, wall {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
