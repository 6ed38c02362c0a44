"""The result of a tile, there and back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from wsipsm.cells.measure import Measured
from wsipsm.cells.measurements import COLUMNS
from wsipsm.cells.outlines import Rings
from wsipsm.cells.table import Cells
from wsipsm.core.errors import OutputError
from wsipsm.engine.reports import Counts
from wsipsm.engine.scratch import LabelRuns, load_anchors, load_cells, load_counts, load_labels, save_tile

LABELS = np.array([[0, 1, 1], [2, 2, 0]], np.int32)
IDS = np.array([1, 3_000_000_000_000])


def a_triangle() -> Cells:
    return Cells(
        anchor=IDS[:1],
        vertices_l0=np.array([[0.1, 0], [5, 0], [5, 5], [0.1, 0]]),
        ring_offsets=np.array([0, 4]),
        centroid_l0=np.array([[3.0, 1.5]]),
        columns={name: np.array([i / 3], np.float32) for i, name in enumerate(COLUMNS)},
        class_=np.array([2], np.uint8),
    )


def fills_of(cells: Cells) -> npt.NDArray[np.float32]:
    return np.full(len(cells), 0.9, np.float32)


@pytest.mark.parametrize("cells", [a_triangle(), a_triangle().take(np.arange(0))], ids=["one", "none"])
def test_a_tile_comes_back_to_the_bit(tmp_path: Path, cells: Cells) -> None:
    path = tmp_path / "00001_00002.npz"

    save_tile(path, Measured(cells, fills_of(cells), 2, 1), labels=LABELS, ids=IDS)

    tile, (stored, fills) = load_labels(path), load_cells(path)
    np.testing.assert_array_equal(tile.labels.image(), LABELS, strict=True)
    np.testing.assert_array_equal(fills, fills_of(cells), strict=True)
    np.testing.assert_array_equal(tile.ids, IDS, strict=True)
    np.testing.assert_array_equal(load_anchors(path), cells.anchor, strict=True)
    assert load_counts(path) == Counts(len(cells), unsimplified=2, dropped=1)
    for field in dataclasses.fields(Cells):
        if field.name != "columns":
            np.testing.assert_array_equal(getattr(stored, field.name), getattr(cells, field.name), strict=True)
    assert tuple(stored.columns) == COLUMNS
    for name in COLUMNS:
        np.testing.assert_array_equal(stored.columns[name], cells.columns[name], strict=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("shape", [(7, 9), (1, 1), (0, 4)])
def test_runs_of_labels_give_what_stands_for_each(shape: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.int32)

    runs = LabelRuns.of(labels)

    np.testing.assert_array_equal(runs.image(), labels, strict=True)
    numbers = np.array([0, 70_000, 3], np.int32)
    np.testing.assert_array_equal(runs.image(numbers), numbers[labels], strict=True)


@pytest.mark.parametrize("index", [[0], []], ids=["one", "none"])
def test_whole_cells_of_a_tile_come_back_to_the_bit(tmp_path: Path, index: list[int]) -> None:
    ring = Rings(np.array([[0.0, 0], [7, 0], [7, 8.5], [0, 0]]), np.array([0, 4]))
    cells = dataclasses.replace(a_triangle(), whole_l0=ring).take(np.array(index, np.int64))
    whole = np.array([[1, 1, 1], [2, 2, 1]], np.int32)

    save_tile(tmp_path / "a.npz", Measured(cells, fills_of(cells), 0, 0), labels=LABELS, ids=IDS, whole=whole)

    tile, (stored, _) = load_labels(tmp_path / "a.npz"), load_cells(tmp_path / "a.npz")
    assert tile.whole is not None
    np.testing.assert_array_equal(tile.whole.image(), whole, strict=True)
    assert cells.whole_l0 is not None
    assert stored.whole_l0 is not None
    np.testing.assert_array_equal(stored.whole_l0.vertices, cells.whole_l0.vertices, strict=True)
    np.testing.assert_array_equal(stored.whole_l0.offsets, cells.whole_l0.offsets, strict=True)


def test_the_same_tile_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_tile(tmp_path / name, Measured(a_triangle(), fills_of(a_triangle()), 0, 0), labels=LABELS, ids=IDS)

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    taken = tmp_path / "tile.npz"
    taken.mkdir()

    with pytest.raises(IsADirectoryError):
        save_tile(taken, Measured(a_triangle(), fills_of(a_triangle()), 0, 0), labels=LABELS, ids=IDS)

    assert list(tmp_path.rglob("*")) == [taken]


def test_a_missing_or_damaged_tile_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tile.npz"
    save_tile(
        path,
        Measured(a_triangle(), fills_of(a_triangle()), 0, 0),
        labels=np.arange(10_000, dtype=np.int32).reshape(100, 100),
        ids=IDS,
    )
    whole = path.read_bytes()

    with pytest.raises(OutputError, match="missing; run again"):
        load_labels(tmp_path / "absent.npz")
    for damaged in (b"", whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        for load in (load_labels, load_cells):
            with pytest.raises(OutputError, match="damaged result of a tile"):
                load(path)
    path.write_bytes(whole[:2000] + bytes(400) + whole[2400:])
    with pytest.raises(OutputError, match="damaged result of a tile"):
        load_labels(path)
