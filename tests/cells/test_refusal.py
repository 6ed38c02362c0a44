"""Refusal of cells by their own confidence and by their neighbourhoods."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from wsipsm.cells.measurements import COLUMNS
from wsipsm.cells.refusal import REASONS, Limits, Refusals
from wsipsm.cells.table import Cells
from wsipsm.config import load_config
from wsipsm.core.geometry import Grid

GRID = Grid(2000, 2000, 2.0, 0.5)
WEAK, DYE, UNLIKE = (1 + REASONS.index(reason) for reason in ("low_confidence", "dye", "unlike_nuclei"))


def cells_at(xy: npt.NDArray[np.float64], confidence: float = 0.7) -> Cells:
    columns = {name: np.full(len(xy), 0.5, np.float32) for name in COLUMNS}
    columns["confidence"] = np.full(len(xy), confidence, np.float32)
    offsets = np.zeros(len(xy) + 1, np.int64)
    return Cells(np.arange(len(xy)), np.zeros((0, 2)), offsets, xy, columns, np.zeros(len(xy), np.uint8))


def crowd(x: float, y: float, count: int = 60) -> npt.NDArray[np.float64]:
    """Cells over 100 um around a place, level-0 px."""
    return np.array([x, y]) + np.random.default_rng(count).uniform(-200, 200, (count, 2))


def fills(count: int, value: float) -> npt.NDArray[np.float32]:
    return np.full(count, value, np.float32)


def test_a_place_of_odd_shapes_is_refused_and_one_of_ellipses_is_not() -> None:
    refusals = Refusals(GRID, Limits())
    refusals.add("keratin", cells_at(crowd(600, 600)), fills(60, 0.88))
    refusals.add("nuclei", cells_at(crowd(3000, 3000)), fills(60, 0.95))

    assert set(refusals.of("keratin").tolist()) == {UNLIKE}
    assert set(refusals.of("nuclei").tolist()) == {0}
    assert refusals.counts() == {"low_confidence": 0, "dye": 0, "unlike_nuclei": 60}


def test_one_odd_shape_among_ellipses_stays_and_a_lone_one_too() -> None:
    refusals = Refusals(GRID, Limits())
    refusals.add("odd", cells_at(crowd(600, 600, 1)), fills(1, 0.5))
    refusals.add("nuclei", cells_at(crowd(600, 600)), fills(60, 0.95))
    refusals.add("lone", cells_at(crowd(3000, 3000, 1)), fills(1, 0.5))

    assert refusals.of("odd").tolist() == [0]
    assert refusals.of("lone").tolist() == [0]


def test_low_confidence_is_refused_by_itself() -> None:
    refusals = Refusals(GRID, Limits(confidence=0.3))
    refusals.add("weak", cells_at(crowd(600, 600), confidence=0.29), fills(60, 0.95))
    refusals.add("right", cells_at(crowd(600, 600), confidence=0.31), fills(60, 0.95))

    assert set(refusals.of("weak").tolist()) == {WEAK}
    assert set(refusals.of("right").tolist()) == {0}


@pytest.mark.parametrize(("dye", "ratio", "verdict"), [(True, -0.4, DYE), (True, -0.2, 0), (False, -0.4, 0)])
def test_the_colour_of_dye_is_refused_on_he(dye: bool, ratio: float, verdict: int) -> None:
    cells = cells_at(crowd(600, 600))
    cells.columns["counterstain_od_mean"] = cells.columns["nuclear_od_mean"] * np.float32(ratio)
    refusals = Refusals(GRID, Limits(dye=dye))
    refusals.add("cells", cells, fills(60, 0.95))

    assert set(refusals.of("cells").tolist()) == {verdict}


def test_verdicts_do_not_depend_on_tiles_or_their_order() -> None:
    rng = np.random.default_rng(5)
    xy, shape = rng.uniform(0, 4000, (3000, 2)), rng.uniform(0.88, 1.0, 3000).astype(np.float32)
    shape[xy[:, 0] < 2000] -= 0.05
    whole = Refusals(GRID, Limits())
    whole.add(0, cells_at(xy), shape)

    tile = (xy[:, 0] // 300).astype(int)
    tiled = Refusals(GRID, Limits())
    for number in rng.permutation(tile.max() + 1):
        tiled.add(number, cells_at(xy[tile == number]), shape[tile == number])

    verdict = whole.of(0)
    assert 0.2 < (verdict > 0).mean() < 0.8
    for number in range(tile.max() + 1):
        assert tiled.of(number).tolist() == verdict[tile == number].tolist()


def test_a_cell_on_the_far_edge_of_the_plane_has_a_bin() -> None:
    grid = Grid(64, 64, 2.0, 0.5)
    refusals = Refusals(grid, Limits())
    refusals.add("corner", cells_at(np.array([[128.0, 128.0]])), fills(1, 0.9))

    assert refusals.of("corner").tolist() == [0]


def test_limits_are_those_that_are_set_else_those_of_the_method() -> None:
    def limits(*settings: str) -> Limits:
        return Limits.of(load_config("he", settings))

    assert limits() == Limits()
    assert limits("recognizer.method=psm") == Limits(0, 0)
    assert limits("recognizer.method=psm", "cells.min_confidence=0.2") == Limits(0.2, 0)
    assert limits("cells.min_neighbourhood_fill=0.8", "recognizer.stain=unknown") == Limits(0.1, 0.8, dye=False)
