"""GeoJSON of cells against an oracle of what QuPath's importer accepts."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.helpers.qupath import check_outline, one_decimal_or_fraction, read_as_qupath
from wsipsm.cells.measure import measure_cells
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.config import CellsConfig, Config, OutputConfig
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.formats.geojson import GeoJsonWriter


def some_cells(
    labels: npt.NDArray[np.int32], downsample: float = 2.0, x0: int = 0, tolerance_px: float = 0.15
) -> Cells:
    height, width = labels.shape
    maps = {
        name: np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.uint8)
        for name in ("activation", "nuclear_stain", "counterstain", "evidence")
    }
    measured = measure_cells(
        labels,
        maps,
        window=Box(x0, 0, x0 + width, height),
        grid=Grid(x0 + width, height, downsample, 0.25 * downsample),
        keep=np.ones(labels.max(initial=0), bool),
        config=Config(cells=CellsConfig(min_area_um2=0, outline_tolerance_px=tolerance_px)),
    )
    assert measured.dropped == 0
    return measured.cells


def row_of_squares(count: int) -> Cells:
    labels = np.zeros((5, 5 * count), np.int32)
    for i in range(count):
        labels[1:4, 5 * i + 1 : 5 * i + 4] = i + 1
    return some_cells(labels)


def uuids_of(labels: npt.NDArray[np.int64]) -> list[str]:
    """UUIDs made of labels."""
    return cell_uuids("a slide", Grid(1000, 1000, 1.0, 0.25), labels)


def write(
    folder: Path,
    batches: list[Cells],
    config: OutputConfig | None = None,
    offset_l0: tuple[int, int] = (0, 0),
    stain: str = "he",
) -> list[Path]:
    first = 1
    with GeoJsonWriter(folder, config=config or OutputConfig(), offset_l0=offset_l0, stain=stain) as writer:
        for cells in batches:
            labels = np.arange(first, first + len(cells))
            writer.write(cells, labels, uuids_of(labels))
            first += len(cells)
    return writer.files


def hard_labels() -> st.SearchStrategy[npt.NDArray[np.int32]]:
    """Single pixels, lines, diagonal touches, holes, nested rings, snakes, all up to the edge."""
    shape = st.tuples(st.integers(1, 10), st.integers(1, 10))
    noise = shape.flatmap(lambda one: hnp.arrays(np.int32, one, elements=st.integers(0, 4)))
    sparse = shape.flatmap(lambda one: hnp.arrays(np.int32, one, elements=st.sampled_from([0, 0, 0, 1, 2])))
    dense = shape.flatmap(lambda one: hnp.arrays(np.int32, one, elements=st.sampled_from([0, 1, 1, 1, 1, 2])))
    return st.one_of(
        noise, sparse, dense, st.builds(nested_rings, st.integers(1, 9)), st.builds(snake, st.integers(1, 9))
    )


def nested_rings(depth: int) -> npt.NDArray[np.int32]:
    side = 2 * depth + 1
    y, x = np.mgrid[:side, :side]
    return (np.maximum(abs(y - depth), abs(x - depth)) + 1).astype(np.int32)


def snake(folds: int) -> npt.NDArray[np.int32]:
    labels = np.zeros((2 * folds + 1, 12), np.int32)
    labels[::2] = 1
    labels[1::4, -1] = 1
    labels[3::4, 0] = 1
    return labels


@settings(max_examples=200, deadline=None)
@given(
    labels=hard_labels(),
    downsample=st.sampled_from([1.0, 2.0, 1.7, 0.9999]),
    x0=st.sampled_from([0, 7, 70_001]),
    offset=st.sampled_from([(0, 0), (123, 4567)]),
)
def test_whatever_the_labels_qupath_reads_every_cell(
    labels: npt.NDArray[np.int32], downsample: float, x0: int, offset: tuple[int, int]
) -> None:
    cells = some_cells(labels, downsample, x0)
    with tempfile.TemporaryDirectory() as folder:
        features = read_as_qupath(write(Path(folder), [cells], offset_l0=offset)[0])

    assert len(features) == len(np.unique(labels[labels > 0]))
    for feature in features:
        outline = shapely.geometry.shape(feature["geometry"])
        area = feature["properties"]["measurements"]["Area µm^2"]
        assert area == pytest.approx(outline.area * 0.25**2, abs=0.006), "what QuPath shows of the outline"


def test_a_known_cell_is_written_as_it_is(tmp_path: Path) -> None:
    labels = np.zeros((8, 12), np.int32)
    labels[2:5, 3:9] = 1

    files = write(tmp_path, [some_cells(labels, downsample=1.0, tolerance_px=0)], offset_l0=(1, 2))

    assert files == [tmp_path / "cells.geojson.gz"]
    (feature,) = read_as_qupath(files[0])
    assert shapely.equals(shapely.Polygon(feature["geometry"]["coordinates"][0]), shapely.box(2, 0, 8, 3))
    assert feature["id"] == uuids_of(np.array([1]))[0]
    measurements = feature["properties"]["measurements"]
    assert measurements["Area µm^2"] == pytest.approx(18 * 0.0625, abs=0.01)
    assert measurements["Perimeter µm"] == 18 * 0.25
    assert measurements["Label"] == 1


def test_stains_that_nobody_named_are_numbered(tmp_path: Path) -> None:
    (path,) = write(tmp_path, [row_of_squares(1)], stain="unknown")

    (feature,) = json.loads(gzip.decompress(path.read_bytes()))["features"]
    names = list(feature["properties"]["measurements"])
    assert {"Nucleus: Stain 1 OD mean", "Nucleus: Stain 2 OD mean", "Nucleus: Stain 2 OD std dev"} < set(names)
    assert not any("Hematoxylin" in name or "Eosin" in name for name in names)


@pytest.mark.parametrize("object_type", ["detection", "annotation", "cell"])
@pytest.mark.parametrize("objects", ["polygons", "points"])
def test_every_kind_of_object_is_legal(tmp_path: Path, object_type: Any, objects: Any) -> None:
    config = OutputConfig(object_type=object_type, objects=objects)

    files = write(tmp_path, [row_of_squares(3)], config)

    kind = "Point" if objects == "points" else "Polygon"
    features = read_as_qupath(files[0], object_type, kind)
    assert len(features) == 3
    if objects == "points":
        assert [feature["geometry"]["coordinates"] for feature in features] == [[5, 5], [15, 5], [25, 5]]


def test_more_cells_than_a_file_takes_are_split_however_they_are_batched_and_get_a_script(tmp_path: Path) -> None:
    cells = row_of_squares(20)
    batches = [cells.take(np.arange(start, stop)) for start, stop in ((0, 3), (3, 6), (6, 6), (6, 8), (8, 20))]

    files = write(tmp_path, batches, OutputConfig(max_objects_per_file=5))

    assert [path.name for path in files] == [f"cells-{i:03d}.geojson.gz" for i in range(1, 5)] + ["import.groovy"]
    sizes = [len(read_as_qupath(path)) for path in files[:-1]]
    assert sizes == [5, 5, 5, 5]
    script = files[-1].read_text(encoding="utf-8")
    assert re.findall(r"'(cells-\d{3}\.geojson\.gz)'", script) == [path.name for path in files[:-1]]
    assert script.count("{") == script.count("}")
    labels = [f["properties"]["measurements"]["Label"] for path in files[:-1] for f in read_as_qupath(path)]
    assert labels == list(range(1, 21))
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files}


def test_files_of_an_earlier_run_go(tmp_path: Path) -> None:
    write(tmp_path, [row_of_squares(6)], OutputConfig(max_objects_per_file=2))

    files = write(tmp_path, [row_of_squares(2)])

    assert list(tmp_path.iterdir()) == files == [tmp_path / "cells.geojson.gz"]


def test_no_cell_gives_an_empty_collection(tmp_path: Path) -> None:
    files = write(tmp_path, [])

    assert read_as_qupath(files[0]) == []


@pytest.mark.parametrize("count", [7, 6000])
def test_the_same_cells_give_the_same_bytes_however_they_are_batched(tmp_path: Path, count: int) -> None:
    cells = row_of_squares(count)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    one = write(tmp_path / "a", [cells])[0].read_bytes()
    other = write(tmp_path / "b", [cells.take(np.arange(2)), cells.take(np.arange(2, count))])[0].read_bytes()

    assert one == other


def test_a_failure_leaves_the_earlier_files_alone(tmp_path: Path) -> None:
    before = write(tmp_path, [row_of_squares(2)])[0].read_bytes()

    with pytest.raises(RuntimeError, match="power cut"):
        write_and_fail(tmp_path, row_of_squares(5))

    assert [path.name for path in tmp_path.iterdir()] == ["cells.geojson.gz"]
    assert (tmp_path / "cells.geojson.gz").read_bytes() == before


def write_and_fail(folder: Path, cells: Cells) -> None:
    config = OutputConfig(max_objects_per_file=2)
    with GeoJsonWriter(folder, config=config, offset_l0=(0, 0), stain="he") as writer:
        writer.write(cells, np.arange(len(cells)), uuids_of(np.arange(len(cells))))
        raise RuntimeError("power cut")


def test_the_oracle_refuses_what_qupath_refuses() -> None:
    bow_tie = [[0.0, 0.0], [2.0, 2.0], [2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]
    good = [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 0.0]]

    def with_decimals(ring: list[list[float]]) -> dict[str, Any]:
        return json.loads(json.dumps({"coordinates": [ring]}), parse_float=one_decimal_or_fraction)

    check_outline(with_decimals(good))
    for ring in (bow_tie, good[:-1], good[:2] + good[:1], [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]):
        with pytest.raises((AssertionError, ValueError)):
            check_outline(with_decimals(ring))
