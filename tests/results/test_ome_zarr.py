"""Zarr arrays against numpy, and against the NGFF 0.5 models and reader of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models.v05.image import Image
from ome_zarr_models.v05.image_label import ImageLabel
from ome_zarr_models.v05.labels import Labels

from wsipsm.config import TilesConfig
from wsipsm.core.errors import OutputError
from wsipsm.core.geometry import Box, Grid
from wsipsm.results.formats.ome_zarr import LabelsWriter, open_labels

TILES = TilesConfig(core_px=96, block_px=32)


def cores(grid: Grid, side: int) -> list[Box]:
    return [
        Box(x, y, x + side, y + side).intersect(grid.box)
        for y in range(0, grid.height, side)
        for x in range(0, grid.width, side)
    ]


def some_labels(grid: Grid, seed: int = 0) -> npt.NDArray[np.int32]:
    """Labels on the left half, nothing on the right."""
    labels = np.random.default_rng(seed).integers(0, 2_000_000_000, grid.shape, dtype=np.int32)
    labels[:, grid.width // 2 :] = 0
    return labels


def write_labels(folder: Path, labels: npt.NDArray[np.int32], grid: Grid, tiles: TilesConfig, order: int = 0) -> None:
    boxes = cores(grid, tiles.core_px)
    with LabelsWriter(folder, ["instances"], grid=grid, tiles=tiles) as writer:
        for i in np.random.default_rng(order).permutation(len(boxes)):
            writer.write("instances", boxes[i], labels[boxes[i].slices])


def shards(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("c/*/*"))


@pytest.mark.parametrize("shape", [(1, 1), (96, 96), (250, 1025), (1031, 2077)])
def test_every_level_keeps_every_second_pixel_of_the_finer_one(tmp_path: Path, shape: tuple[int, int]) -> None:
    grid = Grid(shape[1], shape[0], 2.0, 0.5)
    labels = some_labels(grid)

    write_labels(tmp_path / "labels.ome.zarr", labels, grid, TILES)

    group = zarr.open_group(str(tmp_path / "labels.ome.zarr" / "instances"), mode="r")
    levels = [group[str(level)] for level in range(len(list(group.array_keys())))]
    expected, count = labels, 1
    for level in levels:
        np.testing.assert_array_equal(np.asarray(level[:]), expected, strict=True)  # type: ignore[index]
        expected = expected[::2, ::2]
    while max(shape) > 1024:
        shape, count = (-(-shape[0] // 2), -(-shape[1] // 2)), count + 1
    assert len(levels) == count


def test_the_labels_validate_as_ngff(tmp_path: Path) -> None:
    grid = Grid(1300, 700, 2.0, 0.4987)
    labels = some_labels(grid)
    folder = tmp_path / "labels.ome.zarr"
    with LabelsWriter(folder, ["instances", "pseudo_mask", "activation"], grid=grid, tiles=TILES) as writer:
        for core in cores(grid, TILES.core_px):
            writer.write("instances", core, labels[core.slices])
            writer.write("pseudo_mask", core, labels[core.slices] > 0)
            writer.write("activation", core, labels[core.slices] % 256)

    root = Labels.from_zarr(zarr.open_group(str(folder), mode="r"))

    assert root.label_paths == ["instances", "pseudo_mask"]
    assert root.attributes.ome.version == "0.5"
    model = ImageLabel.from_zarr(zarr.open_group(str(folder / "instances"), mode="r"))
    (multiscale,) = model.attributes.ome.multiscales
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        ("y", "space", "micrometer"),
        ("x", "space", "micrometer"),
    ]
    scales = [dataset.coordinateTransformations[0].scale for dataset in multiscale.datasets]
    assert scales == [[0.4987, 0.4987], [0.9974, 0.9974]]
    assert all(len(dataset.coordinateTransformations) == 1 for dataset in multiscale.datasets)
    assert Image.from_zarr(zarr.open_group(str(folder / "activation"), mode="r"))
    attributes = json.loads((folder / "pseudo_mask" / "zarr.json").read_text())["attributes"]["ome"]
    assert [color["label-value"] for color in attributes["image-label"]["colors"]] == [0, 1]
    array = json.loads((folder / "instances" / "1" / "zarr.json").read_text())
    assert array["dimension_names"] == ["y", "x"]
    assert array["data_type"] == "int32"
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [96, 96]
    assert [codec["name"] for codec in array["codecs"]] == ["sharding_indexed"]


def test_ome_zarr_py_opens_the_root_and_an_image(tmp_path: Path) -> None:
    grid = Grid(1100, 300, 2.0, 0.5)
    labels = some_labels(grid)
    write_labels(tmp_path / "labels.ome.zarr", labels, grid, TILES)

    for folder in (tmp_path / "labels.ome.zarr", tmp_path / "labels.ome.zarr" / "instances"):
        nodes: list[Any] = [node for node in Reader(parse_url(folder))() if node.data]  # type: ignore[arg-type]
        (node,) = nodes
        np.testing.assert_array_equal(node.data[0].compute(), labels)
        np.testing.assert_array_equal(node.data[1].compute(), labels[::2, ::2])
        scales = [level[0]["scale"] for level in node.metadata["coordinateTransformations"]]
        assert scales == [[0.5, 0.5], [1.0, 1.0]]


def test_cores_without_a_label_are_not_written(tmp_path: Path) -> None:
    grid = Grid(1200, 200, 2.0, 0.5)
    labels = np.zeros(grid.shape, np.int32)
    labels[100:110, 1000:1010] = 7

    write_labels(tmp_path / "labels.ome.zarr", labels, grid, TILES)

    assert shards(tmp_path / "labels.ome.zarr") == ["instances/0/c/1/10", "instances/1/c/0/5"]


def test_the_order_of_the_cores_does_not_change_a_byte(tmp_path: Path) -> None:
    grid = Grid(1200, 500, 2.0, 0.5)
    for order, name in enumerate(("a", "b")):
        write_labels(tmp_path / name, some_labels(grid), grid, TILES, order)

    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    assert shards(tmp_path / "a") == shards(tmp_path / "b")


def test_a_failure_leaves_the_earlier_labels_alone(tmp_path: Path) -> None:
    grid, folder = Grid(100, 100, 2.0, 0.5), tmp_path / "labels.ome.zarr"
    labels = some_labels(grid)
    write_labels(folder, labels, grid, TILES)

    with pytest.raises(RuntimeError, match="power cut"):
        write_and_fail(folder, grid)

    assert [path.name for path in tmp_path.iterdir()] == ["labels.ome.zarr"]
    np.testing.assert_array_equal(zarr.open_array(str(folder / "instances" / "0"), mode="r")[:], labels)


def write_and_fail(folder: Path, grid: Grid) -> None:
    with LabelsWriter(folder, ["instances"], grid=grid, tiles=TILES) as writer:
        writer.write("instances", Box(0, 0, 96, 96), np.ones((96, 96), np.int32))
        raise RuntimeError("power cut")


def test_earlier_labels_are_replaced(tmp_path: Path) -> None:
    grid, folder = Grid(1100, 100, 2.0, 0.5), tmp_path / "labels.ome.zarr"
    write_labels(folder, some_labels(grid), grid, TILES)

    write_labels(folder, np.zeros(grid.shape, np.int32), grid, TILES)

    assert shards(folder) == []
    assert [path.name for path in tmp_path.iterdir()] == ["labels.ome.zarr"]


def test_labels_are_opened_without_reading_them(tmp_path: Path) -> None:
    grid = Grid(300, 200, 2.0, 0.5)
    labels = some_labels(grid)
    write_labels(tmp_path / "labels.ome.zarr", labels, grid, TILES)

    opened = open_labels(tmp_path / "labels.ome.zarr")
    (tmp_path / "labels.ome.zarr" / "instances" / "0" / "c" / "1" / "1").write_bytes(b"damaged")

    np.testing.assert_array_equal(opened[:96, :96], labels[:96, :96])
    with pytest.raises(OutputError, match="the labels 'activation' cannot be read"):
        open_labels(tmp_path / "labels.ome.zarr", "activation")
    with pytest.raises(OutputError, match=r"other: the labels 'instances' cannot be read"):
        open_labels(tmp_path / "other")
