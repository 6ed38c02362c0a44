"""Planes at half their resolution, from squares in any order, against numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipsm.core.geometry import Box
from wsipsm.results.formats.halved import Halved


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 60), height=st.integers(1, 60), side=st.integers(3, 20), seed=st.integers(0, 99))
def test_squares_in_any_order_make_every_second_pixel(width: int, height: int, side: int, seed: int) -> None:
    rng, whole = np.random.default_rng(seed), Box(0, 0, width, height)
    corners = [(x, y) for y in range(0, height, side) for x in range(0, width, side)]
    squares = [Box(x, y, x + side, y + side).intersect(whole) for x, y in corners]
    plane = np.zeros((height, width), np.int32)
    for square in squares:
        plane[square.slices] = rng.integers(0, 9, square.shape) * rng.integers(0, 2)
    given = [squares[i] for i in rng.permutation(len(squares))[: 1 + int(len(squares) * rng.random())]]
    expected = np.zeros_like(plane)
    for square in given:
        expected[square.slices] = plane[square.slices]

    halved, found, places = Halved(plane.shape, side, np.int32), np.zeros_like(plane[::2, ::2]), []
    for coarser, data in [pair for square in given for pair in halved.add(square, plane[square.slices])]:
        found[coarser.slices] = data
        places.append(coarser)
    for coarser, data in halved.rest():
        found[coarser.slices] = data
        places.append(coarser)

    np.testing.assert_array_equal(found, expected[::2, ::2])
    assert len(set(places)) == len(places)
    assert all((box.x0 % side, box.y0 % side) == (0, 0) and max(box.shape) <= side for box in places)
    assert list(halved.rest()) == []


def test_a_square_is_given_once_the_last_of_its_four_is_there() -> None:
    halved, full = Halved((64, 64), 16, np.int32), np.ones((16, 16), np.int32)
    boxes = [Box(x, y, x + 16, y + 16) for y in (0, 16) for x in (0, 16)]

    given = [list(halved.add(box, full)) for box in boxes]

    assert [len(some) for some in given] == [0, 0, 0, 1]
    assert given[3][0][0] == Box(0, 0, 16, 16)
