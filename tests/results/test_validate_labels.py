"""Planted faults of a label store, beside the NGFF models of the field where they look at the same thing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from ome_zarr_models.v05.image_label import ImageLabel

from tests.helpers.command import wsipsm
from wsipsm.config import TilesConfig
from wsipsm.core.geometry import Grid
from wsipsm.results.formats.ome_zarr import LabelsWriter
from wsipsm.results.validate.labels import check_labels

GRID = Grid(2048, 1500, 2.0, 0.5)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store of twenty labels on two levels and of their table."""
    folder = tmp_path_factory.mktemp("good")
    labels = np.zeros(GRID.shape, np.int32)
    for i in range(20):
        labels[10 + 60 * i : 40 + 60 * i, 20 + 50 * i : 60 + 50 * i] = i + 1
    with LabelsWriter(folder / "labels.ome.zarr", ["instances"], grid=GRID, tiles=TilesConfig(core_px=1024)) as writer:
        for y in (0, 1024):
            for x in (0, 1024):
                box = GRID.box.intersect(type(GRID.box)(x, y, x + 1024, y + 1024))
                writer.write("instances", box, labels[box.slices])
    rows = {"label": np.arange(1, 21), "area_um2": np.full(20, 30 * 40 * 0.25, np.float32)}
    pq.write_table(pa.table(rows), folder / "cells.parquet")
    return folder


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the metadata of a group or an array."""
    path = folder / "labels.ome.zarr" / name / "zarr.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def ome(change: Callable[[dict[str, Any]], object], name: str = "instances") -> Callable[[Path], None]:
    return lambda folder: edit(folder, name, lambda table: change(table["attributes"]["ome"]))


def dataset(level: int, **values: Any) -> Callable[[Path], None]:
    return ome(lambda table: table["multiscales"][0]["datasets"][level].update(values))


def pixel(level: int, value: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        zarr.open_group(folder / "labels.ome.zarr", mode="r+")[f"instances/{level}"][0, 0] = value  # type: ignore[index]

    return change


def rows(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        table = pq.read_table(folder / "cells.parquet")
        pq.write_table(
            pa.table(change({name: table[name].to_numpy() for name in table.column_names})), folder / "cells.parquet"
        )

    return write


AXES = [{"name": name, "type": "space", "unit": "micrometer"} for name in ("x", "y")]
FAULTS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "no metadata": ("abort", "no_store", lambda folder: (folder / "labels.ome.zarr" / "zarr.json").unlink()),
    "no ome": ("abort", "not_ngff", lambda folder: edit(folder, "", lambda table: table["attributes"].pop("ome"))),
    "version of the group": ("wrong", "version", ome(lambda table: table.update(version="0.4"), "")),
    "version of the image": ("wrong", "version", ome(lambda table: table.update(version="0.4"))),
    "labels not listed": ("wrong", "labels_not_listed", ome(lambda table: table.pop("labels"), "")),
    "label missing": ("abort", "label_missing", ome(lambda table: table["labels"].append("cells"), "")),
    "no multiscales": ("abort", "multiscales", ome(lambda table: table.pop("multiscales"))),
    "axes exchanged": ("wrong", "axes", ome(lambda table: table["multiscales"][0].update(axes=AXES))),
    "no unit": ("minor", "unit", ome(lambda table: table["multiscales"][0]["axes"][0].pop("unit"))),
    "level missing": ("abort", "level_missing", dataset(1, path="7")),
    "no scale": ("wrong", "scale", dataset(1, coordinateTransformations=[])),
    "scale of three": ("wrong", "scale", dataset(1, coordinateTransformations=[{"type": "scale", "scale": [1, 1, 1]}])),
    "no dimension names": (
        "wrong",
        "dimension_names",
        lambda folder: edit(folder, "instances/0", lambda table: table.pop("dimension_names")),
    ),
    "fractions": (
        "wrong",
        "dtype",
        lambda folder: edit(folder, "instances/1", lambda table: table.update(data_type="float32", fill_value=0.0)),
    ),
    "no image-label": ("wrong", "image_label", ome(lambda table: table.pop("image-label"))),
    "colour twice": ("wrong", "colors", ome(lambda table: table["image-label"]["colors"].append({"label-value": 0}))),
    "colour of three": ("wrong", "colors", ome(lambda table: table["image-label"]["colors"][0].update(rgba=[0, 0, 0]))),
    "same level twice": ("wrong", "pyramid", dataset(1, path="0")),
    "averaged": ("wrong", "averaged", pixel(1, 55)),
    "label without cell": ("wrong", "label_without_cell", pixel(0, 33)),
    "cell without label": (
        "wrong",
        "cell_without_label",
        rows(lambda table: table | {"label": np.append(table["label"][:-1], 21)}),
    ),
    "label twice": ("wrong", "label_twice", rows(lambda table: {k: np.append(v, v[-1]) for k, v in table.items()})),
    "other area": ("wrong", "area", rows(lambda table: table | {"area_um2": table["area_um2"] * 1.5})),
}
SEEN_BY_MODELS = {"version of the image", "no multiscales", "no scale", "scale of three", "colour of three"}
"""Faults that the models of the field refuse too."""


def test_a_good_store_is_good(good: Path) -> None:
    report = check_labels(good / "labels.ome.zarr")

    ImageLabel.from_zarr(zarr.open_group(good / "labels.ome.zarr" / "instances", mode="r"))
    assert report.findings == {}
    assert report.objects == 20


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_store_is_found(name: str, good: Path, tmp_path: Path) -> None:
    severity, rule, change = FAULTS[name]
    folder = tmp_path / "slide"
    shutil.copytree(good, folder)
    change(folder)

    report = check_labels(folder / "labels.ome.zarr")

    assert rule in report.findings, report.findings
    assert report.findings[rule].rule.severity == severity
    assert report.good == (severity == "minor")
    if name in SEEN_BY_MODELS:
        with pytest.raises(ValueError, match="validation error"):
            ImageLabel.from_zarr(zarr.open_group(folder / "labels.ome.zarr" / "instances", mode="r"))


def test_counts_are_those_of_numpy(good: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slide"
    shutil.copytree(good, folder)
    table = pq.read_table(folder / "cells.parquet")
    pq.write_table(table.slice(0, 13), folder / "cells.parquet")

    report = check_labels(folder / "labels.ome.zarr")

    assert report.findings["label_without_cell"].count == 7
    assert report.findings["label_without_cell"].detail == "label 14"


def test_the_results_of_a_run_are_good(whole: Path) -> None:
    done = wsipsm("validate", whole.parent, "--json")

    assert done.returncode == 0, done.stdout
    kinds = {report["kind"]: report for report in json.loads(done.stdout)}
    assert kinds["geojson"]["objects"] == kinds["labels"]["objects"] > 500
    assert not kinds["geojson"]["findings"]
    assert not kinds["labels"]["findings"]


def test_geojson_of_other_cells_than_the_table_is_told(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "slide"
    shutil.copytree(whole, folder)
    pq.write_table(pq.read_table(folder / "cells.parquet").slice(1), folder / "cells.parquet")

    done = wsipsm("validate", folder)

    assert done.returncode == 1
    assert "cells_missing" in done.stdout
    assert "label_without_cell" in done.stdout
