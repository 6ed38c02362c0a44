"""Whether two results folders hold the same cells, to the bit: ``python -m benchmarks equal OUT/slide OTHER/slide``."""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import zarr


def differences(one: Path, other: Path) -> str:
    """What differs between the cells of two results folders of one slide; empty where nothing does."""
    found = []
    tables = [pq.read_table(folder / "cells.parquet") for folder in (one, other)]
    if tables[0].column_names != tables[1].column_names:
        return f"columns of cells.parquet: {tables[0].column_names} and {tables[1].column_names}"
    if tables[0].num_rows != tables[1].num_rows:
        found.append(f"cells: {tables[0].num_rows} and {tables[1].num_rows}")
    else:
        found += [f"column {name}" for name in tables[0].column_names if not tables[0][name].equals(tables[1][name])]
    names = [sorted(path.name for path in folder.glob("cells*.geojson.gz")) for folder in (one, other)]
    if names[0] != names[1]:
        found.append(f"files {names[0]} and {names[1]}")
    else:
        found += [name for name in names[0] if _unpacked(one / name) != _unpacked(other / name)]
    labels = [zarr.open_group(folder / "labels.ome.zarr", mode="r")["instances/0"] for folder in (one, other)]
    rows = range(0, labels[0].shape[0], 1024)
    pixels = sum(int(np.count_nonzero(labels[0][y : y + 1024] != labels[1][y : y + 1024])) for y in rows)
    if pixels:
        found.append(f"{pixels} label pixels")
    return "differ: " + ", ".join(found) if found else ""


def _unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    options = parser.parse_args()
    found = differences(options.one, options.other)
    print(found or "equal: cells.parquet, GeoJSON, labels")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
