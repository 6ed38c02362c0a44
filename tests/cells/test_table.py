"""The identity of a cell."""

from __future__ import annotations

import uuid

import numpy as np

from wsipsm.cells.table import cell_uuids
from wsipsm.core.geometry import Grid


def test_uuids_differ_by_slide_grid_and_place_and_are_valid() -> None:
    fine, coarse, anchors = Grid(100, 50, 1.0, 0.25), Grid(50, 25, 2.0, 0.5), np.arange(100)

    uuids = [one for slide in "ab" for grid in (fine, coarse) for one in cell_uuids(slide, grid, anchors)]

    assert len(set(uuids)) == 400
    assert cell_uuids("a", fine, anchors[:3]) == uuids[:3]
    assert {uuid.UUID(one).version for one in uuids} == {5}


def test_uuids_are_those_of_the_standard_library() -> None:
    grid, anchors = Grid(100, 50, 2.0, 0.5), np.array([0, 7, 99, 100, 4999])

    plane = uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_DNS, "wsipsm"), "a slide/2.0")

    expected = [str(uuid.uuid5(plane, f"{anchor % 100}/{anchor // 100}")) for anchor in anchors]
    assert cell_uuids("a slide", grid, anchors) == expected
    assert cell_uuids("a slide", grid, anchors[:0]) == []
